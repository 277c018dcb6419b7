"""Joining by completeness: a report of a panel whose Records are all here is one of them.

The panel journals before it phones. A heartbeat that was sent after a report names the newest
Record; once all Records up to it are here, so is the report's own. What the report says of no
Record stays; of one, it is that Record; of several, it is certainly no event of its own (README).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from collector.dedupe.calls import GONE, HELD, NO_MARK, Told
from collector.dedupe.effects import Effect, Repeated, Retired
from collector.dedupe.exact import Exact
from collector.dedupe.memory import Beat, Memory, Shelf, Waiting
from collector.dedupe.policy import Policy
from collector.dedupe.screen import Screen
from collector.dedupe.seen import Seen
from collector.records.signal import Signal
from protocols.contact_id.codes import USER_CODES
from protocols.contact_id.mapping import phone_code_of
from protocols.instants import US_PER_S, UtcTime, utc_later
from protocols.panel_event import Code, Priority, priority_of

MAX_BEATS: Final = 8
_NUMBER: Final = r"(\d{1,16})"
_SECONDS: Final = r"(\d{1,10}\.\d)"
_PROVEN: Final = re.compile(
    rf"epoch={_NUMBER};seq={_NUMBER}(?:;up_s={_SECONDS};under_way_s={_SECONDS}(?:;owed=(\d{{1,9}}))?)?"
)


class Complete:
    """Works on the Joiner's memory."""

    def __init__(
        self, policy: Policy, memory: Memory, shelf: Shelf, screen: Screen, exact: Exact
    ) -> None:
        self._policy = policy
        self._memory = memory
        self._shelf = shelf
        self._screen = screen
        self._exact = exact
        self._proof_us = round(policy.proof_s * US_PER_S)
        self._slack_us = round(policy.slack_s * US_PER_S)

    def beat(self, signal: Signal) -> list[Effect]:
        """PATH_PROVEN: a heartbeat that was sent after a report by phone."""
        found = _PROVEN.fullmatch(signal.event.detail)
        if found is None:
            return []
        memory, newest = self._memory, (int(found[1]), int(found[2]))
        if memory.stretches.reaches(*newest):
            memory.heard = signal.received
        if found[3] is None or not newest[1]:
            return []
        sent = signal.received - round(float(found[4]) * US_PER_S)
        since = sent - round(float(found[3]) * US_PER_S)
        beyond = memory.stretches.goes_beyond(*newest)
        if beyond and memory.recorded < sent:
            return []  # behind what was here: a restored image
        if found[5] == "0":
            memory.settled.append(Beat(sent, since, *newest))
            memory.settled.sort(key=lambda one: one.sent)
            del memory.settled[:-MAX_BEATS]
        if beyond:
            return []
        memory.beats.append(Beat(sent, since, *newest))
        del memory.beats[:-MAX_BEATS]
        return self.resolve()

    def reached(self) -> tuple[int, ...]:
        """Changes when a Record completes something. A cheap guard of `resolve`."""
        stretches = self._memory.stretches
        return (
            len(stretches.items),
            *(n for n, one in enumerate(self._memory.beats) if stretches.has(one.epoch, one.seq)),
        )

    def resolve(self) -> list[Effect]:
        """Every report that is proven now."""
        memory = self._memory
        beats = [one for one in memory.beats if memory.stretches.has(one.epoch, one.seq)]
        effects: list[Effect] = []
        if not beats:
            return effects
        for told in list(memory.calls.told):
            if told.mark == NO_MARK and not told.epoch and not told.alone:
                effects += self._judge(told, beats)
        return effects

    def _judge(self, told: Told, beats: list[Beat]) -> list[Effect]:
        waiting = self._waits(told) if told.occurrence == HELD else None
        mine = self._shelf.get(told.occurrence) if told.occurrence == told.signal else None
        if waiting is not None:
            mine = self._screen.seen(waiting.signal)
        if mine is None or mine.epoch:
            return []
        made = min(told.taken, told.received, mine.hi - self._slack_us)
        for beat in beats:
            if beat.sent >= told.received + self._proof_us and beat.since <= made:
                in_flight_us = round(self._policy.in_flight_s * US_PER_S)
                settled = self._screen.settled(min(told.least, made - in_flight_us))
                if settled is not None and settled.sent < beat.since:
                    settled = None
                if self._all_here(mine, beat, settled) and self._screen.remembered(mine, settled):
                    return self._decide(told, waiting, mine, beat, settled)
        return []

    def _all_here(self, mine: Seen, beat: Beat, settled: Beat | None) -> bool:
        """Every Record the report can be about: since the panel owed nothing by phone, or ever."""
        stretches, dropped_hi = self._memory.stretches, self._memory.dropped_hi
        newest = (beat.epoch, beat.seq)
        if settled is not None and settled.epoch == beat.epoch:
            return settled.sent > dropped_hi and stretches.has(*newest, first=settled.seq)
        return mine.lo > dropped_hi and stretches.complete(mine.lo, mine.hi, upto=newest)

    def _decide(
        self, told: Told, waiting: Waiting | None, mine: Seen, beat: Beat, settled: Beat | None
    ) -> list[Effect]:
        """The report's Record is here. Which one can it be?"""
        least = (settled.epoch, settled.seq) if settled is not None else (0, 0)
        found = [
            one
            for one in self._screen.records_of(mine)
            if least < (one.epoch, one.seq) <= (beat.epoch, beat.seq)
        ]
        if not found:
            told.alone = True
            return [] if waiting is None else self._exact.show(waiting)
        found = [one for one in found if not self._over(one, told, beat)] or found
        if len(found) == 1:
            return self._is(told, waiting, found[0])
        calls = self._memory.calls
        overdue = told.received + round(self._policy.extend_s * US_PER_S) <= beat.sent
        if not calls.marks or overdue or not calls.listed(told):
            return self._none_of_its_own(told, waiting, found, mine)
        shown = self._screen.shown_of(found, mine)
        if waiting is not None and len(shown) == len(found) and not waiting.same_as:
            waiting.same_as = shown  # the mark may still tell which
            waiting.until = utc_later(UtcTime(waiting.since), self._policy.extend_s)
        return []

    def _is(self, told: Told, waiting: Waiting | None, record: Seen) -> list[Effect]:
        told.epoch, told.seq = record.epoch, record.seq
        effects: list[Effect] = []
        held = self._exact.waits(record.occurrence)
        if held is not None and not held.shown:
            own = self._shelf.get(told.occurrence)
            if waiting is None and own is not None:
                self._memory.waiting.remove(held)
                self._exact.no_longer_waits(own.occurrence)
                return [self._exact.bind(own, held.signal)]
            effects += self._exact.show(held)
        home = self._shelf.get(record.occurrence)
        if home is None:
            return effects
        if waiting is None:
            return [*effects, *self._exact.unite(home.occurrence, told.occurrence)]
        self._memory.waiting.remove(waiting)
        return [*effects, self._exact.bind(home, waiting.signal)]

    def _none_of_its_own(
        self, told: Told, waiting: Waiting | None, found: list[Seen], mine: Seen
    ) -> list[Effect]:
        """It repeats one of these, nobody can tell which; they are all shown."""
        effects: list[Effect] = []
        for one in found:
            held = self._exact.waits(one.occurrence)
            if held is not None and not held.shown:
                effects += self._exact.show(held)
        shown = self._screen.shown_of(found, mine)
        gone, told.occurrence = told.occurrence, GONE
        if waiting is not None:
            self._memory.waiting.remove(waiting)
            return [*effects, Repeated(waiting.signal.id, shown)]
        self._shelf.remove(mine)
        self._exact.no_longer_waits(gone)
        return [*effects, Retired(gone, shown)]

    def _over(self, record: Seen, told: Told, beat: Beat) -> bool:
        """The panel had done with telling this Record before it made this report.

        Another report of it is known, after which the same call went on to something else, so it
        had been kissed off; or something was sent that would have had to wait for it.
        """
        before: Told | None = None
        for one in self._memory.calls.told:
            if one is told:
                return False
            if (one.epoch, one.seq) == (record.epoch, record.seq) and one.mark == NO_MARK:
                before = one if beat.since <= min(one.taken, one.received) else None
            elif before is not None and (
                (one.call == before.call and one.key != before.key) or _gives_way(one, before)
            ):
                return True
        return False

    def _waits(self, told: Told) -> Waiting | None:
        return self._exact.waits(told.signal)


def _gives_way(one: Told, other: Told) -> bool:
    """A panel that owes `other` by phone does not send `one`: it is less urgent, and no Record of
    its zone lifts it (edge/reporting/send_order.py).
    """
    if one.mark != NO_MARK:
        return False
    unzoned = one.key[0] in USER_CODES or not one.key[3]
    return unzoned and min(_ranks(one.key[0])) > max(_ranks(other.key[0]))


@cache
def _ranks(code: int) -> frozenset[Priority]:
    """Of all events that the phone tells by this code."""
    told = {priority_of(one) for one in Code if phone_code_of(one) == code}
    return frozenset({priority_of(code), *told})
