"""The area table: complete, carried out as written, shown in the README as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import ZoneType
from edge.field.reading import ReadingState
from edge.panel.areas import _ACTS
from edge.panel.inputs import Arm, ArmMode, Disarm, Silence, StandDown
from edge.panel.state import AreaMode
from edge.panel.table import KIND_OF, TABLE, Act, AreaInput, as_markdown
from tests.support.panel_site import DOOR, FENCE, HALL, HOLDUP, KEY, SMOKE, WINDOW, Site

README = Path(__file__).parents[2] / "edge" / "panel" / "README.md"


def bring_to(mode: AreaMode) -> Site:
    site = Site()
    match mode:
        case AreaMode.DISARMED:
            pass
        case AreaMode.EXIT:
            site.types(Arm((1,)))
        case AreaMode.ARMED_FULL:
            site.armed()
        case AreaMode.ARMED_STAY:
            site.armed(ArmMode.STAY)
        case AreaMode.ARMED_NIGHT:
            site.armed(ArmMode.NIGHT)
        case AreaMode.ENTRY:
            site.armed().pulse(DOOR)
        case AreaMode.ALARM:
            site.armed().pulse(FENCE)
    assert site.mode() == mode.value
    return site


def drive(site: Site, kind: AreaInput) -> list[str]:
    match kind:
        case AreaInput.ARM_FULL:
            return site.types(Arm((1,)))
        case AreaInput.ARM_STAY:
            return site.types(Arm((1,), ArmMode.STAY))
        case AreaInput.ARM_NIGHT:
            return site.types(Arm((1,), ArmMode.NIGHT))
        case AreaInput.DISARM:
            return site.types(Disarm((1,)))
        case AreaInput.KEY:
            return site.trip(KEY)[1:]
        case AreaInput.TRIP_ENTRY:
            return site.trip(DOOR)
        case AreaInput.TRIP_FOLLOWER:
            return site.trip(HALL)
        case AreaInput.TRIP_INSTANT:
            return site.trip(WINDOW)
        case AreaInput.TRIP_ALWAYS:
            return site.trip(HOLDUP)
        case AreaInput.UNREADABLE:
            return site.reads(f"zone:{SMOKE}", ReadingState.SHORT)
        case AreaInput.RESTORED:
            assert site.trip(HOLDUP)
            return site.clear(HOLDUP)
        case AreaInput.TIMEOUT:
            until = site.panel.view().areas[0].until
            return site.wait(60) if until is None else site.wait(until / 1e9 - site.seconds)
        case AreaInput.SILENCE:
            return site.types(Silence())
        case AreaInput.STAND_DOWN:
            return site.give(StandDown(1, "op"))


FIRST_LINE = {
    Act.LOG: "+ZONE_STATE",
    Act.START_EXIT: "+EXIT_DELAY",
    Act.RETARGET: ("=EXIT_DELAY", "ok"),
    Act.SWITCH: "-ARMED_",
    Act.KEEP: "ok",
    Act.REFUSE: "refused in_alarm",
    Act.DISARM: "+OPEN_CLOSE",
    Act.KEY_ARM: "-OPEN_CLOSE_KEYSWITCH",
    Act.EXIT_DOOR: "+ZONE_STATE",
    Act.START_ENTRY: "+ENTRY_DOOR_OPENED",
    Act.DOOR_AGAIN: "+ENTRY_DOOR_OPENED",
    Act.PAIR: "-HOLDUP_SILENT",
    Act.FINAL_DOOR: "-HOLDUP_SILENT",
    Act.END_EXIT: "-EXIT_DELAY",
    Act.END_ENTRY: "-ENTRY_DELAY",
    Act.END_ALARM: "siren off",
}


def test_every_mode_has_a_step_for_every_input_and_every_act_is_carried_out() -> None:
    assert set(TABLE) == {(mode, kind) for mode in AreaMode for kind in AreaInput}
    assert {step.act for step in TABLE.values()} == set(Act) == set(_ACTS)
    assert set(KIND_OF) == set(ZoneType)


@pytest.mark.parametrize("kind", AreaInput, ids=lambda kind: kind.name)
@pytest.mark.parametrize("mode", AreaMode, ids=lambda mode: mode.name)
def test_step(mode: AreaMode, kind: AreaInput) -> None:
    site = bring_to(mode)
    told = drive(site, kind)
    step = TABLE[mode, kind]
    act = step.act
    assert AreaMode(site.mode()) in step.then
    if kind is AreaInput.TRIP_FOLLOWER and mode in (AreaMode.ARMED_STAY, AreaMode.ARMED_NIGHT):
        assert told == ["+ZONE_STATE a1 z2 (unwatched)"]
        return
    match act:
        case Act.NOTHING:
            assert told == []
        case Act.ALARM:
            assert any(text.startswith(("+BURGLARY", "+INTERIOR", "+ENTRY_EXIT")) for text in told)
            assert site.mode() == "alarm"
        case Act.REPORT:
            assert told[0] == "+HOLDUP_SILENT a1 z7"
        case Act.FAULT:
            assert told[0] == "+ZONE_TAMPER a1 z10 (short)"
        case Act.SILENCE:
            assert told[-1] in ("ok", "siren off")
        case Act.CLEAR_MEMORY:
            assert told[0][1:].startswith("ALARM_MEMORY a1")
        case _:
            assert told[0].startswith(FIRST_LINE[act])


def test_only_a_disarm_step_ends_in_disarmed() -> None:
    """H2, on the table itself."""
    for (mode, kind), step in TABLE.items():
        if mode is not AreaMode.DISARMED and AreaMode.DISARMED in step.then:
            assert step.act is Act.DISARM
            assert kind in (AreaInput.DISARM, AreaInput.KEY)


def test_readme_shows_the_table() -> None:
    assert as_markdown() in README.read_text(encoding="utf-8")
