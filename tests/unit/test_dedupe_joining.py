"""Dedupe: joining needs proof, doubt leaves two (DESIGN rule 4)."""

from __future__ import annotations

from collector.dedupe import (
    Effect,
    Joined,
    Joiner,
    Opened,
    Policy,
    Repeated,
    Retired,
    joined,
    opened,
)
from collector.records.signal import PATH_CENTRE, PATH_MQTT, PATH_PHONE, Signal
from protocols.instants import US_PER_S, UtcTime
from protocols.panel_event import Code, PanelEvent, Qualifier

S = US_PER_S
T0 = 1_700_000_000 * S
TRIP = PanelEvent(code=Code.BURGLARY, area=1, zone=3)
POLICY = Policy()


class Centre:
    """Feeds one Joiner in ledger order."""

    def __init__(self) -> None:
        self.joiner = Joiner(POLICY)
        self.effects: list[Effect] = []
        self.next_id = 1

    def feed(self, signal: Signal) -> list[Effect]:
        self.until(signal.received)
        made = self.joiner.receive(signal, signal.received)
        self.effects += made
        return made

    def mqtt(
        self, seq: int, at_s: float, received_s: float, event: PanelEvent = TRIP, err_s: float = 0.1
    ) -> list[Effect]:
        return self.feed(
            self.signal(
                PATH_MQTT,
                at_s,
                received_s,
                event,
                err_s,
                epoch=1,
                seq=seq,
                digest=f"{seq:032x}" * 2,
            )
        )

    def phone(
        self, at_s: float, received_s: float, event: PanelEvent = TRIP, err_s: float = 20
    ) -> list[Effect]:
        return self.feed(self.signal(PATH_PHONE, at_s, received_s, event, err_s))

    def lost(self, received_s: float, q: Qualifier) -> list[Effect]:
        event = PanelEvent(code=Code.PANEL_LOST, q=q, detail="path=mqtt")
        return self.feed(self.signal(PATH_CENTRE, received_s, received_s, event, 0))

    def signal(
        self,
        path: str,
        at_s: float,
        received_s: float,
        event: PanelEvent,
        err_s: float,
        epoch: int = 0,
        seq: int = 0,
        digest: str = "",
    ) -> Signal:
        id_, self.next_id = self.next_id, self.next_id + 1
        return Signal(
            id=id_,
            panel="shop-1",
            path=path,
            received=UtcTime(T0 + round(received_s * S)),
            event=event,
            at=UtcTime(T0 + round(at_s * S)),
            err_us=round(err_s * S),
            epoch=epoch,
            seq=seq,
            digest=digest,
        )

    def until(self, now: UtcTime) -> None:
        while (due := self.joiner.deadline()) is not None and due <= now:
            self.effects += self.joiner.tick(due)

    def wait(self, seconds: float) -> list[Effect]:
        before = len(self.effects)
        self.until(UtcTime(T0 + round(seconds * S)))
        return self.effects[before:]


def joins(effects: list[Effect]) -> list[tuple[int, int]]:
    return [(e.occurrence_id, e.signal.id) for e in effects if isinstance(e, Joined)]


def opens(effects: list[Effect]) -> list[int]:
    return [e.occurrence.id for e in effects if isinstance(e, Opened)]


def test_a_lone_trip_is_shown_at_once_on_either_path() -> None:
    assert opens(Centre().mqtt(1, 0, 1)) == [1]
    assert opens(Centre().phone(0, 20)) == [1]


def test_the_phone_report_of_a_known_trip_joins_it_when_no_rival_can_come_any_more() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1)
    assert centre.phone(5, 30) == []
    assert centre.wait(129) == []
    assert joins(centre.wait(130)) == [(1, 2)]


def test_the_record_that_comes_an_hour_later_claims_the_phone_report() -> None:
    centre = Centre()
    centre.mqtt(1, -7000, -7000, PanelEvent(code=Code.OPEN_CLOSE, area=1))
    centre.lost(60, Qualifier.NEW)
    assert opens(centre.phone(5, 100)) == [3]
    centre.lost(3600, Qualifier.RESTORE)
    assert centre.mqtt(2, 0, 3601) == []
    assert joins(centre.wait(3701)) == [(3, 5)]


def test_a_report_that_can_mean_either_of_two_trips_is_no_third() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1)
    centre.mqtt(2, 10, 11)
    assert centre.phone(5, 30) == []
    assert centre.wait(130) == [Repeated(3, (2, 1))]


def test_a_rival_that_comes_while_the_report_is_held_is_shown_and_the_report_joins_neither() -> (
    None
):
    centre = Centre()
    centre.mqtt(1, 0, 1)
    assert centre.phone(5, 30) == []
    assert opens(centre.mqtt(2, 10, 31)) == [3]
    assert centre.wait(130) == [Repeated(2, (3, 1))]


def test_a_path_lost_while_the_report_is_held_leaves_two() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1)
    centre.phone(5, 30)
    assert opens(centre.lost(100, Qualifier.NEW)) == [2, 3]
    centre.wait(130)
    assert joins(centre.effects) == []


def test_what_was_left_two_becomes_one_when_the_proof_comes_later() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1)
    centre.phone(5, 30)
    assert opens(centre.lost(100, Qualifier.NEW)) == [2, 3]
    centre.lost(400, Qualifier.RESTORE)
    centre.wait(3000)
    assert [e for e in centre.effects if isinstance(e, Retired)] == [Retired(2, (1,))]


def test_a_missing_record_in_the_time_in_question_leaves_two() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1)
    centre.mqtt(3, 12, 13, PanelEvent(code=Code.OPEN_CLOSE, area=1))
    assert opens(centre.phone(5, 30)) == []
    assert opens(centre.wait(200)) == [3]
    assert joins(centre.effects) == []


def test_a_gap_of_long_ago_does_not_keep_reports_apart_for_ever() -> None:
    centre = Centre()
    other = PanelEvent(code=Code.OPEN_CLOSE, area=1)
    centre.mqtt(1, -50_000, -50_000, other)
    centre.mqtt(9, -47_000, -47_000, other)
    centre.mqtt(10, 0, 1)
    centre.phone(5, 30)
    assert joins(centre.wait(200)) == [(3, 4)]


def test_another_zone_code_area_or_qualifier_never_joins() -> None:
    for other in (
        PanelEvent(code=Code.BURGLARY, area=1, zone=4),
        PanelEvent(code=Code.INTERIOR, area=1, zone=3),
        PanelEvent(code=Code.BURGLARY, area=2, zone=3),
        PanelEvent(code=Code.BURGLARY, q=Qualifier.RESTORE, area=1, zone=3),
    ):
        centre = Centre()
        centre.mqtt(1, 0, 1)
        assert opens(centre.phone(5, 30, other)) == [2]


def test_a_report_told_twice_joins_twice_when_no_other_record_can_be_meant() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1)
    centre.phone(5, 30)
    centre.wait(130)
    assert opens(centre.phone(5, 131)) == []
    assert joins(centre.wait(300)) == [(1, 2), (1, 3)][1:]


def test_an_earlier_trip_the_report_can_be_about_is_named_too() -> None:
    centre = Centre()
    centre.mqtt(1, -9000, -9000)
    centre.mqtt(2, 0, 1)
    assert centre.phone(5, 30) == []
    assert centre.wait(130) == [Repeated(3, (2, 1))], "the likeliest first"


def test_a_hold_up_told_again_waits_45_s_at_most_and_only_beside_its_like() -> None:
    holdup = PanelEvent(code=Code.HOLDUP_SILENT, area=1, zone=9)
    centre = Centre()
    centre.mqtt(1, 0, 1, holdup)
    assert opens(centre.phone(5, 30, PanelEvent(code=Code.HOLDUP_SILENT, area=1, zone=8))) == [2]
    assert centre.phone(5, 30, holdup) == []
    assert centre.wait(74.9) == []
    assert opens(centre.wait(75)) == [3]
    centre.wait(400)
    assert [e for e in centre.effects if isinstance(e, Retired)] == [Retired(3, (1,))]


def test_a_record_without_a_known_time_is_shown_when_nothing_proves_it_told() -> None:
    centre = Centre()
    centre.phone(0, 20)
    assert centre.mqtt(1, 21, 21, err_s=10**8) == []
    assert opens(centre.wait(121)) == [2]


def test_the_same_identity_on_a_second_path_joins_exactly_and_at_once() -> None:
    centre = Centre()
    holdup = PanelEvent(code=Code.HOLDUP_SILENT, area=1, zone=9)
    centre.mqtt(7, 0, 1, holdup)
    late = centre.signal(PATH_PHONE, 5, 3000, holdup, 20, epoch=1, seq=7)
    assert joins(centre.feed(late)) == [(1, 2)]


def test_a_fork_of_the_same_seq_stays_apart() -> None:
    centre = Centre()
    centre.mqtt(7, 0, 1)
    fork = centre.signal(PATH_MQTT, 0, 2, TRIP, 0.1, epoch=1, seq=7, digest="f" * 64)
    assert opens(centre.feed(fork)) == [2]


def test_a_snapshot_goes_on_with_the_same_result() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1)
    centre.phone(5, 30)
    centre.joiner = Joiner.restore(POLICY, centre.joiner.snapshot())
    assert joins(centre.wait(130)) == [(1, 2)]


def test_the_joined_occurrence_has_the_better_time_and_both_paths() -> None:
    centre = Centre()
    report = centre.signal(PATH_PHONE, 5, 30, TRIP, 20)
    record = centre.signal(PATH_MQTT, 1, 3600, TRIP, 0.1, epoch=1, seq=4, digest="a" * 64)
    both = joined(opened(report), record)
    assert (both.id, both.signals, both.paths) == (1, (1, 2), (PATH_PHONE, PATH_MQTT))
    assert (both.at, both.err_us, both.seq) == (record.at, record.err_us, 4)
    assert both.received == report.received
    assert joined(both, record) == both


def test_memory_is_bounded_over_a_flood() -> None:
    centre = Centre()
    for seq in range(1, 3000):
        centre.mqtt(seq, seq, seq, PanelEvent(code=Code.ZONE_STATE, zone=seq % 50))
    assert len(centre.joiner.snapshot()) < 64_000
