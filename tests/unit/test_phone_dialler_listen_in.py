"""The dialler holding a line for who listens in: when, and what ends it."""

from __future__ import annotations

import pytest

from edge.reporting.phone.call_types import Cause, Ended, Step
from edge.reporting.phone.dialler_types import (
    EndListenIn,
)
from edge.reporting.phone.line import Dropped
from protocols.panel_event import Code, PanelEvent, Qualifier
from protocols.tones.elements import DigitHeard
from tests.support.phone_site import (
    BURGLARY,
    DUAL,
    HOLDUP,
    OPENING,
    TAMPER,
    PhoneSite,
    phone_config,
)


def test_listen_in_comes_last_and_an_alarm_ends_it() -> None:
    site = PhoneSite(phone_config(policy=DUAL, listen_in_s=300))
    site.record(BURGLARY)
    site.run(60)
    assert site.codes_received() == [130, 780, 606]
    assert site.ends() == []
    site.record(HOLDUP)
    site.run(30)
    assert site.ends()[0].detail == "something to tell"
    assert HOLDUP in site.kissed


def test_listen_in_ends_by_itself() -> None:
    site = PhoneSite(phone_config(policy=DUAL, listen_in_s=100))
    site.record(BURGLARY)
    site.run(150)
    assert [(end.cause, end.detail) for end in site.ends()] == [(Cause.DONE, "listen-in over")]
    assert not site.owed


def _listening(**fields: object) -> PhoneSite:
    site = PhoneSite(phone_config(policy=DUAL, listen_in_s=300, **fields))
    site.run(400)  # the first test call is over
    site.record(BURGLARY)
    site.run(60, lambda: site.dialler.view(site.now).listening)
    assert site.dialler.view(site.now).listening
    return site


def test_the_centre_ends_listening_with_a_key_and_the_command_does() -> None:
    site = _listening()
    site.give(DigitHeard("5", 0, 50))
    assert site.dialler.view(site.now).listening
    site.give(DigitHeard("#", 0, 50))
    site.run(5)
    assert (site.ends()[-1].cause, site.ends()[-1].detail) == (
        Cause.DONE,
        "listen-in ended: # heard",
    )
    site = _listening()
    site.give(EndListenIn("liwei"))
    site.run(5)
    assert site.ends()[-1].detail == "released liwei"
    site.give(EndListenIn("liwei"))
    assert not site.dialler.view(site.now).listening


def test_who_listened_and_hung_up_made_no_failed_call() -> None:
    site = _listening()
    site.line.at(0, Dropped("no_carrier"))
    site.run(5)
    assert site.ends()[-1] == Ended(Cause.DONE, "listen-in ended: no_carrier", Step.VOICE)


@pytest.mark.parametrize(("event", "within_s"), [(HOLDUP, 20), (BURGLARY, 20), (TAMPER, 20)])
def test_an_alarm_ends_listening_at_once(event: PanelEvent, within_s: float) -> None:
    site = _listening()
    before = len(site.kissed)
    site.record(event)
    site.run(within_s, lambda: len(site.kissed) > before)
    assert site.kissed[before:] == [event]


def test_the_loss_of_the_other_path_waits_a_minute_for_who_listens() -> None:
    site = _listening()
    lost = PanelEvent(Code.PATH_IP_FAULT, detail="mqtt not_acknowledged")
    site.record(lost)
    site.run(55)
    assert site.dialler.view(site.now).listening
    site.run(30)
    assert lost in site.kissed


@pytest.mark.parametrize(
    "event",
    [
        PanelEvent(Code.BURGLARY, Qualifier.RESTORE, area=1, zone=3),
        PanelEvent(Code.ALARM_CANCEL, area=1, user=1),
        PanelEvent(Code.BURGLARY, area=1, zone=3, test=True),
        OPENING,
    ],
)
def test_nobody_listens_in_without_an_alarm(event: PanelEvent) -> None:
    site = PhoneSite(phone_config(policy=DUAL, listen_in_s=300))
    site.record(event)
    site.run(29)
    assert event in site.kissed
    assert 606 not in site.codes_received()
    assert site.ends()
