"""DTMF: which windows are a digit, and the machine that makes one digit of many windows.

All arrays run over lines. Amplitudes of a tone summed over windows are its duration (spectrum.py),
so the length of a digit, and of a hole in it, is measured much finer than the 10 ms hop: a hole of
a lost 20 ms packet is bridged, a 30 ms gap between equal digits is not.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.tones.elements import DigitHeard
from protocols.tones.spectrum import CURVATURE, HOP_MS, Floats
from protocols.tones.synthesis import COLUMNS_HZ, FULL_SCALE_DBM0, KEYPAD, ROWS_HZ

FREQUENCIES_HZ: Final = ROWS_HZ + COLUMNS_HZ
_FREQUENCIES: Final = np.array(FREQUENCIES_HZ, np.float32)

MIN_SHARE: Final = 0.58
MAX_OFFSET: Final = 0.026
MAX_TWIST_DB: Final = 10.0
MIN_DBM0: Final = -45.0
GAP_HOPS: Final = 2.5
MIN_HOPS: Final = 2.0
"""Shortest sum of tone in a digit, in hops of 10 ms."""
_ECHO_RATIO: Final = 0.1
"""A digit this much weaker than the one before it, shortly after it, is its echo."""
_FORGET: Final = 0.912
"""How that fades by hop: 20 dB in 250 ms."""
_MIN_POWER: Final = np.float32(32767.0**2 / 2.0 * 10.0 ** ((MIN_DBM0 - FULL_SCALE_DBM0) / 10.0))
_TWIST: Final = np.float32(10.0 ** (MAX_TWIST_DB / 10.0))

# Rows of the state, one column a line.
_KEY, _HITS, _REF, _SUM, _GAP, _HOLE, _LOW, _HIGH, _LOUD, _ROWS = range(10)


class DigitMachine:
    """State of all lines; `step` takes one window of each line that is fed."""

    def __init__(self, lines: int) -> None:
        self._state = np.zeros((_ROWS, lines), np.float32)
        self._state[_KEY] = -1.0
        self._before = np.zeros((8, lines), np.float32)

    def reset(self, line: int) -> None:
        """Forget what this line was in."""
        self._state[:, line] = 0.0
        self._state[_KEY, line] = -1.0
        self._before[:, line] = 0.0

    def step(
        self,
        power: Floats,
        lean: Floats,
        energy: Floats,
        lines: NDArray[np.intp] | None,
        now_ms: NDArray[np.int64],
    ) -> list[tuple[int, DigitHeard]]:
        """`power` and `lean` (8, n): of each frequency; `lean` is power times offset in Hz.

        `energy` (n): mean power of the window. `lines` (n): which lines these are, None: all.
        `now_ms` (n): end of the window. Returns digits that ended, with their line.
        """
        state = self._state if lines is None else self._state[:, lines]
        before = self._before if lines is None else self._before[:, lines]
        heard = self._judge(state, before, power, lean, energy, now_ms)
        if lines is None:
            self._before = power
            return heard
        self._state[:, lines] = state
        self._before[:, lines] = power
        return [(int(lines[at]), digit) for at, digit in heard]

    def _judge(
        self,
        state: Floats,
        before: Floats,
        power: Floats,
        lean: Floats,
        energy: Floats,
        now_ms: NDArray[np.int64],
    ) -> list[tuple[int, DigitHeard]]:
        state[_LOUD] *= _FORGET
        best_low = power[:4].max(axis=0)
        best_high = power[4:].max(axis=0)
        likely = (best_low + best_high) > energy * 0.35
        likely &= np.minimum(best_low, best_high) > _MIN_POWER * 0.5
        likely |= state[_KEY] >= 0.0
        at = np.flatnonzero(likely)
        if not len(at):
            return []
        one = _Windows(power[:, at], lean[:, at], energy[at])
        return _advance(state, at, one, before, now_ms)


class _Windows:
    """The windows worth a closer look."""

    def __init__(self, power: Floats, lean: Floats, energy: Floats) -> None:
        self.power = power
        count = np.arange(power.shape[1])
        self.count = count
        low = power[:4].argmax(axis=0)
        high = power[4:].argmax(axis=0) + 4
        low_power, high_power = power[low, count], power[high, count]
        low_off = lean[low, count] / (low_power + 1e-9)
        high_off = lean[high, count] / (high_power + 1e-9)
        self.low = low_power * np.exp(CURVATURE * np.minimum(low_off**2, 2500.0))
        self.high = high_power * np.exp(CURVATURE * np.minimum(high_off**2, 2500.0))
        weaker = np.minimum(self.low, self.high)
        good = (self.low + self.high) > MIN_SHARE * energy
        good &= np.abs(low_off) < MAX_OFFSET * _FREQUENCIES[low]
        good &= np.abs(high_off) < MAX_OFFSET * _FREQUENCIES[high]
        good &= weaker > _MIN_POWER
        good &= np.maximum(self.low, self.high) < _TWIST * weaker
        self.good = good
        self.key = np.where(good, low * 4 + high - 4, -1)

    def amplitude(self, key: NDArray[np.intp], power: Floats) -> Floats:
        """Of both tones of `key` together."""
        low, high = key >> 2, (key & 3) + 4
        size: Floats = np.sqrt(power[low, self.count] + power[high, self.count])
        return size


def _advance(
    state: Floats,
    at: NDArray[np.intp],
    now: _Windows,
    before: Floats,
    now_ms: NDArray[np.int64],
) -> list[tuple[int, DigitHeard]]:
    part = state[:, at]
    key = part[_KEY].astype(np.intp)
    opened = key >= 0
    size = now.amplitude(np.maximum(key, 0), now.power)
    same = opened & (now.key == key)
    ratio = size / (part[_REF] + 1e-9)
    short = 1.0 - np.minimum(ratio, 1.0)
    gap = part[_GAP] + short
    ended = opened & ((gap >= GAP_HOPS) | ((now.key >= 0) & ~same & (ratio < 0.8)))
    heard = _told(part, at, ended, now_ms, gap) if ended.any() else []

    full = same & (ratio >= 0.9)
    part[_HOLE] += np.where(full, part[_GAP], 0.0)
    part[_GAP] = np.where(full, short, gap)
    part[_SUM] += size
    part[_HITS] += same
    part[_LOW] += np.where(same, now.low, 0.0)
    part[_HIGH] += np.where(same, now.high, 0.0)
    grown = np.maximum(part[_REF], size)
    settled = part[_REF] + (size - part[_REF]) * 0.25
    steady = np.where(full & (ratio >= 0.94), settled, part[_REF])
    part[_REF] = np.where(same & (part[_HITS] <= 3.0), grown, steady)

    part[_KEY] = np.where(ended, -1.0, part[_KEY])
    begun = (now.key >= 0) & (part[_KEY] < 0.0)
    if begun.any():
        fresh = now.amplitude(np.maximum(now.key, 0), now.power)
        begun &= fresh > _ECHO_RATIO * part[_LOUD]
        earlier = now.amplitude(np.maximum(now.key, 0), before[:, at])
        part[_KEY] = np.where(begun, now.key, part[_KEY])
        part[_HITS] = np.where(begun, 1.0, part[_HITS])
        part[_REF] = np.where(begun, fresh, part[_REF])
        part[_SUM] = np.where(begun, fresh + np.minimum(earlier, fresh), part[_SUM])
        part[_GAP] = np.where(begun, 0.0, part[_GAP])
        part[_HOLE] = np.where(begun, 0.0, part[_HOLE])
        part[_LOW] = np.where(begun, now.low, part[_LOW])
        part[_HIGH] = np.where(begun, now.high, part[_HIGH])
    state[:, at] = part
    return heard


def _told(
    part: Floats,
    at: NDArray[np.intp],
    ended: NDArray[np.bool_],
    now_ms: NDArray[np.int64],
    gap: Floats,
) -> list[tuple[int, DigitHeard]]:
    told: list[tuple[int, DigitHeard]] = []
    for index in np.flatnonzero(ended).tolist():
        key, hits, ref, total, _, hole, low, high, _ = part[:, index].tolist()
        length = total / ref if ref > 0.0 else 0.0
        if hits < 2.0 or length < MIN_HOPS:
            continue
        part[_LOUD, index] = max(part[_LOUD, index], ref)
        # The window's middle lies a hop before its end, and a sum over hops reaches half a hop on.
        end_ms = float(now_ms[at[index]]) - HOP_MS * (0.5 + float(gap[index]))
        start_ms = end_ms - HOP_MS * (length + hole)
        weaker = 10.0 * np.log10(min(low, high) / hits / (32767.0**2 / 2.0)) + FULL_SCALE_DBM0
        told.append(
            (
                int(at[index]),
                DigitHeard(
                    KEYPAD[int(key)],
                    max(0, round(start_ms)),
                    max(0, round(end_ms)),
                    round(float(weaker), 1),
                    round(float(10.0 * np.log10(high / low)), 1),
                ),
            )
        )
    return told
