"""What a panel told by phone, in order, its marks, and its own lists of what it sent (D12).

A mark closes what was sent since the mark before. Its batch, a Record, lists it. A batch whose mark
was not kissed off is continued by the next one: then only what is new in the list lies between the
two marks. Which of the two it is, the lists themselves tell.
"""

from __future__ import annotations

from typing import Final

import msgspec

from collector.dedupe.seen import Key, Seen
from protocols.instants import US_PER_S
from protocols.phone_batch import MARK_MODULUS, MAX_SENT, Batch

MAX_TOLD: Final = 256
MAX_ROWS: Final = 1024
"""Rows of all lists together."""
NO_MARK: Final = -1
MARK_WINDOW_US: Final = 900 * US_PER_S
"""A mark is told within this of its list, both clocks' faults included: numbers come again when an
epoch is left."""
_NEVER: Final = 1 << 62
HELD: Final = 0
GONE: Final = -1

RecordId = tuple[int, int]
"""(epoch, seq)."""


SentRow = tuple[int, int, bool, int]
"""(epoch, seq, kissed, tries)."""


class Told(msgspec.Struct, array_like=True):
    """One report or mark. `occurrence`: HELD, GONE (repeats one of several), or where it shows.

    `epoch`, `seq`: the Record it certainly is, once that is known. A mark's `occurrence` is 1 when
    nothing of its segment is open any more.
    """

    signal: int
    key: Key
    taken: int
    received: int
    call: int
    mark: int = NO_MARK
    occurrence: int = HELD
    epoch: int = 0
    seq: int = 0
    alone: bool = False
    """All Records of its time are here, and none says the same."""
    least: int = 0
    """When it happened at the earliest, if it was told at once: it was made later than that."""


class Listed(msgspec.Struct, array_like=True):
    """A PHONE_BATCH Record. `sent`: (epoch, seq, kissed, tries)."""

    epoch: int
    seq: int
    received: int
    sent: list[SentRow]
    lo: int = 0
    hi: int = _NEVER
    """When it was journaled, at the earliest and at the latest."""


class Segment(msgspec.Struct):
    """Reports between two marks, and the lists that may account for them: one, or two readings."""

    marks: list[Told]
    reports: list[Told]
    lists: list[list[SentRow]]


class Calls(msgspec.Struct, array_like=True):
    """The phone side of one panel's memory."""

    told: list[Told] = []
    batches: list[Listed] = []
    marks: bool = False
    """The panel sends marks: its card says so, or one was seen."""
    always: bool = False
    """Every Record goes by phone, whatever the network path does."""
    cut: bool = False
    """Reports that stood before the oldest here, in its segment, were let go."""

    def add(self, told: Told) -> None:
        """In the order of sending: two receivers' entries may arrive crosswise."""
        at = len(self.told)
        while at and self.told[at - 1].taken > told.taken:
            at -= 1
        self.told.insert(at, told)
        for later in self.told[at:]:
            if later.mark != NO_MARK:
                later.occurrence = HELD
                break
        while len(self.told) > MAX_TOLD:
            self._drop()

    def note_batch(self, batch: Batch, record: Seen) -> None:
        """A PHONE_BATCH Record came."""
        sent = [(one.epoch, one.seq, one.kissed, one.tries) for one in batch.sent]
        made = record.lo, record.hi
        self.batches.append(Listed(record.epoch, record.seq, record.received, sent, *made))
        rows = sum(len(one.sent) for one in self.batches)
        while rows > MAX_ROWS:
            rows -= len(self.batches.pop(0).sent)

    def segments(self) -> list[Segment]:
        """Every segment that is open and whose lists are known."""
        found: list[Segment] = []
        before: Told | None = None
        at, told = 0, self.told
        while at < len(told):
            reports: list[Told] = []
            while at < len(told) and told[at].mark == NO_MARK:
                reports.append(told[at])
                at += 1
            marks: list[Told] = []
            while at < len(told) and told[at].mark != NO_MARK:
                marks.append(told[at])
                at += 1
            if any(mark.occurrence == HELD for mark in marks):
                whole = before is not None or not self.cut
                lists = self._lists(before, marks) if whole else []
                if lists:
                    found.append(Segment(marks, reports, lists))
            before = marks[-1] if marks else before
        return found

    def listed(self, told: Told) -> bool:
        """A list can tell what it is: its segment is whole."""
        if not self.cut:
            return True
        for one in self.told:
            if one is told:
                return False
            if one.mark != NO_MARK:
                break
        return True

    def closed_by(self, mark: Told) -> list[Told]:
        """The reports between this mark and the one before."""
        at = self.told.index(mark)
        found: list[Told] = []
        while at and self.told[at - 1].mark == NO_MARK:
            at -= 1
            found.append(self.told[at])
        return found

    def may_repeat(self, told: Told) -> Told | None:
        """The report of the same content that this one may send once more: nothing came
        after it in its call, for a panel repeats a report until it is kissed off or the call ends.
        """
        later: set[int] = set()
        for one in reversed(self.told):
            if one.key == told.key and one.mark == NO_MARK and one.call not in later:
                return one
            later.add(one.call)
        return None

    def of(self, signal: int) -> Told | None:
        """The entry of a Signal."""
        return next((one for one in reversed(self.told) if one.signal == signal), None)

    def lists_record(self, record: RecordId) -> bool:
        """Whether a batch names it."""
        return any(record == (one[0], one[1]) for b in self.batches for one in b.sent)

    def forget(self, before: int) -> None:
        """Let go of what is older."""
        while self.told and self.told[0].received < before:
            self._drop()
        self.batches = [one for one in self.batches if one.received >= before]

    def _drop(self) -> None:
        """The oldest goes. A mark closes what stands before it: gone with it, the next is whole."""
        self.cut = self.told[0].mark == NO_MARK
        del self.told[0]

    def _lists(self, before: Told | None, marks: list[Told]) -> list[list[SentRow]]:
        """What may lie before these marks; empty: not known. More than a batch holds is closed by
        several marks in a row.
        """
        batches = [self._batch(mark) for mark in marks]
        known = None if before is None else self._batch(before)
        if before is not None and known is None:
            return []
        readings: list[list[SentRow]] = [[]]
        for batch in batches:
            if batch is None:
                return []
            news = [batch.sent]
            if known is not None and batch.sent[: len(known.sent)] == known.sent:
                news = [batch.sent[len(known.sent) :]]
                if batch.seq != known.seq and known.sent:
                    # It may all have been sent again: not kissed off, or that was forgotten when
                    # the panel was killed.
                    news.append(batch.sent)
            readings = [[*reading, *new] for reading in readings for new in news][:4]
            known = batch
        if known is None or len(known.sent) >= MAX_SENT:
            return []  # a full list: there may be another
        return readings

    def _batch(self, mark: Told) -> Listed | None:
        """The batch of a mark; None when there is none, or more than one."""
        first, last = sorted((mark.taken, mark.received))
        found = [
            one
            for one in self.batches
            if one.seq % MARK_MODULUS == mark.mark
            and one.lo - MARK_WINDOW_US <= last
            and first <= one.hi + MARK_WINDOW_US
        ]
        return found[0] if len(found) == 1 else None
