"""Whatever the network does: everything owed is acknowledged once, and only what is held."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.config import MqttConfig
from edge.reporting.report_batch import pack
from edge.reporting.reporter import (
    AckArrived,
    Acknowledged,
    AskDigest,
    DigestFound,
    HeartbeatDue,
    LinkCause,
    LinkDown,
    LinkUp,
    Owe,
    OwedKey,
    PathState,
    Reconnect,
    ReOwe,
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
from protocols.mqtt.payloads import (
    Ack,
    Held,
    Resend,
)
from protocols.panel_event import Code
from tests.support.ack_model import AckModel
from tests.support.record_source import RecordSource

CONFIG = MqttConfig(
    host="h", ca="ca", cert="cert", key="key", window=8, ack_timeout_s=5, heartbeat_s=30
)
CODES = (
    Code.HOLDUP_SILENT,
    Code.FIRE,
    Code.BURGLARY,
    Code.ZONE_TAMPER,
    Code.MAINS_FAIL,
    Code.OPEN_CLOSE,
    Code.PERIODIC_TEST,
    Code.ZONE_STATE,
)


class Rig:
    """Reporter, journal and model with a network in between that does nothing by itself."""

    def __init__(self, config: MqttConfig = CONFIG) -> None:
        self.config = config
        self.now = Instant(1)
        self.journal = RecordSource()
        self.model = AckModel()
        self.reporter = Reporter(config, "p")
        self.to_collector: list[bytes | None] = []
        """A Report, or None for a heartbeat."""
        self.to_panel: list[Ack] = []
        self.linked = False
        self.owed: dict[tuple[int, int], OwedKey] = {}
        self.acknowledged: set[tuple[int, int]] = set()
        self.asked_again: set[tuple[int, int]] = set()
        self.sent_at: dict[tuple[int, int], Instant] = {}
        self.unsent: dict[tuple[int, int], OwedKey] = {}
        self.sends = 0
        self.path: list[PathState] = []
        self.reconnects = 0
        self.rolled_back = 0
        self.unavailable: list[SendUnavailable] = []

    def owe(self, keys: Iterable[OwedKey]) -> None:
        keys = tuple(keys)
        for key in keys:
            self.owed[key.epoch, key.seq] = self.unsent[key.epoch, key.seq] = key
        self.give(Owe(keys))

    def give(self, given: ReporterInput) -> None:
        self.carry_out(self.reporter.receive(given, self.now))

    def link(self, up: bool) -> None:
        self.linked = up
        self.to_collector.clear()
        self.sent_at.clear()
        if up:
            self.give(LinkUp())
        else:
            self.give(LinkDown(LinkCause.CONNECTION_LOST))

    def advance(self, seconds: float) -> None:
        """To the moment `seconds` from now, stopping at each deadline."""
        end = later(self.now, seconds)
        while (due := self.reporter.deadline()) is not None and due <= end:
            assert due > self.now, "a deadline that does not move is a busy loop"
            self.now = due
            self.carry_out(self.reporter.tick(self.now))
        self.now = end
        self.carry_out(self.reporter.tick(self.now))

    def carry_out(self, effects: list[ReporterEffect]) -> None:
        for effect in effects:
            match effect:
                case Send(keys):
                    self.send(keys)
                case Acknowledged(keys):
                    for key in keys:
                        self.acknowledge(key)
                case HeartbeatDue():
                    self.to_collector.append(None)
                case AskDigest(epoch, seq):
                    key_held = self.journal.keys.get((epoch, seq))
                    self.give(DigestFound(epoch, seq, key_held.digest if key_held else None))
                case ReOwe(resend):
                    span = range(resend.first, resend.last + 1)
                    named = [(resend.epoch, seq) for seq in span]
                    keys = tuple(self.journal.keys[n] for n in named if n in self.journal.keys)
                    for key in keys:
                        self.owed[key.epoch, key.seq] = key
                        self.asked_again.add((key.epoch, key.seq))
                    self.give(ResendFound(resend, keys))
                case PathState():
                    self.path.append(effect)
                case Reconnect():
                    self.reconnects += 1
                case RolledBack():
                    self.rolled_back += 1
                case SendUnavailable():
                    self.unavailable.append(effect)

    def send(self, keys: tuple[OwedKey, ...]) -> None:
        assert self.linked
        assert 1 <= len(keys) <= 64
        for key in keys:
            name = (key.epoch, key.seq)
            assert self.owed.get(name) == key, "sent what is not owed"
            again = self.sent_at.get(name)
            if again is not None and name not in self.asked_again:
                waited_s = (self.now - again) / 1e9
                assert waited_s >= self.config.ack_timeout_s, "sent again before its time"
            self.sent_at[name] = self.now
            if name in self.unsent:
                self.check_order(key)
                del self.unsent[name]
        self.sends += len(keys)
        self.to_collector.extend(pack(self.journal.raw[k.epoch, k.seq] for k in keys))

    def check_order(self, key: OwedKey) -> None:
        """First sends: oldest of its zone, and nothing more urgent waits."""
        waiting = list(self.unsent.values())
        mates = [k for k in waiting if key.zone and k.zone == key.zone]
        assert all((k.epoch, k.seq) >= (key.epoch, key.seq) for k in mates), "overtook its zone"
        lifted = min([key.priority, *(k.priority for k in mates)])
        assert lifted <= min(k.priority for k in waiting), "a more urgent Record waits"

    def acknowledge(self, key: OwedKey) -> None:
        name = (key.epoch, key.seq)
        assert self.model.holds(*key[:3]), "acknowledged what nobody holds"
        assert self.owed.pop(name) == key, "acknowledged twice or never owed"
        self.unsent.pop(name, None)
        self.sent_at.pop(name, None)
        self.asked_again.discard(name)
        self.acknowledged.add(name)

    def arrive(self, index: int, keep: bool = False) -> None:
        """One message reaches the collector; its answer sets out."""
        index %= len(self.to_collector)
        payload = self.to_collector[index] if keep else self.to_collector.pop(index)
        ack = self.model.ack(self.journal.epoch) if payload is None else self.model.report(payload)
        assert ack is not None
        self.to_panel.append(ack)

    def answer(self, index: int, keep: bool = False) -> None:
        """One acknowledgement reaches the panel."""
        index %= len(self.to_panel)
        ack = self.to_panel[index] if keep else self.to_panel.pop(index)
        self.give(AckArrived(ack))

    def settle(self, seconds: float = 400) -> None:
        """A good network from now on: all must be acknowledged."""
        self.link(False)
        self.link(True)
        end = later(self.now, seconds)
        while self.owed and self.now < end:
            while self.to_collector or self.to_panel:
                while self.to_collector:
                    self.arrive(0)
                while self.to_panel:
                    self.answer(0)
            if self.owed:
                due = self.reporter.deadline()
                assert due is not None
                self.advance((due - self.now) / 1e9)
        assert not self.owed
        assert self.reporter.owed() == 0


class Delivery(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()

    @initialize(count=st.integers(0, 30), seed=st.integers(0, 999))
    def backlog(self, count: int, seed: int) -> None:
        dice = random.Random(seed)
        journal = self.rig.journal
        self.rig.owe(journal.append(dice.choice(CODES), dice.randrange(4)) for _ in range(count))

    @rule(code=st.sampled_from(CODES), zone=st.integers(0, 3), count=st.integers(1, 6))
    def happens(self, code: Code, zone: int, count: int) -> None:
        self.rig.owe(self.rig.journal.append(code, zone) for _ in range(count))

    @rule()
    def link_up(self) -> None:
        self.rig.link(True)

    @rule()
    def link_down(self) -> None:
        self.rig.link(False)

    @precondition(lambda self: self.rig.to_collector)
    @rule(index=st.integers(0, 99), keep=st.booleans())
    def arrives(self, index: int, keep: bool) -> None:
        self.rig.arrive(index, keep)

    @precondition(lambda self: self.rig.to_collector)
    @rule(index=st.integers(0, 99))
    def is_lost(self, index: int) -> None:
        self.rig.to_collector.pop(index % len(self.rig.to_collector))

    @precondition(lambda self: self.rig.to_panel)
    @rule(index=st.integers(0, 99), keep=st.booleans())
    def answered(self, index: int, keep: bool) -> None:
        self.rig.answer(index, keep)

    @precondition(lambda self: self.rig.to_panel)
    @rule(index=st.integers(0, 99))
    def answer_is_lost(self, index: int) -> None:
        self.rig.to_panel.pop(index % len(self.rig.to_panel))

    @rule(seconds=st.sampled_from([0.01, 1, 5, 6, 40, 100]))
    def time_passes(self, seconds: float) -> None:
        self.rig.advance(seconds)

    @rule(seq=st.integers(1, 40), clone=st.integers(1, 3), also=st.booleans())
    def clone_is_acknowledged(self, seq: int, clone: int, also: bool) -> None:
        """Digests that are not ours: nothing may change but the counter."""
        before = self.rig.reporter.owed()
        foreign = f"{clone:064x}"
        ack = Ack(1, 0, "", [Held(seq, foreign)]) if also else Ack(1, seq, foreign)
        self.rig.give(AckArrived(ack))
        assert self.rig.reporter.owed() == before

    @rule(first=st.integers(1, 20), count=st.integers(0, 5))
    def collector_asks_again(self, first: int, count: int) -> None:
        self.rig.give(ResendAsked(Resend(1, first, first + count)))

    @invariant()
    def deadline_is_ahead(self) -> None:
        due = self.rig.reporter.deadline()
        assert due is None or due > self.rig.now

    @invariant()
    def counts_agree(self) -> None:
        assert self.rig.reporter.owed() == len(self.rig.owed)

    def teardown(self) -> None:
        self.rig.settle()


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(
    deadline=None,
    derandomize=True,
    max_examples=80,
    stateful_step_count=50,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize("seed", range(6))
def test_thousands_of_records_over_a_bad_network(seed: int) -> None:
    dice = random.Random(seed)
    rig = Rig(MqttConfig(host="h", ca="c", cert="c", key="k", window=dice.choice([1, 16, 128])))
    rig.link(True)
    total = 1500
    written = 0
    while written < total:
        burst = min(total - written, dice.choice([1, 1, 1, 40]))
        rig.owe(rig.journal.append(dice.choice(CODES), dice.randrange(9)) for _ in range(burst))
        written += burst
        for _ in range(dice.randrange(8)):
            if rig.to_collector:
                lot = dice.random()
                if lot < 0.2:
                    rig.to_collector.pop(dice.randrange(len(rig.to_collector)))
                else:
                    rig.arrive(dice.randrange(1 << 16), keep=lot < 0.35)
            if rig.to_panel:
                lot = dice.random()
                if lot < 0.2:
                    rig.to_panel.pop(dice.randrange(len(rig.to_panel)))
                else:
                    rig.answer(dice.randrange(1 << 16), keep=lot < 0.35)
        del rig.to_panel[:-50], rig.to_collector[:-200]
        rig.advance(dice.choice([0.0, 0.05, 0.5, 3]))
        if dice.random() < 0.02:
            rig.link(not rig.linked)
    rig.settle(4000)
    assert len(rig.acknowledged) == total
    assert rig.sends < total * 8, "a resend storm"
