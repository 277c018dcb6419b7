"""Intake: Inbound -> what to store, what to ask for, and, once committed, what to acknowledge.

One batch is one transaction of the ledger:
`wanted` -> `adopt` -> `doubtful` -> `inform` -> `receive`... -> commit -> `committed` (acks), or
`rolled_back`, after which every run is read again from what is stored. So an acknowledgement can
only ever tell what a commit made durable (rule 2).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from collector.intake import gaps, refusals
from collector.intake.deadlines import Deadlines
from collector.intake.gaps import Ask, GapWatch, Noticed
from collector.intake.reading import Beat, Card, Carried, Gone, Inbound, Malformed, Reported, Willed
from collector.intake.reception_reading import Received
from collector.intake.refusals import UNKNOWN_PANEL, Refusals, Refused
from collector.intake.run import Run, RunState
from protocols.instants import Instant
from protocols.mqtt.payloads import Ack, Held
from protocols.panel_event import Code, PanelEvent

MAX_ALSO: Final = 1024
MAX_RUNS: Final = 100_000

RunKey = tuple[str, int]
Identity = tuple[str, int, int]
"""(panel, epoch, seq)."""


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """Store this Record as a Signal of path `mqtt`."""

    carried: Carried
    conflict: bool


class BeatSeen(msgspec.Struct, frozen=True):
    """Store as the panel's state."""

    beat: Beat


class CardSeen(msgspec.Struct, frozen=True):
    """Store when its digest is a new one (R18)."""

    card: Card


class WillSeen(msgspec.Struct, frozen=True):
    """For supervision."""

    willed: Willed


Effect = Admitted | Noticed | Ask | Refused | BeatSeen | CardSeen | WillSeen


class Policy(msgspec.Struct, frozen=True):
    """Times of intake."""

    gaps: gaps.Policy = gaps.Policy()
    refusals: refusals.Policy = refusals.Policy()


class Intake:
    """One machine for all panels; holds only intervals, never the Records."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._runs: dict[RunKey, Run] = {}
        self._watches: dict[RunKey, GapWatch] = {}
        self._deadlines: Deadlines[RunKey] = Deadlines()
        self._refusals = Refusals(policy.refusals)
        self._known: dict[Identity, set[str]] = {}
        self._touched: set[RunKey] = set()
        self._acks: dict[RunKey, dict[tuple[int, str], None]] = {}

    @property
    def refused(self) -> int:
        """How many inputs were refused since the start, kept or not."""
        return self._refusals.counted

    def wanted(self, inbounds: Iterable[Inbound]) -> set[RunKey]:
        """Runs to be loaded before `receive`; an absent one is adopted as a new RunState."""
        keys: set[RunKey] = set()
        for inbound in inbounds:
            match inbound:
                case Reported(carried=carried):
                    keys.update((c.record.panel, c.record.epoch) for c in carried)
                case Beat(heartbeat=beat):
                    keys.add((beat.panel, beat.epoch))
                case Gone(unavailable=gone):
                    keys.add((gone.panel, gone.epoch))
                case _:
                    pass
        return keys - self._runs.keys()

    def adopt(self, state: RunState, now: Instant) -> None:
        """A run as it is stored."""
        key = (state.panel, state.epoch)
        self._runs[key] = run = Run(state)
        self._watches[key] = watch = GapWatch(self._policy.gaps, run)
        watch.changed(now)
        self._deadlines.set(key, watch.deadline())

    def doubtful(self, inbounds: Iterable[Inbound]) -> set[Identity]:
        """Identities that may be stored already: look up their digests and `inform`."""
        found: set[Identity] = set()
        for inbound in inbounds:
            if isinstance(inbound, Reported):
                for carried in inbound.carried:
                    record = carried.record
                    key = (record.panel, record.epoch)
                    if self._runs[key].covers(record.seq):
                        found.add((record.panel, record.epoch, record.seq))
        return found

    def inform(self, stored: Iterable[tuple[str, int, int, str]]) -> None:
        """(panel, epoch, seq, digest) of what is stored."""
        for panel, epoch, seq, digest in stored:
            self._known.setdefault((panel, epoch, seq), set()).add(digest)

    def receive(self, inbound: Inbound, now: Instant, *, registered: bool) -> list[Effect]:
        """Judge one message. An unknown panel is refused, recorded and never answered (R1)."""
        if isinstance(inbound, Malformed):
            return [*self._refusals.receive(inbound, now, known=registered)]
        if not registered:
            stranger = Malformed(inbound.panel, UNKNOWN_PANEL, "R1", b"", 0, "")
            return [*self._refusals.receive(stranger, now, known=False)]
        match inbound:
            case Received():
                return []  # `receptions` takes it
            case Reported():
                return self._report(inbound, now)
            case Beat():
                return self._beat(inbound, now)
            case Card():
                return [CardSeen(inbound)]
            case Willed():
                return [WillSeen(inbound)]
            case Gone(unavailable=gone):
                key = (gone.panel, gone.epoch)
                watch = self._watches[key]
                effects: list[Effect] = [*watch.unavailable(gone.first, gone.last)]
                if effects:
                    self._touched.add(key)
                    self._settle(key, now)
                return effects

    def tick(self, now: Instant) -> list[Effect]:
        """Holes to be asked for or told."""
        effects: list[Effect] = []
        for _, key in self._deadlines.due(now):
            watch = self._watches.get(key)
            if watch is not None:
                made = watch.tick(now)
                if any(isinstance(effect, Noticed) for effect in made):
                    self._touched.add(key)
                effects += made
                self._deadlines.set(key, watch.deadline())
        return effects

    def deadline(self) -> Instant | None:
        """When the next hole is due."""
        first = self._deadlines.first()
        return None if first is None else Instant(first)

    def changed(self) -> list[RunState]:
        """Runs to be stored in this transaction."""
        return [self._runs[key].state for key in self._touched]

    def committed(self) -> list[tuple[str, Ack]]:
        """The batch is durable: the acknowledgements, by panel."""
        acks: list[tuple[str, Ack]] = []
        for key, carried in self._acks.items():
            state = self._runs[key].state
            held = [
                Held(seq, digest)
                for seq, digest in carried
                if not state.base < seq < state.upto or len(self._known.get((*key, seq), ())) > 1
            ]
            upto = state.upto if state.upto > state.base else 0
            head = state.head if upto else ""
            also = [one for one in held if (one.seq, one.digest) != (upto, head)]
            for start in range(0, max(len(also), 1), MAX_ALSO):
                part = also[start : start + MAX_ALSO]
                acks.append((key[0], Ack(epoch=key[1], upto=upto, head=head, also=part)))
        self._begin_batch()
        if len(self._runs) > MAX_RUNS:
            self._forget_runs()
        return acks

    def rolled_back(self) -> None:
        """Nothing of the batch was stored: forget every run, they are loaded again."""
        self._begin_batch()
        self._forget_runs()

    def _begin_batch(self) -> None:
        self._known.clear()
        self._touched.clear()
        self._acks.clear()

    def _forget_runs(self) -> None:
        self._runs.clear()
        self._watches.clear()
        self._deadlines = Deadlines()

    def _report(self, reported: Reported, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for carried in reported.carried:
            self._record(carried, effects)
        keys = {(c.record.panel, c.record.epoch) for c in reported.carried}
        for key in keys:
            self._settle(key, now)
        for malformed in reported.malformed:
            effects += self._refusals.receive(malformed, now, known=True)
        return effects

    def _record(self, carried: Carried, effects: list[Effect]) -> None:
        record, digest = carried.record, carried.digest
        key = (record.panel, record.epoch)
        identity = (record.panel, record.epoch, record.seq)
        self._acks.setdefault(key, {})[record.seq, digest] = None
        known = self._known.get(identity)
        if known is not None:
            if digest in known:
                return
            known.add(digest)
            effects.append(Admitted(carried, conflict=True))
            if len(known) == 2:
                effects.append(_conflict(record.panel, record.epoch, record.seq, "two records"))
            return
        run = self._runs[key]
        self._touched.add(key)
        effects.append(Admitted(carried, conflict=False))
        self._known[identity] = {digest}
        if run.covers(record.seq):
            return  # below the baseline: kept, but no part of the run
        told = bool(run.state.lost)
        if not run.add(record.seq, record.prev, digest):
            effects.append(_conflict(record.panel, record.epoch, record.seq, "chain broken"))
        if told:
            effects += self._watches[key].filled(record.seq)

    def _beat(self, inbound: Beat, now: Instant) -> list[Effect]:
        beat = inbound.heartbeat
        key = (beat.panel, beat.epoch)
        run = self._runs[key]
        greeted = run.state.greeted
        effects: list[Effect] = [BeatSeen(inbound), *self._watches[key].heartbeat(beat, now)]
        held = run.digest_at(beat.seq)
        if held is not None and held != beat.digest and run.state.flagged != beat.seq:
            run.state.flagged = beat.seq
            effects.append(_conflict(beat.panel, beat.epoch, beat.seq, "heartbeat differs"))
        if len(effects) > 1 or not greeted:
            self._touched.add(key)
        self._acks.setdefault(key, {})
        self._deadlines.set(key, self._watches[key].deadline())
        return effects

    def _settle(self, key: RunKey, now: Instant) -> None:
        watch = self._watches[key]
        if self._runs[key].state.islands or watch.busy:
            watch.changed(now)
            self._deadlines.set(key, watch.deadline())


def _conflict(panel: str, epoch: int, seq: int, why: str) -> Noticed:
    detail = f"epoch={epoch};seq={seq};why={why}"
    return Noticed(panel, PanelEvent(code=Code.IDENTITY_CONFLICT, detail=detail))
