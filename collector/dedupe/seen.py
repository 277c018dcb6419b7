"""What dedupe remembers of a panel: Occurrences in the window, and which seqs it has seen."""

from __future__ import annotations

from collections.abc import Container
from itertools import pairwise
from typing import Final

import msgspec

from collector.records.signal import PATH_PHONE, Signal
from protocols.contact_id.codes import USER_CODES
from protocols.contact_id.mapping import phone_code_of
from protocols.contact_id.message import HEX_BASE
from protocols.panel_event import PanelEvent
from protocols.phone_batch import MARK_MODULUS

MAX_EPOCH: Final = 1 << 62
MAX_FOLLOWS: Final = 64
DIGEST_KEPT: Final = 32
"""Hexadecimal digits of a digest that are remembered: two Records of one number differ in them."""
MAX_AREA: Final = 99
MAX_NUMBER: Final = 999
Key = tuple[int, int, int, int]
"""(code, qualifier, area, zone or user), as Contact ID carries them."""


class Seen(msgspec.Struct, array_like=True):
    """One Occurrence. It truly happened between `lo` and `hi` (µs UTC). `epoch` 0: no identity."""

    occurrence: int
    key: Key
    lo: int
    hi: int
    received: int
    epoch: int
    seq: int
    digest: str
    paths: tuple[str, ...]

    def may_tell_of(self, record: Seen) -> bool:
        """This report can be about that Record: however old, for a line may be dead for days."""
        return record.lo <= self.hi


class Stretch(msgspec.Struct, array_like=True):
    """Seqs `first`..`last` of an epoch, all seen. Bounds of the time of its two ends."""

    epoch: int
    first: int
    last: int
    first_hi: int
    last_lo: int


class Stretches(msgspec.Struct, array_like=True):
    """Seen seqs in order. Between two stretches something may be unknown, and only there."""

    items: list[Stretch] = []
    cut: bool = False
    """Older stretches were let go."""
    follows: list[int] = []
    """Epochs that were opened after others (EPOCH_OPENED)."""

    def add(self, epoch: int, seq: int, lo: int, hi: int, limit: int) -> bool:
        """Note one identified Record; the oldest stretch goes when there are too many.

        False: it was seen before.
        """
        items = self.items
        at = len(items)
        while at and (items[at - 1].epoch, items[at - 1].first) > (epoch, seq):
            at -= 1
        left = items[at - 1] if at else None
        if left is not None and left.epoch == epoch and seq <= left.last + 1:
            if seq <= left.last:
                return False
            left.last, left.last_lo = seq, lo
        else:
            left = Stretch(epoch, seq, seq, hi, lo)
            items.insert(at, left)
            at += 1
        right = items[at] if at < len(items) else None
        if right is not None and right.epoch == epoch and right.first == left.last + 1:
            left.last, left.last_lo = right.last, right.last_lo
            del items[at]
        if len(items) > limit:
            self.cut = True
            del items[:-limit]
        return True

    def reaches(self, epoch: int, seq: int) -> bool:
        """The newest stretch goes up to this Record, or beyond."""
        last = self.items[-1] if self.items else None
        return last is not None and last.epoch == epoch and last.first <= seq <= last.last

    def has(self, epoch: int, seq: int, first: int = 0) -> bool:
        """This Record is here, and all from `first` on."""
        return any(
            one.epoch == epoch and one.first <= (first or seq) and seq <= one.last
            for one in self.items
        )

    def newest(self) -> tuple[int, int]:
        """The newest Record that is here."""
        return (self.items[-1].epoch, self.items[-1].last) if self.items else (0, 0)

    def goes_beyond(self, epoch: int, seq: int) -> bool:
        """A later Record than this is here."""
        return self.newest() > (epoch, seq)

    def ends_before(self, mark: int) -> bool:
        """The newest stretch goes up to the Record before that of this mark."""
        last = self.items[-1] if self.items else None
        return last is not None and (last.last + 1) % MARK_MODULUS == mark

    def complete(
        self,
        lo: int,
        hi: int,
        marks: Container[int] = (),
        upto: tuple[int, int] = (MAX_EPOCH, 0),
    ) -> bool:
        """No unknown Record can have happened between `lo` and `hi`, save ones newer than all or
        than `upto` (epoch, seq), and lists of calls: those whose mark is among `marks`.
        """
        items = self.items
        if not items:
            return False
        if not self._from_the_first() and items[0].first_hi >= lo:
            return False
        return all(
            right.first_hi < lo
            or left.last_lo > hi
            or (left.epoch, left.last) >= upto
            or _only_list(left, right, marks)
            for left, right in pairwise(items)
        )

    def opened_after_another(self, epoch: int) -> None:
        """It is not the panel's first."""
        if epoch not in self.follows:
            self.follows.append(epoch)
            del self.follows[:-MAX_FOLLOWS]

    def _from_the_first(self) -> bool:
        """Nothing came before the oldest stretch: it begins the panel's first epoch."""
        oldest = self.items[0]
        return oldest.first == 1 and not self.cut and oldest.epoch not in self.follows


def _only_list(left: Stretch, right: Stretch, marks: Container[int]) -> bool:
    """One Record is missing between these, and a mark said what it is."""
    missing = left.last + 1
    alone = left.epoch == right.epoch and right.first == missing + 1
    return alone and missing % MARK_MODULUS in marks


def key_of(event: PanelEvent) -> Key:
    """What both paths tell alike of an event."""
    code = phone_code_of(event.code)
    if code is None:
        return event.code, int(event.q), event.area, event.zone
    number = event.user if code in USER_CODES else event.zone
    area = event.area if event.area <= MAX_AREA or event.area >= HEX_BASE else 0
    number = number if number <= MAX_NUMBER or number >= HEX_BASE else 0
    return code, int(event.q), area, number


def by_phone(event: PanelEvent) -> bool:
    """Whether it can be told by phone at all."""
    return phone_code_of(event.code) is not None


def same_digest(one: Seen, signal: Signal) -> bool:
    """They are the same Record, told by number and digest; both without one are."""
    return one.digest[:DIGEST_KEPT] == signal.digest[:DIGEST_KEPT]


def seen_of(signal: Signal, slack_us: int, late_us: int) -> Seen:
    """The memory of a Signal that opens an Occurrence.

    A phone report can be `late_us` older than its call. A Record cannot have happened after its
    receipt, whatever the panel's clock said.
    """
    lo = min(signal.at - signal.err_us, signal.received) - slack_us
    hi = signal.at + signal.err_us + slack_us
    if signal.path == PATH_PHONE and not signal.epoch:
        lo = hi - late_us
    return Seen(
        occurrence=signal.id,
        key=key_of(signal.event),
        lo=lo,
        hi=hi,
        received=signal.received,
        epoch=signal.epoch,
        seq=signal.seq,
        digest=signal.digest[:DIGEST_KEPT],
        paths=(signal.path,),
    )
