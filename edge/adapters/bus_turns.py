"""Whose turn it is on a bus. Pure: times come in, addresses go out.

Live nodes in round robin; lost ones are probed in at most LOST_SHARE of the bus's time together,
each at least every PROBE_LONGEST_S (users.md J4); a node whose change is not yet on disk is left
alone until it is (J5).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

LOST_SHARE: Final = 0.12
"""Of the bus's time for lost nodes together, while any other is alive."""
LOST_SHARE_ALONE: Final = 0.6
PROBE_SHORTEST_S: Final = 0.5
PROBE_LONGEST_S: Final = 9.0
HOLD_LONGEST_S: Final = 5.0
POLL_SHORTEST_S: Final = 0.052
"""libosdp polls a node not before 50 ms after its last reply."""
TIMEOUT_SHORTEST_S: Final = 0.02
TIMEOUT_UNSEEN_S: Final = 0.025
"""For a node never heard of; each eighth probe waits the whole reply time-out."""
WHOLE_EACH: Final = 8
FAILURES: Final = 2
FEW: Final = 2
"""So many failing nodes may each have grown slow; more at once is the cable."""
SLACK_WAIT_S: Final = 0.06
"""A probe waits so long for a pause between the polls of the living."""
FRAME_S: Final = 0.004
"""About what a probe takes besides its time-out."""


@dataclass(slots=True)
class Place:
    """A node's place in the order. Times in seconds of one monotonic clock."""

    address: int
    due: float
    well_at: float
    failures: int = 0
    lost: bool = False
    seen: bool = False
    held_until: float | None = None
    probed_at: float = 0.0
    probes: int = 0
    spent_s: float = 0.0
    """Of the bus's time since it last was well or failed."""
    smooth_s: float = 0.0
    spread_s: float = 0.0
    margin: float = 1.0


def _usual_s(place: Place) -> float:
    """Within so long its replies begin."""
    return place.smooth_s + 4 * place.spread_s + 0.005


class Turns:
    """The order of one bus."""

    def __init__(
        self, addresses: tuple[int, ...], now: float, lost_after_s: float, timeout_s: float
    ) -> None:
        self._places = {a: Place(a, now, now) for a in addresses}
        self._lost_after_s = lost_after_s
        self._timeout_s = timeout_s
        self._lost_free_at = now
        self._slowest_s = 0.0
        self._heard_at = now
        self.impatient: deque[int] = deque(maxlen=64)
        """Nodes asked on though what they told was not on disk in time; the caller takes them."""

    def place(self, address: int) -> Place:
        """For statistics."""
        return self._places[address]

    def restart(self, now: float) -> None:
        """The port is back: everyone is due, the lost too, and no old silence counts."""
        self._lost_free_at = now
        self._heard_at = now
        for place in self._places.values():
            place.lost = False
            place.due = now
            place.well_at = now
            place.failures = 0
            place.held_until = None

    def next(self, now: float) -> int | None:
        """Whose turn it is now; None: nobody's before `wake`."""
        self._release(now)
        live: Place | None = None
        lost: Place | None = None
        for place in self._places.values():
            if place.held_until is not None or place.due > now:
                continue
            if place.lost:
                if lost is None or place.probed_at < lost.probed_at:
                    lost = place
            elif live is None or place.due < live.due:
                live = place
        if lost is not None and self._probe_now(lost, live, now):
            return lost.address
        return None if live is None else live.address

    def _probe_now(self, lost: Place, live: Place | None, now: float) -> bool:
        """Within the lost ones' share, and in the living ones' pauses as long as they have any."""
        if now - lost.probed_at >= PROBE_LONGEST_S:
            return True
        if now < self._lost_free_at:
            return False
        if now - self._lost_free_at > SLACK_WAIT_S:
            return True
        cost_s = self.timeout_s(lost.address) + FRAME_S
        if live is not None:
            return now - live.due > cost_s  # no pauses here: the bus is busy all the time
        return self._next_live(now) - now >= cost_s

    def _next_live(self, now: float) -> float:
        waiting = (p.due for p in self._places.values() if not p.lost and p.held_until is None)
        return min(waiting, default=now + PROBE_LONGEST_S)

    def wake(self, now: float) -> float:
        """When to look again at the latest, after `next` gave nobody; not before `now`."""
        times = [self._next_live(now)]
        for place in self._places.values():
            if place.held_until is not None:
                times.append(place.held_until)
            elif place.lost:
                free = max(place.due, self._lost_free_at)
                free = free if free > now else self._lost_free_at + SLACK_WAIT_S
                times.append(min(free, max(place.due, place.probed_at + PROBE_LONGEST_S)))
        return max(now + 0.0005, min(times))

    def timeout_s(self, address: int) -> float:
        """How long to wait for this node's first byte."""
        place = self._places[address]
        if not self._slowest_s:
            return self._timeout_s  # nobody was ever heard here: nothing to spare, nothing to learn
        if not place.seen:
            whole = place.probes % WHOLE_EACH == 0
            usual = self._timeout_s if whole else max(TIMEOUT_UNSEEN_S, self._slowest_s)
            return min(usual, self._timeout_s)
        usual = max(_usual_s(place), TIMEOUT_SHORTEST_S) * place.margin
        if place.lost:
            usual = max(usual, self._slowest_s)
        elif place.failures and self._failing() <= FEW:
            return self._timeout_s  # it may have grown slow; when many are silent the cable is cut
        return min(usual, self._timeout_s)

    def _failing(self) -> int:
        return sum(1 for p in self._places.values() if p.failures and not p.lost)

    def answered(self, address: int, turnaround_s: float, spent_s: float, now: float) -> None:
        """A good reply: its turnaround. Next at once: a handshake is not left half done."""
        self._heard_at = now
        place = self._places[address]
        place.spent_s += spent_s
        if not place.seen:
            place.seen = True
            place.smooth_s = turnaround_s
            place.spread_s = turnaround_s / 2
        else:
            off = abs(turnaround_s - place.smooth_s)
            place.spread_s += (off - place.spread_s) / 8
            place.smooth_s += (turnaround_s - place.smooth_s) / 8
        place.margin = 1.0
        # Behind an adapter that hands bytes over late, all nodes are as slow as the slowest.
        others = (_usual_s(p) for p in self._places.values() if p.seen and not p.lost)
        self._slowest_s = max(others, default=_usual_s(place))
        place.due = now if place.lost else place.well_at

    def well(self, address: int, now: float, again_s: float = POLL_SHORTEST_S) -> bool:
        """It is up and answered; next in `again_s`. True: it was lost before."""
        place = self._places[address]
        was_lost = place.lost
        place.lost = False
        place.failures = 0
        place.spent_s = 0.0
        place.well_at = now
        place.due = now + again_s
        return was_lost

    def failed(self, address: int, spent_s: float, now: float, *, silent: bool = True) -> None:
        """It did not answer well, or refused, which took `spent_s` of the bus's time."""
        place = self._places[address]
        place.failures += 1
        place.probes += 1
        if silent:
            place.margin = min(place.margin * 1.5, 4.0) if not place.lost else 1.0
        place.due = now
        if place.lost:
            place.probed_at = now
            place.due = now + PROBE_SHORTEST_S
            others = any(not p.lost for p in self._places.values())
            share = LOST_SHARE if others else LOST_SHARE_ALONE
            self._lost_free_at = now + (place.spent_s + spent_s) * (1 - share) / share
            if place.probes % 4 == 3 and place.seen:
                place.margin = 4.0  # now and then the whole time: its turnaround may have changed
        place.spent_s = 0.0

    def later(self, address: int, at: float) -> None:
        """It has nothing to say before `at`."""
        self._places[address].due = at

    def hurry(self, address: int, now: float) -> None:
        """There is something for it."""
        place = self._places[address]
        if not place.lost:
            place.due = min(place.due, now)

    def all_lost(self, now: float) -> None:
        """The port is gone."""
        for place in self._places.values():
            place.lost = True
            place.held_until = None
            place.probed_at = now

    def hold(self, address: int, now: float) -> None:
        """Not again before `release`, at most HOLD_LONGEST_S."""
        self._places[address].held_until = now + HOLD_LONGEST_S

    def release(self, address: int, now: float) -> None:
        """What it said is on disk."""
        place = self._places[address]
        if place.held_until is not None:
            place.held_until = None
            place.well_at = max(place.well_at, now)  # it was our silence, not the node's
            place.due = min(place.due, now)

    def _release(self, now: float) -> None:
        for place in self._places.values():
            if place.held_until is not None and now >= place.held_until:
                self.impatient.append(place.address)
                self.release(place.address, now)

    def newly_lost(self, now: float) -> list[int]:
        """Nodes without a good reply for so long, tried at least twice: told once.

        Once is enough while nobody at all is heard: a dead line is no slip of one node.
        """
        gone = []
        enough = 1 if now - self._heard_at > self._lost_after_s * 2 / 3 else FAILURES
        for place in self._places.values():
            if place.lost or place.held_until is not None:
                continue
            if now - place.well_at < self._lost_after_s:
                continue
            if place.failures >= enough:
                place.lost = True
                place.probed_at = now
                place.due = now + PROBE_SHORTEST_S / 2
                gone.append(place.address)
            else:
                place.due = min(place.due, place.well_at)  # first of all: is it there?
        return gone
