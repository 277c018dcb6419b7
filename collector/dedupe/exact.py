"""Joining by marks: what the panel's own lists say of each report (D12)."""

from __future__ import annotations

from collections.abc import Callable

from collector.dedupe.alignment import Entry, Heard, align
from collector.dedupe.calls import GONE, HELD, NO_MARK, RecordId, Segment, SentRow, Told
from collector.dedupe.effects import Effect, Joined, Opened, Repeated, Retired, opened
from collector.dedupe.memory import Memory, Shelf, Waiting
from collector.dedupe.seen import Key, Seen, same_digest
from collector.records.signal import Signal


class Exact:
    """Works on the Joiner's memory."""

    def __init__(self, memory: Memory, shelf: Shelf, seen: Callable[[Signal], Seen]) -> None:
        self._memory = memory
        self._shelf = shelf
        self._seen = seen

    def resolve(self) -> list[Effect]:
        """Align what can be aligned now and join what that proves."""
        effects: list[Effect] = []
        for segment in self._memory.calls.segments():
            effects += self._segment(segment)
        return effects

    def shown(self, signal: Signal) -> None:
        """A held report was shown after all."""
        told = self._memory.calls.of(signal.id)
        if told is not None:
            told.occurrence = signal.id

    def bind(self, seen: Seen, signal: Signal) -> Effect:
        """The Signal tells of that Occurrence."""
        if signal.path not in seen.paths:
            seen.paths = (*seen.paths, signal.path)
        if signal.epoch and not seen.digest:
            mine = self._seen(signal)
            self._shelf.identify(seen, signal.epoch, signal.seq, signal.digest)
            seen.lo, seen.hi = mine.lo, mine.hi
        told = self._memory.calls.of(signal.id) if not signal.epoch else None
        if told is not None:
            told.occurrence = seen.occurrence
        self._identify(seen)
        return Joined(seen.occurrence, signal)

    def _identify(self, seen: Seen) -> None:
        """The reports joined in it are certainly of its Record."""
        for told in self._memory.calls.told if seen.epoch else ():
            if told.occurrence == seen.occurrence and told.mark == NO_MARK and not told.epoch:
                told.epoch, told.seq = seen.epoch, seen.seq

    def show(self, held: Waiting) -> list[Effect]:
        """What was held is an Occurrence of its own."""
        self._memory.waiting.remove(held)
        self._shelf.add(self._seen(held.signal))
        self.shown(held.signal)
        return [Opened(opened(held.signal))]

    def unite(self, one: int, other: int) -> list[Effect]:
        """Two Occurrences shown are the same: the older stays and takes all."""
        kept, gone = min(one, other), max(one, other)
        if kept == gone:
            return []
        stays, goes = self._shelf.get(kept), self._shelf.get(gone)
        if goes is not None:
            self._shelf.remove(goes)
            if stays is not None:
                stays.paths = tuple(dict.fromkeys((*stays.paths, *goes.paths)))
                if goes.epoch and not stays.digest:
                    self._shelf.identify(stays, goes.epoch, goes.seq, goes.digest)
                    stays.lo, stays.hi = goes.lo, goes.hi
        for told in self._memory.calls.told:
            if told.occurrence == gone:
                told.occurrence = kept
        if stays is not None:
            self._identify(stays)
        self.no_longer_waits(gone)
        return [Retired(gone, (kept,))]

    def _segment(self, segment: Segment) -> list[Effect]:
        named = {(row[0], row[1]) for rows in segment.lists for row in rows}
        contents = self._contents(named)
        possible: list[set[RecordId]] | None = None
        for rows in segment.lists:
            found = _aligned(segment.reports, rows, contents)
            if found is None:
                continue
            if possible is None:
                possible = found
            else:
                possible = [a | b for a, b in zip(possible, found, strict=True)]
        if possible is None:
            return []
        effects: list[Effect] = []
        for told, records in zip(segment.reports, possible, strict=True):
            # A number comes again when an epoch is left: only what the Record says vouches for it.
            if len(records) == 1 and records <= contents.keys():
                effects += self._is(told, next(iter(records)))
        effects += self._held_records(named)
        for told, records in zip(segment.reports, possible, strict=True):
            if len(records) > 1:
                effects += self._repeats(told, records)
        if named <= contents.keys() and all(told.occurrence != HELD for told in segment.reports):
            for mark in segment.marks:
                mark.occurrence = 1
        return effects

    def _is(self, told: Told, record: RecordId) -> list[Effect]:
        """The report tells of this Record, certainly."""
        told.epoch, told.seq = record
        owner = self._owner(record)
        if told.occurrence == HELD:
            signal = self._take(told)
            if signal is None:
                return []
            if owner is not None:
                return [self.bind(owner, signal)]
            mine = self._seen(signal)
            self._shelf.add(mine)
            self._shelf.identify(mine, *record, "")
            told.occurrence = signal.id
            return [Opened(opened(signal))]
        if told.occurrence == GONE:
            return []
        if owner is None:
            seen = self._shelf.get(told.occurrence)
            if seen is not None and not seen.epoch:
                self._shelf.identify(seen, *record, "")
                self.no_longer_waits(seen.occurrence)
            return []
        if owner.occurrence != told.occurrence:
            return self.unite(owner.occurrence, told.occurrence)
        return []

    def _repeats(self, told: Told, records: set[RecordId]) -> list[Effect]:
        """It tells of one of several Records: once all of these are shown it is nothing new."""
        owners = [self._owner(record) for record in sorted(records)]
        shown = tuple(sorted({one.occurrence for one in owners if one is not None}))
        if any(one is None for one in owners) or told.occurrence in (GONE, *shown):
            return []
        if told.occurrence == HELD:
            signal = self._take(told)
            told.occurrence = GONE
            return [] if signal is None else [Repeated(signal.id, shown)]
        gone, told.occurrence = told.occurrence, GONE
        seen = self._shelf.get(gone)
        if seen is not None:
            self._shelf.remove(seen)
        self.no_longer_waits(gone)
        return [Retired(gone, shown)]

    def _held_records(self, named: set[RecordId]) -> list[Effect]:
        """Records that were held and whose report is known now."""
        effects: list[Effect] = []
        for waiting in list(self._memory.waiting):
            signal = waiting.signal
            if waiting.shown or (signal.epoch, signal.seq) not in named or not signal.epoch:
                continue
            owner = self._owner((signal.epoch, signal.seq))
            if owner is not None and (not owner.digest or same_digest(owner, signal)):
                self._memory.waiting.remove(waiting)
                effects.append(self.bind(owner, signal))
        return effects

    def _contents(self, named: set[RecordId]) -> dict[RecordId, Key]:
        """The Records among these whose content is known."""
        contents: dict[RecordId, Key] = {}
        for record in named:
            for one in self._shelf.of_record(record):
                contents[record] = one.key
        for waiting in self._memory.waiting:
            signal = waiting.signal
            if signal.epoch and (signal.epoch, signal.seq) in named:
                contents[signal.epoch, signal.seq] = self._seen(signal).key
        return contents

    def _owner(self, record: RecordId) -> Seen | None:
        found = self._shelf.of_record(record)
        return found[0] if len(found) == 1 else None

    def _take(self, told: Told) -> Signal | None:
        waiting = self.waits(told.signal)
        if waiting is None:
            return None
        self._memory.waiting.remove(waiting)
        return waiting.signal

    def waits(self, signal: int) -> Waiting | None:
        """It is held, or waits for a later proof."""
        return next((one for one in self._memory.waiting if one.signal.id == signal), None)

    def no_longer_waits(self, signal: int) -> None:
        """It is decided."""
        waiting = self.waits(signal)
        if waiting is not None:
            self._memory.waiting.remove(waiting)


def _aligned(
    reports: list[Told], rows: list[SentRow], contents: dict[RecordId, Key]
) -> list[set[RecordId]] | None:
    listed = [
        Entry(contents.get((epoch, seq)), 1 if kissed else 0, max(tries, 1))
        for epoch, seq, kissed, tries in rows
    ]
    found = align(listed, [Heard(told.key, told.call) for told in reports])
    if found is None:
        return None
    return [{(rows[n][0], rows[n][1]) for n in entries} for entries in found]
