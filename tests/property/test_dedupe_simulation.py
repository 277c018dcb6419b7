"""Two paths with loss, repeats, delay, reordering, outages and wrong clocks against the truth.

0 events lost and 0 distinct events merged, whatever happens; what doubt costs (an event shown
twice) is measured and bounded.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass

import pytest

from collector.dedupe import Effect, Joined, Joiner, Opened, Policy
from collector.records.signal import PATH_CENTRE, PATH_MQTT, PATH_PHONE, Signal
from protocols.instants import US_PER_S, UtcTime
from protocols.panel_event import Code, PanelEvent, Qualifier

S = US_PER_S
LOST_AFTER_S = 90.0
"""Period and margin of supervision."""


@dataclass(frozen=True)
class Arrival:
    path: str
    event: PanelEvent
    truth: int
    at: float
    err_s: float
    seq: int


class Premises:
    """A panel with its truth, and what of it reaches the centre when."""

    def __init__(self, seed: int, events: int) -> None:
        self.events = events
        self.random = random.Random(seed)
        self.arrivals: list[tuple[float, int, Arrival]] = []
        self.outages: list[tuple[float, float]] = []

    def live(self) -> list[tuple[float, int, Arrival]]:
        now, chance = 10_000.0, self.random
        outage_from = chance.expovariate(1 / 20_000)
        end_of_outage = 0.0
        clock_wrong_until, clock_off = 0.0, 0.0
        for truth in range(1, self.events + 1):
            # Bursts on one zone as well as quiet hours.
            now += chance.choice([1.0, 5.0, 30.0, 120.0, 900.0]) * chance.random() + 0.01
            if now > 10_000 + outage_from and now > end_of_outage:
                length = chance.choice([20.0, 80.0, 400.0, 4000.0])
                self.outages.append((now, now + length))
                end_of_outage = now + length
                outage_from = end_of_outage - 10_000 + chance.expovariate(1 / 20_000)
            if now > clock_wrong_until:
                clock_off = chance.choice([0.0, 0.0, 2.0, 45.0, 3600.0])
                clock_wrong_until = now + chance.expovariate(1 / 10_000)
            code = chance.choice(
                [Code.BURGLARY, Code.PERIMETER, Code.HOLDUP_SILENT, Code.OPEN_CLOSE]
            )
            q = chance.choice([Qualifier.NEW, Qualifier.RESTORE])
            event = PanelEvent(code=code, q=q, area=1, zone=chance.randint(1, 4))
            self.by_mqtt(truth, now, event, clock_off, end_of_outage)
            self.by_phone(truth, now, event)
        self.supervise()
        heapq.heapify(self.arrivals)
        return self.arrivals

    def by_mqtt(
        self, truth: int, now: float, event: PanelEvent, clock_off: float, end_of_outage: float
    ) -> None:
        chance = self.random
        came = max(now, end_of_outage) + chance.choice([0.05, 0.5, 5.0]) * chance.random()
        wrong = clock_off * chance.choice([-1, 1])
        arrival = Arrival(PATH_MQTT, event, truth, now + wrong, abs(clock_off) + 0.2, truth)
        self.arrive(came, arrival)

    def by_phone(self, truth: int, now: float, event: PanelEvent) -> None:
        chance = self.random
        if event.code == Code.OPEN_CLOSE or chance.random() < 0.25:
            return
        for _ in range(2 if chance.random() < 0.03 else 1):
            delay = chance.uniform(8, 40)
            self.arrive(now + delay, Arrival(PATH_PHONE, event, truth, now + delay - 24, 17, 0))

    def supervise(self) -> None:
        for start, end in self.outages:
            if end - start > LOST_AFTER_S - 60:
                noticed = start + LOST_AFTER_S - self.random.uniform(0, 60)
                if noticed < end:
                    for at, q in ((noticed, Qualifier.NEW), (end + 0.01, Qualifier.RESTORE)):
                        event = PanelEvent(code=Code.PANEL_LOST, q=q)
                        self.arrive(at, Arrival(PATH_CENTRE, event, 0, at, 0, 0))

    def arrive(self, at: float, arrival: Arrival) -> None:
        self.arrivals.append((at, len(self.arrivals), arrival))


@dataclass
class Judged:
    """What the centre saw. `members`: truths by Occurrence; `heard`: truths by path."""

    members: dict[int, set[int]]
    times: Counter[int]
    longest_s: float
    heard: dict[str, set[int]]
    never_held: set[int]


def judge(seed: int, events: int) -> Judged:
    """Feed it all in order of arrival, with restarts."""
    arrivals = Premises(seed, events).live()
    heard: dict[str, set[int]] = {PATH_MQTT: set(), PATH_PHONE: set(), PATH_CENTRE: set()}
    never_held: set[int] = set()
    joiner = Joiner(Policy())
    truth_of: dict[int, int] = {}
    received: dict[int, float] = {}
    members: dict[int, set[int]] = {}
    shown: set[int] = set()
    longest = 0.0

    def note(effects: list[Effect], now: float) -> None:
        nonlocal longest
        for effect in effects:
            if isinstance(effect, Opened):
                signal = effect.occurrence.id
                members[signal] = {truth_of[signal]}
            else:
                assert isinstance(effect, Joined)
                signal = effect.signal.id
                members[effect.occurrence_id].add(truth_of[signal])
            assert signal not in shown, "a Signal decided twice"
            shown.add(signal)
            longest = max(longest, now - received[signal])

    id_ = 0
    while arrivals:
        at, _, arrival = heapq.heappop(arrivals)
        now = UtcTime(round(at * S))
        while (due := joiner.deadline()) is not None and due <= now:
            note(joiner.tick(due), due / S)
        id_ += 1
        heard[arrival.path].add(arrival.truth)
        if arrival.event.code == Code.HOLDUP_SILENT:
            never_held.add(arrival.truth)
        truth_of[id_], received[id_] = arrival.truth, at
        signal = Signal(
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
        )
        note(joiner.receive(signal, now), at)
        if id_ % 997 == 0:
            joiner = Joiner.restore(Policy(), joiner.snapshot())
    while (due := joiner.deadline()) is not None:
        note(joiner.tick(due), due / S)
    assert shown == set(truth_of), "a Signal that nobody ever saw"
    times: Counter[int] = Counter()
    for truths in members.values():
        times.update(truths)
    return Judged(members, times, longest, heard, never_held)


@pytest.mark.parametrize(("seed", "events"), [(1, 20_000), (2, 4_000)])
def test_nothing_is_lost_and_no_two_events_become_one(seed: int, events: int) -> None:
    judged = judge(seed, events)
    assert [truths for truths in judged.members.values() if len(truths) > 1] == []
    assert set(range(1, events + 1)) <= set(judged.times)
    assert judged.longest_s <= Policy().settle_s + 0.001
    both = (judged.heard[PATH_MQTT] & judged.heard[PATH_PHONE]) - judged.never_held
    once = sum(judged.times[truth] == 1 for truth in both)
    print(f"seed {seed}: of {len(both)} heard on both paths {once} are shown once")
    assert once > 0.3 * len(both)
