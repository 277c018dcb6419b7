"""Dedupe: one panel's Signals -> Occurrences. Joining needs proof; doubt leaves two (rule 4).

- By identity: same (panel, epoch, seq) and digest, at any distance in time the window holds.
- By mark: the panel's own list of what a call carried (`exact.py`). Exact, hours late too.
- By completeness: all Records of the time a report can be about are here (`complete.py`), so it is
  one of those that say the same: the only one, or certainly nothing new.
- By content, where no heartbeat told that: the only such Record, and the supervised path has had
  `settle_s` to bring another. A panel journals before it phones.

What repeats something on the screen is held for that proof (README.md: how long, and what ends it).
What was shown twice becomes one when the proof comes later (`Retired`).

Pure: time is the Signals' stored time of receipt.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from collector.dedupe.calls import GONE, NO_MARK, Told
from collector.dedupe.complete import Complete
from collector.dedupe.effects import Effect, Joined, Opened, Repeated, Retired, opened
from collector.dedupe.exact import Exact
from collector.dedupe.memory import Memory, Shelf, Waiting
from collector.dedupe.policy import Policy
from collector.dedupe.screen import ALWAYS_PHONED, URGENT, Screen
from collector.dedupe.seen import Seen, by_phone, seen_of
from collector.records.signal import PATH_CENTRE, PATH_PHONE, Signal
from protocols.instants import US_PER_S, UtcTime, utc_later
from protocols.panel_event import Code, Qualifier, priority_of
from protocols.phone_batch import batch_of

MAX_WAITING: Final = 64
"""Most Signals held at a time; more are shown at once."""
SKEW_US: Final = 240 * US_PER_S
"""A receiver's clock within this orders its reports; one that is farther off says nothing."""
MAX_DETAIL: Final = 256
"""Longest text of one that is held, in characters: what is remembered is bounded."""


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
        self._screen = Screen(policy, self._memory, self._shelf, self._seen)
        self._exact = Exact(self._memory, self._shelf, self._seen)
        self._complete = Complete(policy, self._memory, self._shelf, self._screen, self._exact)

    def snapshot(self) -> bytes:
        """The state, to be stored with what it produced."""
        self._memory.seen = self._shelf.all()
        return msgspec.msgpack.encode(self._memory)

    @classmethod
    def restore(cls, policy: Policy, snapshot: bytes) -> Joiner:
        """The machine as it was."""
        return cls(policy, msgspec.msgpack.decode(snapshot, type=Memory))

    def offer_marks(self, offered: bool, *, always: bool = False) -> None:
        """What the site card says: calls end with a mark (SiteCard.phone_marks); `always`: every
        Record goes by phone too (SiteCard.phone_always).
        """
        self._memory.calls.marks |= offered
        self._memory.calls.always = always

    def receive(self, signal: Signal, now: UtcTime) -> list[Effect]:
        """Take one Signal of this panel, in ledger order. `now` is its time of receipt."""
        self._expire(now)
        if signal.path == PATH_CENTRE and signal.event.code == Code.PATH_PROVEN:
            return self._complete.beat(signal)
        if signal.path == PATH_CENTRE:
            return [*self._supervise(signal, now), Opened(opened(signal))]
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
        reached = self._complete.reached()
        self._count(signal, mine)
        if signal.event.code == Code.PHONE_BATCH:
            effects = self._batch(signal, mine)
        else:
            effects = self._event(signal, mine, now)
        if memory.beats and self._complete.reached() != reached:
            effects += self._complete.resolve()
        return effects

    def _count(self, signal: Signal, mine: Seen) -> None:
        """Which Records are here."""
        memory = self._memory
        if signal.conflict:  # two panels of one name, or a restored one: its numbers prove nothing
            memory.dropped_hi = max(memory.dropped_hi, signal.received)
            return
        if signal.event.code == Code.EPOCH_OPENED:
            memory.stretches.opened_after_another(signal.epoch)
        memory.recorded = signal.received
        limit = self._policy.stretches
        memory.stretches.add(signal.epoch, signal.seq, mine.lo, mine.hi, limit)

    def _event(self, signal: Signal, mine: Seen, now: UtcTime) -> list[Effect]:
        memory = self._memory
        known = self._shelf.same(signal)
        if known is not None:
            return self._bind(known, signal)
        if not by_phone(signal.event):
            return [Opened(opened(signal))]
        if signal.conflict or not memory.phones or not self._room(signal):
            effects = self._open(signal)
        elif self._screen.told_already(signal, mine):
            effects = self._hold(signal, mine, now, plain=self._narrow(signal))
        elif self._narrow(signal) and self._screen.phones_of(mine):
            effects = self._hold_plain(signal, now)
        else:
            effects = self._open(signal)
        if memory.calls.batches and memory.calls.lists_record((signal.epoch, signal.seq)):
            effects += self._resolve()
        return effects

    def _batch(self, signal: Signal, mine: Seen) -> list[Effect]:
        batch = batch_of(signal.event)
        if batch is None:
            return []  # kept in the ledger; it joins nothing and is no event
        calls = self._memory.calls
        calls.marks = True
        calls.note_batch(batch, mine)
        return self._resolve()

    def _resolve(self) -> list[Effect]:
        """Join what the marks prove; a Record whose report turned out another's is shown."""
        effects = self._exact.resolve()
        if not effects:
            return []
        for waiting in [one for one in self._memory.waiting if one.signal.epoch and not one.shown]:
            mine = self._seen(waiting.signal)
            held = self._screen.held_records(mine.key)
            reports = len(self._screen.open_reports(mine, waiting.signal))
            if waiting in held and len(held) > max(reports, len(self._screen.phones_of(mine))):
                self._memory.waiting.remove(waiting)
                effects += self._open(waiting.signal)
                self._exact.shown(waiting.signal)
        return effects

    # Phone reports

    def _phone(self, signal: Signal, now: UtcTime) -> list[Effect]:
        call = signal.phone
        memory, calls = self._memory, self._memory.calls
        mine = self._seen(signal)
        least = signal.at - signal.err_us
        told = Told(signal.id, mine.key, signal.received, signal.received, signal.id, least=least)
        if call is not None:
            if abs(call.taken - signal.at) <= SKEW_US:
                told.taken = call.taken
            else:
                told.taken = min(signal.received, signal.at + signal.err_us)
            if call.call:
                told.call = zlib.crc32(f"{call.receiver}/{call.call}".encode())
        if call is not None and call.mark is not None:
            told.mark = call.mark
            calls.marks = True
            calls.add(told)
            effects = self._resolve()
            recent = now - memory.recorded <= self._policy.recent_s * US_PER_S
            if recent and memory.stretches.ends_before(call.mark):
                memory.heard = max(memory.heard, now)
                self._all_known(told)
            return [*effects, *self._let_go()]
        before = calls.may_repeat(told)
        repeat = before is not None and self._screen.recent(before.received, signal)
        calls.add(told)
        # What follows its like directly is sent once more, or a second press: with the network
        # lost nothing else would tell of that.
        known = (repeat and not memory.lost) or self._screen.nothing_new(signal, mine)
        if known and self._room(signal):
            effects = self._hold(signal, mine, now, plain=True, repeat=repeat)
        else:
            effects = self._open(signal)
        self._note(told)
        if any(one.mark != NO_MARK and one.taken > told.taken for one in calls.told):
            effects += self._resolve()  # it came after the mark that closes it
        return effects

    def _note(self, told: Told) -> None:
        """Where it shows, unless it is held."""
        if self._shelf.get(told.signal) is not None:
            told.occurrence = told.signal

    # Holding and deciding

    def _hold(
        self, signal: Signal, mine: Seen, now: UtcTime, *, plain: bool, repeat: bool = False
    ) -> list[Effect]:
        """For its mark; what it says is on the screen already."""
        urgent = priority_of(signal.event.code) in URGENT
        until = utc_later(now, self._policy.alarm_hold_s if urgent else self._policy.settle_s)
        self._memory.waiting.append(
            Waiting(signal, until, since=now, plain=plain and not urgent, repeat=repeat)
        )
        return []

    def _hold_plain(self, signal: Signal, now: UtcTime) -> list[Effect]:
        """For proof by content. Hold-up and fire are shown meanwhile."""
        shown = priority_of(signal.event.code) in URGENT
        effects = self._open(signal) if shown else []
        until = utc_later(now, self._policy.settle_s)
        self._memory.waiting.append(Waiting(signal, until, shown=shown, since=now))
        return effects

    def _room(self, signal: Signal) -> bool:
        """Whether this can wait too: what only waits for a later proof gives way."""
        waiting = self._memory.waiting
        if len(signal.event.detail) > MAX_DETAIL:
            return False
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
        held = [w for w in memory.waiting if not (w.shown or w.same_as or w.signal.epoch)]
        for waiting in held:
            memory.waiting.remove(waiting)
            effects += self._open(waiting.signal)
            self._exact.shown(waiting.signal)
        return effects

    def _decide(self, waiting: Waiting, now: UtcTime) -> list[Effect]:
        memory, signal = self._memory, waiting.signal
        mine = self._seen(signal)
        memory.waiting.remove(waiting)
        if not signal.epoch and not waiting.shown:
            return self._decide_report(waiting, mine, now)
        if waiting.plain:
            phones = self._screen.phones_of(mine) if signal.epoch else [mine]
            if (signal.epoch or len(self._screen.records_of(mine)) == 1) and phones:
                if all(self._screen.proven(phone, now) for phone in phones):
                    return self._prove(waiting, mine, phones, now)
                if now < utc_later(UtcTime(waiting.since), self._policy.extend_s):
                    return self._wait_on(waiting, now)
        if waiting.shown:
            return []
        effects = self._open(signal)
        self._exact.shown(signal)
        return effects

    def _all_known(self, mark: Told) -> None:
        """The mark's own Record is the only one missing: what the reports before it tell is on the
        screen, also when its list cannot come.
        """
        before = {one.signal for one in self._memory.calls.closed_by(mark)}
        for waiting in self._memory.waiting:
            if waiting.signal.id in before and not waiting.shown:
                records = self._screen.records_of(self._seen(waiting.signal))
                shown = self._screen.shown_of(records, self._seen(waiting.signal))
                if shown and len(shown) == len(records) and self._screen.none_missing(waiting):
                    waiting.same_as = shown
                    waiting.until = utc_later(UtcTime(waiting.since), self._policy.extend_s)

    def _decide_report(self, waiting: Waiting, mine: Seen, now: UtcTime) -> list[Effect]:
        """A report held for its mark. While it is certain that it is nothing new it stays held."""
        signal, records = waiting.signal, self._screen.records_of(mine)
        shown = self._screen.shown_of(records, mine)
        settled = utc_later(UtcTime(waiting.since), self._policy.settle_s)
        if waiting.same_as:
            return self._repeated(signal, shown or waiting.same_as)
        if shown and len(shown) == len(records):
            if now >= settled and self._screen.proven(mine, now):
                if len(records) == 1:
                    return self._bind(records[0], signal)
                if not self._memory.calls.marks:
                    return self._repeated(signal, shown)
                waiting.same_as = shown
                waiting.until = utc_later(now, self._policy.extend_s)
                self._memory.waiting.append(waiting)
                return []
            if now < settled and self._screen.heard_since(waiting) and not self._memory.lost:
                waiting.until = settled
                self._memory.waiting.append(waiting)
                return []
        waiting.plain = True
        return self._wait_on(waiting, now)

    def _repeated(self, signal: Signal, same_as: tuple[int, ...]) -> list[Effect]:
        told = self._memory.calls.of(signal.id)
        if told is not None:
            told.occurrence = GONE
        return [Repeated(signal.id, same_as)]

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
            (record,) = self._screen.records_of(mine)
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

    # The memory

    def _bind(self, seen: Seen, signal: Signal) -> list[Effect]:
        return [self._exact.bind(seen, signal)]

    def _open(self, signal: Signal) -> list[Effect]:
        self._shelf.add(self._seen(signal))
        return [Opened(opened(signal))]

    def _seen(self, signal: Signal) -> Seen:
        slack = self._clock_us if signal.epoch else self._slack_us
        return seen_of(signal, slack, self._late_us)

    def _narrow(self, signal: Signal) -> bool:
        return signal.err_us <= self._policy.widest_s * US_PER_S

    def _supervise(self, signal: Signal, now: UtcTime) -> list[Effect]:
        event, memory = signal.event, self._memory
        if event.code != Code.PANEL_LOST or "path=phone" in event.detail:
            return []
        memory.lost = event.q == Qualifier.NEW
        if not memory.lost:
            memory.restored = signal.received
            return []
        effects: list[Effect] = []
        for waiting in list(memory.waiting):  # the Record of what is held may never have come
            if not (waiting.shown or waiting.same_as or waiting.signal.epoch):
                memory.waiting.remove(waiting)
                effects += self._decide_report(waiting, self._seen(waiting.signal), now)
        return effects

    def _forget(self, one: Seen, now: int) -> None:
        """A panel that phones what the network did not take owes no more by phone what came here
        long ago, but for what concerns the paths themselves.
        """
        self._shelf.remove(one)
        young = now - one.received <= self._policy.keep_s * US_PER_S
        may_phone = self._memory.calls.always or young or one.key[0] in ALWAYS_PHONED
        self._memory.forget(one, may_phone=may_phone)

    def _expire(self, now: UtcTime) -> None:
        """Forget by number and age; of a panel that phones, what a late report may still be about
        stays.
        """
        keep = self._policy
        while len(self._shelf) > keep.keep_count:
            self._forget(self._shelf.oldest(), now)
        if now < self._memory.expire_at:
            return
        self._memory.expire_at = utc_later(now, keep.keep_s / 20)
        phones = self._memory.phones or self._memory.calls.always
        keep_s = keep.keep_phone_s if phones else keep.keep_s
        limit = now - round(keep_s * US_PER_S)
        for one in [one for one in self._shelf if one.received <= limit]:
            self._forget(one, now)
        self._memory.calls.forget(now - round(keep.keep_phone_s * US_PER_S))


__all__ = ["Effect", "Joined", "Joiner", "Opened", "Policy", "Retired"]
