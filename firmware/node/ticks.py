"""Ticks: milliseconds that wrap, as the RP2040's. Compared only by `ticks_diff`. [both runtimes]

Every board hands out ticks of this period, so that a wrap after 12.4 days is the same everywhere
and can be tested by starting close to it.
"""

PERIOD = 1 << 30
_HALF = PERIOD >> 1


def ticks_diff(later: int, earlier: int) -> int:
    """Milliseconds from `earlier` to `later`, negative when it is the other way; under 6.2 days."""
    return ((later - earlier + _HALF) & (PERIOD - 1)) - _HALF


def ticks_add(ticks: int, delta_ms: int) -> int:
    """The moment `delta_ms` later."""
    return (ticks + delta_ms) & (PERIOD - 1)


class Uptime:
    """Milliseconds since the start, never wrapping, out of ticks read at least every few days."""

    def __init__(self, ticks: int) -> None:
        self._ticks = ticks
        self.now_ms = 0

    def read(self, ticks: int) -> int:
        """`now_ms` as of these ticks; never backwards."""
        passed = ticks_diff(ticks, self._ticks)
        if passed > 0:
            self.now_ms += passed
            self._ticks = ticks
        return self.now_ms
