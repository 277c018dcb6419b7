"""Records sent and not acknowledged: who holds a place in the window, who is due again."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

from edge.journal.record_types import OwedKey
from protocols.instants import Instant, later

RESEND_MAX_S = 60.0


@dataclass(slots=True)
class _Flight:
    key: OwedKey
    attempt: int
    holds: bool
    due: Instant


class Flights:
    """A sent Record holds its place for one acknowledgement time, no longer: a lost one never
    stops the next (users.md D3). It is due again after a time that doubles up to RESEND_MAX_S.
    """

    def __init__(self, ack_timeout_s: float) -> None:
        self._timeout_s = ack_timeout_s
        self._flights: dict[tuple[int, int], _Flight] = {}
        self._timers: list[tuple[Instant, int, int, int]] = []
        self._due: list[tuple[int, OwedKey, int]] = []
        self.places = 0
        """Places held in the window."""

    def __contains__(self, key: OwedKey) -> bool:
        return (key.epoch, key.seq) in self._flights

    def __len__(self) -> int:
        return len(self._flights)

    def send(self, key: OwedKey, now: Instant) -> None:
        """It goes out now, for the first time or again."""
        flight = self._flights.get((key.epoch, key.seq))
        attempt = flight.attempt + 1 if flight else 1
        flight = _Flight(key, attempt, True, later(now, self._timeout_s))
        self._flights[key.epoch, key.seq] = flight
        self.places += 1
        self._arm(flight)

    def drop(self, key: OwedKey) -> None:
        """It is acknowledged."""
        flight = self._flights.pop((key.epoch, key.seq), None)
        if flight is not None:
            self._release(flight)

    def expire(self, now: Instant) -> None:
        """Let go of places whose time is over and bring up what is due again."""
        while self._timers and self._timers[0][0] <= now:
            due, epoch, seq, attempt = heappop(self._timers)
            flight = self._flights.get((epoch, seq))
            if flight is None or flight.attempt != attempt or flight.due != due:
                continue
            if flight.holds:
                self._release(flight)
                wait_s = min(RESEND_MAX_S, self._timeout_s * 2.0 ** min(attempt - 1, 16))
                rest_s = wait_s - self._timeout_s
                if rest_s > 0:
                    flight.due = later(now, rest_s)
                    self._arm(flight)
                    continue
            self._bring_up(flight)

    def first_due(self) -> OwedKey | None:
        """The most urgent Record to send again."""
        while self._due:
            _, key, attempt = self._due[0]
            flight = self._flights.get((key.epoch, key.seq))
            if flight is not None and not flight.holds and flight.attempt == attempt:
                return key
            heappop(self._due)
        return None

    def hurry(self) -> None:
        """The path is back: whoever waits for its resend is due now."""
        for flight in self._flights.values():
            if not flight.holds:
                self._bring_up(flight)

    def deadline(self) -> Instant | None:
        """When `expire` has something to do."""
        while self._timers:
            due, epoch, seq, attempt = self._timers[0]
            flight = self._flights.get((epoch, seq))
            if flight is not None and flight.attempt == attempt and flight.due == due:
                return due
            heappop(self._timers)
        return None

    def clear(self) -> list[OwedKey]:
        """The connection is gone: nobody is in flight. Returns who was."""
        keys = [flight.key for flight in self._flights.values()]
        self._flights.clear()
        self._timers.clear()
        self._due.clear()
        self.places = 0
        return keys

    def _arm(self, flight: _Flight) -> None:
        heappush(self._timers, (flight.due, flight.key.epoch, flight.key.seq, flight.attempt))

    def _bring_up(self, flight: _Flight) -> None:
        heappush(self._due, (flight.key.priority, flight.key, flight.attempt))

    def _release(self, flight: _Flight) -> None:
        if flight.holds:
            flight.holds = False
            self.places -= 1
