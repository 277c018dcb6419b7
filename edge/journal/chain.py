"""The chain of Records: each carries its predecessor's digest, the first the epoch's genesis."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from edge.journal.record_types import Loss, OwedKey, Stamped, Stored
from protocols.mqtt.payloads import Record, digest_of, encode_record, genesis
from protocols.panel_event import priority_of

MAX_EPOCH: Final = 2**53 - 2**32
"""Larger numbers are garbage: JSON readers stop being exact at 2**53."""


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The newest Record of an epoch; `seq` 0 and the genesis digest before the first."""

    epoch: int
    seq: int
    digest: str


def start_of(panel: str, epoch: int) -> ChainHead:
    """The head of an epoch without Records."""
    return ChainHead(epoch, 0, genesis(panel, epoch))


def next_epoch(wall_s: int, dice: int, known: int) -> int:
    """A number above `known`, the highest epoch heard of; `dice` is 16 random bits.

    By the wall clock where that is ahead; else just above `known`, still with the dice in it,
    because an epoch that lived in memory only may have been forgotten.
    """
    by_clock = wall_s << 16 | dice & 0xFFFF
    if known < by_clock <= MAX_EPOCH:
        return by_clock
    return known + 1 + (dice & 0xFFFF)


def key_of(record: Record, digest: str) -> OwedKey:
    """The reporter's view of a Record."""
    event = record.event
    return OwedKey(record.epoch, record.seq, digest, int(priority_of(event.code)), event.zone)


def link(
    panel: str, boot: str, head: ChainHead, stamped: Stamped, *, recorded: bool = True
) -> tuple[ChainHead, Stored]:
    """Append one event after `head`."""
    record = Record(
        panel=panel,
        epoch=head.epoch,
        seq=head.seq + 1,
        boot=boot,
        mono=stamped.mono,
        event=stamped.event,
        prev=head.digest,
        utc=stamped.utc,
        err_us=stamped.err_us,
        recorded=recorded,
    )
    raw = encode_record(record)
    digest = digest_of(raw)
    return ChainHead(record.epoch, record.seq, digest), Stored(key_of(record, digest), raw)


_DECODER = msgspec.json.Decoder(Record)


def read_record(raw: object, panel: str | None = None) -> Record | None:
    """The Record in `raw`; None when it is none, or another panel's."""
    if not isinstance(raw, bytes):
        return None
    try:
        record = _DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if panel is not None and record.panel != panel:
        return None
    return record


class Flaw(Enum):
    """What can be wrong with a kept Record."""

    UNREADABLE = "unreadable"
    """Not a Record, or its bytes are not those of its digest."""
    MISPLACED = "misplaced"
    """Kept under another epoch or sequence number than it says."""
    UNLINKED = "unlinked"
    """Its successor carries another digest: one of the two was replaced."""
    MISSING = "missing"
    """A sequence number that must have existed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A flaw and the Records it concerns."""

    flaw: Flaw
    where: Loss

    def __str__(self) -> str:
        return f"{self.flaw.value} {self.where}"


@dataclass(slots=True)
class ChainCheck:
    """Checks Records fed from the newest to the oldest; memory does not grow with their number.

    `known` are losses already reported: they are not found again. After the last row, `finish`.
    """

    panel: str | None
    known: Collection[Loss] = ()
    checked: int = 0
    _later: Record | None = None

    def feed(self, epoch: int, seq: int, digest: object, raw: object) -> list[Finding]:
        """One row: the key and digest it is kept under, and its bytes."""
        self.checked += 1
        here = Loss(epoch, seq, seq)
        record = read_record(raw, self.panel)
        if record is None or not isinstance(raw, bytes) or digest_of(raw) != digest:
            if self._excused(epoch, seq, seq):
                return []
            return [Finding(Flaw.UNREADABLE, here)]
        if (record.epoch, record.seq) != (epoch, seq):
            return [Finding(Flaw.MISPLACED, here)]
        found = self._join(record, digest_of(raw))
        self._later = record
        return found

    def finish(self, floor: int | None) -> list[Finding]:
        """After the oldest row: it must be an epoch's first, or stand on `floor`.

        `floor` is the sequence number rotation ended with in that epoch, if it did.
        """
        later = self._later
        if later is None or (floor is not None and later.seq == floor + 1):
            return []
        return self._first_of_epoch(later)

    def latest(self) -> Record | None:
        """The last sound row fed."""
        return self._later

    def _join(self, record: Record, digest: str) -> list[Finding]:
        later = self._later
        if later is None:
            return []
        if later.epoch != record.epoch:
            return self._first_of_epoch(later)
        if later.seq != record.seq + 1:
            return self._gap(record.epoch, record.seq + 1, later.seq - 1)
        if later.prev != digest:
            return [Finding(Flaw.UNLINKED, Loss(record.epoch, record.seq, record.seq))]
        return []

    def _first_of_epoch(self, record: Record) -> list[Finding]:
        if record.seq > 1:
            return self._gap(record.epoch, 1, record.seq - 1)
        if record.prev != genesis(record.panel, record.epoch):
            return [Finding(Flaw.UNLINKED, Loss(record.epoch, 0, 0))]
        return []

    def _gap(self, epoch: int, first: int, last: int) -> list[Finding]:
        if first > last or self._excused(epoch, first, last):
            return []
        return [Finding(Flaw.MISSING, Loss(epoch, first, last))]

    def _excused(self, epoch: int, first: int, last: int) -> bool:
        """Every number of first..last lies in some known loss."""
        at = first
        for loss in sorted(
            (each for each in self.known if each.epoch == epoch), key=lambda each: each.first
        ):
            if loss.first <= at <= loss.last:
                at = loss.last + 1
        return at > last
