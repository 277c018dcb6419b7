"""The Reporter step by step: each test reads as a transcript."""

from __future__ import annotations

import sys
import time
import tracemalloc
from itertools import pairwise

import pytest

from edge.config import MqttConfig
from edge.reporting.reporter import (
    AckArrived,
    Acknowledged,
    AskDigest,
    DigestFound,
    HeartbeatDue,
    LinkCause,
    LinkDown,
    LinkUp,
    Newest,
    Owe,
    OwedKey,
    PathState,
    Reconnect,
    ReOwe,
    Repeated,
    Reporter,
    ReporterEffect,
    ReporterInput,
    ResendAsked,
    ResendFound,
    RolledBack,
    Send,
    SendUnavailable,
)
from protocols.instants import Instant, later
from protocols.mqtt.payloads import Ack, Held, Resend
from protocols.panel_event import Priority

NONE: list[ReporterEffect] = []


def digest(seq: int, epoch: int = 1) -> str:
    return f"{epoch:08x}{seq:056x}"


def key(seq: int, priority: int = Priority.BURGLARY, zone: int = 0, epoch: int = 1) -> OwedKey:
    return OwedKey(epoch, seq, digest(seq, epoch), priority, zone)


def upto(seq: int, *also: int, epoch: int = 1) -> AckArrived:
    held = [Held(one, digest(one, epoch)) for one in also]
    return AckArrived(Ack(epoch, seq, digest(seq, epoch) if seq else "", held))


class Desk:
    """A Reporter and a clock."""

    def __init__(self, **changes: float) -> None:
        settings = {"window": 4, "ack_timeout_s": 5, "heartbeat_s": 30, **changes}
        config = MqttConfig(host="h", ca="c", cert="c", key="k", **settings)  # type: ignore[arg-type]
        self.reporter = Reporter(config, "p")
        self.now = Instant(1_000)

    def give(self, given: ReporterInput) -> list[ReporterEffect]:
        return self.reporter.receive(given, self.now)

    def wait(self, seconds: float) -> list[ReporterEffect]:
        """To the end of the time, through each deadline."""
        end = later(self.now, seconds)
        effects: list[ReporterEffect] = []
        while (due := self.reporter.deadline()) is not None and due <= end:
            assert due > self.now
            self.now = due
            effects += self.reporter.tick(due)
        self.now = end
        return effects + self.reporter.tick(end)

    def owe(self, *keys: OwedKey) -> list[ReporterEffect]:
        return self.give(Owe(keys))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def sent(effects: list[ReporterEffect]) -> list[int]:
    return [key.seq for effect in effects if isinstance(effect, Send) for key in effect.keys]


def test_one_record_goes_at_once_and_leaves_with_its_receipt(desk: Desk) -> None:
    assert desk.give(LinkUp()) == [HeartbeatDue()]
    assert desk.owe(key(1)) == [Send((key(1),))]
    assert desk.give(upto(1)) == [Acknowledged((key(1),)), PathState(True, "acknowledged")]
    assert desk.give(upto(1)) == NONE
    assert desk.reporter.owed() == 0


def test_nothing_goes_without_a_link(desk: Desk) -> None:
    assert desk.owe(key(1)) == NONE
    assert desk.give(LinkUp()) == [HeartbeatDue(), Send((key(1),))]
    desk.give(LinkDown(LinkCause.CONNECTION_LOST))
    assert desk.owe(key(2)) == NONE
    assert sent(desk.give(LinkUp())) == [1, 2]


def test_priority_but_never_before_an_older_one_of_the_zone() -> None:
    desk = Desk(window=64)
    desk.owe(
        key(1, Priority.LOG, zone=3),
        key(2, Priority.TEST),
        key(3, Priority.LOG, zone=7),
        key(4, Priority.FIRE, zone=9),
        key(5, Priority.HOLDUP, zone=7),
        key(6, Priority.BURGLARY, zone=3),
    )
    effects = desk.give(LinkUp())
    assert sent(effects) == [3, 5, 4, 1, 6, 2]
    assert len([e for e in effects if isinstance(e, Send)]) == 1, "a backlog goes in batches"


def test_few_go_one_by_one_and_many_in_batches_of_64() -> None:
    desk = Desk(window=200)
    desk.owe(*(key(seq) for seq in range(1, 4)))
    assert [len(e.keys) for e in desk.give(LinkUp()) if isinstance(e, Send)] == [1, 1, 1]
    effects = desk.owe(*(key(seq) for seq in range(4, 134)))
    assert [len(e.keys) for e in effects if isinstance(e, Send)] == [64, 64, 2]


def test_alarms_pass_a_window_full_of_lesser_things(desk: Desk) -> None:
    desk.owe(*(key(seq, Priority.LOG) for seq in range(1, 20)))
    assert sent(desk.give(LinkUp())) == [1, 2, 3, 4]
    assert sent(desk.owe(key(20, Priority.TROUBLE))) == []
    assert sent(desk.owe(key(21, Priority.HOLDUP))) == [21]


def test_resent_with_growing_patience_and_never_faster(desk: Desk) -> None:
    desk.give(LinkUp())
    desk.owe(key(1))
    moments = []
    start = desk.now
    for _ in range(60):
        if sent(desk.wait(5)):
            moments.append((desk.now - start) // 1_000_000_000)
        desk.give(AckArrived(Ack(1, 0)))
    assert moments[:5] == [5, 15, 35, 75, 135], "5, 10, 20, 40, then 60 s"
    assert {b - a for a, b in pairwise(moments[4:])} == {60}


@pytest.mark.parametrize("window", [1, 4, 128])
def test_a_record_nobody_takes_blocks_no_other(window: int) -> None:
    """users.md D3: later ones wait at most the first retry period, here 2 x 5 s."""
    desk = Desk(window=window)
    desk.give(LinkUp())
    desk.owe(*(key(seq) for seq in range(1, window + 1)))
    assert sent(desk.owe(key(window + 1, Priority.TROUBLE))) == []
    assert window + 1 in sent(desk.wait(10))


def test_selective_receipt_then_the_hole(desk: Desk) -> None:
    desk.give(LinkUp())
    desk.owe(key(1), key(2), key(3))
    assert desk.give(upto(0, 2, 3))[0] == Acknowledged((key(2), key(3)))
    assert desk.give(upto(3)) == [Acknowledged((key(1),))], "3 is known though no longer owed"


@pytest.mark.parametrize(
    "ack",
    [
        Ack(1, 2, digest(9)),
        Ack(1, 2, ""),
        Ack(1, 0, "", [Held(2, digest(9)), Held(1, digest(2))]),
        Ack(2, 2, digest(2, 2)),
        Ack(1, 900, digest(900)),
    ],
)
def test_foreign_digests_clear_nothing_and_prove_nothing(desk: Desk, ack: Ack) -> None:
    desk.give(LinkUp())
    desk.owe(key(1), key(2))
    ack = Ack(ack.epoch, ack.upto, ack.head, ack.also)
    effects = desk.give(AckArrived(ack))
    assert not [e for e in effects if isinstance(e, Acknowledged)]
    assert desk.reporter.owed() == 2
    if ack.upto:
        assert not [e for e in effects if isinstance(e, PathState)]


def test_rollback_is_said_once_an_epoch(desk: Desk) -> None:
    desk.give(Newest(3, 500, digest(500, 3)))
    desk.give(LinkUp())
    claim = upto(900, epoch=3)
    assert desk.give(claim) == [RolledBack(3, 900, digest(900, 3))]
    assert desk.give(claim) == NONE
    assert desk.give(upto(0, 77, epoch=3)) == [PathState(True, "acknowledged")]
    desk.owe(key(1, epoch=4))
    assert desk.give(claim) == [AskDigest(3, 900)], "an old epoch: only asked"
    assert desk.give(AckArrived(Ack(4, 1, digest(1)))) == [RolledBack(4, 1, digest(1))]


def test_repeated_in_a_new_epoch_is_not_sent_under_the_old_number(desk: Desk) -> None:
    desk.owe(key(501), key(502), key(503))
    desk.give(LinkUp())
    assert RolledBack(1, 502, digest(9)) in desk.give(AckArrived(Ack(1, 502, digest(9))))
    desk.give(Repeated(1, 502))
    assert sent(desk.owe(key(1, epoch=2), key(2, epoch=2))) == [1, 2]
    assert desk.reporter.owed() == 3
    desk.give(LinkDown(LinkCause.CONNECTION_LOST))
    assert sent(desk.give(LinkUp())) == [503, 1, 2]


def test_what_was_acknowledged_before_a_restart_is_looked_up(desk: Desk) -> None:
    desk.owe(key(8), key(9))
    desk.give(Newest(1, 10, digest(10)))
    desk.give(LinkUp())
    assert desk.give(upto(7)) == [AskDigest(1, 7)]
    assert desk.give(upto(7)) == NONE, "one question at a time"
    assert desk.give(DigestFound(1, 7, digest(7))) == [PathState(True, "acknowledged")]
    assert desk.give(upto(10)) == [Acknowledged((key(8), key(9)))]


def test_looked_up_and_different_is_a_rollback_and_rotated_away_is_nothing(desk: Desk) -> None:
    desk.give(Newest(1, 10, digest(10)))
    desk.give(LinkUp())
    desk.give(upto(6))
    assert desk.give(DigestFound(1, 6, None)) == NONE
    desk.give(upto(7))
    assert desk.give(DigestFound(1, 7, digest(70))) == [RolledBack(1, 7, digest(7))]
    assert desk.give(DigestFound(1, 8, digest(8))) == NONE, "never asked"


def test_path_is_down_without_receipts_whatever_the_library_says(desk: Desk) -> None:
    """users.md D1: within 90 s; here 2 x 30 + 5."""
    desk.give(LinkUp())
    desk.owe(key(1))
    assert PathState(True, "acknowledged") in desk.give(upto(1))
    effects = desk.wait(64.9)
    assert effects == [HeartbeatDue(), HeartbeatDue()]
    assert desk.wait(0.2) == [
        PathState(False, "not_acknowledged"),
        Reconnect(LinkCause.NOT_ACKNOWLEDGED),
    ]
    assert Reconnect(LinkCause.NOT_ACKNOWLEDGED) in desk.wait(65)
    assert desk.give(AckArrived(Ack(1, 1, digest(1)))) == [PathState(True, "acknowledged")]


def test_never_more_than_90_seconds() -> None:
    desk = Desk(heartbeat_s=60, ack_timeout_s=60)
    assert desk.reporter.silence_s == 90


def test_a_short_break_is_no_path_fault_a_flapping_one_is(desk: Desk) -> None:
    desk.give(LinkUp())
    desk.owe(key(1))
    desk.give(upto(1))
    effects = []
    for _ in range(7):
        desk.give(LinkDown(LinkCause.CONNECTION_LOST))
        effects += desk.wait(5)
        desk.give(LinkUp())
        effects += desk.wait(5)
        if desk.now < 60_000_000_000:
            assert not [e for e in effects if isinstance(e, PathState)]
    assert [e.up for e in effects if isinstance(e, PathState)] == [False]


def test_never_linked_is_told_with_its_cause(desk: Desk) -> None:
    desk.give(LinkDown(LinkCause.DNS_FAILURE))
    assert desk.wait(65) == [PathState(False, "dns_failure")]
    assert desk.reporter.deadline() is None


def test_first_receipt_after_silence_drains_at_once(desk: Desk) -> None:
    """users.md E3: whoever waits out a back-off is sent when the path proves to be up."""
    desk.give(LinkUp())
    desk.owe(key(1), key(2))
    desk.wait(64)
    assert sent(desk.give(upto(1))) == [2]


def test_resend_of_what_is_held_and_what_is_not(desk: Desk) -> None:
    desk.give(LinkUp())
    desk.owe(*(key(seq) for seq in range(1, 5)))
    desk.give(upto(4))
    asked = Resend(1, 2, 9)
    assert desk.give(ResendAsked(asked)) == [
        SendUnavailable(1, 5, 9, "never_recorded"),
        ReOwe(Resend(1, 2, 4)),
    ]
    assert desk.give(ResendFound(Resend(1, 2, 4), (key(3),))) == [
        SendUnavailable(1, 2, 2, "not_in_journal"),
        SendUnavailable(1, 4, 4, "not_in_journal"),
        Send((key(3),)),
    ]
    assert desk.give(upto(4)) == [Acknowledged((key(3),))]
    assert desk.give(ResendAsked(Resend(1, 4, 2))) == NONE


def test_a_day_without_a_collector_deletes_nothing_and_does_not_rush(desk: Desk) -> None:
    """users.md L4."""
    desk.give(LinkUp())
    desk.owe(*(key(seq) for seq in range(1, 9)))
    effects = desk.wait(86_400)
    assert desk.reporter.owed() == 8
    assert len(sent(effects)) <= 8 * (86_400 / 60 + 6)
    assert set(sent(effects)) == set(range(1, 9))


def test_two_hundred_thousand_owed() -> None:
    keys = tuple(OwedKey(1, seq, digest(seq), seq % 8, seq % 40) for seq in range(1, 200_001))
    tracemalloc.start()
    desk = Desk(window=128)
    started = time.process_time()
    desk.owe(*keys)
    held_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    pending = sent(desk.give(LinkUp()))
    acknowledgements = 0
    while pending:
        pending = sent(desk.give(upto(0, *pending)))
        acknowledgements += 1
    assert desk.reporter.owed() == 0
    spent_s = time.process_time() - started
    own = sum(sys.getsizeof(k) + sys.getsizeof(k.digest) for k in keys[:100]) / 100 * len(keys)
    assert held_bytes + own < 100e6
    assert spent_s < 60, "more than logarithmic"
