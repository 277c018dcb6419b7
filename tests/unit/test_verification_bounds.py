"""State stays bounded, and a new rule file does not judge the past again."""

from __future__ import annotations

from collector.records.case import OperatorAct, Outcome, State
from collector.verification import CaseMachine
from collector.verification.machine import LATE_KEPT, LATE_SLACK, OPEN_KEPT
from protocols.instants import UtcTime
from protocols.panel_event import Code
from tests.support.case_story import BS, CARD, PANEL, SHANGHAI, START, S, Story


def test_a_storm_of_different_faults_is_all_told_and_little_is_held() -> None:
    story = Story()
    for n in range(1500):
        story.tell(310 + n % 30, n * 0.01, zone=n)
    assert len(story.cases) == 1500
    assert len(story.machine.cases()) <= OPEN_KEPT + LATE_KEPT + LATE_SLACK + 1
    assert len(story.machine.snapshot()) < 400_000


def test_a_storm_of_trips_is_one_case_with_every_trip_counted() -> None:
    story = Story()
    for n in range(3000):
        story.tell(Code.BURGLARY, n * 0.01, zone=1 + n % 4)
    case = story.only()
    assert len(case.occurrences) + case.more == 3000
    assert len(case.occurrences) <= 64
    assert len(story.machine.snapshot()) < 100_000


def test_closed_cases_leave_the_machine_after_a_day() -> None:
    story = Story()
    story.tell(Code.INTERIOR, 0, zone=2)
    act = OperatorAct(1, "close", "Li", Outcome.FALSE)
    story.take(story.machine.operator(act, UtcTime(START + S)))
    story.tell(Code.MAINS_FAIL, 25 * 3600, area=0)
    story.tell(Code.BATTERY_LOW, 25 * 3600 + 1, area=0)
    assert [case.kind.value for case in story.machine.cases()] == ["trouble", "trouble"]
    assert story.cases[1].state is State.CLOSED


def test_under_new_rules_the_past_stands_and_the_future_is_judged_anew() -> None:
    story = Story()
    story.tell(Code.INTERIOR, 100, zone=2)
    story.tell(Code.INTERIOR, 110, zone=3)
    before = story.only()
    assert before.verdict is State.UNCONFIRMED
    saved = story.machine.snapshot()
    story.machine = CaseMachine.restore(SHANGHAI, PANEL, CARD, saved)
    assert story.machine.cases()[0].decisions == before.decisions
    story.tell(Code.PERIMETER, 120, zone=4)
    after = story.only()
    assert after.verdict is State.CONFIRMED
    assert [d.rules for d in after.decisions] == [BS.version, BS.version, SHANGHAI.version]
