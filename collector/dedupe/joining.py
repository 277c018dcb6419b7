"""Dedupe: one panel's Signals -> Occurrences. Joining needs proof; doubt leaves two (rule 4).

- By identity: same (panel, epoch, seq) and digest, at any distance in time the window holds.
- By mark: the panel's own list of what a call carried (`exact.py`). Exact, hours late too.
- By content: a phone report is the only Record of its code, qualifier, area and zone in all the
  time it can be about, no Record of that time is missing, and the supervised path has had
  `settle_s` to bring another. A panel journals before it phones, so then it can be no other.

What repeats something on the screen is held for that proof and nothing is withheld by it; hold-up
and fire are shown meanwhile, or held `alarm_hold_s` at most when a mark is to be expected.
What was shown twice becomes one when the proof comes later (`Retired`).

Pure: time is the Signals' stored time of receipt.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from collector.dedupe.calls import HELD, NO_MARK, Told
from collector.dedupe.effects import Effect, Joined, Opened, Retired, opened
from collector.dedupe.exact import Exact
from collector.dedupe.memory import Memory, Shelf, Waiting
from collector.dedupe.seen import Seen, by_phone, seen_of
from collector.records.signal import PATH_CENTRE, PATH_PHONE, Signal
from protocols.instants import US_PER_S, UtcTime, utc_later
from protocols.panel_event import Code, Priority, Qualifier, priority_of
from protocols.phone_batch import batch_of

MAX_WAITING: Final = 64
"""Most Signals held at a time; more are shown at once."""
_NEVER_HELD: Final = frozenset({Priority.HOLDUP, Priority.FIRE})


class Policy(msgspec.Struct, frozen=True):
    """`settle_s` must exceed the time in which a dead path is noticed (period + margin).

    `late_s`: how old the event of a phone report may be at most, by redials and dead lines.
    `alarm_hold_s`: a hold-up or fire already on the screen waits for its mark so long at most, and
    only when that was shown within `alarm_recent_s`; others `recent_s`.
    """

    settle_s: float = 100.0
    slack_s: float = 5.0
    clock_s: float = 900.0
    """By how much more than it says a Record's time may be wrong: a clock that was set wrong does
    not know it."""
    late_s: float = 12 * 3600.0
    widest_s: float = 900.0
    """A Record whose time is known no better than this joins by identity or mark only."""
    extend_s: float = 24 * 3600.0
    """How long the proof may still come for what has been shown twice."""
    alarm_hold_s: float = 40.0
    alarm_recent_s: float = 180.0
    recent_s: float = 900.0
    keep_s: float = 13 * 3600.0
    """Longer than `late_s`: what is forgotten sooner proves nothing."""
    keep_phone_s: float = 72 * 3600.0
    keep_count: int = 256
    stretches: int = 64


class Joiner:
    """The dedupe machine of one panel."""

    def __init__(self, policy: Policy, memory: Memory | None = None) -> None:
        self._policy = policy
        self._memory = memory if memory is not None else Memory()
        self._slack_us = round(policy.slack_s * US_PER_S)
        self._clock_us = round((policy.slack_s + policy.clock_s) * US_PER_S)
        self._late_us = round(policy.late_s * US_PER_S)
        self._shelf = Shelf(self._memory.seen)
        self._memory.phones |= any(not one.epoch for one in self._memory.seen)
        self._exact = Exact(self._memory, self._shelf, self._seen)

    def snapshot(self) -> bytes:
        """The state, to be stored with what it produced."""
        self._memory.seen = self._shelf.all()
        return msgspec.msgpack.encode(self._memory)

    @classmethod
    def restore(cls, policy: Policy, snapshot: bytes) -> Joiner:
        """The machine as it was."""
        return cls(policy, msgspec.msgpack.decode(snapshot, type=Memory))

    def offer_marks(self, offered: bool) -> None:
        """The site card says whether calls end with a mark (SiteCard.phone_marks)."""
        self._memory.calls.marks |= offered

    def receive(self, signal: Signal, now: UtcTime) -> list[Effect]:
        """Take one Signal of this panel, in ledger order. `now` is its time of receipt."""
        self._expire(now)
        if signal.path == PATH_CENTRE:
            self._supervise(signal)
            return [Opened(opened(signal))]
        if signal.path == PATH_PHONE and not signal.epoch:
            self._memory.phones = True
            return self._phone(signal, now)
        return self._record(signal, now)

    def tick(self, now: UtcTime) -> list[Effect]:
        """Decide what has been held long enough."""
        effects: list[Effect] = []
        for waiting in [held for held in self._memory.waiting if held.until <= now]:
            if waiting in self._memory.waiting:  # an earlier decision may have settled it
                effects += self._decide(waiting, now)
        return effects

    def deadline(self) -> UtcTime | None:
        """When the next held Signal is to be decided."""
        return min((waiting.until for waiting in self._memory.waiting), default=None)

    # Records

    def _record(self, signal: Signal, now: UtcTime) -> list[Effect]:
        memory, mine = self._memory, self._seen(signal)
        stretches, limit = memory.stretches, self._policy.stretches
        stretches.add(signal.epoch, signal.seq, mine.lo, mine.hi, limit)
        if signal.event.code == Code.PHONE_BATCH:
            return self._batch(signal)
        known = self._same(signal)
        if known is not None:
            return self._bind(known, signal)
        if not by_phone(signal.event):
            return [Opened(opened(signal))]
        if signal.conflict or not memory.phones or not self._room():
            effects = self._open(signal)
        elif self._told_and_open(signal, mine):
            effects = self._hold(signal, mine, now, plain=self._narrow(signal))
        elif self._narrow(signal) and self._phones_of(mine):
            effects = self._hold_plain(signal, now)
        else:
            effects = self._open(signal)
        if memory.phones:
            if memory.calls.batches and memory.calls.lists_record((signal.epoch, signal.seq)):
                effects += self._exact.resolve()
            effects += self._review(mine)
        return effects

    def _batch(self, signal: Signal) -> list[Effect]:
        batch = batch_of(signal.event)
        if batch is None:
            return []  # kept in the ledger; it joins nothing and is no event
        calls = self._memory.calls
        calls.marks = True
        calls.note_batch(signal.epoch, signal.seq, batch, signal.received)
        return self._exact.resolve()

    def _told_and_open(self, signal: Signal, mine: Seen) -> bool:
        """A report of this content is on the screen and its mark or its list is still to come."""
        memory = self._memory
        if not memory.calls.marks:
            return False
        return any(
            told.mark == NO_MARK
            and not told.epoch
            and told.occurrence > HELD
            and told.key == mine.key
            and mine.lo <= told.taken
            and self._recent(told.received, signal)
            for told in memory.calls.told
        )

    def _phones_of(self, mine: Seen) -> list[Seen]:
        """Reports shown that can be about this Record and no other one known."""
        return [
            one
            for one in self._shelf.of_key(mine.key)
            if not one.epoch and one.overlaps(mine) and self._only(one, mine)
        ]

    def _only(self, phone: Seen, record: Seen) -> bool:
        return all(one.occurrence == record.occurrence for one in self._records_of(phone))

    # Phone reports

    def _phone(self, signal: Signal, now: UtcTime) -> list[Effect]:
        call = signal.phone
        calls = self._memory.calls
        mine = self._seen(signal)
        if call is None:
            return self._unmarked(signal, mine, now)
        told = Told(
            signal=signal.id,
            key=mine.key,
            taken=call.taken,
            received=signal.received,
            call=zlib.crc32(f"{call.receiver}/{call.call}".encode()) if call.call else signal.id,
        )
        if call.mark is not None:
            told.mark = call.mark
            calls.marks = True
            calls.add(told)
            return [*self._exact.resolve(), *self._let_go()]
        if not calls.marks:
            calls.add(told)
            effects = self._unmarked(signal, mine, now)
            self._note(told)
            return effects
        shown = self._shown_before(signal, mine, told)
        calls.add(told)
        if shown and self._room():
            effects = self._hold(signal, mine, now, plain=True)
        else:
            effects = self._unmarked(signal, mine, now)
        self._note(told)
        if any(one.mark != NO_MARK and one.taken > told.taken for one in calls.told):
            effects += self._exact.resolve()  # it came after the mark that closes it
        return effects

    def _note(self, told: Told) -> None:
        """Where it shows, unless it is held."""
        if self._shelf.get(told.signal) is not None:
            told.occurrence = told.signal

    def _shown_before(self, signal: Signal, mine: Seen, told: Told) -> bool:
        """What it says is on the screen: as a Record no report has claimed, or by this call."""
        for one in self._shelf.of_key(mine.key):
            if one.epoch and PATH_PHONE not in one.paths and self._recent(one.received, signal):
                return True
        return any(
            one.key == told.key and one.occurrence > HELD and self._recent(one.received, signal)
            for one in self._memory.calls.unmarked()
        )

    def _unmarked(self, signal: Signal, mine: Seen, now: UtcTime) -> list[Effect]:
        """Join by content, if at all."""
        if len(self._records_of(mine)) == 1 and self._room():
            return self._hold_plain(signal, now)
        return [*self._open(signal), *self._review(mine)]

    def _records_of(self, phone: Seen) -> list[Seen]:
        """Records a report can be about, shown or held."""
        found = [one for one in self._shelf.of_key(phone.key) if one.epoch and one.overlaps(phone)]
        for waiting in self._memory.waiting:
            signal = waiting.signal
            if signal.epoch and not waiting.shown:
                one = self._seen(signal)
                if one.key == phone.key and one.overlaps(phone):
                    found.append(one)
        return found

    # Holding and deciding

    def _hold(self, signal: Signal, mine: Seen, now: UtcTime, *, plain: bool) -> list[Effect]:
        """For its mark; what it says is on the screen already."""
        urgent = priority_of(signal.event.code) in _NEVER_HELD
        wait_s = self._policy.alarm_hold_s if urgent else self._policy.settle_s
        until = utc_later(now, wait_s)
        self._memory.waiting.append(Waiting(signal, until, since=now, plain=plain and not urgent))
        return []

    def _hold_plain(self, signal: Signal, now: UtcTime) -> list[Effect]:
        """For proof by content. Hold-up and fire are shown meanwhile."""
        shown = priority_of(signal.event.code) in _NEVER_HELD
        effects = self._open(signal) if shown else []
        until = utc_later(now, self._policy.settle_s)
        self._memory.waiting.append(Waiting(signal, until, shown=shown, since=now))
        return effects

    def _room(self) -> bool:
        """Whether one more can wait: what only waits for a later proof gives way."""
        waiting = self._memory.waiting
        if len(waiting) >= MAX_WAITING:
            shown = next((one for one in waiting if one.shown), None)
            if shown is None:
                return False
            waiting.remove(shown)
        return True

    def _let_go(self) -> list[Effect]:
        """A mark came whose list cannot come, for the network is lost: show what was held."""
        memory = self._memory
        if not memory.lost:
            return []
        effects: list[Effect] = []
        held = [w for w in memory.waiting if not w.shown and not w.signal.epoch]
        for waiting in held:
            memory.waiting.remove(waiting)
            effects += self._open(waiting.signal)
            self._exact.shown(waiting.signal)
        return effects

    def _review(self, mine: Seen) -> list[Effect]:
        """Show at once what a newcomer of the same content has made doubtful."""
        effects: list[Effect] = []
        for waiting in list(self._memory.waiting):
            signal = waiting.signal
            if not waiting.plain or signal.id == mine.occurrence or waiting.shown:
                continue
            one = self._seen(signal)
            if one.key != mine.key or self._memory.calls.marks or self._possible(one):
                continue
            self._memory.waiting.remove(waiting)
            effects += self._open(signal)
            self._exact.shown(signal)
        return effects

    def _possible(self, one: Seen) -> bool:
        if one.epoch:
            return bool(self._phones_of(one))
        return len(self._records_of(one)) == 1

    def _decide(self, waiting: Waiting, now: UtcTime) -> list[Effect]:
        memory, signal = self._memory, waiting.signal
        mine = self._seen(signal)
        memory.waiting.remove(waiting)
        if waiting.plain:
            phones = self._phones_of(mine) if signal.epoch else [mine]
            if (signal.epoch or len(self._records_of(mine)) == 1) and phones:
                if all(self._proven(phone, now) for phone in phones):
                    return self._prove(waiting, mine, phones, now)
                if now < utc_later(UtcTime(waiting.since), self._policy.extend_s):
                    return self._wait_on(waiting, now)
        if waiting.shown:
            return []
        effects = self._open(signal)
        self._exact.shown(signal)
        return effects

    def _wait_on(self, waiting: Waiting, now: UtcTime) -> list[Effect]:
        """Not proven yet: it is shown, and the proof may still come."""
        effects: list[Effect] = []
        if not waiting.shown:
            effects = self._open(waiting.signal)
            self._exact.shown(waiting.signal)
            waiting.shown = True
        passed_s = (now - waiting.since) / US_PER_S
        waiting.until = utc_later(now, max(self._policy.settle_s, passed_s / 2))
        self._memory.waiting.append(waiting)
        return effects

    def _prove(
        self, waiting: Waiting, mine: Seen, phones: list[Seen], now: UtcTime
    ) -> list[Effect]:
        """The reports are this Record, all of them."""
        signal = waiting.signal
        if not signal.epoch:
            (record,) = self._records_of(mine)
            if self._shelf.get(record.occurrence) is None:  # the Record is held itself
                held = next(w for w in self._memory.waiting if w.signal.id == record.occurrence)
                if waiting.shown:
                    held.until = now
                    return self._decide(held, now)
                return self._wait_on(waiting, now)
            if waiting.shown:
                return self._unite(record, mine)
            return self._bind(record, signal)
        effects: list[Effect] = []
        first = min(phones, key=lambda one: one.occurrence)
        if waiting.shown:
            effects += self._unite(self._shelf.get(signal.id) or mine, first)
        else:
            effects += self._bind(first, signal)
        for other in phones:
            if other is not first:
                effects += self._unite(self._shelf.of_record((signal.epoch, signal.seq))[0], other)
        return effects

    def _unite(self, one: Seen, other: Seen) -> list[Effect]:
        """Two Occurrences are one: the older stays."""
        return self._exact.unite(one.occurrence, other.occurrence)

    def _proven(self, phone: Seen, now: UtcTime) -> bool:
        """Nothing unknown can be what the report is about."""
        memory = self._memory
        return (
            not memory.lost
            and now >= utc_later(UtcTime(memory.restored), self._policy.settle_s)
            and phone.lo > memory.dropped_hi
            and memory.stretches.complete(phone.lo, phone.hi)
        )

    # The memory

    def _same(self, signal: Signal) -> Seen | None:
        """The one Occurrence of this identity; a missing digest fits any, but only one."""
        found = [
            one
            for one in self._shelf.of_record((signal.epoch, signal.seq))
            if one.digest == signal.digest or not one.digest or not signal.digest
        ]
        exact = [one for one in found if one.digest == signal.digest]
        if exact:
            return exact[0]
        return found[0] if len(found) == 1 and not signal.conflict else None

    def _bind(self, seen: Seen, signal: Signal) -> list[Effect]:
        return [self._exact.bind(seen, signal)]

    def _open(self, signal: Signal) -> list[Effect]:
        shelf = self._shelf
        shelf.add(self._seen(signal))
        if len(shelf) > self._policy.keep_count:
            oldest = shelf.oldest()
            self._memory.dropped_hi = max(self._memory.dropped_hi, oldest.hi)
            shelf.remove(oldest)
        return [Opened(opened(signal))]

    def _seen(self, signal: Signal) -> Seen:
        slack = self._clock_us if signal.epoch else self._slack_us
        return seen_of(signal, slack, self._late_us)

    def _narrow(self, signal: Signal) -> bool:
        return signal.err_us <= self._policy.widest_s * US_PER_S

    def _recent(self, received: int, signal: Signal) -> bool:
        urgent = priority_of(signal.event.code) in _NEVER_HELD
        within_s = self._policy.alarm_recent_s if urgent else self._policy.recent_s
        return signal.received - received <= within_s * US_PER_S

    def _supervise(self, signal: Signal) -> None:
        event = signal.event
        if event.code == Code.PANEL_LOST and "path=phone" not in event.detail:
            memory = self._memory
            memory.lost = event.q == Qualifier.NEW
            if not memory.lost:
                memory.restored = signal.received

    def _expire(self, now: UtcTime) -> None:
        """Forget by age; of a panel that phones, what a late report may still be about stays."""
        keep = self._policy
        if now < self._memory.expire_at:
            return
        self._memory.expire_at = utc_later(now, keep.keep_s / 20)
        keep_s = keep.keep_phone_s if self._memory.phones else keep.keep_s
        limit = now - round(keep_s * US_PER_S)
        for one in [one for one in self._shelf if one.received <= limit]:
            self._shelf.remove(one)
            self._memory.dropped_hi = max(self._memory.dropped_hi, one.hi)
        self._memory.calls.forget(now - round(keep.keep_phone_s * US_PER_S))


__all__ = ["Effect", "Joined", "Joiner", "Opened", "Policy", "Retired"]
