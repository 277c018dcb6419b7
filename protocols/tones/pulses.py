"""Pulse formats (protocols.md 4.3): bursts of 1800 or 1900 Hz at 10, 20 or 40 a second -> digits.

Bursts at 40 a second are 12 ms long, too short for the bank's windows: lines on which there is
something near 1850 Hz are looked at again in windows of 5 ms at a hop of 2.5 ms.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.tones.elements import RATE_HZ, PulseDigitHeard
from protocols.tones.spectrum import HOP, HOP_MS, WINDOW, Floats, WindowsOf
from protocols.tones.synthesis import FULL_SCALE_DBM0

NOMINAL_HZ: Final = (1800, 1900)
FREQUENCIES_HZ: Final = (1800.0, 1900.0)
MAX_PULSES: Final = 15
_FINE: Final = 40
_STEP: Final = 20
_STEP_MS: Final = 2.5
_MIN_POWER: Final = 32767.0**2 / 2.0 * 10.0 ** ((-42.0 - FULL_SCALE_DBM0) / 10.0)
_MIN_SHARE: Final = 0.5
_WAKE_SHARE: Final = 0.3
_MAX_ON_MS: Final = 90.0
_MIN_ON_MS: Final = 6.0
_MIN_END_MS: Final = 35.0
_UNEVEN: Final = (0.13, 3.0)
"""A burst may come so much out of step, share of the period or ms: a lost or repeated packet takes
one away or puts one in and is 5 ms out of step at 40 a second."""

_AT: Final = np.arange(_FINE) + 0.5
_FINE_WEIGHTS: Final = np.sin(np.pi * _AT / _FINE) ** 2
_TURNS: Final = _AT * (2.0 * np.pi * 1850.0 / RATE_HZ)
_FIT: Final = (
    np.stack((np.cos(_TURNS), np.sin(_TURNS)), axis=1)
    * (_FINE_WEIGHTS * np.sqrt(2.0) / _FINE_WEIGHTS.sum())[:, None]
).astype(np.float32)
_MEAN: Final = (_FINE_WEIGHTS / _FINE_WEIGHTS.sum()).astype(np.float32)
_FIRST: Final = WINDOW - HOP - (_FINE - _STEP)
"""Where in a window of 160 the fine windows of its new block begin."""


class PulseMachine:
    """All lines; only those with something near 1850 Hz cost anything."""

    def __init__(self, lines: int) -> None:
        self._trains: dict[int, _Train] = {}
        self._lines = lines

    def reset(self, line: int) -> None:
        """Forget a train under way."""
        self._trains.pop(line, None)

    def step(
        self,
        power: Floats,
        lean: Floats,
        energy: Floats,
        windows: WindowsOf,
        lines: NDArray[np.intp] | None,
        now_ms: NDArray[np.int64],
    ) -> list[tuple[int, PulseDigitHeard]]:
        """Fits of FREQUENCIES_HZ (2, n), mean power (n), and samples on demand."""
        awake = power.max(axis=0) > np.maximum(_WAKE_SHARE * energy, _MIN_POWER)
        if not self._trains and not awake.any():
            return []
        rows = np.arange(len(energy)) if lines is None else lines
        known = [int(line) in self._trains for line in rows] if self._trains else False
        at = np.flatnonzero(awake | np.array(known, np.bool_))
        if not len(at):
            return []
        size, share = _fine(windows(at))
        heard: list[tuple[int, PulseDigitHeard]] = []
        for index, where in enumerate(at.tolist()):
            line = int(rows[where])
            train = self._trains.setdefault(line, _Train())
            pitch = int(power[:, where].argmax())
            off_hz = float(lean[pitch, where]) / (float(power[pitch, where]) + 1e-9)
            train.pitch(FREQUENCIES_HZ[pitch] + off_hz, float(power[pitch, where]))
            begin_ms = float(now_ms[where]) - HOP_MS
            steps = zip(size[index].tolist(), share[index].tolist(), strict=True)
            for step, (one_size, one_share) in enumerate(steps):
                # The middle of a fine window of 5 ms that ends a step on.
                event = train.step(one_size, one_share, begin_ms + _STEP_MS * step)
                if event is not None:
                    heard.append((line, event))
                if train.over:
                    train = self._trains[line] = _Train()
            if train.idle:
                del self._trains[line]
        return heard


_DUTY: Final = (0.3, 0.75)
"""A burst is about half of its period: where every other one is drowned, it is a quarter."""


def _fine(window: Floats) -> tuple[Floats, Floats]:
    """Amplitude near 1850 Hz and its share of the power, (n, 4) each."""
    recent = window[:, _FIRST:]
    pieces = np.lib.stride_tricks.sliding_window_view(recent, _FINE, axis=1)[:, ::_STEP]
    fit = pieces @ _FIT
    power = (fit * fit).sum(axis=2)
    mean = (pieces * pieces) @ _MEAN
    size: Floats = np.sqrt(power)
    share: Floats = power / (mean + np.float32(1e-9))
    return size, share


class _Train:
    """The bursts of one digit."""

    def __init__(self) -> None:
        self._ref = 0.0
        self._on = False
        self._since_ms = 0.0
        self._rises_ms: list[float] = []
        self._falls_ms: list[float] = []
        """Sharper than the rises: how loud a burst is is known only when it was there."""
        self._size = 0.0
        self._on_ms = 0.0
        self._end_ms = 0.0
        self._idle = 0
        self._spoilt = False
        self._pitch = 0.0
        self._weight = 1e-9
        self.over = False

    def pitch(self, hz: float, weight: float) -> None:
        """Take one estimate of the frequency, trusted by its power."""
        self._pitch += hz * weight
        self._weight += weight

    @property
    def idle(self) -> bool:
        """No burst for 50 ms: not worth a closer look."""
        return self._idle > 20

    def step(self, size: float, share: float, middle_ms: float) -> PulseDigitHeard | None:
        """One fine window."""
        pure = share > _MIN_SHARE and size * size > _MIN_POWER
        if pure:
            self._ref = max(size, self._ref)
        on = size > 0.5 * self._ref and (pure or (self._on and share > 0.3))
        if on != self._on:
            self._turn(on, middle_ms, self._crossed_ms(size, middle_ms))
        self._size = size
        if self._on:
            self._spoilt |= middle_ms - self._since_ms > _MAX_ON_MS
            return None
        if not self._rises_ms:
            self._idle += 1
            return None
        if middle_ms - self._end_ms < self._patience_ms():
            return None
        self.over = True
        return self._digit()

    def _crossed_ms(self, size: float, middle_ms: float) -> float:
        """When the amplitude passed half of the loudest, between this window and the last."""
        rest = (size - 0.5 * self._ref) / (size - self._size) if size != self._size else 0.0
        return middle_ms - _STEP_MS * min(1.0, max(0.0, rest))

    def _turn(self, on: bool, middle_ms: float, crossed_ms: float) -> None:
        if on:
            self._rises_ms.append(middle_ms)
        elif middle_ms - self._since_ms < _MIN_ON_MS:
            self._rises_ms.pop()
        else:
            self._falls_ms.append(crossed_ms)
            self._on_ms += middle_ms - self._since_ms
            self._end_ms = middle_ms
        self._on, self._since_ms = on, middle_ms

    def _patience_ms(self) -> float:
        """Silence that ends the train: well over the pause between its bursts."""
        count = len(self._rises_ms)
        if count > 1:
            period_ms = (self._rises_ms[-1] - self._rises_ms[0]) / (count - 1)
        else:
            period_ms = 2.5 * self._on_ms
        return max(_MIN_END_MS, 1.3 * period_ms)

    def _digit(self) -> PulseDigitHeard | None:
        count = len(self._rises_ms)
        if self._spoilt or count > MAX_PULSES or self._uneven():
            return None
        hz = self._pitch / self._weight
        nominal = min(NOMINAL_HZ, key=lambda one: abs(one - hz))
        if abs(hz - nominal) > 60.0:
            return None
        return PulseDigitHeard(count, nominal, round(self._rises_ms[0]), round(self._end_ms))

    def _uneven(self) -> bool:
        """Not the bursts of one sender: some are missing, or are an echo's."""
        periods = [after - before for before, after in pairwise(self._falls_ms)]
        if not periods:
            return False
        usual = median(periods)
        if not _DUTY[0] < self._on_ms / len(self._rises_ms) / usual < _DUTY[1]:
            return True
        share, least_ms = _UNEVEN
        return any(abs(one - usual) > max(share * usual, least_ms) for one in periods)
