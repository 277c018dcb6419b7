"""The node's own enclosure and supply: LSTATR's two bytes. [both runtimes]"""

from firmware.node.ticks import ticks_diff


class Steady:
    """A yes or no that counts once it has stood for its dwell; the first one counts at once."""

    def __init__(self, on_ms: int, off_ms: int) -> None:
        self._on_ms = on_ms
        self._off_ms = off_ms
        self._known = False
        self._candidate = False
        self._since = 0
        self.on = False

    def sample(self, on: bool, now: int) -> bool:
        """True: `on` has changed."""
        if not self._known:
            self._known = True
            self._candidate = self.on = on
            return on
        if on != self._candidate:
            self._candidate = on
            self._since = now
        if on == self.on or ticks_diff(now, self._since) < (self._on_ms if on else self._off_ms):
            return False
        self.on = on
        return True


class Supply:
    """Low below `low_mv` for a second, good again from `restore_mv` on for a second."""

    DWELL_MS = 1000

    def __init__(self, low_mv: int, restore_mv: int) -> None:
        self._low_mv = low_mv
        self._restore_mv = restore_mv
        self._steady = Steady(self.DWELL_MS, self.DWELL_MS)
        self._below = False
        self.millivolts = 0

    @property
    def low(self) -> bool:
        """Too low."""
        return self._steady.on

    def sample(self, millivolts: int, now: int) -> bool:
        """True: `low` has changed. A supply that cannot be read (below 0) is low."""
        self.millivolts = max(0, millivolts)
        if millivolts < self._low_mv:
            self._below = True
        elif millivolts >= self._restore_mv:
            self._below = False
        return self._steady.sample(self._below, now)


class Enclosure:
    """The tamper switch. Opened is told after 50 ms, closed after a second."""

    OPEN_MS = 50
    CLOSED_MS = 1000

    def __init__(self) -> None:
        self._steady = Steady(self.OPEN_MS, self.CLOSED_MS)

    @property
    def open(self) -> bool:
        """It is, or was inside the last second."""
        return self._steady.on

    def sample(self, open_now: bool, now: int) -> bool:
        """True: `open` has changed."""
        return self._steady.sample(open_now, now)
