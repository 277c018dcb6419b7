"""Dedupe: one panel's Signals -> Occurrences. Joining needs proof; doubt leaves two (rule 4).

- By identity: same (panel, epoch, seq) and digest, at any distance in time the window holds.
- Without identity (a phone report): by code, qualifier, area and zone in a window given by the
  error bounds. The pair is joined when it is the only one possible, nothing between is missing,
  and the supervised path has had `settle_s` to bring a rival. Until then the later of the two is
  held: what it says has been on the screen since the earlier one came, so nothing is withheld.
  Hold-up and fire are never held: they are shown twice rather than late.

Pure: time is the Signals' stored time of receipt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from collector.dedupe.seen import Seen, Stretches, seen_of
from collector.records.signal import PATH_CENTRE, Occurrence, Signal
from protocols.instants import UtcTime, utc_later
from protocols.panel_event import Code, Priority, Qualifier, priority_of

PANEL_PATHS_HELD: Final = 32
"""Most Signals held at a time; more are shown at once."""


class Policy(msgspec.Struct, frozen=True):
    """`settle_s` must exceed the time in which a dead path is noticed (period + margin)."""

    settle_s: float = 100.0
    slack_s: float = 2.0
    widest_s: float = 120.0
    """A Signal whose time is known no better than this joins by identity only."""
    keep_s: float = 7200.0
    keep_phone_s: float = 72 * 3600.0
    keep_count: int = 256
    stretches: int = 64


class Opened(msgspec.Struct, frozen=True):
    """Something new happened."""

    occurrence: Occurrence


class Joined(msgspec.Struct, frozen=True):
    """The Signal tells of an Occurrence that is known already (`joined` makes its new value)."""

    occurrence_id: int
    signal: Signal


Effect = Opened | Joined


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A Signal held until `until` because it seems to repeat what is shown."""

    signal: Signal
    until: UtcTime


class Memory(msgspec.Struct, array_like=True):
    """All of the machine's state."""

    seen: list[Seen] = []
    waiting: list[Waiting] = []
    stretches: Stretches = msgspec.field(default_factory=Stretches)
    lost: bool = False
    restored: int = 0
    """When the path last came back; what a rival needs to arrive counts from here."""
    expire_at: int = 0
    dropped_hi: int = -1
    """Latest moment of an Occurrence dropped before its time: up to there nothing is proven."""


class Joiner:
    """The dedupe machine of one panel."""

    def __init__(self, policy: Policy, memory: Memory | None = None) -> None:
        self._policy = policy
        self._memory = memory if memory is not None else Memory()
        self._slack_us = round(policy.slack_s * 1e6)
        self._phones = any(not one.epoch for one in self._memory.seen)

    def snapshot(self) -> bytes:
        """The state, to be stored with what it produced."""
        return msgspec.msgpack.encode(self._memory)

    @classmethod
    def restore(cls, policy: Policy, snapshot: bytes) -> Joiner:
        """The machine as it was."""
        return cls(policy, msgspec.msgpack.decode(snapshot, type=Memory))

    def receive(self, signal: Signal, now: UtcTime) -> list[Effect]:
        """Take one Signal of this panel, in ledger order. `now` is its time of receipt."""
        self._expire(now)
        if signal.path == PATH_CENTRE:
            self._supervise(signal)
            return [Opened(opened(signal))]
        if signal.epoch:
            mine = seen_of(signal, self._slack_us)
            stretches, limit = self._memory.stretches, self._policy.stretches
            if not stretches.add(signal.epoch, signal.seq, mine.lo, mine.hi, limit):
                known = self._same(signal)
                if known is not None:
                    return self._bind(known, signal)
        else:
            self._phones = True
        effects = self._judge(signal, now)
        if self._memory.waiting:
            effects += self._review(now)
        return effects

    def tick(self, now: UtcTime) -> list[Effect]:
        """Decide what has been held long enough."""
        return self._review(now) if self._memory.waiting else []

    def deadline(self) -> UtcTime | None:
        """When the next held Signal is to be decided."""
        return min((waiting.until for waiting in self._memory.waiting), default=None)

    def _judge(self, signal: Signal, now: UtcTime) -> list[Effect]:
        """Show it, or hold it when it is the one possible twin of something shown."""
        if (
            self._phones
            and not signal.conflict
            and self._narrow(signal)
            and priority_of(signal.event.code) not in {Priority.HOLDUP, Priority.FIRE}
            and len(self._memory.waiting) < PANEL_PATHS_HELD
            and self._twin(signal) is not None
        ):
            until = utc_later(now, self._policy.settle_s)
            self._memory.waiting.append(Waiting(signal, until))
            return []
        return self._open(signal)

    def _review(self, now: UtcTime) -> list[Effect]:
        """Show what a rival has made doubtful; decide what is due."""
        memory = self._memory
        effects: list[Effect] = []
        for waiting in list(memory.waiting):
            twin = self._twin(waiting.signal)
            if twin is None:
                memory.waiting.remove(waiting)
                effects += self._open(waiting.signal)
            elif waiting.until <= now:
                memory.waiting.remove(waiting)
                if self._proven(waiting, twin):
                    effects += self._bind(twin, waiting.signal)
                else:
                    effects += self._open(waiting.signal)
        return effects

    def _twin(self, signal: Signal) -> Seen | None:
        """The only Occurrence this Signal can be about, when it is that one's only claimant too."""
        mine = seen_of(signal, self._slack_us)
        others = [one for one in self._others(signal) if one.key == mine.key]
        opposite = [
            one for one in others if one.overlaps(mine) and bool(one.epoch) != bool(mine.epoch)
        ]
        if len(opposite) != 1 or signal.path in opposite[0].paths:
            return None
        twin = opposite[0]
        if any(one.occurrence == twin.occurrence for one in self._held_as_seen()):
            return None
        rivals = [
            one
            for one in others
            if one is not twin and one.overlaps(twin) and bool(one.epoch) == bool(mine.epoch)
        ]
        return None if rivals else twin

    def _proven(self, waiting: Waiting, twin: Seen) -> bool:
        """Nothing unknown can be the twin instead."""
        memory = self._memory
        phone = twin if waiting.signal.epoch else seen_of(waiting.signal, self._slack_us)
        return (
            not memory.lost
            and waiting.until >= utc_later(UtcTime(memory.restored), self._policy.settle_s)
            and phone.lo > memory.dropped_hi
            and memory.stretches.complete(phone.lo, phone.hi)
        )

    def _others(self, signal: Signal) -> Iterator[Seen]:
        yield from self._memory.seen
        for seen in self._held_as_seen():
            if seen.occurrence != signal.id:
                yield seen

    def _held_as_seen(self) -> Iterator[Seen]:
        return (seen_of(waiting.signal, self._slack_us) for waiting in self._memory.waiting)

    def _same(self, signal: Signal) -> Seen | None:
        """The one Occurrence of this identity; a missing digest fits any, but only one."""
        found = [
            one
            for one in self._memory.seen
            if one.seq == signal.seq
            and one.epoch == signal.epoch
            and (one.digest == signal.digest or not one.digest or not signal.digest)
        ]
        exact = [one for one in found if one.digest == signal.digest]
        if exact:
            return exact[0]
        return found[0] if len(found) == 1 and not signal.conflict else None

    def _bind(self, seen: Seen, signal: Signal) -> list[Effect]:
        if signal.path not in seen.paths:
            seen.paths = (*seen.paths, signal.path)
        if signal.epoch and not seen.epoch:
            mine = seen_of(signal, self._slack_us)
            seen.epoch, seen.seq, seen.digest = signal.epoch, signal.seq, signal.digest
            seen.lo, seen.hi = mine.lo, mine.hi
        elif signal.digest and not seen.digest:
            seen.digest = signal.digest
        return [Joined(seen.occurrence, signal)]

    def _open(self, signal: Signal) -> list[Effect]:
        memory = self._memory
        memory.seen.append(seen_of(signal, self._slack_us))
        if len(memory.seen) > self._policy.keep_count:
            memory.dropped_hi = max(memory.dropped_hi, memory.seen.pop(0).hi)
        return [Opened(opened(signal))]

    def _narrow(self, signal: Signal) -> bool:
        return signal.err_us <= self._policy.widest_s * 1e6

    def _supervise(self, signal: Signal) -> None:
        if signal.event.code == Code.PANEL_LOST:
            memory = self._memory
            memory.lost = signal.event.q == Qualifier.NEW
            if not memory.lost:
                memory.restored = signal.received

    def _expire(self, now: UtcTime) -> None:
        """Forget by age; a Record stays while a phone report may still be its twin."""
        seen = self._memory.seen
        keep = self._policy
        if now < self._memory.expire_at:
            return
        self._memory.expire_at = utc_later(now, keep.keep_s / 20)
        phones = [
            one for one in seen if not one.epoch and one.received > now - keep.keep_phone_s * 1e6
        ]
        self._memory.seen = [
            one
            for one in seen
            if one.received > now - keep.keep_s * 1e6
            or one in phones
            or any(one.overlaps(phone) for phone in phones)
        ]


def opened(signal: Signal) -> Occurrence:
    """The Occurrence of a Signal standing alone."""
    return Occurrence(
        id=signal.id,
        panel=signal.panel,
        event=signal.event,
        at=signal.at,
        err_us=signal.err_us,
        received=signal.received,
        signals=(signal.id,),
        paths=(signal.path,),
        epoch=signal.epoch,
        seq=signal.seq,
        recorded=signal.recorded,
        boot=signal.boot,
        mono=signal.mono,
    )


def joined(occurrence: Occurrence, signal: Signal) -> Occurrence:
    """The Occurrence with one more Signal; the better time and the identity win."""
    if signal.id in occurrence.signals:
        return occurrence
    paths = occurrence.paths
    if signal.path not in paths:
        paths = (*paths, signal.path)
    both = replace(occurrence, signals=(*occurrence.signals, signal.id), paths=paths)
    if signal.err_us < both.err_us:
        both = replace(both, at=signal.at, err_us=signal.err_us)
    if signal.digest and not occurrence.boot:
        # The panel's own Record says more than a phone report: user, detail, test.
        both = replace(
            both,
            event=signal.event,
            epoch=signal.epoch,
            seq=signal.seq,
            recorded=signal.recorded,
            boot=signal.boot,
            mono=signal.mono,
        )
    return both
