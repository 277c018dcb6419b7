"""Who may open how many connections, and how fast: bounds against hostile or broken peers."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MOST_BUCKETS: Final = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """`lines`: calls at once. `allow`: networks that may connect."""

    lines: int = 64
    per_peer: int = 64
    new_per_second: float = 50.0
    """Connections a peer may open a second, on average over two seconds."""
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")


class PeerLimits:
    """Counts the connections of each address. `clock`: seconds that never go back."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self.open: Counter[str] = Counter()
        """Connections by address."""
        self._buckets: dict[str, tuple[float, float]] = {}
        self._allowed = [ipaddress.ip_network(each) for each in limits.allow]

    def why_not(self, peer: str) -> str:
        """Why this peer may not connect now; empty: it may."""
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return "unknown peer"
        if not any(address in network for network in self._allowed):
            return "peer not allowed"
        if self.open[peer] >= self._limits.per_peer:
            return "too many connections of one peer"
        rate, now = self._limits.new_per_second, self._clock()
        level, then = self._buckets.get(peer, (0.0, now))
        level = max(0.0, level - (now - then) * rate)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.clear()
        if level >= 2 * rate:
            return "too many new connections of one peer"
        self._buckets[peer] = (level + 1, now)
        return ""

    def came(self, peer: str) -> None:
        """A connection is there."""
        self.open[peer] += 1

    def went(self, peer: str) -> None:
        """A connection is gone."""
        self.open[peer] -= 1
        if self.open[peer] <= 0:
            del self.open[peer]
