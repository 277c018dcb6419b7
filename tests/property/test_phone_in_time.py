"""An alarm is kissed off within 90 s of its event over a line that is good by then (users.md M1),
whatever troubles, dead lines, busy numbers, listeners and restarts came before it.
"""

from __future__ import annotations

import random

import pytest

from edge.reporting.phone.dialler_types import CallAsked, Calling, DiallerEffect
from edge.reporting.phone.line import LineStatus
from protocols.instants import NS_PER_S
from protocols.panel_event import Code, PanelEvent
from tests.support.phone_site import (
    BURGLARY,
    DUAL,
    HOLDUP,
    OPENING,
    TROUBLE,
    PhoneSite,
    phone_config,
)
from tests.support.phone_world import FarEnd, redraw

ALARM_S = 90
WORLDS = 120
TROUBLES = (TROUBLE, OPENING, PanelEvent(Code.ZONE_TROUBLE, area=1, zone=9))
ALARMS = (
    *TROUBLES,
    PanelEvent(Code.BURGLARY, area=1, zone=1),
    PanelEvent(Code.BURGLARY, area=1, zone=2),
    PanelEvent(Code.ZONE_TAMPER, area=1, zone=1),
)


def _bad_days(dice: random.Random, before: tuple[PanelEvent, ...]) -> PhoneSite:
    """A panel after any number of misfortunes, perhaps in the middle of one; all well from now."""
    healed = []

    def draw(far: FarEnd) -> None:
        if not healed:
            redraw(far, dice)

    policy = {"policy": DUAL} if dice.random() < 0.5 else {}
    config = phone_config(listen_in_s=dice.choice([0, 300]), **policy)
    site = PhoneSite(config, FarEnd(), seed=dice.randrange(1000), before_call=draw)
    for _ in range(dice.randint(0, 25)):
        site.record(dice.choice(before))
        site.run(dice.choice([0, 1, 5, 30, 100, 600]))
        fate = dice.random()
        if fate < 0.10:
            site.give(LineStatus(False, "no_voltage"))
            site.run(dice.choice([1, 20, 300]))
            site.give(LineStatus(True))
        elif fate < 0.15:
            site.restart()
        elif fate < 0.25:
            site.give(CallAsked("liwei"))
    site.run(dice.choice([0, 0, 60 * dice.random()]))
    healed.append(True)
    fresh = FarEnd()
    for name in FarEnd.__dataclass_fields__:
        setattr(site.far, name, getattr(fresh, name))
    return site


@pytest.mark.parametrize(
    ("alarm", "before"),
    [
        (HOLDUP, ALARMS),
        (PanelEvent(Code.BURGLARY, area=1, zone=5), TROUBLES),
        (PanelEvent(Code.ZONE_TAMPER, area=1, zone=5), TROUBLES),
    ],
)
def test_an_alarm_is_told_in_time_whatever_came_before(
    alarm: PanelEvent, before: tuple[PanelEvent, ...]
) -> None:
    worst_s = 0.0
    for seed in range(WORLDS):
        site = _bad_days(random.Random(seed), before)
        began = site.now
        site.record(alarm)
        site.run(600, lambda site=site: alarm in site.kissed)  # type: ignore[misc]
        took_s = (site.now - began) / NS_PER_S
        assert alarm in site.kissed
        assert took_s <= ALARM_S, seed
        worst_s = max(worst_s, took_s)
    print(f"worst of {WORLDS}: {worst_s:.1f} s")


class MainDead(PhoneSite):
    """Nobody answers at the main number."""

    def carry(self, effects: list[DiallerEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Calling) and effect.number:
                self.far.answer_ms = None if effect.number == "82001" else 1000
            super().carry([effect])


@pytest.mark.parametrize("alarm", [HOLDUP, BURGLARY])
def test_a_dead_main_number_costs_its_patience_and_no_more(alarm: PanelEvent) -> None:
    site = MainDead(phone_config(), FarEnd())
    site.record(alarm)
    site.run(ALARM_S, lambda: alarm in site.kissed)
    assert alarm in site.kissed
    assert [number for _, number in site.calls()] == ["82001", "82002"]
