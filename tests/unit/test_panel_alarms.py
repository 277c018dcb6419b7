"""Alarms: entry, abort, cancel, swinger, cross-zone, 24 h, faults, memory (CP-01, GB 50394)."""

from __future__ import annotations

import pytest

from edge.config import Timers
from edge.field.reading import Reading, ReadingState
from edge.panel.inputs import (
    Arm,
    ArmMode,
    Fault,
    ManualTest,
    PanelTest,
    PathChanged,
    RemoteTest,
    Silence,
    StandDown,
    WalkTest,
)
from protocols.panel_event import Code
from tests.support.panel_site import (
    CASE,
    CROSS_A,
    CROSS_B,
    DOOR,
    FENCE,
    GAS,
    HALL,
    HOLDUP,
    HOLDUP_LOUD,
    KEY,
    LOUNGE,
    NURSE,
    SMOKE,
    VAULT,
    WATER,
    WINDOW,
    Site,
    at,
    lines,
    site_config,
)


def test_entry_delay_then_disarm_is_no_alarm() -> None:
    site = Site().armed()
    assert site.trip(DOOR) == ["+ENTRY_DOOR_OPENED a1 z1", "+ENTRY_DELAY a1 z1"]
    assert site.clear(DOOR) == ["-ENTRY_DOOR_OPENED a1 z1"]
    assert site.pulse(HALL) == ["+ZONE_STATE a1 z2", "-ZONE_STATE a1 z2"]
    assert site.wait(29.9) == []
    assert site.disarm(1) == [
        "+OPEN_CLOSE a1 u1 (was:entry)",
        "-ENTRY_DELAY a1 z1 u1 (disarmed)",
        "ok",
        "armed:1 off",
    ]


def test_entry_delay_that_runs_out_alarms_at_that_instant() -> None:
    site = Site().armed()
    site.pulse(DOOR)
    site.wait(10)
    assert site.pulse(DOOR) == ["+ENTRY_DOOR_OPENED a1 z1", "-ENTRY_DOOR_OPENED a1 z1"]
    assert site.wait(19.9) == []
    assert site.wait(0.1) == [
        "-ENTRY_DELAY a1 z1 (alarm)",
        "+ENTRY_EXIT a1 z1",
        "+ALARM_MEMORY a1 z1",
        "-ENTRY_EXIT a1 z1",
        "siren on",
        "strobe on",
    ]


def test_follower_without_entry_alarms() -> None:
    assert "+INTERIOR a1 z2" in Site().armed().trip(HALL)


def test_another_zone_during_entry_alarms_at_once() -> None:
    site = Site().armed()
    site.trip(DOOR)
    assert site.trip(LOUNGE)[:2] == ["-ENTRY_DELAY a1 z1 (alarm)", "+INTERIOR a1 z5"]


def test_second_zone_in_alarm_is_reported_too() -> None:
    site = Site().armed()
    site.trip(WINDOW)
    assert "+ENTRY_EXIT a1 z1" in site.trip(DOOR)
    assert site.trip(FENCE) == ["+PERIMETER a1 z4"]
    assert site.panel.view().areas[0].memory == (WINDOW, DOOR, FENCE)


def test_siren_stops_area_stays_armed_and_memory_stays() -> None:
    site = Site().armed()
    assert site.trip(WINDOW) == [
        "+BURGLARY a1 z3",
        "+ALARM_MEMORY a1 z3",
        "siren on",
        "strobe on",
    ]
    assert site.wait(299.9) == []
    assert site.wait(0.1) == ["siren off"]
    assert site.mode() == "armed_full"
    assert site.clear(WINDOW) == ["-BURGLARY a1 z3"]
    assert site.trip(WINDOW)[0] == "+BURGLARY a1 z3"


def test_abort_inside_thirty_seconds_follows_a_report_that_left_at_once() -> None:
    site = Site().armed()
    assert site.trip(WINDOW)[0] == "+BURGLARY a1 z3"
    site.wait(30)
    assert site.disarm(1) == [
        "+OPEN_CLOSE a1 u1 (was:alarm)",
        "+ABORT a1 u1",
        "+ALARM_CANCEL a1 u1",
        "ok",
        "siren off",
        "strobe off",
        "armed:1 off",
    ]


def test_abort_runs_from_the_first_alarm() -> None:
    site = Site().armed()
    site.trip(WINDOW)
    site.wait(25)
    site.trip(FENCE)
    site.wait(10)
    assert "+ABORT a1 u1" not in site.disarm(1)


@pytest.mark.parametrize(("after_s", "cancelled"), [(31, True), (300, True), (300.1, False)])
def test_cancel_window(after_s: float, cancelled: bool) -> None:
    site = Site().armed()
    site.trip(WINDOW)
    site.wait(after_s)
    told = site.disarm(1)
    assert ("+ALARM_CANCEL a1 u1" in told) is cancelled
    assert "+ABORT a1 u1" not in told


def test_recent_closing_tells_who_closed() -> None:
    site = Site()
    site.types(Arm((1,)))
    site.pulse(DOOR)
    site.wait(60 + 119)
    assert "+RECENT_CLOSE a1 z3 u1" in site.trip(WINDOW)
    assert "+RECENT_CLOSE a1 z4 u1" not in site.trip(FENCE)


def test_swinger_is_shut_down_told_and_kept_recording() -> None:
    site = Site().armed()
    site.pulse(WINDOW)
    assert "+SWINGER_SHUTDOWN a1 z3 (trips:2)" in site.pulse(WINDOW)
    assert site.pulse(WINDOW) == ["+ZONE_STATE a1 z3 (swinger)", "-ZONE_STATE a1 z3"]
    assert "+PERIMETER a1 z4" in site.trip(FENCE)
    told = site.disarm(1)
    assert "-SWINGER_SHUTDOWN a1 z3 (disarmed)" in told


def test_swinger_comes_back_after_eight_quiet_hours() -> None:
    site = Site().armed()
    site.pulse(WINDOW)
    site.pulse(WINDOW)
    site.wait(4 * 3600)
    site.trip(WINDOW)
    site.wait(9 * 3600)
    site.clear(WINDOW)
    assert site.wait(8 * 3600 - 0.1) in ([], ["+PERIODIC_TEST"])
    assert "-SWINGER_SHUTDOWN a1 z3 (quiet)" in site.wait(0.1)
    assert "+BURGLARY a1 z3" in site.trip(WINDOW)


def test_shut_door_still_gives_entry_time_and_no_more_alarms() -> None:
    site = Site().armed()
    for _ in range(2):
        site.pulse(DOOR)
        site.wait(400)
    assert site.pulse(DOOR)[:2] == ["+ENTRY_DOOR_OPENED a1 z1", "+ENTRY_DELAY a1 z1"]
    assert site.wait(30) == ["-ENTRY_DELAY a1 z1 (swinger)"]
    assert site.mode() == "armed_full"


@pytest.mark.parametrize("number", [HOLDUP, HOLDUP_LOUD, SMOKE, CASE, NURSE])
def test_no_limit_on_danger_to_life_and_tamper(number: int) -> None:
    site = Site().armed()
    for _ in range(20):
        told = site.pulse(number)
        assert told[0].startswith("+")
        assert not told[0].startswith("+ZONE_STATE")
        assert told[0].endswith(f"z{number}")


def test_cross_zone_single_trip_is_trouble_at_once_and_pair_is_alarm_of_both() -> None:
    site = Site().armed()
    assert site.pulse(CROSS_A) == ["+CROSS_ZONE_TROUBLE a1 z15", "-CROSS_ZONE_TROUBLE a1 z15"]
    site.wait(120)
    told = site.trip(CROSS_B)
    assert told[:4] == [
        "+BURGLARY a1 z16",
        "+ALARM_MEMORY a1 z16",
        "+BURGLARY a1 z15",
        "-BURGLARY a1 z15",
    ]


def test_cross_zone_pair_too_far_apart_stays_two_troubles() -> None:
    site = Site().armed()
    site.pulse(CROSS_A)
    site.wait(120.1)
    assert site.pulse(CROSS_B)[0] == "+CROSS_ZONE_TROUBLE a1 z16"
    assert site.mode() == "armed_full"


def test_cross_zone_pairs_do_not_reach_over_a_disarm() -> None:
    site = Site().armed()
    site.pulse(CROSS_A)
    site.pulse(KEY)
    site.pulse(KEY)
    assert site.mode() == "armed_full"
    assert site.pulse(CROSS_B)[0] == "+CROSS_ZONE_TROUBLE a1 z16"


def test_cross_zone_partner_still_active_counts_whatever_the_window() -> None:
    site = Site().armed()
    site.trip(CROSS_A)
    site.wait(1000)
    assert site.trip(CROSS_B)[0] == "+BURGLARY a1 z16"


def test_a_pulse_is_a_whole_activation() -> None:
    site = Site().armed()
    assert site.pulse(WINDOW) == [
        "+BURGLARY a1 z3",
        "+ALARM_MEMORY a1 z3",
        "siren on",
        "strobe on",
        "-BURGLARY a1 z3",
    ]


def test_a_pulse_on_an_active_zone_is_one_more_activation() -> None:
    site = Site()
    site.trip(WINDOW)
    again = site.give(Reading("zone:3", ReadingState.ALARM, pulse=True))
    assert again == ["-ZONE_STATE a1 z3", "+ZONE_STATE a1 z3"]
    assert site.trip(WINDOW) == []


@pytest.mark.parametrize("state", ["disarmed", "armed", "exit", "entry", "alarm"])
@pytest.mark.parametrize(
    ("number", "code", "loud"),
    [
        (HOLDUP, "HOLDUP_SILENT", False),
        (HOLDUP_LOUD, "HOLDUP_AUDIBLE", True),
        (CASE, "ZONE_TAMPER", True),
        (SMOKE, "FIRE", True),
        (GAS, "GAS", True),
        (WATER, "WATER", False),
        (NURSE, "MEDICAL", False),
        (VAULT, "TWENTY_FOUR_HOUR", True),
    ],
)
def test_alarms_in_any_state(number: int, code: str, loud: bool, state: str) -> None:
    site = Site()
    if state == "exit":
        site.types(Arm((1,)))
    elif state != "disarmed":
        site.armed()
        if state == "entry":
            site.trip(DOOR)
        elif state == "alarm":
            site.trip(WINDOW)
            site.types(Silence())
    before = site.mode()
    told = site.trip(number)
    assert told[0] == f"+{code} a1 z{number}"
    assert ("siren on" in told) is loud
    assert site.mode() == before
    assert site.clear(number)[0] == f"-{code} a1 z{number}"


def test_disarm_neither_cancels_nor_clears_a_holdup() -> None:
    site = Site().armed()
    site.trip(HOLDUP)
    told = site.disarm(1)
    assert not [text for text in told if "CANCEL" in text or "ABORT" in text]
    assert site.panel.view().areas[0].memory == (HOLDUP,)


def test_fire_in_a_disarmed_house_is_cancelled_and_silenced_by_a_code() -> None:
    site = Site()
    site.pulse(SMOKE)
    assert site.disarm(1) == [
        "+SIREN_SILENCED a1 u1",
        "+ALARM_CANCEL a1 u1",
        "ok",
        "siren off",
        "strobe off",
    ]


def test_silence_stops_the_siren_only() -> None:
    site = Site().armed()
    site.trip(WINDOW)
    assert site.types(Silence()) == ["+SIREN_SILENCED a1 u1", "ok", "siren off"]
    assert site.mode() == "alarm"
    assert site.trip(FENCE)[0] == "+PERIMETER a1 z4"


def test_memory_outlasts_disarm_and_only_stand_down_clears_it() -> None:
    site = Site().armed()
    site.pulse(WINDOW)
    site.disarm(1)
    assert site.panel.view().areas[0].memory_latched
    assert site.give(StandDown(1, "op7", 42)) == ["-ALARM_MEMORY a1 (operator:op7 case:42)"]
    assert not site.panel.view().areas[0].memory_latched
    assert site.give(StandDown(1, "op7")) == ["=ALARM_MEMORY a1 (operator:op7 case:0)"]
    assert site.give(StandDown(8, "op7")) == ["=ALARM_MEMORY (unknown_area operator:op7 case:0)"]


def test_stand_down_disarms_nothing() -> None:
    site = Site().armed()
    site.trip(WINDOW)
    site.give(StandDown(0, "op7"))
    assert site.mode() == "alarm"
    assert site.panel.view().areas[0].siren_until is not None


@pytest.mark.parametrize("armed", [False, True])
@pytest.mark.parametrize(
    ("state", "event"),
    [
        (ReadingState.SHORT, "ZONE_TAMPER a1 z3 (short)"),
        (ReadingState.OPEN, "ZONE_TAMPER a1 z3 (open)"),
        (ReadingState.TAMPER, "ZONE_TAMPER a1 z3 (tamper)"),
        (ReadingState.MASKED, "SENSOR_MASKED a1 z3 (masked)"),
        (ReadingState.LOST, "ZONE_TROUBLE a1 z3 (lost)"),
        (ReadingState.LOW_BATTERY, "SENSOR_BATTERY_LOW a1 z3 (low_battery)"),
    ],
)
def test_tamper_and_faults_report_armed_or_not(
    state: ReadingState, event: str, armed: bool
) -> None:
    site = Site().armed() if armed else Site()
    assert site.reads("zone:3", state)[0] == "+" + event
    assert site.reads("zone:3", state) == []
    assert site.clear(WINDOW) == ["-" + event.split(" (", maxsplit=1)[0]]


def test_an_alarm_whose_loop_is_cut_is_not_restored_by_the_cut() -> None:
    site = Site().armed()
    site.trip(WINDOW)
    told = site.reads("zone:3", ReadingState.OPEN)
    assert told == ["+ZONE_TAMPER a1 z3 (open)"]
    assert site.clear(WINDOW) == ["-BURGLARY a1 z3", "-ZONE_TAMPER a1 z3"]


def test_two_points_lost_within_ten_seconds_are_one_verdict() -> None:
    site = Site()
    assert site.reads("zone:3", ReadingState.LOST) == ["+ZONE_TROUBLE a1 z3 (lost)"]
    site.wait(10)
    assert site.reads("zone:4", ReadingState.LOST) == [
        "+ZONE_TROUBLE a1 z4 (lost)",
        "+PANEL_TAMPER (points_lost:3,4)",
        "+ALARM_MEMORY",
    ]
    assert site.reads("zone:5", ReadingState.LOST) == ["+ZONE_TROUBLE a1 z5 (lost)"]
    site.clear(3)
    site.clear(4)
    assert site.clear(5) == ["-ZONE_TROUBLE a1 z5", "-PANEL_TAMPER (points_lost)"]


def test_two_points_lost_far_apart_are_two_troubles() -> None:
    site = Site()
    site.reads("zone:3", ReadingState.LOST)
    site.wait(10.1)
    assert site.reads("zone:4", ReadingState.LOST) == ["+ZONE_TROUBLE a1 z4 (lost)"]


@pytest.mark.parametrize(
    ("role", "code", "loud"),
    [
        ("enclosure", "PANEL_TAMPER", True),
        ("mains", "MAINS_FAIL", False),
        ("battery_low", "BATTERY_LOW", False),
        ("battery_missing", "BATTERY_MISSING", False),
        ("siren", "SOUNDER_FAULT", True),
    ],
)
def test_system_points(role: str, code: str, loud: bool) -> None:
    site = Site()
    told = site.reads(role, ReadingState.ALARM)
    assert told[0] == f"+{code} ({role})"
    assert ("siren on" in told) is loud
    assert role in site.panel.faults()
    assert site.reads(role, ReadingState.NORMAL)[0] == f"-{code} ({role})"
    assert role not in site.panel.faults()


def test_the_panels_own_siren_stops_at_disarm_and_at_silence() -> None:
    site = Site().armed()
    assert "siren on" in site.reads("enclosure", ReadingState.ALARM)
    assert site.disarm(1)[-3:] == ["siren off", "strobe off", "armed:1 off"]
    site.reads("siren", ReadingState.ALARM)
    assert site.types(Silence()) == ["+SIREN_SILENCED a1 u1", "ok", "siren off"]
    assert site.disarm(1) == ["ok", "strobe off"]


def test_a_cut_system_loop_is_panel_tamper() -> None:
    site = Site()
    assert site.reads("mains", ReadingState.OPEN)[0] == "+PANEL_TAMPER (mains:open)"
    assert site.reads("mains", ReadingState.ALARM)[:2] == [
        "-PANEL_TAMPER (mains)",
        "+MAINS_FAIL (mains)",
    ]


def test_panel_memory_clears_with_the_order_for_all_areas() -> None:
    site = Site()
    site.reads("enclosure", ReadingState.ALARM)
    site.give(StandDown(1, "op"))
    assert site.panel.view().memory_latched
    assert site.give(StandDown(0, "op"))[-1] == "-ALARM_MEMORY (operator:op case:0)"


def test_unknown_points_are_said_and_not_judged() -> None:
    site = Site().armed()
    assert site.reads("zone:77", ReadingState.ALARM) == [
        "=ZONE_TROUBLE (unknown_point:zone:77 alarm)"
    ]
    assert site.reads("zone:x", ReadingState.NORMAL) == []
    assert site.mode() == "armed_full"


def test_paths_and_faults_once_per_change() -> None:
    site = Site()
    assert site.give(PathChanged("mqtt", up=True)) == []
    assert site.give(PathChanged("mqtt", up=False, cause="no_ack")) == [
        "+PATH_IP_FAULT (mqtt no_ack)"
    ]
    assert site.give(PathChanged("mqtt", up=False, cause="dns")) == []
    assert site.panel.faults() == ("path:mqtt",)
    assert site.give(PathChanged("mqtt", up=True)) == ["-PATH_IP_FAULT (mqtt)"]
    assert site.give(PathChanged("phone", up=False)) == ["+PATH_PHONE_FAULT (phone)"]
    full = Fault(Code.JOURNAL_FAULT, True, "disk_full")
    assert site.give(full) == ["+JOURNAL_FAULT (disk_full)"]
    assert site.give(full) == []
    assert site.give(Fault(Code.JOURNAL_FAULT, False)) == ["-JOURNAL_FAULT"]
    assert site.give(Fault(Code.JOURNAL_FAULT, False)) == []
    stepped = Fault(Code.CLOCK_STEPPED, True, "ms:3600000")
    assert site.give(stepped) == site.give(stepped) == ["+CLOCK_STEPPED (ms:3600000)"]


def test_periodic_manual_and_remote_tests() -> None:
    site = Site()
    assert site.wait(86_399.9) == []
    assert site.wait(0.1) == ["+PERIODIC_TEST"]
    assert site.types(ManualTest()) == ["+MANUAL_TEST u1", "ok"]
    assert site.give(RemoteTest("op7")) == ["+MANUAL_TEST (operator:op7)"]


def test_a_long_sleep_ends_in_one_periodic_test_and_keeps_the_rhythm() -> None:
    site = Site(site_config(timers=Timers(periodic_test_s=60)))
    site.seconds = 60 * 1_000_000 + 7
    assert lines(site.panel.tick(at(site.seconds))) == ["+PERIODIC_TEST"]
    assert site.panel.deadline() == at(60 * 1_000_001)


def test_walk_test_marks_detectors_and_leaves_danger_real() -> None:
    site = Site()
    assert site.types(WalkTest()) == ["+WALK_TEST u1", "ok"]
    assert site.pulse(WINDOW) == ["+BURGLARY a1 z3 test (walk)", "-BURGLARY a1 z3 test"]
    assert site.pulse(VAULT) == ["+TWENTY_FOUR_HOUR a1 z6 test", "-TWENTY_FOUR_HOUR a1 z6 test"]
    for number in (HOLDUP, SMOKE, CASE, NURSE):
        assert " test" not in site.pulse(number)[0]
    assert site.wait(3599.9) in (["siren off"], [])
    assert site.wait(0.1) == ["-WALK_TEST (expired)"]


def test_arming_ends_a_walk_test() -> None:
    site = Site()
    site.types(WalkTest())
    assert site.types(Arm((1,)))[0] == "-WALK_TEST u1 (arming)"


def test_no_test_mode_starts_while_armed() -> None:
    site = Site().armed(ArmMode.STAY)
    assert site.types(WalkTest()) == ["refused armed"]
    assert site.types(PanelTest()) == ["refused armed"]


def test_panel_on_test_works_and_marks() -> None:
    site = Site()
    assert site.types(PanelTest()) == ["+PANEL_ON_TEST u1", "ok"]
    site.armed()
    assert site.trip(WINDOW) == ["+BURGLARY a1 z3 test", "siren on", "strobe on"]
    assert site.trip(HOLDUP)[0] == "+HOLDUP_SILENT a1 z7"
    assert "-PANEL_ON_TEST (expired)" in site.wait(3600)
    assert site.clear(WINDOW) == ["-BURGLARY a1 z3 test"]
    assert site.trip(FENCE)[0] == "+PERIMETER a1 z4"
