"""What is on the screen already, and what of it a newcomer can be. Decides nothing. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from collector.dedupe.calls import GONE, HELD, NO_MARK
from collector.dedupe.memory import Beat, Memory, Shelf, Waiting
from collector.dedupe.policy import Policy
from collector.dedupe.seen import Key, Seen
from collector.records.signal import PATH_PHONE, Signal
from protocols.instants import US_PER_S, UtcTime, utc_later
from protocols.panel_event import Code, Priority, priority_of

URGENT: Final = frozenset({Priority.HOLDUP, Priority.FIRE})
ALWAYS_PHONED: Final = frozenset({Code.PERIODIC_TEST, Code.MANUAL_TEST, Code.PATH_IP_FAULT})
"""Told by phone whatever the policy, and whatever the network took."""


class Screen:
    """Reads the Joiner's memory."""

    def __init__(
        self, policy: Policy, memory: Memory, shelf: Shelf, seen: Callable[[Signal], Seen]
    ) -> None:
        self._policy = policy
        self._memory = memory
        self._shelf = shelf
        self._seen = seen

    def seen(self, signal: Signal) -> Seen:
        """What is remembered of it."""
        return self._seen(signal)

    def told_already(self, signal: Signal, mine: Seen) -> bool:
        """A report of this content is on the screen and its proof is still to come."""
        # One report stands for one Record: another Record nobody may have seen.
        return len(self.open_reports(mine, signal)) > len(self.held_records(mine.key))

    def open_reports(self, mine: Seen, signal: Signal) -> set[int]:
        """Occurrences of reports no Record has claimed, that this Record may be."""
        memory = self._memory
        restored = signal.received - memory.restored <= self._policy.settle_s * US_PER_S
        return {
            told.occurrence
            for told in memory.calls.told
            if told.mark == NO_MARK
            and not told.epoch
            and told.occurrence > HELD
            and told.key == mine.key
            and mine.lo <= told.taken
            and (restored or self.recent(told.received, signal))
            and (one := self._shelf.get(told.occurrence)) is not None
            and not one.epoch
        }

    def held_records(self, key: Key) -> list[Waiting]:
        """Records of this content that are held."""
        return [
            held
            for held in self._memory.waiting
            if held.signal.epoch and not held.shown and self._seen(held.signal).key == key
        ]

    def phones_of(self, mine: Seen) -> list[Seen]:
        """Reports shown that can be about this Record and no other one known."""
        return [
            one
            for one in self._shelf.of_key(mine.key)
            if not one.epoch and one.may_tell_of(mine) and self._only(one, mine)
        ]

    def _only(self, phone: Seen, record: Seen) -> bool:
        return all(one.occurrence == record.occurrence for one in self.records_of(phone))

    def nothing_new(self, signal: Signal, mine: Seen) -> bool:
        """What it says is on the screen, and were it new, its Record would come by itself."""
        memory = self._memory
        owed = [
            one.lo
            for one in self._shelf.of_key(mine.key)
            if one.epoch
            and PATH_PHONE not in one.paths
            and mine.may_tell_of(one)
            and self._still_owed(one, signal)
        ]
        listed = max((one.received for one in memory.calls.batches), default=0)
        waits = {one.signal.id: one for one in memory.waiting}
        # Without marks a repeat of one of several may have been the last of them.
        own = (HELD,) if memory.calls.marks else (HELD, GONE)
        taken = [  # reports since then stand for one each, unless they are the one before again
            told.taken
            for told in memory.calls.told
            if told.key == mine.key
            and told.mark == NO_MARK
            and not told.epoch
            and told.signal != signal.id
            and told.received > listed
            and told.occurrence in (*own, told.signal)
            and not (told.signal in waits and waits[told.signal].repeat)
        ]
        # A report can have told of what had happened: newest Records first, one stays untold.
        return any(
            sum(at >= lo for at in taken) < count
            for count, lo in enumerate(sorted(owed, reverse=True), 1)
        )

    def _still_owed(self, record: Seen, signal: Signal) -> bool:
        """The panel may not have told this Record by phone yet: it lists when it owes no more."""
        calls = self._memory.calls
        settled = self.settled(min(signal.received, signal.at - signal.err_us))
        if settled is not None and (record.epoch, record.seq) <= (settled.epoch, settled.seq):
            return False
        if self._memory.lost and not calls.always:
            return False
        if not calls.always and signal.event.code not in ALWAYS_PHONED:
            return signal.received - record.received <= self._policy.alarm_recent_s * US_PER_S
        return all((one.epoch, one.seq) < (record.epoch, record.seq) for one in calls.batches)

    def settled(self, made: int) -> Beat | None:
        """The last heartbeat before a report made then or later which owed nothing by phone."""
        beats = [one for one in self._memory.settled if one.sent <= made]
        return max(beats, key=lambda one: one.sent, default=None)

    def records_of(self, phone: Seen) -> list[Seen]:
        """Records a report can be about, shown or held."""
        shelf = self._shelf
        found = [one for one in shelf.of_key(phone.key) if one.epoch and phone.may_tell_of(one)]
        for waiting in self._memory.waiting:
            signal = waiting.signal
            if signal.epoch and not waiting.shown:
                one = self._seen(signal)
                if one.key == phone.key and phone.may_tell_of(one):
                    found.append(one)
        return found

    def shown_of(self, records: list[Seen], phone: Seen) -> tuple[int, ...]:
        """Those of them that are shown, the likeliest first: the last that had happened."""
        shown = [one for one in records if self._shelf.get(one.occurrence) is not None]
        shown.sort(key=lambda one: (abs(phone.hi - (one.lo + one.hi) // 2), one.occurrence))
        return tuple(one.occurrence for one in shown)

    def heard_since(self, waiting: Waiting) -> bool:
        """The network path was up after it, and nothing was missing."""
        return self._memory.heard > waiting.since and self.none_missing(waiting)

    def none_missing(self, report: Waiting) -> bool:
        """No Record is missing of the time this report can be about, but for the newest."""
        mine = self._seen(report.signal)
        marks = {told.mark for told in self._memory.calls.told}
        return mine.lo > self._memory.dropped_hi and self._memory.stretches.complete(
            mine.lo, mine.hi, marks
        )

    def proven(self, phone: Seen, now: UtcTime) -> bool:
        """Nothing unknown can be what the report is about."""
        memory = self._memory
        told = memory.calls.of(phone.occurrence)
        return (
            not memory.lost
            and self.remembered(phone, None if told is None else self.settled(told.least))
            and now >= utc_later(UtcTime(memory.restored), self._policy.settle_s)
            and phone.lo > memory.dropped_hi
            and memory.stretches.complete(phone.lo, phone.hi)
        )

    def remembered(self, phone: Seen, settled: Beat | None) -> bool:
        """No Record it can be about has been let go of."""
        least = (settled.epoch, settled.seq) if settled is not None else (0, 0)
        return self._memory.forgotten_of(phone.key) <= least

    def recent(self, received: int, signal: Signal) -> bool:
        """What was received then is young enough for this Signal to wait beside it."""
        urgent = priority_of(signal.event.code) in URGENT
        within_s = self._policy.alarm_recent_s if urgent else self._policy.recent_s
        return signal.received - received <= within_s * US_PER_S

    def possible(self, one: Seen) -> bool:
        """It may still join by content."""
        if one.epoch:
            return bool(self.phones_of(one))
        return len(self.records_of(one)) == 1
