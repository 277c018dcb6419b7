"""Gaps: asked for, told, filled; the baseline; the tail (users.md B3)."""

from __future__ import annotations

import msgspec

from collector.intake import Ask, Effect, Intake, Noticed, Policy, RunState, read
from protocols.instants import Instant, later
from protocols.mqtt.payloads import Unavailable, digest_of
from protocols.mqtt.topics import HEARTBEAT, REPORT, UNAVAILABLE, topic
from protocols.panel_event import Code, Qualifier
from tests.support.panel_records import chain_of, heartbeat, report_of

PANEL = "shop-1"
RAWS = chain_of(PANEL, 40)
START = Instant(0)


class Desk:
    """One panel's intake with a store that keeps everything."""

    def __init__(self) -> None:
        self.intake = Intake(Policy())
        self.now = START

    def send(self, leaf: str, payload: bytes) -> list[Effect]:
        inbound = read(topic(PANEL, leaf), payload)
        for key in self.intake.wanted([inbound]):
            self.intake.adopt(RunState(*key), self.now)
        effects = self.intake.receive(inbound, self.now, registered=True)
        self.acks = [ack for _, ack in self.intake.committed()]
        return effects

    def report(self, *seqs: int) -> list[Effect]:
        return self.send(REPORT, report_of(*(RAWS[seq - 1] for seq in seqs)))

    def beat(self, newest: int, floor: int = 1) -> list[Effect]:
        digest = digest_of(RAWS[newest - 1])
        return self.send(HEARTBEAT, heartbeat(PANEL, newest, digest, floor=floor))

    def run_until(self, seconds: float) -> list[Effect]:
        """Let every timer up to this moment fire at its own time."""
        end, effects = later(START, seconds), list[Effect]()
        while (due := self.intake.deadline()) is not None and due <= end:
            self.now = due
            effects += self.intake.tick(due)
            self.intake.committed()
        self.now = end
        return effects


def asked(effects: list[Effect]) -> list[tuple[int, int]]:
    return [(e.resend.first, e.resend.last) for e in effects if isinstance(e, Ask)]


def told(effects: list[Effect], q: Qualifier = Qualifier.NEW) -> list[str]:
    return [
        e.event.detail
        for e in effects
        if isinstance(e, Noticed) and e.event.code == Code.SEQUENCE_GAP and e.event.q == q
    ]


def test_a_hole_is_asked_for_after_two_seconds_and_again_ever_more_slowly() -> None:
    desk = Desk()
    desk.report(1, 2, 5, 6)
    assert asked(desk.run_until(1.9)) == []
    assert asked(desk.run_until(2.0)) == [(3, 4)]
    assert len(asked(desk.run_until(59.0))) == 3  # after 6, 14 and 30 s


def test_a_hole_nobody_fills_is_told_once_after_a_minute_and_told_when_it_fills() -> None:
    desk = Desk()
    desk.report(1, 2, 5)
    detail = "epoch=1;first=3;last=4"
    assert told(desk.run_until(60.0)) == [detail]
    assert told(desk.run_until(3600.0)) == []
    assert told(desk.report(4), Qualifier.RESTORE) == []
    assert told(desk.report(3), Qualifier.RESTORE) == [detail]
    assert desk.acks[0].upto == 5


def test_what_the_panel_says_it_cannot_send_is_told_at_once_and_never_asked_again() -> None:
    desk = Desk()
    desk.report(1, 5)
    gone = msgspec.json.encode(Unavailable(PANEL, 1, 2, 4, "rotated"))
    assert told(desk.send(UNAVAILABLE, gone)) == ["epoch=1;first=2;last=4"]
    assert told(desk.send(UNAVAILABLE, gone)) == []
    assert desk.run_until(3600.0) == []


def test_an_unavailable_range_beyond_what_the_panel_has_written_tells_nothing() -> None:
    desk = Desk()
    desk.report(1)
    gone = msgspec.json.encode(Unavailable(PANEL, 1, 2, 2**53, "confused"))
    assert told(desk.send(UNAVAILABLE, gone)) == []
    assert told(desk.report(2), Qualifier.RESTORE) == []
    assert desk.acks[0].upto == 2


def test_first_contact_takes_the_panels_floor_for_its_baseline() -> None:
    desk = Desk()
    desk.beat(20, floor=15)
    desk.report(15, 16)
    assert (desk.acks[0].upto, desk.acks[0].head) == (16, digest_of(RAWS[15]))
    assert asked(desk.run_until(30.0)) == []


def test_first_contact_by_records_before_the_heartbeat_ends_the_same() -> None:
    desk = Desk()
    desk.report(15, 16)
    desk.beat(16, floor=15)
    assert desk.acks[0].upto == 16
    assert told(desk.run_until(3600.0)) == []


def test_a_known_run_whose_missing_part_was_rotated_is_told_at_once() -> None:
    desk = Desk()
    desk.beat(3)
    desk.report(1, 2, 3)
    assert told(desk.beat(20, floor=10)) == ["epoch=1;first=4;last=9"]
    desk.report(*range(10, 21))
    assert desk.acks[0].upto == 3
    assert {one.seq for one in desk.acks[0].also} == set(range(10, 21))


def test_a_tail_is_asked_for_only_when_it_stays_away() -> None:
    desk = Desk()
    desk.report(1)
    desk.beat(3)
    assert asked(desk.run_until(59.0)) == []
    assert asked(desk.run_until(60.0)) == [(2, 3)]
    desk.report(2, 3)
    assert desk.run_until(3600.0) == []


def test_a_tail_that_arrives_in_time_is_never_asked_for() -> None:
    desk = Desk()
    desk.report(1)
    desk.beat(3)
    desk.report(2, 3)
    assert desk.run_until(3600.0) == []


def test_a_heartbeat_that_contradicts_what_is_held_is_told_once() -> None:
    desk = Desk()
    desk.report(1, 2)
    wrong = heartbeat(PANEL, 2, "f" * 64)
    conflict = [e for e in desk.send(HEARTBEAT, wrong) if isinstance(e, Noticed)]
    assert [e.event.code for e in conflict] == [Code.IDENTITY_CONFLICT]
    assert not [e for e in desk.send(HEARTBEAT, wrong) if isinstance(e, Noticed)]


def test_a_broken_chain_between_neighbours_is_told_and_stops_the_head() -> None:
    desk = Desk()
    other = chain_of(PANEL, 5, salt="other")
    desk.report(1, 2)
    effects = desk.send(REPORT, report_of(other[2]))
    assert [e.event.code for e in effects if isinstance(e, Noticed)] == [Code.IDENTITY_CONFLICT]
    assert desk.acks[0].upto == 2
    assert [one.digest for one in desk.acks[0].also] == [digest_of(other[2])]
