"""Faults that are faults by their rate, with hysteresis. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

CLEAR_S: Final = 60.0


class Rate:
    """On at `count` hits within `window_s`, off after CLEAR_S without as many."""

    def __init__(self, count: int, window_s: float) -> None:
        self._count = count
        self._window_s = window_s
        self._hits: deque[float] = deque(maxlen=count)
        self._full_at = 0.0
        self.on = False

    def hit(self, now: float) -> bool:
        """True: on now, and was not before."""
        self._hits.append(now)
        if len(self._hits) < self._count or now - self._hits[0] > self._window_s:
            return False
        self._full_at = now
        was, self.on = self.on, True
        return not was

    def tick(self, now: float) -> bool:
        """True: off now, and was on before."""
        if not self.on or now - self._full_at < CLEAR_S:
            return False
        self.on = False
        return True


class Share:
    """On while more than `on_share` of the last `window` trials were bad, off below half of it."""

    def __init__(self, on_share: float, window: int) -> None:
        self._on_share = on_share
        self._trials: deque[bool] = deque(maxlen=window)
        self._bad = 0
        self.on = False

    def trial(self, bad: bool) -> bool:
        """True: `on` changed."""
        if len(self._trials) == self._trials.maxlen:
            self._bad -= self._trials[0]
        self._trials.append(bad)
        self._bad += bad
        if len(self._trials) < (self._trials.maxlen or 0):
            return False
        share = self._bad / len(self._trials)
        if not self.on and share >= self._on_share:
            self.on = True
            return True
        if self.on and share < self._on_share / 2:
            self.on = False
            return True
        return False
