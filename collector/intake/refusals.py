"""What is refused is evidence, but a flood of it must not fill the disk (rule 7).

Each source has a budget of rows, and so has the whole; what goes beyond is only counted, and the
next row kept from that source says how many were left out.
"""

from __future__ import annotations

from typing import Final

import msgspec

from collector.intake.reading import Malformed
from protocols.instants import NS_PER_S, Instant

MAX_SOURCES: Final = 4096
UNKNOWN_PANEL: Final = "unknown panel"
_ALL: Final = "\0all"
_STRANGERS: Final = "\0strangers"


class Policy(msgspec.Struct, frozen=True):
    """A source may have `burst` rows at once and one more each `every_s`; all together 20 times."""

    burst: int = 50
    every_s: float = 10.0
    total_factor: int = 20


class Refused(msgspec.Struct, frozen=True):
    """One row to keep. `left_out` were counted but not kept since the last row of this source."""

    malformed: Malformed
    left_out: int


class Refusals:
    """Counts everything, lets through what the budget allows."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._filled: dict[str, tuple[float, Instant]] = {}
        self._left_out: dict[str, int] = {}
        self.counted = 0

    def receive(self, malformed: Malformed, now: Instant, *, known: bool) -> list[Refused]:
        """Count it; the row to keep, if any. All unknown names share one budget."""
        self.counted += 1
        source = malformed.panel if known else _STRANGERS
        if source not in self._filled and len(self._filled) >= MAX_SOURCES:
            self._filled.clear()
        policy = self._policy
        mine = self._level(source, policy.burst, policy.every_s, now)
        total = self._level(
            _ALL,
            policy.burst * policy.total_factor,
            policy.every_s / policy.total_factor,
            now,
        )
        if mine < 1 or total < 1:
            self._left_out[source] = self._left_out.get(source, 0) + 1
            return []
        self._filled[source] = (mine - 1, now)
        self._filled[_ALL] = (total - 1, now)
        return [Refused(malformed, self._left_out.pop(source, 0))]

    def _level(self, source: str, burst: int, every_s: float, now: Instant) -> float:
        level, since = self._filled.get(source, (float(burst), now))
        return min(float(burst), level + (now - since) / NS_PER_S / every_s)
