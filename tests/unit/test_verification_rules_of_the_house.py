"""The confirmation rules, one by one (standards 3.3; R44, R50, R71; users F2, F7, H6)."""

from __future__ import annotations

import pytest

from collector.dispatch import Released, Withheld, release
from collector.records.case import Destination, Kind, OperatorAct, Outcome, State
from collector.verification import HandOver
from protocols.instants import UtcTime
from protocols.panel_event import Code, Qualifier
from tests.support.case_story import CARD, SHANGHAI, START, S, Story, occurrence, whys

MIN = 60


def test_lone_first_trip_is_an_unconfirmed_case_at_once_and_nobody_is_told() -> None:
    story = Story()
    story.arm(0)
    story.tell(Code.INTERIOR, 100, zone=2)
    case = story.only()
    assert (case.kind, case.state, case.verdict) == (
        Kind.BURGLARY,
        State.UNCONFIRMED,
        State.UNCONFIRMED,
    )
    assert whys(case) == [("first_trip", "unconfirmed", "one_detector")]
    assert story.handovers == []


def test_second_independent_detector_in_the_window_confirms_with_its_evidence() -> None:
    story = Story()
    story.arm(0)
    story.tell(Code.PERIMETER, 100, zone=4)
    story.tell(Code.INTERIOR, 114, zone=2)
    case = story.only()
    assert (case.state, case.verdict) == (State.HANDED_OVER, State.CONFIRMED)
    decision = case.decisions[-1]
    assert (decision.rule, decision.outcome, decision.evidence) == (
        "second_detector",
        "confirmed",
        (2, 3),
    )
    assert decision.rules == "bs8243-1"
    assert len(decision.sha256) == 64
    assert story.told() == [(case.id, "110")]
    assert story.handovers[0].state == "due"


@pytest.mark.parametrize(
    ("zones", "why"),
    [
        ((2, 2), "same_detector"),
        ((4, 5), "same_detector"),
        ((2, 3), "overlap_same_technology"),
        ((3, 2), "overlap_same_technology"),
        ((2, 6), "outside_detector"),
        ((6, 2), "outside_detector"),
        ((2, 0), "unknown_detector"),
    ],
)
def test_what_does_not_confirm(zones: tuple[int, int], why: str) -> None:
    story = Story()
    story.arm(0)
    story.tell(Code.BURGLARY, 100, zone=zones[0])
    story.tell(Code.BURGLARY, 130, zone=zones[1])
    case = story.only()
    assert case.state is State.UNCONFIRMED
    assert ("second_detector", "noted", why) in whys(case)
    assert story.handovers == []


def test_overlapping_detectors_of_different_technology_confirm() -> None:
    story = Story()
    story.tell(Code.INTERIOR, 100, zone=2)
    story.tell(Code.INTERIOR, 101, zone=7)
    assert story.only().verdict is State.CONFIRMED


def test_a_third_detector_confirms_where_the_second_could_not() -> None:
    story = Story()
    for at, zone in ((100, 6), (110, 2), (120, 3), (130, 7)):
        story.tell(Code.INTERIOR, at, zone=zone)
    case = story.only()
    assert case.verdict is State.CONFIRMED
    assert case.decisions[-1].evidence == (2, 4)


def test_after_the_window_the_next_trip_counts_as_first_again() -> None:
    story = Story()
    story.arm(0)
    story.tell(Code.INTERIOR, 100, zone=2)
    story.tell(Code.PERIMETER, 100 + 45 * MIN + 1, zone=4)
    first, second = story.of("burglary")
    assert (first.verdict, second.verdict) == (State.UNCONFIRMED, State.UNCONFIRMED)
    story.tell(Code.INTERIOR, 100 + 50 * MIN, zone=2)
    assert story.cases[first.id].verdict is State.UNCONFIRMED
    assert story.cases[second.id].verdict is State.CONFIRMED


@pytest.mark.parametrize(("past_s", "joined"), [(-1, True), (0, True), (1, False)])
def test_the_edge_of_the_window_is_exact_within_one_boot(past_s: int, joined: bool) -> None:
    story = Story()
    story.tell(Code.INTERIOR, 100, zone=2, err_us=600 * S)
    story.tell(Code.PERIMETER, 100 + 45 * MIN + past_s, zone=4, err_us=600 * S)
    assert (len(story.cases) == 1) is joined


def test_doubt_about_the_window_stays_apart_visible_and_unconfirmed_in_both() -> None:
    story = Story()
    story.tell(Code.INTERIOR, 100, zone=2, err_us=5 * S)
    story.tell(Code.PERIMETER, 100 + 45 * MIN - 3, zone=4, err_us=5 * S, boot="b2")
    first, second = story.of("burglary")
    for case in (first, second):
        assert case.state is State.UNCONFIRMED
        assert ("window", "doubt", "window_doubt") in whys(case)
    assert story.handovers == []


def test_entry_door_takes_confirmation_away_until_armed_again() -> None:
    story = Story()
    story.arm(0)
    story.tell(Code.ENTRY_DOOR_OPENED, 100, zone=1)
    story.tell(Code.ENTRY_EXIT, 130, zone=1)
    story.tell(Code.INTERIOR, 140, zone=2)
    case = story.only()
    assert case.state is State.UNCONFIRMED
    assert ("entry_door", "noted", "entry_door_open") in whys(case)
    story.disarm(150)
    story.arm(300)
    story.tell(Code.PERIMETER, 400, zone=4)
    story.tell(Code.INTERIOR, 410, zone=2)
    assert [c.verdict for c in story.of("burglary")][-1] is State.CONFIRMED


def test_entry_door_of_one_area_leaves_the_other_its_confirmation() -> None:
    story = Story(card=None)
    story.arm(0, area=1)
    story.arm(1, area=2)
    story.tell(Code.ENTRY_DOOR_OPENED, 100, zone=1, area=1)
    story.tell(Code.INTERIOR, 140, zone=9, area=2)
    story.tell(Code.INTERIOR, 141, zone=10, area=2)
    assert story.only().verdict is State.CONFIRMED


def test_areas_stay_apart_by_default_and_join_in_the_shanghai_rules() -> None:
    for rules, count in ((None, 2), (SHANGHAI, 1)):
        story = Story() if rules is None else Story(rules)
        story.tell(Code.INTERIOR, 100, zone=2, area=1)
        story.tell(Code.INTERIOR, 110, zone=9, area=2)
        assert len(story.cases) == count
    assert story.only().areas == (1, 2)
    assert story.told() == [(1, "guards"), (1, "110")]


# Path loss


def test_alarm_then_path_loss_confirms_with_the_loss_as_evidence() -> None:
    story = Story()
    story.arm(0)
    story.tell(Code.INTERIOR, 100, zone=2)
    story.give(occurrence(0, Code.PANEL_LOST, 160, area=0, epoch=0, id_=50))
    case = story.only("burglary")
    assert case.verdict is State.CONFIRMED
    assert case.decisions[-1].why == "alarm_then_path_lost"
    assert case.decisions[-1].evidence == (2, 50)
    assert len(story.of("trouble")) == 1


def test_path_loss_then_alarm_confirms_while_the_path_is_still_down() -> None:
    for restored, verdict in ((False, State.CONFIRMED), (True, State.UNCONFIRMED)):
        story = Story()
        story.arm(0)
        story.tell(Code.PATH_IP_FAULT, 50, area=0, detail="mqtt timeout")
        if restored:
            story.tell(Code.PATH_IP_FAULT, 80, Qualifier.RESTORE, area=0, detail="mqtt")
        story.tell(Code.INTERIOR, 100, zone=2)
        assert story.only("burglary").verdict is verdict


def test_path_lost_long_before_proves_nothing() -> None:
    story = Story()
    story.tell(Code.PATH_IP_FAULT, 0, area=0)
    story.tell(Code.INTERIOR, 46 * MIN, zone=2)
    assert story.only("burglary").verdict is State.UNCONFIRMED


def test_both_paths_lost_while_armed_is_a_confirmed_case_of_its_own() -> None:
    story = Story()
    story.arm(0)
    story.tell(Code.PATH_PHONE_FAULT, 50, area=0)
    assert story.of("burglary") == []
    story.give(occurrence(0, Code.PANEL_LOST, 160, area=0, epoch=0, id_=50, detail="path=mqtt"))
    case = story.only("burglary")
    assert case.verdict is State.CONFIRMED
    assert story.told() == [(case.id, "110")]


@pytest.mark.parametrize("armed", [None, False])
def test_both_paths_lost_while_not_armed_is_trouble_only(armed: bool | None) -> None:
    story = Story()
    if armed is False:
        story.arm(0)
        story.disarm(10)
    story.tell(Code.PATH_PHONE_FAULT, 50, area=0)
    story.tell(Code.PATH_IP_FAULT, 60, area=0)
    assert story.of("burglary") == []
    assert len(story.of("trouble")) == 2


@pytest.mark.parametrize("how", ["test_flag", "panel_on_test", "token", "shutdown"])
def test_a_planned_path_loss_confirms_nothing(how: str) -> None:
    story = Story()
    story.arm(0)
    if how == "shutdown":
        story.tell(Code.INTERIOR, 100, zone=2)
        story.tell(Code.PANEL_SHUTDOWN, 150, area=0)
    if how == "panel_on_test":
        story.tell(Code.INTERIOR, 100, zone=2)
        story.tell(Code.PANEL_ON_TEST, 150, area=0)
    if how in {"token", "test_flag"}:
        story.tell(Code.INTERIOR, 100, zone=2)
    story.tell(
        Code.PATH_IP_FAULT,
        160,
        area=0,
        test=how == "test_flag",
        detail="mqtt planned" if how == "token" else "mqtt",
    )
    assert story.only("burglary").verdict is State.UNCONFIRMED


def test_entry_door_disables_path_loss_too_and_an_outside_trip_is_no_ground() -> None:
    for zone, door in ((2, True), (6, False)):
        story = Story()
        story.arm(0)
        if door:
            story.tell(Code.ENTRY_DOOR_OPENED, 90, zone=1)
        story.tell(Code.INTERIOR, 100, zone=zone)
        story.tell(Code.PATH_IP_FAULT, 160, area=0)
        assert story.only("burglary").verdict is State.UNCONFIRMED


# Cancel and duress


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (Code.ALARM_CANCEL, "cancel_by_user"),
        (Code.ABORT, "abort_by_user"),
        (Code.OPEN_CLOSE, "disarm_by_user"),
    ],
)
def test_a_user_takes_an_unconfirmed_alarm_back_and_it_stays_visible(code: int, why: str) -> None:
    story = Story()
    story.arm(0)
    story.tell(Code.INTERIOR, 100, zone=2)
    story.tell(code, 120, user=2)
    case = story.only()
    assert (case.state, case.outcome) == (State.CANCELLED, Outcome.OPEN)
    assert whys(case)[-1] == ("cancel", "cancelled", why)
    assert (case.context.cancelled_at, case.context.cancelled_by) == (START + 120 * S, 2)


def test_the_panels_whole_goodbye_is_one_cancel() -> None:
    story = Story()
    story.arm(0)
    story.tell(Code.INTERIOR, 100, zone=2)
    for code in (Code.OPEN_CLOSE, Code.ABORT, Code.ALARM_CANCEL):
        story.tell(code, 120, user=2)
    assert whys(story.only())[1:] == [("cancel", "cancelled", "disarm_by_user")]


def test_a_confirmed_alarm_is_not_taken_back_but_the_cancel_is_noted() -> None:
    story = Story()
    story.arm(0)
    story.tell(Code.INTERIOR, 100, zone=2)
    story.tell(Code.PERIMETER, 110, zone=4)
    story.tell(Code.ALARM_CANCEL, 120, user=2)
    case = story.only()
    assert case.state is State.HANDED_OVER
    assert whys(case)[-1] == ("cancel", "noted", "cancel_noted")


def test_a_disarm_hours_later_takes_nothing_back() -> None:
    story = Story()
    story.arm(0)
    story.tell(Code.INTERIOR, 100, zone=2)
    story.disarm(6 * 3600)
    assert story.only().state is State.UNCONFIRMED
    assert story.only().context.disarmed_at == START + 6 * 3600 * S


def test_an_automatic_disarm_takes_nothing_back() -> None:
    story = Story()
    story.tell(Code.INTERIOR, 100, zone=2)
    story.tell(Code.OPEN_CLOSE_AUTOMATIC, 120)
    assert story.only().state is State.UNCONFIRMED


def test_a_cancel_of_doubtful_order_is_noted_only() -> None:
    story = Story()
    story.tell(Code.INTERIOR, 100, zone=2, err_us=60 * S)
    story.tell(Code.ALARM_CANCEL, 120, user=2, epoch=2, err_us=60 * S, boot="b2")
    case = story.only()
    assert case.state is State.UNCONFIRMED
    assert whys(case)[-1] == ("cancel", "doubt", "order_doubt")


@pytest.mark.parametrize("duress_first", [True, False])
def test_a_cancel_beside_a_duress_code_is_handed_over_never_cancelled(duress_first: bool) -> None:
    story = Story()
    story.arm(0)
    story.tell(Code.INTERIOR, 100, zone=2)
    if duress_first:
        story.tell(Code.DURESS, 119, user=2)
    story.disarm(120)
    story.tell(Code.ALARM_CANCEL, 120, user=2)
    if not duress_first:
        story.tell(Code.DURESS, 125, user=2)
    burglary, holdup = story.only("burglary"), story.only("holdup")
    assert burglary.state is State.HANDED_OVER
    assert ("duress_cancel", "confirmed", "cancelled_under_duress") in whys(burglary)
    assert holdup.state is State.HANDED_OVER
    assert {to for _, to in story.told()} == {"110"}
    assert len(story.told()) == 2


def test_trips_after_a_cancel_make_a_new_case() -> None:
    story = Story()
    story.arm(0)
    story.tell(Code.INTERIOR, 100, zone=2)
    story.disarm(110)
    story.tell(Code.TWENTY_FOUR_HOUR, 120, zone=4)
    assert [c.state for c in story.of("burglary")] == [State.CANCELLED, State.UNCONFIRMED]


# Straight through


@pytest.mark.parametrize(
    ("code", "to"),
    [
        (Code.PANIC, "110"),
        (Code.DURESS, "110"),
        (Code.HOLDUP_SILENT, "110"),
        (Code.HOLDUP_AUDIBLE, "110"),
        (Code.FIRE, "119"),
        (Code.GAS, "119"),
        (Code.MEDICAL, "120"),
    ],
)
def test_what_never_waits_is_handed_over_with_its_first_report(code: int, to: str) -> None:
    story = Story()
    effects = story.tell(code, 100, zone=8)
    given = [effect for effect in effects if isinstance(effect, HandOver)]
    assert [(effect.handover.to.value) for effect in given] == [to]
    assert isinstance(release(given[0].case, given[0].handover), Released)
    assert story.only().state is State.HANDED_OVER


def test_water_and_tamper_wait_for_the_operator() -> None:
    story = Story()
    story.tell(Code.WATER, 100, zone=3)
    story.tell(Code.ZONE_TAMPER, 100, zone=3)
    assert [case.state for case in story.cases.values()] == [State.UNCONFIRMED] * 2
    assert story.handovers == []


def test_a_second_press_joins_and_grades_and_a_press_after_the_close_is_told_anew() -> None:
    story = Story()
    story.tell(Code.HOLDUP_SILENT, 100, zone=8)
    story.tell(Code.HOLDUP_SILENT, 130, zone=8)
    assert story.only().grade == ""
    story.tell(Code.HOLDUP_SILENT, 221, zone=8)
    assert story.only().grade == "confirmed_holdup"
    assert len(story.handovers) == 1
    act = OperatorAct(story.only().id, "close", "Li", Outcome.FALSE)
    story.take(story.machine.operator(act, UtcTime(START + 300 * S)))
    story.tell(Code.HOLDUP_SILENT, 400, zone=8)
    assert len(story.cases) == 2
    assert len(story.handovers) == 2


def test_a_tamper_beside_a_holdup_grades_it_in_either_order() -> None:
    for order in ((Code.HOLDUP_SILENT, Code.ZONE_TAMPER), (Code.ZONE_TAMPER, Code.HOLDUP_SILENT)):
        for apart, grade in ((60, "confirmed_holdup"), (121, "")):
            story = Story()
            story.tell(order[0], 100, zone=8)
            story.tell(order[1], 100 + apart, zone=8)
            assert story.only("holdup").grade == grade


# Account on test


@pytest.mark.parametrize("how", ["flag", "mode"])
def test_on_test_marks_and_tells_nobody_save_holdup_and_fire(how: str) -> None:
    story = Story()
    story.arm(0)
    if how == "mode":
        story.tell(Code.PANEL_ON_TEST, 50, area=0)
    for at, zone in ((100, 2), (110, 4)):
        story.tell(Code.INTERIOR, at, zone=zone, test=how == "flag")
    case = story.only()
    assert case.test
    assert case.verdict is State.CONFIRMED
    assert story.handovers == []
    story.tell(Code.HOLDUP_SILENT, 120, zone=8, test=how == "flag")
    story.tell(Code.FIRE, 130, zone=9, test=how == "flag")
    assert sorted(to for _, to in story.told()) == ["110", "119"]


def test_a_test_that_never_ended_is_over_after_an_hour() -> None:
    story = Story()
    story.tell(Code.PANEL_ON_TEST, 0, area=0)
    story.tell(Code.INTERIOR, 61 * MIN, zone=2)
    assert not story.only().test


def test_a_real_trip_and_a_test_trip_do_not_confirm_each_other() -> None:
    story = Story()
    story.tell(Code.INTERIOR, 100, zone=2, test=True)
    story.tell(Code.INTERIOR, 110, zone=4)
    assert [case.verdict for case in story.cases.values()] == [State.UNCONFIRMED] * 2


# Runaway, restores, faults, unknown


def test_a_runaway_detector_is_grouped_and_flagged_and_hides_no_other() -> None:
    story = Story()
    story.arm(0)
    for n in range(400):
        story.tell(Code.INTERIOR, 100 + 10 * n, zone=3)
    case = story.only()
    assert case.runaway == (3,)
    assert len(case.occurrences) < 10
    assert len(list(case.occurrences)) + case.more == 400
    story.tell(Code.PERIMETER, 100 + 4001, zone=4)
    other = next(c for c in story.cases.values() if c.id != case.id)
    assert other.verdict is State.UNCONFIRMED
    assert other.occurrences[0].event.zone == 4
    story.tell(Code.INTERIOR, 100 + 4005, zone=3)
    assert story.cases[other.id].verdict is State.UNCONFIRMED
    story.tell(Code.INTERIOR, 100 + 4010, zone=7)
    assert story.cases[other.id].verdict is State.CONFIRMED


def test_a_runaway_detectors_first_trips_still_confirm_inside_the_window() -> None:
    story = Story()
    for n in range(12):
        story.tell(Code.INTERIOR, 100 + n, zone=3)
    story.tell(Code.PERIMETER, 130, zone=4)
    assert story.only().verdict is State.CONFIRMED


def test_a_restore_closes_only_its_own_alarm() -> None:
    story = Story()
    story.tell(Code.INTERIOR, 100, zone=2)
    story.tell(Code.PERIMETER, 110, zone=4)
    story.tell(Code.INTERIOR, 120, Qualifier.RESTORE, zone=2)
    story.tell(Code.INTERIOR, 130, Qualifier.RESTORE, zone=2, area=2)
    restored = {piece.event.zone: piece.restored_at for piece in story.only().occurrences}
    assert restored == {2: START + 120 * S, 4: None}


def test_a_fault_closes_when_restored_and_reopens_when_it_soon_comes_back() -> None:
    story = Story()
    story.tell(Code.MAINS_FAIL, 100, area=0)
    story.tell(Code.MAINS_FAIL, 200, Qualifier.RESTORE, area=0)
    case = story.only()
    assert (case.state, case.outcome) == (State.CLOSED, Outcome.RESTORED)
    story.tell(Code.MAINS_FAIL, 300, area=0)
    assert story.only().state is State.UNCONFIRMED
    story.tell(Code.MAINS_FAIL, 400, Qualifier.RESTORE, area=0)
    story.tell(Code.MAINS_FAIL, 3 * 3600, area=0)
    assert len(story.cases) == 2


def test_two_gaps_are_two_faults_and_each_closes_when_filled() -> None:
    story = Story()
    for first, why in ((5, "unanswered"), (20, "unanswered")):
        detail = f"epoch=1;first={first};last={first + 2};why={why}"
        story.tell(Code.SEQUENCE_GAP, first, area=0, detail=detail)
    story.tell(
        Code.SEQUENCE_GAP,
        30,
        Qualifier.RESTORE,
        area=0,
        detail="epoch=1;first=20;last=22;why=filled",
    )
    assert [case.state for case in story.cases.values()] == [State.UNCONFIRMED, State.CLOSED]


def test_an_announced_shutdown_ends_with_the_next_start() -> None:
    story = Story()
    story.tell(Code.PANEL_SHUTDOWN, 100, area=0)
    assert story.only().state is State.UNCONFIRMED
    story.tell(Code.BOOT, 200, area=0, boot="b2")
    assert (story.only().state, story.only().outcome) == (State.CLOSED, Outcome.RESTORED)


@pytest.mark.parametrize("code", [777, 999, 5000, 0, 42])
def test_an_unknown_code_is_a_visible_case(code: int) -> None:
    story = Story()
    story.tell(code, 100, zone=3)
    case = story.only()
    assert case.unknown_code
    assert case.occurrences[0].event.code == code


@pytest.mark.parametrize(
    "code",
    [
        Code.PANEL_LOST,
        Code.SEQUENCE_GAP,
        Code.IDENTITY_CONFLICT,
        Code.JOURNAL_FAULT,
        Code.CERTIFICATE_FAULT,
        Code.STATE_LOST,
        Code.ARMING_REFUSED,
        Code.FAILED_TO_CLOSE,
        Code.EARLY_OPEN_CLOSE,
    ],
)
def test_faults_make_trouble_cases(code: int) -> None:
    story = Story()
    story.tell(code, 100)
    assert story.only().kind is Kind.TROUBLE
    assert not story.only().unknown_code


@pytest.mark.parametrize(
    "code",
    [Code.OPEN_CLOSE, Code.PERIODIC_TEST, Code.ZONE_STATE, Code.ENTRY_DELAY, Code.CLOCK_SET],
)
def test_context_alone_makes_no_case(code: int) -> None:
    story = Story()
    assert story.tell(code, 100, zone=1) == []


def test_a_cross_zone_first_trip_is_a_burglary_case() -> None:
    story = Story()
    story.tell(Code.CROSS_ZONE_TROUBLE, 100, zone=2)
    assert story.only().kind is Kind.BURGLARY


# Time and operators


def test_the_window_end_is_said_once() -> None:
    story = Story()
    story.tell(Code.INTERIOR, 100, zone=2)
    due = story.machine.deadline()
    assert due is not None
    assert due == START + 100 * S + 1_000 + 45 * MIN * S
    assert story.machine.tick(UtcTime(due - 1)) == []
    story.take(story.machine.tick(due))
    assert story.only().window_over
    assert story.machine.deadline() is None
    assert story.machine.tick(due) == []


def test_take_and_close_and_what_comes_after_the_close() -> None:
    story = Story()
    story.tell(Code.INTERIOR, 100, zone=2)
    now = UtcTime(START + 200 * S)
    story.take(story.machine.operator(OperatorAct(1, "take", "Li"), now))
    assert story.only().taken_by == "Li"
    act = OperatorAct(1, "close", "Li", Outcome.FALSE, "cat")
    story.take(story.machine.operator(act, now))
    case = story.only()
    assert (case.state, case.outcome, case.closed_by, case.note) == (
        State.CLOSED,
        Outcome.FALSE,
        "Li",
        "cat",
    )
    assert story.machine.operator(act, now) == []
    assert story.machine.operator(OperatorAct(99, "close", "Li", Outcome.REAL), now) == []
    assert story.machine.operator(OperatorAct(1, "close", "Li", Outcome.MERGED), now) == []
    story.tell(Code.PERIMETER, 300, zone=4)
    assert [c.state for c in story.cases.values()] == [State.CLOSED, State.UNCONFIRMED]


def test_a_close_does_not_swallow_late_evidence_the_operator_never_saw() -> None:
    story = Story()
    story.give(occurrence(5, Code.PERIMETER, 110, zone=4, id_=1))
    act = OperatorAct(1, "close", "Li", Outcome.FALSE)
    story.take(story.machine.operator(act, UtcTime(START + 200 * S)))
    story.give(occurrence(4, Code.INTERIOR, 100, zone=2, id_=2, received_s=300))
    open_cases = [case for case in story.cases.values() if case.state is not State.CLOSED]
    assert any(piece.occurrence == 2 for case in open_cases for piece in case.occurrences)


def test_a_case_the_machine_let_go_is_closed_by_the_ledgers_copy() -> None:
    story = Story()
    story.tell(Code.INTERIOR, 100, zone=2)
    fresh = Story()
    now = UtcTime(START + 10**12)
    act = OperatorAct(1, "close", "Li", Outcome.REAL)
    fresh.take(fresh.machine.operator(act, now, story.only()))
    assert (fresh.only().state, fresh.only().outcome) == (State.CLOSED, Outcome.REAL)


def test_a_changed_card_judges_the_future_and_not_the_past() -> None:
    story = Story(card=None)
    story.tell(Code.INTERIOR, 100, zone=2)
    story.machine.set_card(CARD)
    story.tell(Code.INTERIOR, 110, zone=3)
    assert whys(story.only())[-1][2] == "overlap_same_technology"


# Dispatch


def test_the_gate_withholds_an_unverified_burglary_and_a_fault() -> None:
    story = Story()
    story.tell(Code.INTERIOR, 100, zone=2)
    story.tell(Code.INTERIOR, 110, zone=4)
    confirmed, handover = story.only(), story.handovers[0]
    assert isinstance(release(confirmed, handover), Released)
    from msgspec.structs import replace

    bare = replace(confirmed, decisions=confirmed.decisions[:1])
    assert release(bare, handover) == Withheld(handover, "unverified burglary", "R71")
    hollow = replace(confirmed, occurrences=())
    assert release(hollow, handover) == Withheld(handover, "verified without evidence", "R71")
    tested = replace(confirmed, test=True)
    assert release(tested, handover) == Withheld(handover, "account on test", "R71")
    other = replace(handover, case=99)
    assert isinstance(release(confirmed, other), Withheld)
    guards = replace(handover, to=Destination.GUARDS)
    assert isinstance(release(bare, guards), Released)
    trouble = replace(confirmed, kind=Kind.TROUBLE)
    assert isinstance(release(trouble, replace(handover, kind=Kind.TROUBLE)), Withheld)
