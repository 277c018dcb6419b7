"""All that dedupe keeps of one panel, with indexes over it that are not stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeVar

import msgspec

from collector.dedupe.calls import Calls, RecordId
from collector.dedupe.seen import DIGEST_KEPT, Key, Seen, Stretches, same_digest
from collector.records.signal import Signal
from protocols.instants import UtcTime

MAX_FORGOTTEN: Final = 256


class Waiting(msgspec.Struct, array_like=True):
    """A Signal to be decided at `until`. `shown`: it stands as an Occurrence of its own meanwhile.

    `since`: when it came; `plain`: joined by content alone, or by its mark only.
    """

    signal: Signal
    until: UtcTime
    shown: bool = False
    since: int = 0
    plain: bool = True
    repeat: bool = False
    """It follows a report of the same content directly: perhaps only sent once more."""
    same_as: tuple[int, ...] = ()
    """It is certain that it tells of one of these Occurrences and nothing new."""


class Beat(msgspec.Struct, array_like=True):
    """A heartbeat sent then, of a program that runs `since`: this Record was its newest."""

    sent: int
    since: int
    epoch: int
    seq: int


class Forgotten(msgspec.Struct, array_like=True):
    """The newest Record of this content that memory let go of."""

    key: Key
    epoch: int
    seq: int


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
    calls: Calls = msgspec.field(default_factory=Calls)
    phones: bool = False
    """A report of this panel ever came by phone."""
    heard: int = 0
    """When the network path was last known up with nothing missing."""
    beats: list[Beat] = []
    settled: list[Beat] = []
    """Heartbeats that owed nothing by phone; their newest Record of those here by then."""
    forgotten: list[Forgotten] = []
    forgotten_any: tuple[int, int] = (0, 0)
    """The same of all other contents."""
    recorded: int = 0
    """When the last Record came."""

    def forget(self, one: Seen, *, may_phone: bool) -> None:
        """It leaves the memory. `may_phone`: the panel may still owe it by phone."""
        self.dropped_hi = max(self.dropped_hi, one.hi)
        if not one.epoch or not may_phone:
            return
        before = next((f for f in self.forgotten if f.key == one.key), None)
        if before is not None:
            self.forgotten.remove(before)
        last = self.forgotten_of(one.key) if before is None else (before.epoch, before.seq)
        self.forgotten.append(Forgotten(one.key, *max(last, (one.epoch, one.seq))))
        if len(self.forgotten) > MAX_FORGOTTEN:
            oldest = self.forgotten.pop(0)
            self.forgotten_any = max(self.forgotten_any, (oldest.epoch, oldest.seq))

    def forgotten_of(self, key: Key) -> tuple[int, int]:
        """The newest Record of this content that is not remembered; (0, 0): there is none."""
        found = ((f.epoch, f.seq) for f in self.forgotten if f.key == key)
        return next(found, self.forgotten_any)


class Shelf:
    """The seen Occurrences by content, by Record and by number."""

    def __init__(self, seen: list[Seen]) -> None:
        self._order: dict[int, Seen] = {one.occurrence: one for one in seen}
        self._by_key: dict[Key, list[Seen]] = {}
        self._by_record: dict[RecordId, list[Seen]] = {}
        for one in seen:
            self._index(one)

    def __len__(self) -> int:
        return len(self._order)

    def all(self) -> list[Seen]:
        """In the order they were shown."""
        return list(self._order.values())

    def add(self, one: Seen) -> None:
        """Shown now."""
        self._order[one.occurrence] = one
        self._index(one)

    def remove(self, one: Seen) -> None:
        """Forget it."""
        self._order.pop(one.occurrence, None)
        _drop(self._by_key, one.key, one)
        _drop(self._by_record, (one.epoch, one.seq), one)

    def oldest(self) -> Seen:
        """The first one shown."""
        return next(iter(self._order.values()))

    def get(self, occurrence: int) -> Seen | None:
        """The Occurrence of that number."""
        return self._order.get(occurrence)

    def of_key(self, key: Key) -> list[Seen]:
        """All of one content."""
        return self._by_key.get(key, _NONE)

    def of_record(self, record: RecordId) -> list[Seen]:
        """All of one (epoch, seq): more than one when a panel forked."""
        return self._by_record.get(record, _NONE)

    def same(self, signal: Signal) -> Seen | None:
        """The one Occurrence of this identity; a missing digest fits any, but only one."""
        found = [
            one
            for one in self.of_record((signal.epoch, signal.seq))
            if same_digest(one, signal) or not one.digest or not signal.digest
        ]
        exact = [one for one in found if same_digest(one, signal)]
        if exact:
            return exact[0]
        return found[0] if len(found) == 1 and not signal.conflict else None

    def identify(self, one: Seen, epoch: int, seq: int, digest: str) -> None:
        """It is this Record."""
        _drop(self._by_record, (one.epoch, one.seq), one)
        one.epoch, one.seq, one.digest = epoch, seq, digest[:DIGEST_KEPT]
        self._by_record.setdefault((epoch, seq), []).append(one)

    def __iter__(self) -> Iterator[Seen]:
        return iter(self._order.values())

    def _index(self, one: Seen) -> None:
        self._by_key.setdefault(one.key, []).append(one)
        if one.epoch:
            self._by_record.setdefault((one.epoch, one.seq), []).append(one)


K = TypeVar("K")
_NONE: list[Seen] = []


def _drop(index: dict[K, list[Seen]], key: K, one: Seen) -> None:
    mine = index.get(key)
    if mine is not None and one in mine:
        mine.remove(one)
        if not mine:
            del index[key]
