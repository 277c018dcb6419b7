"""Panels with two bad paths, and the truth beside them. Seeded; drives one Joiner a panel.

A panel journals events, sends Records by MQTT (delayed, repeated, reordered, whole hours away) and
phones: calls that drop, lines dead for hours, kiss-offs the panel does not hear so that it repeats,
batches over several calls, marks with their PHONE_BATCH Records. Clocks are wrong by up to ten
minutes, and half of them do not know it. With `faults` the program is killed, the disk refuses
Records (they go on in memory, in an epoch of their own) and a kill then loses them, told or not.
"""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass, replace

from collector.records.signal import PATH_CENTRE, PATH_MQTT, PATH_PHONE, PhoneCall
from edge.journal.record_types import OwedKey
from edge.reporting.phone.marks import Marks
from edge.reporting.phone.redial import Redial
from protocols.instants import NS_PER_S, US_PER_S, Instant, UtcTime
from protocols.panel_event import Code, PanelEvent, Priority, Qualifier, priority_of
from protocols.phone_batch import MARK_CODE, MARK_MODULUS
from tests.support.two_paths_noticed import BEAT_S, heartbeats, losses, up

S = US_PER_S
FALLBACK_WAITS = {
    Priority.HOLDUP: 3.0,
    Priority.FIRE: 3.0,
    Priority.BURGLARY: 10.0,
    Priority.TROUBLE: 60.0,
}
"""What MQTT has before the phone is used (edge/config_phone.py); open and close never go."""
DAY = 86_400.0
KINDS = (
    (Code.BURGLARY, 5),
    (Code.PERIMETER, 3),
    (Code.HOLDUP_SILENT, 1),
    (Code.FIRE, 1),
    (Code.OPEN_CLOSE, 4),
    (Code.MAINS_FAIL, 1),
    (Code.ZONE_STATE, 3),
)
_CODES = [code for code, _ in KINDS]
_WEIGHTS = [weight for _, weight in KINDS]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One Signal on its way; `truth` is the event's number, 0: none."""

    path: str
    event: PanelEvent
    truth: int
    at: float
    err_s: float
    epoch: int = 0
    seq: int = 0
    phone: PhoneCall | None = None
    recorded: bool = True


def _instant(at: float) -> Instant:
    return Instant(round(at * NS_PER_S))


@dataclass(frozen=True, slots=True)
class _Owed:
    """A Record to be told by phone: from `ready` on, until MQTT settles it at `acked`."""

    rank: int
    epoch: int
    seq: int
    truth: int
    event: PanelEvent
    ready: float
    acked: float

    @property
    def name(self) -> tuple[int, int]:
        return self.epoch, self.seq


def _first(waiting: list[_Owed]) -> _Owed:
    """By priority, then age, but never before an older one of its zone (send_order.py)."""
    first = min(waiting, key=lambda one: (one.rank, one.name))
    if not first.event.zone:
        return first
    return min((one for one in waiting if one.event.zone == first.event.zone), key=lambda o: o.name)


class Premises:
    """One panel's life: what of it reaches the centre, and when."""

    def __init__(self, seed: int, events: int, *, marks: bool, faults: bool = False) -> None:
        self.chance = random.Random(seed)
        self.events = events
        self.marks = marks
        self.faults = faults
        self.arrivals: list[tuple[float, int, Arrival]] = []
        self.truth = 0
        self.epoch, self.seq = 1, 0
        self.fresh_epochs = itertools.count(2)
        self.disk: tuple[int, int] | None = None
        """The newest Record on the disk while it takes no more."""
        self.now = self.tested = 100_000.0
        self.busy_until = 0.0
        self.starts = [99_000.0]
        self.settled: _Owed | None = None
        self.debts: list[tuple[float, int]] = []
        """When one more is owed by phone (+1), or one less (-1)."""
        self.clock_off = 0.0
        self.clock_known = True
        self.mqtt_down: list[tuple[float, float]] = []
        self.line_down: list[tuple[float, float]] = []
        self.queue: list[_Owed] = []
        self.listing = Marks((), on=marks)
        self.calls = 0
        self.journaled: list[tuple[float, int, int]] = []
        self.phase = self.chance.uniform(0, BEAT_S)
        self.redial = Redial(5.0, 900.0, 32, seed)
        self.matured: set[tuple[int, int]] = set()
        self.policy = self.chance.choice(("dual", "dual", "fallback"))

    def live(self) -> list[tuple[float, int, Arrival]]:
        """Everything in order of arrival."""
        chance = self.chance
        self._outages(self.mqtt_down, 0.6)
        self._outages(self.line_down, 0.4)
        while self.truth < self.events:
            self.now += chance.choice((2.0, 10.0, 60.0, 900.0, 7200.0)) * (0.05 + chance.random())
            if chance.random() < 0.02:
                self.clock_off = chance.choice((0.0, 0.0, 3.0, 60.0, 600.0)) * chance.choice(
                    (-1, 1)
                )
                self.clock_known = chance.random() < 0.5
            self._test_calls(self.now)
            self._phone_until(self.now)
            if self.faults:
                self._fault()
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                self._happen()
        # The daily test call closes what is open.
        for _ in range(30):
            self._phone_until(self.now)
            if not self.queue and not self.listing.wanted:
                break
            self._test_calls(self.now + DAY)
        for at, event in [*losses(self, self.now + DAY), *heartbeats(self)]:
            self._arrive(at, Arrival(PATH_CENTRE, event, 0, at, 0))
        self.arrivals.sort(key=lambda one: (one[0], one[1]))
        return self.arrivals

    def _test_calls(self, until: float) -> None:
        """The phone path is tested daily, as the panel does by default (R103)."""
        while self.tested + DAY <= until:
            self.now = self.tested = self.tested + DAY
            self._phone_until(self.now)
            self._happen(PanelEvent(Code.PERIODIC_TEST))
        self.now = until

    def _fault(self) -> None:
        """The disk refuses, or takes Records again, or the program is killed."""
        chance = self.chance
        if self.disk is None and chance.random() < 0.004:
            self.disk = self.epoch, self.seq
            self.epoch, self.seq = next(self.fresh_epochs), 0
            self._happen(PanelEvent(Code.JOURNAL_FAULT))
        elif self.disk is not None and chance.random() < 0.2:
            self.disk = None  # what memory held is written as it is, under its numbers
            self.epoch, self.seq = next(self.fresh_epochs), 0
            self._happen(PanelEvent(Code.EPOCH_OPENED))
        elif chance.random() < (0.005 if self.disk is None else 0.15):
            self._kill()

    def _kill(self) -> None:
        chance = self.chance
        killed = max(self.now, self.busy_until) + 1.0
        self.now = killed + 5.0
        self.starts.append(self.now)
        if self.settled is not None and chance.random() < 0.3:
            # Told, and that was not on the disk yet.
            self._owe(replace(self.settled, ready=self.now), self.now)
            self.matured.discard(self.settled.name)
        if self.disk is not None:
            lost = self.epoch
            self._settle([one for one in self.queue if one.epoch == lost], killed)
            self.arrivals = [
                (at, n, one)
                for at, n, one in self.arrivals
                if one.path != PATH_MQTT or one.epoch != lost or at <= killed
            ]
            if chance.random() < 0.3:
                self.epoch, self.seq = self.disk  # nothing on the disk tells that there was more
            else:
                self.epoch, self.seq = next(self.fresh_epochs), 0
                self._happen(PanelEvent(Code.EPOCH_OPENED, detail="lost_ranges=1"))
            self.disk = None
        self.listing = Marks(self.listing.all(), on=self.marks)
        self.listing.start(_instant(self.now))
        self._happen(PanelEvent(chance.choice((Code.BOOT, Code.PANEL_RESET))))

    def _outages(self, into: list[tuple[float, float]], share: float) -> None:
        at = 100_000.0
        while len(into) < 400:
            at += self.chance.expovariate(share / (8 * 3600))
            length = self.chance.choice((20.0, 80.0, 400.0, 4000.0, 3 * 3600.0))
            if self.faults and into is self.line_down and self.chance.random() < 0.02:
                length = 30 * 3600.0  # longer than anything redials for
            into.append((at, at + length))
            at += length + 60.0

    def _happen(self, event: PanelEvent | None = None) -> None:
        chance = self.chance
        if event is None:
            code = chance.choices(_CODES, _WEIGHTS)[0]
            q = chance.choice((Qualifier.NEW, Qualifier.NEW, Qualifier.RESTORE))
            zone = chance.choice((1, 1, 2, 3, 4, 5))
            if code == Code.OPEN_CLOSE:
                event = PanelEvent(code, q, area=1, user=zone)
            else:
                event = PanelEvent(code, q, area=1, zone=zone)
        self.truth += 1
        seq, came = self._journal(event, self.now, self.truth)
        waits = None if event.code == Code.ZONE_STATE else 0.0
        if self.policy == "fallback" and event.code != Code.PERIODIC_TEST and waits is not None:
            waits = FALLBACK_WAITS.get(priority_of(event.code))
        if waits is not None:
            acked = came + 0.1 if self.policy == "fallback" and waits else math.inf
            ready = self.now + waits
            rank = int(priority_of(event.code))
            self._owe(_Owed(rank, self.epoch, seq, self.truth, event, ready, acked), self.now)

    def _journal(self, event: PanelEvent, at: float, truth: int) -> tuple[int, float]:
        """A Record, and when it first arrives."""
        chance = self.chance
        self.seq += 1
        rank = int(priority_of(event.code))
        back = up(at, self.mqtt_down)
        if back > at:  # what was owed goes by priority, then by age (edge/reporting/send_order.py)
            came = back + 0.02 + rank * (0.5 + 2 * chance.random()) + self.seq * 1e-6
        else:
            came = back + chance.choice((0.05, 0.4, 3.0)) * chance.random()
        if chance.random() < 0.05:
            came += chance.choice((6.0, 40.0))  # lost once, sent again
        stamped = at + self.clock_off
        err_s = 0.2 + (abs(self.clock_off) if self.clock_known else 0.0)
        self.journaled.append((at, self.epoch, self.seq))
        recorded = self.disk is None
        numbers = self.epoch, self.seq, None, recorded
        self._arrive(came, Arrival(PATH_MQTT, event, truth, stamped, err_s, *numbers))
        return self.seq, came

    def _phone_until(self, until: float) -> None:
        """Calls as long as something is owed, when the panel's own redial lets them begin."""
        while self.queue or self.listing.call_at is not None:
            if self._mark_alone(until):
                continue
            if not self.queue:
                return
            fresh = min(self.queue, key=lambda one: (one.name in self.matured, one.ready))
            starts = [self._start(one) for one in self.queue if one.name in self.matured]
            if fresh.name not in self.matured and fresh.ready <= min([until, *starts]):
                self.matured.add(fresh.name)
                self.redial.fresh(fresh.rank, _instant(fresh.ready))
                continue
            if not starts or min(starts) > until:
                return
            at = up(min(starts), self.line_down)
            self._settle([one for one in self.queue if one.acked <= at], at)
            if any(one.name in self.matured for one in self.queue):
                self._call(at + self.chance.uniform(6, 14))

    def _owe(self, item: _Owed, at: float) -> None:
        self.queue.append(item)
        self.debts.append((at, 1))

    def _settle(self, items: list[_Owed], at: float) -> None:
        for item in items:
            self.queue.remove(item)
            self.debts.append((min(at, item.acked), -1))

    def _mark_alone(self, until: float) -> bool:
        """A call for the mark of an alarm, when nothing else calls before."""
        if self.listing.call_at is None:
            return False
        may = max(self.listing.call_at, self.redial.may_start_at(int(Priority.TEST)))
        at = up(may / NS_PER_S, self.line_down)
        if at > until or any(one.ready <= at for one in self.queue):
            return False
        self._call(at + self.chance.uniform(6, 14))
        return True

    def _start(self, item: _Owed) -> float:
        return max(item.ready, self.redial.may_start_at(item.rank) / NS_PER_S)

    def _call(self, at: float) -> None:
        chance = self.chance
        self.calls += 1
        call, index, dropped, delivered = f"c{self.calls}", 0, False, False
        bad = chance.random() < 0.2
        self.listing.call_begins(alone=not any(one.ready <= at for one in self.queue))
        while not dropped:
            self._settle([one for one in self.queue if one.acked <= at], at)
            waiting = [one for one in self.queue if one.ready <= at]
            if not waiting:
                break
            item = _first(waiting)
            if self.listing.full(item.rank):
                at, dropped = self._mark(at + 4.0, call, index, bad=bad)
                index += 1
                continue
            key = OwedKey(item.epoch, item.seq, "", item.rank, item.event.zone)
            kissed = False
            for _ in range(4):
                at += 3.0
                self.listing.sending(key)
                dropped = chance.random() < (0.08 if bad else 0.005)
                if dropped:
                    break
                heard = chance.random() < (0.8 if bad else 0.99)
                if heard:
                    self._report(at, item.event, item.truth, call, index)
                    index += 1
                    if chance.random() < (0.75 if bad else 0.98):
                        kissed = True
                        break
            if not kissed:
                dropped = True
                break
            delivered = True
            self.listing.kissed(key, item.event)
            self._settle([item], at)
            self.settled = item
        while not dropped and self.listing.wanted:
            at, dropped = self._mark(at + 4.0, call, index, bad=bad)
            index += 1
        self.busy_until = max(self.busy_until, at)
        self.listing.call_over(_instant(at))
        if dropped:
            self.redial.failed(_instant(at), delivered=delivered)
        else:
            self.redial.succeeded(_instant(at))

    def _mark(self, at: float, call: str, index: int, *, bad: bool) -> tuple[float, bool]:
        """PHONE_BATCH into the journal, its mark over the line. When it ended; the call dropped."""
        chance = self.chance
        event = self.listing.event()
        seq, _ = self._journal(event, at, 0)
        for _ in range(4):
            at += 3.0
            if chance.random() < (0.08 if bad else 0.005):
                return at, True
            if chance.random() < (0.8 if bad else 0.99):
                self._report(at, PanelEvent(MARK_CODE), 0, call, index, seq % MARK_MODULUS)
                if chance.random() < (0.75 if bad else 0.98):
                    self.listing.marked(event)
                    return at, False
        return at, True

    def _report(
        self,
        at: float,
        event: PanelEvent,
        truth: int,
        call: str,
        index: int,
        mark: int | None = None,
    ) -> None:
        phone = PhoneCall(
            "rx-1", "l1", call, index, "1234", "contact_id", UtcTime(round(at * S)), mark=mark
        )
        arrival = Arrival(PATH_PHONE, event, truth, at - 47, 43.0, phone=phone)
        self._arrive(at + self.chance.choice((0.1, 0.1, 0.1, 2.0)), arrival)

    def _arrive(self, at: float, arrival: Arrival) -> None:
        self.arrivals.append((at, len(self.arrivals), arrival))
