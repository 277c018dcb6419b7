"""Panels with two bad paths, and the truth beside them. Seeded; drives one Joiner a panel.

A panel journals events, sends Records by MQTT (delayed, repeated, reordered, whole hours away) and
phones: calls that drop, lines dead for hours, kiss-offs the panel does not hear so that it repeats,
batches over several calls, marks with their PHONE_BATCH Records. Clocks are wrong by up to ten
minutes, and half of them do not know it.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from collector.dedupe import Effect, Joined, Joiner, Opened, Policy, Repeated, Retired
from collector.records.signal import PATH_CENTRE, PATH_MQTT, PATH_PHONE, PhoneCall, Signal
from edge.journal.record_types import OwedKey
from edge.reporting.phone.unmarked import Unmarked
from protocols.instants import US_PER_S, UtcTime
from protocols.panel_event import Code, PanelEvent, Qualifier, priority_of
from protocols.phone_batch import MARK_CODE, MARK_MODULUS, batch_event

S = US_PER_S
LOST_AFTER_S = 90.0
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
    seq: int = 0
    phone: PhoneCall | None = None


@dataclass(slots=True)
class Tally:
    """What came out, summed over panels."""

    events: int = 0
    signals: int = 0
    lost: int = 0
    merged: int = 0
    both_paths: int = 0
    twice_at_the_end: int = 0
    twice_for_a_while: int = 0
    longest_hold_s: float = 0.0
    longest_alarm_hold_s: float = 0.0
    largest_snapshot_bytes: int = 0
    what: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Both together."""
        for name in ("events", "signals", "lost", "merged", "both_paths"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.twice_at_the_end += other.twice_at_the_end
        self.twice_for_a_while += other.twice_for_a_while
        self.longest_hold_s = max(self.longest_hold_s, other.longest_hold_s)
        self.longest_alarm_hold_s = max(self.longest_alarm_hold_s, other.longest_alarm_hold_s)
        self.largest_snapshot_bytes = max(self.largest_snapshot_bytes, other.largest_snapshot_bytes)
        self.what += other.what


class Premises:
    """One panel's life: what of it reaches the centre, and when."""

    def __init__(self, seed: int, events: int, *, marks: bool) -> None:
        self.chance = random.Random(seed)
        self.events = events
        self.marks = marks
        self.arrivals: list[tuple[float, int, Arrival]] = []
        self.truth = 0
        self.seq = 0
        self.now = 100_000.0
        self.clock_off = 0.0
        self.clock_known = True
        self.mqtt_down: list[tuple[float, float]] = []
        self.line_down: list[tuple[float, float]] = []
        self.queue: list[tuple[int, int, int, PanelEvent, float]] = []
        self.unmarked = Unmarked()
        self.told: dict[int, PanelEvent] = {}
        self.calls = 0
        self.free_at = 0.0
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
            self._phone_until(self.now)
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                self._happen()
        # The daily test call closes what is open.
        end = max([self.now, *(until for _, until in (*self.mqtt_down, *self.line_down))]) + DAY
        for day in range(30):
            self.now = end + day * DAY
            self._happen(PanelEvent(Code.PERIODIC_TEST))
            self._phone_until(self.now + DAY)
            if not self.queue and not (self.marks and self.unmarked):
                break
        self._supervise()
        self.arrivals.sort(key=lambda one: (one[0], one[1]))
        return self.arrivals

    def _outages(self, into: list[tuple[float, float]], share: float) -> None:
        at = 100_000.0
        while len(into) < 400:
            at += self.chance.expovariate(share / (8 * 3600))
            length = self.chance.choice((20.0, 80.0, 400.0, 4000.0, 3 * 3600.0))
            into.append((at, at + length))
            at += length + 60.0

    def _up(self, at: float, down: list[tuple[float, float]]) -> float:
        """`at`, or when the outage at that moment ends."""
        low, high = 0, len(down)
        while low < high:
            middle = (low + high) // 2
            if down[middle][1] <= at:
                low = middle + 1
            else:
                high = middle
        if low < len(down) and down[low][0] <= at:
            return down[low][1]
        return at

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
        acked_soon = came - self.now < 8.0
        by_phone = self.policy == "dual" or not acked_soon
        if (event.code != Code.ZONE_STATE and by_phone) or event.code == Code.PERIODIC_TEST:
            self.told[seq] = event
            ready = self.now if self.policy == "dual" else self.now + 10.0
            self.queue.append((int(priority_of(event.code)), seq, self.truth, event, ready))

    def _journal(self, event: PanelEvent, at: float, truth: int) -> tuple[int, float]:
        """A Record, and when it first arrives."""
        chance = self.chance
        self.seq += 1
        urgent = event.code == Code.PHONE_BATCH
        up = self._up(at, self.mqtt_down)
        came = up + chance.choice((0.05, 0.4, 3.0)) * chance.random()
        if up > at and not urgent:
            came += 0.5 + int(priority_of(event.code)) * 2 * chance.random()
        elif chance.random() < 0.05:
            came += chance.choice((6.0, 40.0))  # lost once, sent again
        if urgent:
            came = up + 0.02
        stamped = at + self.clock_off
        err_s = 0.2 + (abs(self.clock_off) if self.clock_known else 0.0)
        self._arrive(came, Arrival(PATH_MQTT, event, truth, stamped, err_s, self.seq))
        return self.seq, came

    def _phone_until(self, until: float) -> None:
        """Calls as long as something is owed."""
        while self.queue:
            first = min(ready for *_, ready in self.queue)
            at = self._up(max(first, self.free_at) + self.chance.uniform(6, 14), self.line_down)
            if at > until:
                return
            self._call(at)

    def _call(self, at: float) -> None:
        chance = self.chance
        self.calls += 1
        call, index, dropped = f"c{self.calls}", 0, False
        bad = chance.random() < 0.2
        while not dropped:
            waiting = sorted(one for one in self.queue if one[4] <= at)
            if not waiting:
                break
            item = waiting[0]
            _, seq, truth, event, _ = item
            key = OwedKey(1, seq, "", item[0], event.zone)
            kissed = False
            for _ in range(4):
                at += 3.0
                dropped = chance.random() < (0.08 if bad else 0.005)
                if dropped:
                    break
                self.unmarked.sent(key)
                heard = chance.random() < (0.8 if bad else 0.99)
                if heard:
                    self._report(at, event, truth, call, index)
                    index += 1
                    if chance.random() < (0.75 if bad else 0.98):
                        kissed = True
                        break
            if not kissed:
                dropped = True
                break
            self.unmarked.kissed(key)
            self.queue.remove(item)
        while self.marks and not dropped and self.unmarked:
            dropped = not self._mark(at := at + 4.0, call, index, bad=bad)
            index += 1
        self.free_at = at + chance.choice((5.0, 30.0, 120.0) if dropped else (2.0,))

    def _mark(self, at: float, call: str, index: int, *, bad: bool) -> bool:
        """PHONE_BATCH into the journal, its mark over the line. False: the call dropped."""
        chance = self.chance
        event = batch_event(self.unmarked.batch())
        seq, _ = self._journal(event, at, 0)
        for _ in range(4):
            at += 3.0
            if chance.random() < (0.08 if bad else 0.005):
                return False
            if chance.random() < (0.8 if bad else 0.99):
                self._report(at, PanelEvent(MARK_CODE), 0, call, index, seq % MARK_MODULUS)
                if chance.random() < (0.75 if bad else 0.98):
                    self.unmarked.marked(event)
                    return True
        return False

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
        arrival = Arrival(PATH_PHONE, event, truth, at - 47, 43.0, 0, phone)
        self._arrive(at + self.chance.choice((0.1, 0.1, 0.1, 2.0)), arrival)

    def _supervise(self) -> None:
        for start, end in self.mqtt_down:
            noticed = start + LOST_AFTER_S - self.chance.uniform(0, 60)
            if noticed < end and start < self.now + DAY:
                for at, q in ((noticed, Qualifier.NEW), (end + 0.01, Qualifier.RESTORE)):
                    event = PanelEvent(Code.PANEL_LOST, q, detail="path=mqtt")
                    self._arrive(at, Arrival(PATH_CENTRE, event, 0, at, 0))

    def _arrive(self, at: float, arrival: Arrival) -> None:
        self.arrivals.append((at, len(self.arrivals), arrival))


class Centre:
    """One panel's Joiner, and what an operator would see of it."""

    def __init__(self) -> None:
        self.joiner = Joiner(Policy())
        self.truth_of: dict[int, int] = {}
        self.received: dict[int, float] = {}
        self.urgent: set[int] = set()
        self.members: dict[int, set[int]] = {}
        self.gone: dict[int, tuple[int, ...]] = {}
        self.decided: set[int] = set()
        self.retired_wrongly = 0
        self.tally = Tally()

    def judge(self, arrivals: list[tuple[float, int, Arrival]], events: int) -> Tally:
        """Feed it all, with restarts, and compare with the truth."""
        tally = self.tally
        paths: dict[int, set[str]] = {}
        for id_, (at, _, arrival) in enumerate(arrivals, 1):
            now = UtcTime(round(at * S))
            self._tick(now)
            if arrival.truth:
                paths.setdefault(arrival.truth, set()).add(arrival.path)
            self.truth_of[id_], self.received[id_] = arrival.truth, at
            if priority_of(arrival.event.code) <= 1:
                self.urgent.add(id_)
            self._note(self.joiner.receive(self._signal(id_, now, arrival), now), at)
            if id_ % 397 == 0:
                snapshot = self.joiner.snapshot()
                tally.largest_snapshot_bytes = max(tally.largest_snapshot_bytes, len(snapshot))
                self.joiner = Joiner.restore(Policy(), snapshot)
        self._tick(UtcTime(2**62))
        shown = Counter(
            truth
            for occurrence, truths in self.members.items()
            for truth in truths
            if truth and occurrence not in self.gone
        )
        ever = Counter(truth for truths in self.members.values() for truth in truths if truth)
        tally.events, tally.signals = events, len(arrivals)
        tally.lost = sum(1 for truth in range(1, events + 1) if not shown[truth])
        tally.merged = sum(len(truths) > 1 for truths in self.members.values())
        tally.merged += self.retired_wrongly
        tally.both_paths = sum({PATH_MQTT, PATH_PHONE} <= found for found in paths.values())
        tally.twice_at_the_end = sum(count - 1 for count in shown.values() if count > 1)
        tally.twice_for_a_while = sum(count - 1 for count in ever.values() if count > 1)
        undecided = self.truth_of.keys() - self.decided
        tally.lost += sum(1 for one in undecided if self.truth_of[one])
        return tally

    def _signal(self, id_: int, now: UtcTime, arrival: Arrival) -> Signal:
        return Signal(
            id=id_,
            panel="shop-1",
            path=arrival.path,
            received=now,
            event=arrival.event,
            at=UtcTime(round(arrival.at * S)),
            err_us=round(arrival.err_s * S),
            epoch=1 if arrival.seq else 0,
            seq=arrival.seq,
            digest=f"{arrival.seq:064x}" if arrival.seq else "",
            phone=arrival.phone,
        )

    def _tick(self, now: UtcTime) -> None:
        while (due := self.joiner.deadline()) is not None and due <= now:
            self._note(self.joiner.tick(due), due / S)

    def _note(self, effects: list[Effect], now: float) -> None:
        for effect in effects:
            match effect:
                case Opened(occurrence=occurrence):
                    signal = occurrence.id
                    self.members[signal] = {self.truth_of[signal]}
                case Joined(occurrence_id=home, signal=told):
                    signal = told.id
                    assert home not in self.gone
                    self.members[home].add(self.truth_of[signal])
                case Repeated(signal_id=signal, same_as=homes):
                    self._one_of(self.truth_of[signal], homes)
                case Retired(occurrence_id=gone, same_as=homes):
                    assert gone not in self.gone
                    self.gone[gone] = homes
                    for truth in self.members[gone]:
                        self._one_of(truth, homes)
                    continue
            assert signal not in self.decided, "a Signal decided twice"
            self.decided.add(signal)
            held = now - self.received[signal]
            self.tally.longest_hold_s = max(self.tally.longest_hold_s, held)
            if signal in self.urgent:
                self.tally.longest_alarm_hold_s = max(self.tally.longest_alarm_hold_s, held)

    def _one_of(self, truth: int, homes: tuple[int, ...]) -> None:
        """What leaves the screen must be one of those that stay."""
        if not any(truth in self.members[home] and home not in self.gone for home in homes):
            self.retired_wrongly += 1


def world(seed: int, events: int, *, marks: bool, each: int = 500) -> Tally:
    """`events` events over as many panels of `each` events as that takes."""
    tally = Tally()
    for number in range((events + each - 1) // each):
        count = min(each, events - number * each)
        premises = Premises(seed * 1_000_003 + number, count, marks=marks)
        arrivals = premises.live()
        tally.add(Centre().judge(arrivals, premises.truth))
    return tally
