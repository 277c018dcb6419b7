"""What the centre makes of two bad paths (`two_paths_world`), measured against the truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from collector.dedupe import Effect, Joined, Joiner, Opened, Policy, Repeated, Retired
from collector.records.signal import PATH_MQTT, PATH_PHONE, Signal
from protocols.instants import US_PER_S, UtcTime
from protocols.panel_event import Code, Priority, Qualifier, priority_of
from tests.support.two_paths_world import Arrival, Premises

S = US_PER_S
_LONGEST = (
    "longest_hold_s",
    "longest_alarm_hold_s",
    "longest_unseen_s",
    "longest_unseen_alarm_s",
    "largest_snapshot_bytes",
)


@dataclass(slots=True)
class Tally:
    """What came out, summed over panels."""

    events: int = 0
    signals: int = 0
    lost: int = 0
    merged: int = 0
    both_paths: int = 0
    twice_at_the_end: int = 0
    twice_at_some_time: int = 0
    longest_hold_s: float = 0.0
    longest_alarm_hold_s: float = 0.0
    longest_unseen_s: float = 0.0
    longest_unseen_alarm_s: float = 0.0
    largest_snapshot_bytes: int = 0
    unheard: int = 0
    """Events that no path ever brought: what a kill took out of a memory."""
    twice_for_s: list[float] = field(default_factory=list)
    """For how long, each that became one again."""
    causes: Counter[str] = field(default_factory=Counter)
    """Why a second showing: who came second, when it was decided, the network path then, policy."""
    causes_at_the_end: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Both together."""
        for name in ("events", "signals", "lost", "merged", "both_paths", "unheard"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.twice_at_the_end += other.twice_at_the_end
        self.twice_at_some_time += other.twice_at_some_time
        for name in _LONGEST:
            setattr(self, name, max(getattr(self, name), getattr(other, name)))
        self.twice_for_s += other.twice_for_s
        self.causes.update(other.causes)
        self.causes_at_the_end.update(other.causes_at_the_end)


class Centre:
    """One panel's Joiner, and what an operator would see of it."""

    def __init__(self, premises: Premises, restart_every: int = 397) -> None:
        """`restart_every`: after so many Signals the Joiner goes on from its snapshot."""
        self.restart_every = restart_every
        self.joiner = Joiner(Policy())
        # The site card comes with the panel's first connection.
        self.joiner.offer_marks(premises.marks, always=premises.policy == "dual")
        self.truth_of: dict[int, int] = {}
        self.received: dict[int, float] = {}
        self.urgent: set[int] = set()
        self.members: dict[int, set[int]] = {}
        self.gone: dict[int, tuple[int, ...]] = {}
        self.decided: set[int] = set()
        self.retired_wrongly = 0
        self.path_of: dict[int, str] = {}
        self.lost = False
        self.policy = premises.policy
        self.doubled: dict[int, tuple[float, str]] = {}
        """Truth -> since when it is shown twice, and why."""
        self.showing: Counter[int] = Counter()
        """Truth -> how many Occurrences show it now."""
        self.content: dict[int, tuple[int, ...]] = {}
        self.hidden: Counter[tuple[int, ...]] = Counter()
        """Content -> events that reached the centre, less Occurrences that show one of them."""
        self.hidden_since: dict[tuple[int, ...], float] = {}
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
            self.path_of[id_] = arrival.path
            if arrival.truth and arrival.truth not in self.content:
                event = arrival.event
                self.content[arrival.truth] = (event.code, event.q, event.zone, event.user)
                self._hide(arrival.truth, 1, at)
            if arrival.event.code == Code.PANEL_LOST:
                self.lost = arrival.event.q == Qualifier.NEW
            if priority_of(arrival.event.code) <= 1:
                self.urgent.add(id_)
            self._note(self.joiner.receive(self._signal(id_, now, arrival), now), at)
            if id_ % self.restart_every == 0:
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
        tally.lost = sum(1 for truth in paths if not shown[truth])
        tally.unheard = events - len(paths)
        tally.merged = sum(len(truths) > 1 for truths in self.members.values())
        tally.merged += self.retired_wrongly
        tally.both_paths = sum({PATH_MQTT, PATH_PHONE} <= found for found in paths.values())
        tally.twice_at_the_end = sum(count - 1 for count in shown.values() if count > 1)
        tally.twice_at_some_time = sum(count - 1 for count in ever.values() if count > 1)
        tally.causes_at_the_end.update(why for _, why in self.doubled.values())
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
            epoch=arrival.epoch,
            seq=arrival.seq,
            recorded=arrival.recorded,
            digest=f"{arrival.epoch:016x}{arrival.seq:016x}" * 2 if arrival.seq else "",
            phone=arrival.phone,
        )

    def _tick(self, now: UtcTime) -> None:
        while (due := self.joiner.deadline()) is not None and due <= now:
            self._note(self.joiner.tick(due), due / S)

    def _note(self, effects: list[Effect], now: float) -> None:
        tally = self.tally
        for effect in effects:
            match effect:
                case Opened(occurrence=occurrence):
                    signal = occurrence.id
                    truth = self.truth_of[signal]
                    if truth:
                        self._shows(truth, signal, now)
                    self.members[signal] = {truth}
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
                        self.showing[truth] -= 1
                        if truth in self.doubled and self.showing[truth] <= 1:
                            tally.twice_for_s.append(now - self.doubled.pop(truth)[0])
                        if truth:
                            self._hide(truth, 1, now)
                        self._one_of(truth, homes)
                    continue
            assert signal not in self.decided, "a Signal decided twice"
            self.decided.add(signal)
            held = now - self.received[signal]
            self.tally.longest_hold_s = max(self.tally.longest_hold_s, held)
            if signal in self.urgent:
                self.tally.longest_alarm_hold_s = max(self.tally.longest_alarm_hold_s, held)

    def _hide(self, truth: int, more: int, now: float) -> None:
        """How long fewer Occurrences of a content are on the screen than events have come."""
        content, tally = self.content[truth], self.tally
        self.hidden[content] += more
        if self.hidden[content] > 0:
            self.hidden_since.setdefault(content, now)
            return
        hidden_s = now - self.hidden_since.pop(content, now)
        tally.longest_unseen_s = max(tally.longest_unseen_s, hidden_s)
        if priority_of(content[0]) <= Priority.FIRE:
            tally.longest_unseen_alarm_s = max(tally.longest_unseen_alarm_s, hidden_s)

    def _shows(self, truth: int, signal: int, now: float) -> None:
        """A new Occurrence of this truth is on the screen: the first, or one too many."""
        tally = self.tally
        urgent = signal in self.urgent
        self._hide(truth, -1, now)
        if self.showing[truth]:
            first = {
                self.path_of[home]
                for home, truths in self.members.items()
                if truth in truths and home not in self.gone
            }
            held = now - self.received[signal] > 0.001
            words = (
                f"{self.path_of[signal]} after {'+'.join(sorted(first))}",
                "held, then shown" if held else "shown at once",
                "network lost" if self.lost else "network up",
                "hold-up or fire" if urgent else "other",
                self.policy,
            )
            tally.causes[", ".join(words)] += 1
            self.doubled.setdefault(truth, (now, ", ".join(words)))
        self.showing[truth] += 1

    def _one_of(self, truth: int, homes: tuple[int, ...]) -> None:
        """What leaves the screen must be one of those that stay."""
        if not any(truth in self.members[home] and home not in self.gone for home in homes):
            self.retired_wrongly += 1


def panel(seed: int, events: int, *, marks: bool, faults: bool = False) -> Tally:
    """One panel's life, judged."""
    premises = Premises(seed, events, marks=marks, faults=faults)
    arrivals = premises.live()
    return Centre(premises).judge(arrivals, premises.truth)


def world(seed: int, events: int, *, marks: bool, faults: bool = False, each: int = 500) -> Tally:
    """`events` events over as many panels of `each` events as that takes."""
    tally = Tally()
    for number in range((events + each - 1) // each):
        count = min(each, events - number * each)
        tally.add(panel(seed * 1_000_003 + number, count, marks=marks, faults=faults))
    return tally
