"""Arming and disarming: exit delay, readiness, bypass, keyswitch, users (CP-01, R137, R139)."""

from __future__ import annotations

import msgspec
import pytest

from edge.field.reading import ReadingState
from edge.panel.inputs import Arm, ArmMode, Bypass, Disarm, Silence, WalkTest
from tests.support.panel_site import (
    ALL_CODE,
    ALL_DURESS,
    DOOR,
    FENCE,
    HALL,
    HOLDUP,
    KEY,
    LOUNGE,
    SAFE,
    SMOKE,
    TWO_CODE,
    WINDOW,
    WRONG,
    Site,
    site_config,
)


def test_arming_closes_when_the_exit_delay_is_over() -> None:
    site = Site()
    assert site.types(Arm((1,))) == ["+EXIT_DELAY a1 u1 (full)", "ok"]
    assert site.pulse(DOOR) == ["+ZONE_STATE a1 z1", "-ZONE_STATE a1 z1"]
    assert site.wait(59.9) == []
    assert site.wait(0.1) == ["-EXIT_DELAY a1 u1", "-OPEN_CLOSE a1 u1", "armed:1 on"]
    assert site.mode() == "armed_full"


def test_second_opening_restarts_exit_delay_once() -> None:
    site = Site()
    site.types(Arm((1,)))
    site.pulse(DOOR)
    site.wait(50)
    assert site.trip(DOOR) == ["+ZONE_STATE a1 z1", "=EXIT_DELAY a1 u1 (restarted)"]
    site.clear(DOOR)
    site.wait(50)
    assert site.pulse(DOOR) == ["+ZONE_STATE a1 z1", "-ZONE_STATE a1 z1"]
    assert site.wait(9.9) == []
    assert site.wait(0.1)[0] == "-EXIT_DELAY a1 u1"


def test_no_exit_arms_stay() -> None:
    site = Site()
    site.types(Arm((1,)))
    assert site.wait(60) == ["-EXIT_DELAY a1 u1", "-ARMED_STAY a1 u1 (no_exit)", "armed:1 on"]
    assert site.mode() == "armed_stay"


def test_leaving_by_another_areas_door_counts_as_exit() -> None:
    site = Site()
    site.types(Arm())
    site.pulse(DOOR)
    site.wait(60)
    assert site.panel.modes() == {1: "armed_full", 2: "armed_full"}


def test_door_left_open_is_exit_error_with_time_to_return() -> None:
    site = Site()
    site.types(Arm((1,)))
    site.trip(DOOR)
    assert site.wait(60) == [
        "-EXIT_DELAY a1 u1",
        "-OPEN_CLOSE a1 u1",
        "+EXIT_ERROR a1 z1",
        "+ENTRY_DELAY a1 z1",
        "siren on",
        "strobe on",
        "armed:1 on",
    ]
    assert site.wait(30) == [
        "-ENTRY_DELAY a1 z1 (alarm)",
        "+ENTRY_EXIT a1 z1",
        "+RECENT_CLOSE a1 z1 u1",
        "+ALARM_MEMORY a1 z1",
    ]
    assert site.clear(DOOR) == ["-ZONE_STATE a1 z1", "-EXIT_ERROR a1 z1", "-ENTRY_EXIT a1 z1"]


def test_window_opened_during_exit_and_left_open_alarms_at_closing() -> None:
    site = Site()
    site.types(Arm((1,)))
    site.pulse(DOOR)
    assert site.trip(WINDOW) == ["+ZONE_STATE a1 z3"]
    told = site.wait(60)
    assert "+BURGLARY a1 z3" in told
    assert "+RECENT_CLOSE a1 z3 u1" in told
    assert site.mode() == "alarm"


def test_open_zones_refuse_arming_with_their_list() -> None:
    site = Site()
    site.trip(WINDOW)
    site.trip(LOUNGE)
    assert site.types(Arm((1,))) == [
        "+ARMING_REFUSED a1 u1 (zones:3,5)",
        "refused open_zones 3 5",
    ]
    assert site.mode() == "disarmed"
    assert site.types(Arm((1,), ArmMode.STAY)) == [
        "+ARMING_REFUSED a1 u1 (zones:3)",
        "refused open_zones 3",
    ]


@pytest.mark.parametrize("state", [ReadingState.LOST, ReadingState.MASKED, ReadingState.SHORT])
def test_a_detector_that_cannot_see_refuses_arming(state: ReadingState) -> None:
    site = Site()
    site.reads(f"zone:{HALL}", state)
    assert site.types(Arm((1,)))[-1] == "refused open_zones 2"


def test_the_follower_that_sees_the_user_leave_is_no_open_zone() -> None:
    site = Site()
    site.trip(HALL)
    assert site.types(Arm((1,)))[-1] == "ok"


def test_one_unready_area_leaves_all_as_they_were() -> None:
    site = Site()
    site.trip(WINDOW)
    assert site.types(Arm())[-1] == "refused open_zones 3"
    assert set(site.panel.modes().values()) == {"disarmed"}


def test_force_bypasses_what_may_be_and_says_so_with_author() -> None:
    site = Site()
    site.trip(WINDOW)
    assert site.types(Arm((1,), force=True)) == [
        "+ZONE_BYPASS a1 z3 u1 (forced)",
        "+EXIT_DELAY a1 u1 (full)",
        "ok 3",
    ]
    site.pulse(DOOR)
    assert "-OPEN_CLOSE a1 u1 (bypassed:3)" in site.wait(60)
    assert site.panel.bypassed() == (WINDOW,)
    assert site.clear(WINDOW) == ["-ZONE_STATE a1 z3"]
    assert site.trip(WINDOW) == ["+ZONE_STATE a1 z3 (bypassed)"]
    assert "-ZONE_BYPASS a1 z3 u1 (disarmed)" in site.disarm(1)
    assert site.panel.bypassed() == ()


def test_force_does_not_pass_a_zone_that_may_not_be_bypassed() -> None:
    site = Site()
    site.trip(WINDOW)
    site.trip(SAFE)
    assert site.types(Arm((1,), force=True)) == [
        "+ARMING_REFUSED a1 u1 (zones:17)",
        "refused open_zones 17",
    ]
    assert site.panel.bypassed() == ()


def test_bypass_has_an_author_and_ends_at_disarm() -> None:
    site = Site()
    assert site.types(Bypass(WINDOW)) == ["+ZONE_BYPASS a1 z3 u1 (user)", "ok"]
    assert site.types(Bypass(WINDOW)) == ["ok"]
    assert site.types(Bypass(WINDOW, on=False)) == ["-ZONE_BYPASS a1 z3 u1 (user)", "ok"]
    site.types(Bypass(WINDOW))
    site.disarm(1)
    assert site.panel.bypassed() == (WINDOW,)
    site.types(Arm((1,)))
    site.wait(60)
    assert site.types(Bypass(FENCE)) == ["refused armed"]
    site.disarm(1)
    assert site.panel.bypassed() == ()


@pytest.mark.parametrize("number", [HOLDUP, SMOKE, 8, 9, SAFE])
def test_never_bypassed(number: int) -> None:
    site = Site()
    assert site.types(Bypass(number)) == [f"refused not_bypassable {number}"]
    assert site.panel.bypassed() == ()


def test_a_bypassed_zone_still_reports_tamper() -> None:
    site = Site()
    site.types(Bypass(WINDOW))
    assert "+ZONE_TAMPER a1 z3 (short)" in site.reads("zone:3", ReadingState.SHORT)


def test_stay_leaves_interior_alone_and_night_is_its_own_closing() -> None:
    site = Site().armed(ArmMode.STAY)
    assert site.trip(LOUNGE) == ["+ZONE_STATE a1 z5 (unwatched)"]
    assert site.trip(HALL) == ["+ZONE_STATE a1 z2 (unwatched)"]
    assert "+PERIMETER a1 z4" in site.trip(FENCE)
    other = Site()
    other.types(Arm((1,), ArmMode.NIGHT))
    assert "-ARMED_NIGHT a1 u1" in other.wait(60)


def test_full_to_stay_switches_and_stay_to_full_gives_time_to_leave() -> None:
    site = Site().armed()
    assert site.types(Arm((1,), ArmMode.STAY)) == ["-ARMED_STAY a1 u1 (switched)", "ok"]
    assert site.types(Arm((1,), ArmMode.STAY)) == ["ok"]
    assert site.types(Arm((1,))) == ["+EXIT_DELAY a1 u1 (full)", "ok", "armed:1 off"]


def test_target_may_change_during_exit() -> None:
    site = Site()
    site.types(Arm((1,)))
    assert site.types(Arm((1,), ArmMode.NIGHT)) == ["=EXIT_DELAY a1 u1 (night)", "ok"]
    site.wait(60)
    assert site.mode() == "armed_night"


def test_disarm_during_exit() -> None:
    site = Site()
    site.types(Arm((1,)))
    assert site.disarm(1) == [
        "+OPEN_CLOSE a1 u1 (was:exit)",
        "-EXIT_DELAY a1 u1 (disarmed)",
        "ok",
    ]
    assert site.wait(120) == []


def test_arming_is_refused_while_an_alarm_runs() -> None:
    site = Site().armed()
    site.trip(DOOR)
    assert site.types(Arm((1,))) == ["refused in_alarm"]
    site.trip(WINDOW)
    assert site.types(Arm((1,), ArmMode.STAY)) == ["refused in_alarm"]


def test_keyswitch_toggles_at_once() -> None:
    site = Site()
    assert site.pulse(KEY) == [
        "+ZONE_STATE a1 z14",
        "-OPEN_CLOSE_KEYSWITCH a1 z14",
        "armed:1 on",
        "-ZONE_STATE a1 z14",
    ]
    assert site.pulse(KEY) == [
        "+ZONE_STATE a1 z14",
        "+OPEN_CLOSE_KEYSWITCH a1 z14 (was:armed_full)",
        "armed:1 off",
        "-ZONE_STATE a1 z14",
    ]


def test_keyswitch_refuses_over_open_zones() -> None:
    site = Site()
    site.trip(WINDOW)
    assert "+ARMING_REFUSED a1 z14 (zones:3)" in site.pulse(KEY)
    assert site.mode() == "disarmed"


def test_a_cut_keyswitch_opens_nothing() -> None:
    site = Site().armed()
    for state in (ReadingState.SHORT, ReadingState.OPEN, ReadingState.LOST):
        site.reads(f"zone:{KEY}", state)
        assert site.mode() == "armed_full"


def test_users_reach_their_own_areas_only() -> None:
    site = Site().armed().armed(area=2)
    assert site.types(Disarm((1,)), TWO_CODE) == ["refused not_allowed"]
    assert site.types(Disarm((9,)), TWO_CODE) == ["refused unknown_area"]
    assert site.types(Disarm(), TWO_CODE)[0] == "+OPEN_CLOSE a2 u2 (was:armed_full)"
    assert site.panel.modes() == {1: "armed_full", 2: "disarmed"}
    assert site.types(WalkTest(), TWO_CODE) == ["refused not_allowed"]
    assert site.types(Bypass(WINDOW), TWO_CODE) == ["refused not_allowed"]
    assert site.types(Bypass(99)) == ["refused unknown_zone"]


def test_guessing_locks_the_keypad_for_all() -> None:
    site = Site().armed()
    for count in range(1, 5):
        assert site.types(Disarm(), WRONG) == [f"+WRONG_CODE (count:{count})", "refused wrong_code"]
    assert site.types(Disarm(), WRONG) == [
        "+WRONG_CODE (count:5)",
        "+CODE_LOCKOUT (wrong:5)",
        "refused locked_out",
    ]
    assert site.disarm(1) == ["+WRONG_CODE (locked)", "refused locked_out"]
    assert site.wait(89.9) == []
    assert site.wait(0.1) == ["-CODE_LOCKOUT"]
    assert site.disarm(1)[-2] == "ok"


def test_a_right_code_ends_the_count() -> None:
    site = Site()
    for _ in range(4):
        site.types(Disarm(), WRONG)
    site.types(Silence())
    assert site.types(Disarm(), WRONG) == ["+WRONG_CODE (count:1)", "refused wrong_code"]


def test_duress_in_a_lockout_is_refused_like_any_code_and_still_reported() -> None:
    site = Site().armed()
    for _ in range(5):
        site.types(Disarm(), WRONG)
    assert site.types(Disarm((1,)), ALL_DURESS) == [
        "+DURESS a1 u1",
        "+WRONG_CODE (locked)",
        "refused locked_out",
    ]
    assert site.mode() == "armed_full"


@pytest.mark.parametrize(
    "action",
    [Disarm(), Disarm((1,)), Arm(), Arm((1,), ArmMode.STAY), Bypass(WINDOW), Silence(), WalkTest()],
)
@pytest.mark.parametrize("before", ["disarmed", "armed", "alarm", "open"])
def test_duress_shows_exactly_what_the_normal_code_shows(action: object, before: str) -> None:
    shown = []
    for code in (ALL_CODE, ALL_DURESS):
        site = Site()
        if before in ("armed", "alarm"):
            site.armed()
        if before in ("alarm", "open"):
            site.trip(WINDOW)
        told = site.types(action, code)  # type: ignore[arg-type]
        assert any(text.startswith("+DURESS") for text in told) == (code == ALL_DURESS)
        rest = [text for text in told if not text.startswith("+DURESS")]
        shown.append((rest, site.panel.snapshot(), site.wait(1000)))
    assert shown[0] == shown[1]


def test_arming_with_alarm_memory_stays_possible_and_is_said() -> None:
    site = Site().armed()
    site.trip(WINDOW)
    site.clear(WINDOW)
    site.disarm(1)
    assert site.types(Arm((1,)))[-1] == "ok"
    site.pulse(DOOR)
    assert "-OPEN_CLOSE a1 u1 (memory)" in site.wait(60)
    assert site.panel.view().areas[0].memory == (WINDOW,)


def test_an_area_without_entry_door_arms_full_without_exit() -> None:
    site = Site(site_config(without=(DOOR,)))
    site.types(Arm((1,)))
    site.wait(60)
    assert site.mode() == "armed_full"


def _final_door_site() -> Site:
    config = site_config()
    areas = tuple(
        msgspec.structs.replace(area, final_door_s=3) if area.number == 1 else area
        for area in config.areas
    )
    return Site(msgspec.structs.replace(config, areas=areas))


def test_shutting_the_final_door_arms_soon_after() -> None:
    site = _final_door_site()
    site.types(Arm((1,)))
    site.wait(20)
    site.pulse(DOOR)
    assert site.wait(2.9) == []
    assert site.wait(0.1) == ["-EXIT_DELAY a1 u1", "-OPEN_CLOSE a1 u1", "armed:1 on"]


def test_final_door_opened_again_gives_the_exit_delay_back() -> None:
    site = _final_door_site()
    site.types(Arm((1,)))
    site.pulse(DOOR)
    site.wait(2)
    assert site.trip(DOOR)[-1] == "=EXIT_DELAY a1 u1 (restarted)"
    assert site.wait(59.9) == []
    assert site.mode() == "exit"


def test_final_door_shut_again_and_again_never_prolongs_the_exit_delay() -> None:
    site = _final_door_site()
    site.types(Arm((1,)))
    for _ in range(40):
        site.trip(DOOR)
        site.wait(2)
        site.clear(DOOR)
        site.wait(1)
    assert site.mode() != "exit"


def test_shutting_another_zone_does_not_arm() -> None:
    site = _final_door_site()
    site.types(Arm((1,)))
    site.trip(DOOR)
    site.pulse(HALL)
    assert site.wait(10) == []
    assert site.mode() == "exit"


def test_whoever_arms_is_told_of_all_that_is_left_out() -> None:
    site = Site()
    site.types(Bypass(FENCE))
    site.trip(WINDOW)
    assert site.types(Arm((1,), force=True))[-1] == "ok 3 4"
    assert Site().types(Arm((1,)))[-1] == "ok"
