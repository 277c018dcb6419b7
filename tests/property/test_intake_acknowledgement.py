"""Intake against a simple model: any arrival order, repeats, forks, restarts, failed commits.

The model is a set of stored (seq, digest). An Ack may tell only of those, `upto` only over an
unbroken, digest-linked run of them, and every Record a Report carried is told of in its Ack.
"""

from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from collector.intake import Admitted, Beat, Effect, Intake, Noticed, Policy, RunState, read
from protocols.instants import NS_PER_S, Instant
from protocols.mqtt.payloads import Ack, Record, digest_of, genesis
from protocols.mqtt.topics import HEARTBEAT, REPORT, topic
from protocols.panel_event import Code
from tests.support.panel_records import chain_of, heartbeat, report_of

PANEL = "shop-1"
LENGTH = 24
GOOD = chain_of(PANEL, LENGTH)
FORK = chain_of(PANEL, LENGTH, salt="restored from an old card")
SEQS = st.lists(st.integers(0, LENGTH - 1), min_size=1, max_size=8)


class IntakeModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.intake = Intake(Policy())
        self.stored: dict[tuple[int, str], bytes] = {}
        self.runs: dict[tuple[str, int], bytes] = {}
        self.conflicts: set[int] = set()
        self.told_conflicts: list[str] = []
        self.now = Instant(0)

    @initialize(known=st.booleans())
    def first_contact(self, known: bool) -> None:
        if known:
            self.beat(LENGTH)

    @rule(seqs=SEQS, commit=st.booleans())
    def report(self, seqs: list[int], commit: bool) -> None:
        self.offer([GOOD[seq] for seq in seqs], commit=commit)

    @rule(seqs=SEQS)
    def forked_report(self, seqs: list[int]) -> None:
        self.offer([FORK[seq] for seq in seqs], commit=True)

    @rule(start=st.integers(0, LENGTH - 1), length=st.integers(1, LENGTH))
    def stretch(self, start: int, length: int) -> None:
        self.offer(GOOD[start : start + length], commit=True)

    @rule(newest=st.integers(1, LENGTH))
    def beat(self, newest: int) -> None:
        payload = heartbeat(PANEL, newest, digest_of(GOOD[newest - 1]))
        self.send(HEARTBEAT, payload, commit=True)

    @rule(seconds=st.integers(1, 120))
    def time_passes(self, seconds: int) -> None:
        self.now = Instant(self.now + seconds * NS_PER_S)
        effects = self.intake.tick(self.now)
        for state in self.intake.changed():
            self.runs[state.panel, state.epoch] = msgspec.msgpack.encode(state)
        self.intake.committed()
        self.note(effects)
        assert self.intake.deadline() is None or self.intake.deadline() > self.now  # type: ignore[operator]

    @rule()
    def restart(self) -> None:
        self.intake = Intake(Policy())

    def offer(self, raws: list[bytes], *, commit: bool) -> None:
        acks = self.send(REPORT, report_of(*raws), commit=commit)
        if not commit:
            return
        for raw in raws:
            seq, digest = msgspec.json.decode(raw, type=Record).seq, digest_of(raw)
            assert (seq, digest) in self.stored
            assert any(self.tells(ack, seq, digest) for ack in acks), (seq, acks)

    def tells(self, ack: Ack, seq: int, digest: str) -> bool:
        if any((one.seq, one.digest) == (seq, digest) for one in ack.also):
            return True
        return seq <= ack.upto and digest in self.branch(ack)

    def branch(self, ack: Ack) -> set[str]:
        """Digests that `head` vouches for, walked back by `prev`."""
        found, digest, seq = set[str](), ack.head, ack.upto
        while seq:
            assert (seq, digest) in self.stored, f"ack tells of {seq}, which is not stored"
            found.add(digest)
            digest = msgspec.json.decode(self.stored[seq, digest], type=Record).prev
            seq -= 1
        assert digest == (genesis(PANEL, 1) if ack.upto else "")
        return found

    def send(self, leaf: str, payload: bytes, *, commit: bool) -> list[Ack]:
        inbound = read(topic(PANEL, leaf), payload)
        for key in self.intake.wanted([inbound]):
            raw = self.runs.get(key)
            state = msgspec.msgpack.decode(raw, type=RunState) if raw else RunState(*key)
            self.intake.adopt(state, self.now)
        doubtful = self.intake.doubtful([inbound])
        self.intake.inform((PANEL, 1, s, d) for s, d in self.stored if (PANEL, 1, s) in doubtful)
        effects = self.intake.receive(inbound, self.now, registered=True)
        if not commit:
            self.intake.rolled_back()
            return []
        for effect in effects:
            if isinstance(effect, Admitted):
                record, digest = effect.carried.record, effect.carried.digest
                assert (record.seq, digest) not in self.stored, "stored twice"
                taken = any(seq == record.seq for seq, _ in self.stored)
                assert effect.conflict == taken
                if taken:
                    self.conflicts.add(record.seq)
                self.stored[record.seq, digest] = effect.carried.raw
        for state in self.intake.changed():
            self.runs[state.panel, state.epoch] = msgspec.msgpack.encode(state)
        self.note(effects)
        acks = [ack for _, ack in self.intake.committed()]
        assert acks or not isinstance(inbound, Beat)
        for ack in acks:
            self.branch(ack)
            for one in ack.also:
                assert (one.seq, one.digest) in self.stored
        return acks

    def note(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Noticed) and effect.event.code == Code.IDENTITY_CONFLICT:
                self.told_conflicts.append(effect.event.detail)

    @invariant()
    def each_conflict_is_told_once(self) -> None:
        twice = [d for d in self.told_conflicts if d.endswith("why=two records")]
        assert len(twice) == len(set(twice)) == len(self.conflicts)


IntakeModel.TestCase.settings = settings(
    deadline=None, derandomize=True, max_examples=150, stateful_step_count=30
)
TestIntakeModel = IntakeModel.TestCase
