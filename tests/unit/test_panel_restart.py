"""Restart, power cut, lost state, changed configuration (H1, H2, H6, CP-01 power-up)."""

from __future__ import annotations

import msgspec
import pytest

from edge.config import Schedule, Timers
from edge.field.reading import ReadingState
from edge.panel import Panel
from edge.panel.inputs import (
    Arm,
    Booted,
    Bypass,
    Disarm,
    Fault,
    LocalTime,
    PanelTest,
    PathChanged,
    StandDown,
    WalkTest,
)
from edge.panel.state import decode, encode
from protocols.panel_event import Code
from tests.support.panel_site import (
    DOOR,
    FENCE,
    HOLDUP,
    KEY,
    SHOP_PIR,
    SMOKE,
    WINDOW,
    WRONG,
    Site,
    at,
    lines,
    site_config,
)

OUTPUTS_OFF = ["siren off", "strobe off", "armed:1 off"]


def test_first_start_ever_is_disarmed() -> None:
    panel, effects = Panel.restore(site_config(), None, at(5), same_boot=False)
    assert lines(effects) == OUTPUTS_OFF
    assert set(panel.modes().values()) == {"disarmed"}


@pytest.mark.parametrize(
    ("snapshot", "detail"),
    [(None, "missing"), (b"", "unreadable"), (b"{}", "unreadable"), (b"\xff\x00", "unreadable")],
)
def test_lost_state_comes_up_armed(snapshot: bytes | None, detail: str) -> None:
    panel, effects = Panel.restore(site_config(), snapshot, at(5), same_boot=True, lost=True)
    assert lines(effects)[0] == f"+STATE_LOST ({detail})"
    assert set(panel.modes().values()) == {"armed_full"}
    assert panel.view().areas[0].armed_as == "full"


def test_bad_snapshot_is_lost_even_when_nobody_says_so() -> None:
    panel, _ = Panel.restore(site_config(), b"garbage", at(5), same_boot=True)
    assert set(panel.modes().values()) == {"armed_full"}


def test_snapshot_of_another_version_is_lost() -> None:
    saved = decode(Site().panel.snapshot())
    assert saved is not None
    saved.version = 99
    panel, _ = Panel.restore(site_config(), encode(saved), at(5), same_boot=True)
    assert set(panel.modes().values()) == {"armed_full"}


def test_kill_in_entry_delay_goes_on_where_it_was() -> None:
    site = Site().armed()
    site.trip(DOOR)
    site.wait(20)
    assert site.restart(same_boot=True) == ["siren off", "strobe off", "armed:1 on"]
    assert site.mode() == "entry"
    assert site.wait(9.9) == []
    assert "+ENTRY_EXIT a1 z1" in site.wait(0.1)


def test_power_cut_keeps_remaining_entry_delay_and_siren_time() -> None:
    site = Site().armed()
    site.trip(WINDOW)
    site.wait(290)
    site.panel.tick(at(site.seconds))
    assert site.restart(same_boot=False, uptime_s=12)[:3] == ["siren on", "strobe on", "armed:1 on"]
    assert site.mode() == "alarm"
    assert site.wait(9.9) == []
    assert site.wait(0.1) == ["siren off"]


def test_power_cut_in_entry_delay_keeps_what_was_left_of_it() -> None:
    site = Site().armed()
    site.trip(DOOR)
    site.wait(20)
    site.panel.tick(at(site.seconds))
    site.restart(same_boot=False, uptime_s=7)
    assert site.mode() == "entry"
    assert site.wait(9.9) == []
    assert "+ENTRY_EXIT a1 z1" in site.wait(0.1)


@pytest.mark.parametrize(("after_s", "cancelled"), [(190, True), (210, False)])
def test_power_cut_keeps_abort_and_cancel_windows(after_s: float, cancelled: bool) -> None:
    site = Site().armed()
    site.trip(WINDOW)
    site.wait(100)
    site.panel.tick(at(site.seconds))
    site.restart(same_boot=False, uptime_s=100_000)
    site.wait(after_s)
    told = site.disarm(1)
    assert ("+ALARM_CANCEL a1 u1" in told) is cancelled
    assert "+ABORT a1 u1" not in told


def test_time_that_passed_while_the_process_was_down_counts_in_the_same_boot() -> None:
    site = Site().armed()
    site.trip(DOOR)
    site.seconds += 100
    site.restart(same_boot=True)
    assert site.panel.deadline() is not None
    assert "+ENTRY_EXIT a1 z1" in site.wait(0)


def test_open_and_accounted_zone_does_not_alarm_again() -> None:
    site = Site().armed()
    site.trip(WINDOW)
    site.wait(400)
    site.restart(same_boot=False, uptime_s=3)
    assert site.trip(WINDOW) == []
    site.wait(120)
    assert site.mode() == "armed_full"


def test_zone_opened_while_the_process_was_down_alarms() -> None:
    site = Site().armed()
    site.restart(same_boot=True)
    assert site.trip(WINDOW)[0] == "+BURGLARY a1 z3"


def test_power_up_holds_detectors_and_alarms_what_is_still_open() -> None:
    site = Site().armed()
    site.restart(same_boot=False, uptime_s=5)
    assert site.trip(WINDOW) == ["+ZONE_STATE a1 z3 (power_up)"]
    assert site.pulse(FENCE) == ["+ZONE_STATE a1 z4 (power_up)", "-ZONE_STATE a1 z4"]
    assert site.trip(HOLDUP)[0] == "+HOLDUP_SILENT a1 z7"
    assert site.trip(SMOKE)[0] == "+FIRE a1 z10"
    assert "+ZONE_TAMPER a1 z5 (short)" in site.reads("zone:5", ReadingState.SHORT)
    site.wait(59.9)
    assert site.wait(0.1)[0] == "+BURGLARY a1 z3"
    assert site.clear(WINDOW) == ["-ZONE_STATE a1 z3", "-BURGLARY a1 z3"]


def test_held_zone_of_a_disarmed_area_is_only_logged() -> None:
    site = Site().armed()
    site.restart(same_boot=False, uptime_s=5)
    assert site.trip(SHOP_PIR) == ["+ZONE_STATE a2 z22 (power_up)"]
    assert site.wait(60) == []


def test_disarmed_during_power_up_is_no_alarm_after_it() -> None:
    site = Site().armed()
    site.restart(same_boot=False, uptime_s=5)
    site.trip(WINDOW)
    site.disarm(1)
    assert site.wait(100) == []


def test_no_hold_when_configured_to_nought() -> None:
    site = Site(site_config(timers=Timers(power_up_ignore_s=0))).armed()
    site.restart(same_boot=False, uptime_s=5)
    assert site.trip(WINDOW)[0] == "+BURGLARY a1 z3"


def test_a_key_found_turned_after_a_power_cut_opens_nothing() -> None:
    site = Site().armed()
    site.restart(same_boot=False, uptime_s=5)
    assert site.trip(KEY) == ["+ZONE_STATE a1 z14 (power_up)"]
    site.wait(100)
    assert site.mode() == "armed_full"


def test_test_modes_come_back_expired() -> None:
    site = Site()
    site.types(WalkTest())
    site.types(PanelTest())
    assert site.restart(same_boot=True)[:2] == [
        "-WALK_TEST (restart)",
        "-PANEL_ON_TEST (restart)",
    ]
    assert not site.panel.view().walk_test
    assert not site.panel.view().panel_test


def test_lockout_bypass_and_memory_survive() -> None:
    site = Site()
    site.types(Bypass(WINDOW))
    site.pulse(HOLDUP)
    for _ in range(5):
        site.types(Disarm(), WRONG)
    site.restart(same_boot=False, uptime_s=1000)
    view = site.panel.view()
    assert view.locked_out
    assert site.panel.bypassed() == (WINDOW,)
    assert view.areas[0].memory == (HOLDUP,)
    assert site.wait(89.9) == []
    assert site.wait(0.1) == ["-CODE_LOCKOUT"]


def test_restoring_gives_exactly_the_same_state() -> None:
    site = Site().armed()
    site.trip(WINDOW)
    before = site.panel.snapshot()
    site.restart(same_boot=True)
    assert site.panel.snapshot() == before


def test_changed_configuration_is_survived_and_said() -> None:
    site = Site().armed()
    site.trip(WINDOW)
    told = site.restart(same_boot=True, config=site_config(without=(WINDOW,)))
    assert told[0] == "-BURGLARY z3 (zone_removed)"
    assert told[1].startswith("+CONFIG_CHANGED (")
    assert site.mode() == "alarm"
    assert site.restart(same_boot=True, config=site_config())[0].startswith("+CONFIG_CHANGED (")
    assert site.trip(WINDOW)[0] == "+BURGLARY a1 z3"


def test_entry_zone_removed_while_its_delay_runs() -> None:
    site = Site().armed()
    site.trip(DOOR)
    site.restart(same_boot=True, config=site_config(without=(DOOR,)))
    assert site.wait(30) == ["-ENTRY_DELAY a1 z1 (zone_removed)"]
    assert site.mode() == "armed_full"


def test_bypass_no_longer_allowed_ends() -> None:
    site = Site()
    site.types(Bypass(WINDOW))
    config = site_config()
    zones = tuple(
        msgspec.structs.replace(zone, bypassable=False) if zone.number == WINDOW else zone
        for zone in config.zones
    )
    told = site.restart(same_boot=True, config=msgspec.structs.replace(config, zones=zones))
    assert told[0] == "-ZONE_BYPASS a1 z3 (config)"


def test_boot_and_reset_are_told_apart() -> None:
    site = Site()
    assert site.give(Booted("b1", same_boot=False, cause="power_on")) == ["+BOOT (power_on)"]
    assert site.give(Booted("b1", same_boot=True, cause="killed")) == ["+PANEL_RESET (killed)"]


def test_wall_clock_changes_no_delay() -> None:
    site = Site()
    site.types(Arm((1,)))
    due = site.panel.deadline()
    for minute, day in ((0, 0), (9999, 20_000), (-5, -7), (10**12, 10**12)):
        site.give(LocalTime(minute, day))
        assert site.panel.deadline() == due


def test_points_lost_before_and_after_a_power_cut_count_together() -> None:
    site = Site()
    site.wait(1000)
    site.reads("zone:3", ReadingState.LOST)
    site.wait(5)
    site.panel.tick(at(site.seconds))
    site.restart(same_boot=False, uptime_s=10_000)
    site.wait(5)
    assert "+PANEL_TAMPER (points_lost:3,4)" in site.reads("zone:4", ReadingState.LOST)


def test_text_of_any_bytes_keeps_the_snapshot_readable() -> None:
    site = Site()
    odd = "card\udcff 卡"
    assert site.give(Fault(Code.JOURNAL_FAULT, True, odd)) == ["+JOURNAL_FAULT (card? 卡)"]
    assert site.give(Fault(Code.JOURNAL_FAULT, True, odd)) == []
    site.give(PathChanged(odd, up=False, cause=odd * 99))
    site.give(Booted(odd, same_boot=False, cause=odd))
    site.give(StandDown(1, odd))
    site.restart(same_boot=True)
    assert site.panel.faults() == ("path:card? 卡", "fault:1021 card? 卡")


def test_time_that_runs_backwards_is_taken_as_no_time() -> None:
    site = Site().armed()
    site.trip(DOOR)
    due = site.panel.deadline()
    site.seconds -= 200
    assert site.trip(WINDOW)[0].startswith("-ENTRY_DELAY")
    assert site.panel.tick(at(0)) == []
    assert site.panel.deadline() != due
    assert site.panel.view().areas[0].until == at(300 + 300)


def test_a_late_tick_gives_what_punctual_ones_would_have() -> None:
    site = Site()
    site.types(Arm((1,)))
    site.trip(DOOR)
    site.seconds = 200
    told = lines(site.panel.tick(at(200)))
    assert "+EXIT_ERROR a1 z1" in told
    assert "+ENTRY_EXIT a1 z1" in told
    assert site.panel.view().areas[0].until == at(60 + 30 + 300)


def test_a_shut_down_zone_may_be_removed() -> None:
    site = Site().armed()
    site.pulse(WINDOW)
    site.pulse(WINDOW)
    site.restart(same_boot=True, config=site_config(without=(WINDOW,)))
    assert site.wait(9 * 3600) == ["siren off"]


def test_lost_points_removed_end_the_verdict() -> None:
    site = Site()
    site.reads("zone:3", ReadingState.LOST)
    site.reads("zone:4", ReadingState.LOST)
    told = site.restart(same_boot=True, config=site_config(without=(3, 4)))
    assert "-PANEL_TAMPER (points_lost)" in told
    site.reads("zone:5", ReadingState.LOST)
    assert "+PANEL_TAMPER (points_lost:5,6)" in site.reads("zone:6", ReadingState.LOST)


def test_nobody_knows_the_time_after_a_power_cut() -> None:
    plan = Schedule(days=(1,), open_at="08:00", close_at="18:00")
    site = Site(site_config(schedules=(plan,), timers=Timers(power_up_ignore_s=0)))
    site.pulse(KEY)
    site.give(LocalTime(0, 1))
    site.restart(same_boot=False, uptime_s=1)
    assert not [text for text in site.trip(KEY) if "EARLY" in text]
