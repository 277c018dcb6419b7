"""Intake of phone receivers: each entry of a spool once, in order, acknowledged after the commit.

One batch is one transaction, as for panels: `wanted` -> `adopt` -> `doubtful` -> `inform` ->
`receive`... -> commit -> `committed` (acks), or `rolled_back`. An entry sent again is known by
(receiver, epoch, seq) and its digest; another digest under a known number is another report (a
spool that was set back) and is never dropped. Beyond a hole nothing is taken: the receiver sends
again from its oldest. Only when the spool's `floor` says that nobody has them any more are missing
entries passed over, and told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from collector.intake.gaps import Noticed
from collector.intake.reception_reading import Entry, Received
from protocols.instants import Instant, later
from protocols.mqtt.reception import ReceptionAck
from protocols.panel_event import Code, PanelEvent

MAX_SPOOLS: Final = 4096

SpoolKey = tuple[str, int]
"""(receiver, epoch)."""
EntryKey = tuple[str, int, int]
"""(receiver, epoch, seq)."""


class Policy(msgspec.Struct, frozen=True):
    """`stuck_s`: how long the same hole is waited at when the receiver tells no floor."""

    stuck_s: float = 60.0


class SpoolState(msgspec.Struct, frozen=True):
    """What is stored of one spool: all up to `upto` is here or told missing."""

    receiver: str
    epoch: int
    upto: int = 0


class TakenIn(msgspec.Struct, frozen=True):
    """Store this entry. `conflict`: its number was used before for something else."""

    receiver: str
    epoch: int
    entry: Entry
    conflict: bool


class ReceiverSeen(msgspec.Struct, frozen=True):
    """The receiver is there: for supervision and for the list of receivers."""

    received: Received


ReceptionEffect = TakenIn | ReceiverSeen | Noticed


class Receptions:
    """One machine for all receivers; holds numbers only."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._spools: dict[SpoolKey, SpoolState] = {}
        self._known: dict[EntryKey, set[str]] = {}
        self._touched: set[SpoolKey] = set()
        self._acked: set[SpoolKey] = set()
        self._stuck: dict[SpoolKey, tuple[int, Instant]] = {}

    def wanted(self, inbounds: Iterable[object]) -> set[SpoolKey]:
        """Spools to be loaded before `receive`."""
        keys = {(one.panel, one.header.epoch) for one in inbounds if isinstance(one, Received)}
        return keys - self._spools.keys()

    def adopt(self, state: SpoolState) -> None:
        """A spool as it is stored."""
        self._spools[state.receiver, state.epoch] = state

    def doubtful(self, inbounds: Iterable[object]) -> set[EntryKey]:
        """Entries that may be stored already: look up their digests and `inform`."""
        return {
            (one.panel, one.header.epoch, entry.seq)
            for one in inbounds
            if isinstance(one, Received)
            for entry in one.entries
            if entry.seq <= self._spools[one.panel, one.header.epoch].upto
        }

    def inform(self, stored: Iterable[tuple[str, int, int, str]]) -> None:
        """(receiver, epoch, seq, digest) of what is stored."""
        for receiver, epoch, seq, digest in stored:
            self._known.setdefault((receiver, epoch, seq), set()).add(digest)

    def receive(self, received: Received, now: Instant) -> list[ReceptionEffect]:
        """Judge one message of a known receiver."""
        header = received.header
        key = (received.panel, header.epoch)
        effects: list[ReceptionEffect] = [ReceiverSeen(received)]
        self._acked.add(key)
        entries = sorted(received.entries, key=_seq)
        self._pass_over(key, entries, header.floor, now, effects)
        for entry in entries:
            self._take(key, entry, effects)
        return effects

    def changed(self) -> list[SpoolState]:
        """Spools to be stored in this transaction."""
        return [self._spools[key] for key in self._touched]

    def committed(self) -> list[tuple[str, ReceptionAck]]:
        """The batch is durable: the acknowledgements, by receiver."""
        acks = [
            (key[0], ReceptionAck(epoch=key[1], upto=self._spools[key].upto))
            for key in sorted(self._acked)
        ]
        self._begin_batch()
        if len(self._spools) > MAX_SPOOLS:
            self._spools.clear()
        return acks

    def rolled_back(self) -> None:
        """Nothing of the batch was stored: forget every spool, they are loaded again."""
        self._begin_batch()
        self._spools.clear()

    def _begin_batch(self) -> None:
        self._known.clear()
        self._touched.clear()
        self._acked.clear()

    def _take(self, key: SpoolKey, entry: Entry, effects: list[ReceptionEffect]) -> None:
        state = self._spools[key]
        identity = (*key, entry.seq)
        if entry.seq <= state.upto:
            known = self._known.setdefault(identity, set())
            if entry.digest in known:
                return
            conflict = bool(known)
            known.add(entry.digest)
            effects.append(TakenIn(*key, entry, conflict))
            if conflict and len(known) == 2:
                effects.append(_conflict(key, entry.seq))
            return
        if entry.seq > state.upto + 1:
            return  # beyond a hole: not taken, not acknowledged; the receiver sends it again
        self._known.setdefault(identity, set()).add(entry.digest)
        self._advance(key, entry.seq)
        effects.append(TakenIn(*key, entry, conflict=False))

    def _pass_over(
        self,
        key: SpoolKey,
        entries: list[Entry],
        floor: int,
        now: Instant,
        effects: list[ReceptionEffect],
    ) -> None:
        """Go on behind entries that nobody has any more."""
        upto = self._spools[key].upto
        first = entries[0].seq if entries else 0
        if first <= upto + 1 and floor <= upto + 1:
            self._stuck.pop(key, None)
            return
        if floor > upto + 1:
            to = floor - 1
        else:
            seen, since = self._stuck.setdefault(key, (first, now))
            if seen != first:
                self._stuck[key] = (first, now)
                return
            if floor or now < later(since, self._policy.stuck_s):
                return
            to = first - 1
        self._stuck.pop(key, None)
        self._advance(key, to)
        detail = f"receiver={key[0]};epoch={key[1]};first={upto + 1};last={to};why=not in the spool"
        if upto or to:
            effects.append(Noticed(key[0], PanelEvent(Code.SEQUENCE_GAP, detail=detail)))

    def _advance(self, key: SpoolKey, upto: int) -> None:
        self._spools[key] = SpoolState(*key, upto)
        self._touched.add(key)


def _seq(entry: Entry) -> int:
    return entry.seq


def _conflict(key: SpoolKey, seq: int) -> Noticed:
    detail = f"receiver={key[0]};epoch={key[1]};seq={seq};why=two entries"
    return Noticed(key[0], PanelEvent(Code.IDENTITY_CONFLICT, detail=detail))
