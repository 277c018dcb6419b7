"""The dialler: policy, order, supervision (issue: panel side)."""

from __future__ import annotations

import pytest

from edge.config_phone import DialToneWait, LineDriver, PhoneLineConfig
from edge.reporting.phone.call_types import Cause, Ended
from edge.reporting.phone.dialler_types import (
    CallAsked,
    LineVoltage,
    MqttPath,
)
from edge.reporting.phone.line import Dial, LineStatus
from edge.reporting.reporter_types import PathState
from protocols.contact_id.mapping import mark_in
from protocols.panel_event import Code, PanelEvent, Qualifier
from tests.support.phone_site import (
    BURGLARY,
    DUAL,
    HOLDUP,
    LOG,
    OPENING,
    TAMPER,
    PhoneSite,
    phone_config,
)
from tests.support.phone_world import FarEnd

MODEM = PhoneLineConfig(driver=LineDriver.MODEM, device="/dev/ttyACM0")


def test_dual_tells_everything_that_contact_id_has_words_for() -> None:
    site = PhoneSite(phone_config(policy=DUAL, marks=False))
    site.record(LOG)
    site.record(OPENING)
    site.record(BURGLARY)
    site.run(60)
    assert site.codes_received() == [130, 401]
    assert site.settled == [LOG]
    assert sorted(e.code for e in site.kissed) == [130, 401]
    assert not site.owed
    assert site.ends()[0].cause is Cause.DONE


def test_fallback_gives_mqtt_its_time_and_no_more() -> None:
    fire = PanelEvent(Code.FIRE, area=1, zone=6)
    for event, wait_s in ((HOLDUP, 3), (fire, 3), (BURGLARY, 10), (TAMPER, 10)):
        site = PhoneSite(phone_config())
        site.record(event)
        site.run(29)
        assert site.calls()[0] == (wait_s, "82001")
        assert site.kissed == [event]


def test_fallback_drops_what_mqtt_acknowledged_while_waiting() -> None:
    site = PhoneSite(phone_config())
    key = site.record(BURGLARY)
    site.run(9)
    site.mqtt_acknowledges(key)
    site.run(20)
    assert site.calls() == []
    assert site.settled == [BURGLARY]
    assert not site.owed


def test_dual_does_not_drop_what_mqtt_acknowledged() -> None:
    site = PhoneSite(phone_config(policy=DUAL))
    key = site.record(BURGLARY)
    site.mqtt_acknowledges(key)
    site.run(29)
    assert site.kissed == [BURGLARY]


def test_openings_never_go_by_phone_in_fallback_unless_set() -> None:
    site = PhoneSite(phone_config())
    site.record(OPENING)
    assert site.settled == [OPENING]
    site = PhoneSite(phone_config(wait_open_close_s=5))
    site.record(OPENING)
    site.run(29)
    assert site.kissed == [OPENING]


def test_nothing_waits_for_an_mqtt_path_known_to_be_down() -> None:
    site = PhoneSite(phone_config())
    site.give(MqttPath(False))
    site.record(BURGLARY)
    site.run(1)
    assert site.calls()[0][0] == 0


def test_loss_of_the_mqtt_path_is_told_by_phone_and_its_return_too() -> None:
    site = PhoneSite(phone_config())
    site.record(PanelEvent(Code.PATH_IP_FAULT, detail="mqtt not_acknowledged"))
    site.run(20)
    site.record(PanelEvent(Code.PATH_IP_FAULT, Qualifier.RESTORE, detail="mqtt acknowledged"))
    site.run(60)
    told = [(m.q, m.code) for m in site.line.received if mark_in(m) is None]
    assert told[:2] == [("1", "350"), ("3", "350")]


def test_the_most_urgent_first_and_a_new_hold_up_goes_at_the_next_block() -> None:
    site = PhoneSite(phone_config(policy=DUAL, marks=False))
    for zone in (1, 2, 3):
        site.record(PanelEvent(Code.BURGLARY, area=1, zone=zone))
    site.run(30, lambda: len(site.line.plays) == 2)
    site.record(HOLDUP)
    site.run(60)
    assert site.codes_received() == [130, 130, 122, 130]
    assert len(site.calls()) == 1


def test_a_trouble_waits_while_a_person_is_on_the_phone() -> None:
    far = FarEnd(no_line="in_use")
    site = PhoneSite(phone_config(policy=DUAL), far)
    site.record(PanelEvent(Code.MAINS_FAIL))
    site.run(60)
    assert not any(forced for _, forced in site.line.seizes)
    assert all(end.cause is Cause.IN_USE for end in site.ends())
    assert site.paths() == []
    far.no_line = None
    site.run(40)
    assert [e.code for e in site.kissed] == [301]


@pytest.mark.parametrize(
    ("far", "cause"),
    [
        (FarEnd(busy=True), "busy"),
        (FarEnd(answer_ms=None), "no_answer"),
        (FarEnd(dial_tone_ms=None), "no_dial_tone"),
        (FarEnd(kisses=lambda n: False), "no_kiss_off"),
    ],
)
def test_a_dead_phone_path_is_told_within_180_s(far: FarEnd, cause: str) -> None:
    site = PhoneSite(phone_config(policy=DUAL), far)
    site.record(BURGLARY)
    site.run(180)
    assert site.paths() == [PathState(False, cause)]


def test_a_cut_line_is_told_and_its_return_proved_by_a_test_call() -> None:
    site = PhoneSite(phone_config())
    site.give(LineStatus(True))
    site.run(400)  # the first test call after a start
    assert site.paths() == [PathState(True, "kissed_off")]
    site.give(LineStatus(False, "no_voltage"))
    site.run(6)
    assert site.paths()[-1] == PathState(False, "no_voltage")
    calls = len(site.calls())
    site.give(LineStatus(True))
    site.run(60)
    assert len(site.calls()) == calls + 1
    assert site.codes_received()[-2:] == [602, 780]
    assert site.paths()[-1] == PathState(True, "kissed_off")


def test_a_short_dip_of_the_line_is_no_fault() -> None:
    site = PhoneSite(phone_config())
    site.give(LineStatus(True))
    site.give(LineStatus(False, "no_voltage"))
    site.run(4)
    site.give(LineStatus(True))
    site.run(10)
    assert site.paths() == []


def test_a_modem_line_is_listened_to_for_its_dial_tone() -> None:
    site = PhoneSite(phone_config(line=MODEM))
    site.run(1000)
    site.far.dial_tone_ms = None
    before = site.now
    site.run(180, lambda: bool(site.paths()) and site.paths()[-1].up is False)
    assert site.paths()[-1] == PathState(False, "no_dial_tone")
    assert site.now - before <= 180e9
    site.far.dial_tone_ms = 400
    site.run(180, lambda: site.paths()[-1].up)
    assert site.paths()[-1] == PathState(True, "kissed_off")


def test_a_test_call_daily_by_default_and_when_asked() -> None:
    site = PhoneSite(phone_config())
    site.run(3 * 86_400)
    assert [code for code in site.codes_received() if code != 780] == [602, 602, 602]
    site.give(CallAsked("installer"))
    site.run(30)
    assert site.codes_received()[-2:] == [601, 780]


def test_a_monitor_beside_the_line_counts_as_the_lines_own_word() -> None:
    site = PhoneSite(phone_config())
    site.give(LineStatus(True))
    site.run(400)
    site.give(LineVoltage(False))
    site.run(4)
    assert site.paths()[-1].up
    site.run(2)
    assert site.paths()[-1] == PathState(False, "no_voltage")
    site.give(LineStatus(True))
    site.run(5)
    assert site.paths()[-1] == PathState(False, "no_voltage"), "the modem alone cannot know"
    calls = len(site.calls())
    site.give(LineVoltage(True))
    site.run(30)
    assert len(site.calls()) == calls + 1
    assert site.paths()[-1] == PathState(True, "kissed_off")


def test_a_monitor_that_flickers_does_not_break_off_a_call() -> None:
    site = PhoneSite(phone_config(policy=DUAL))
    site.record(BURGLARY)
    site.run(30, lambda: bool(site.line.plays))
    site.give(LineVoltage(False))
    site.run(1)
    site.give(LineVoltage(True))
    site.run(20)
    assert [end.cause for end in site.ends()] == [Cause.DONE]


def test_a_call_that_ends_badly_is_told_with_its_cause() -> None:
    site = PhoneSite(phone_config(policy=DUAL), FarEnd(voice=True))
    site.record(BURGLARY)
    site.run(40)
    assert isinstance(site.dialler.view(site.now).last, Ended)
    assert site.ends()[0].cause is Cause.VOICE_ANSWER


@pytest.mark.parametrize("pulse", [False, True])
def test_the_file_says_how_it_is_dialled(pulse: bool) -> None:
    site = PhoneSite(phone_config(policy=DUAL, pulse=pulse))
    site.record(BURGLARY)
    site.run(29)
    assert [each for _, each in site.log if isinstance(each, Dial)] == [Dial("82001", pulse)]


def test_a_person_who_telephones_beside_a_blind_modem_is_no_cut_line() -> None:
    site = PhoneSite(phone_config(line=MODEM))
    site.run(1000)
    site.far.talk = True
    site.run(1200)
    assert [path.up for path in site.paths()] == [True]
    site.far.talk = False
    site.run(300)
    assert site.ends()[-1].cause is Cause.DONE


def test_nobody_listens_for_a_dial_tone_that_is_said_not_to_be_there() -> None:
    site = PhoneSite(
        phone_config(line=MODEM, dial_tone=DialToneWait.BLIND), FarEnd(dial_tone_ms=None)
    )
    site.run(86_000)
    assert [path.up for path in site.paths()] == [True]
    assert len(site.ends()) == 1, "the first test call"


def test_a_path_that_stays_down_says_why_it_is_down_now() -> None:
    far = FarEnd(busy=True)
    site = PhoneSite(phone_config(policy=DUAL), far)
    site.record(BURGLARY)
    site.run(300)
    assert site.dialler.view(site.now).cause == "busy"
    far.busy, far.answer_ms = False, None
    site.run(2000)
    assert site.dialler.view(site.now).cause == "no_answer"
    assert site.paths() == [PathState(False, "busy")], "and is told once"
