"""The ledger's time: near the wall clock, but it never goes back and never jumps (N1).

It runs on the monotonic clock and is steered towards the wall clock by at most one part in ten, so
stepping the machine's clock changes no window and no order; `offset_us` shows that it was stepped.
"""

from __future__ import annotations

import time
from typing import Final

from protocols.instants import Instant, UtcTime

SLEW: Final = 10
STEPPED_US: Final = 1_000_000


class LedgerClock:
    """Used by the writer thread. Starts at the wall clock, or at `floor` when that is later."""

    def __init__(self, floor: UtcTime) -> None:
        self._mono = time.monotonic_ns()
        self._utc = max(time.time_ns() // 1000, floor)
        self._last = UtcTime(floor)
        self.offset_us = 0

    @staticmethod
    def now() -> Instant:
        """The collector's monotonic clock."""
        return Instant(time.monotonic_ns())

    def steer(self) -> None:
        """Move towards the wall clock. To be called now and then."""
        mono, wall = time.monotonic_ns(), time.time_ns() // 1000
        elapsed_us = (mono - self._mono) // 1000
        self._utc += elapsed_us
        self._mono += elapsed_us * 1000
        self.offset_us = wall - self._utc
        most = elapsed_us // SLEW
        self._utc += max(-most, min(most, self.offset_us))

    def at(self, instant: Instant) -> UtcTime:
        """The ledger's time at `instant`, never before one already given."""
        self._last = UtcTime(max(self._last, self._utc + (instant - self._mono) // 1000))
        return self._last

    def until(self, utc: UtcTime) -> float:
        """Seconds from now to the ledger's time `utc`."""
        now = self._utc + (time.monotonic_ns() - self._mono) // 1000
        return (utc - now) / 1e6
