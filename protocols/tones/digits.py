"""DTMF: which windows are a digit, and the machine that makes one digit of many windows.

All arrays run over lines. Amplitudes of a tone summed over windows are its duration (spectrum.py),
so the length of a digit, and of a hole in it, is measured much finer than the 10 ms hop: a hole of
a lost 20 ms packet is bridged, a 30 ms gap between equal digits is not.

Written for few numpy calls on long arrays: at hundreds of lines each call costs a microsecond and
little more, and there are some sixty of them for 10 ms of all lines.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.tones.elements import DigitHeard
from protocols.tones.spectrum import CURVATURE, HOP_MS, Floats
from protocols.tones.synthesis import COLUMNS_HZ, FULL_SCALE_DBM0, KEYPAD, ROWS_HZ

Whole = NDArray[np.intp]
Flags = NDArray[np.bool_]
FREQUENCIES_HZ: Final = ROWS_HZ + COLUMNS_HZ

MIN_SHARE: Final = 0.52
MIN_MEAN_SHARE: Final = 0.575
"""Of the power of a window that is the digit's two tones: in each window, and on the average."""
SHORT_HOPS: Final = 3.0
SHORT_MEAN_SHARE: Final = 0.65
"""Shorter digits must be purer: speech comes close to a digit for 25 ms now and then."""
LONE_SHARE: Final = 0.9
LONE_HOPS: Final = 2.3
"""One window alone is enough if it is pure and there is tone on both sides of it: what a lost
packet leaves.
"""
LONG_HOPS: Final = 6.0
LONG_MEAN_SHARE: Final = 0.64
"""In a long digit chance evens out: 0.67 is 3 dB of signal to noise."""
MAX_OFFSET: Final = 0.026
MAX_TWIST_DB: Final = 12.0
MIN_DBM0: Final = -45.0
PURE_SHARE: Final = 0.9
FAIR_SHARE: Final = 0.75
MAX_SIDE: Final = 0.2
LEAST_NOISE: Final = 0.45
MOST_NOISE: Final = 2.3
"""What is not pure must stand in noise: see `_among_noise`."""
GAP_HOPS: Final = 2.5
MIN_HOPS: Final = 2.0
"""Shortest sum of tone in a digit, in hops of 10 ms."""
ECHO_RATIO: Final = 0.3
"""A digit this much weaker than the one before it, shortly after it, is its echo."""
_FORGET: Final = 0.955
"""How that fades by hop: 20 dB in 500 ms."""
_MIN_POWER: Final = np.float32(32767.0**2 / 2.0 * 10.0 ** ((MIN_DBM0 - FULL_SCALE_DBM0) / 10.0))
_TWIST: Final = np.float32(10.0 ** (MAX_TWIST_DB / 10.0))
_LIMIT_HZ: Final = (MAX_OFFSET * np.array(FREQUENCIES_HZ)).astype(np.float32)
_GROUPS: Final = np.array([[0], [4]], np.intp)
_CURVATURE: Final = np.float32(CURVATURE)
_TINY: Final = np.float32(1e-6)
_ONE: Final = np.float32(1.0)
_FALL: Final = np.float32(0.985)
_DBM0: Final = FULL_SCALE_DBM0 - 20.0 * np.log10(32767.0 / np.sqrt(2.0))

# Rows of the state, one column a line. HITS to SIDE are sums over the digit's windows.
_REF, _GAP, _SUM, _FIRST, _BEFORE, _BEST, _HITS, _LOW, _HIGH, _SHARE, _REST, _SIDE, _ROWS = range(
    13
)
_SUMS: Final = slice(_HITS, _SIDE + 1)


class Windows:
    """What windows are by themselves: `key` -1 where there is no digit. All arrays (.., n)."""

    __slots__ = ("energy", "key", "power", "terms")

    def __init__(self, power: Floats, lean: Floats, energy: Floats) -> None:
        """`power` and `lean` (8, n) of each frequency, `energy` (n): mean power of the window."""
        self.power = power
        count = power.shape[1]
        self.energy = energy
        self.terms = np.empty((6, count), np.float32)
        """One, power of the low and the high tone, share, rest of the power, other columns."""
        groups = power.reshape(2, 4, count)
        best = groups.max(axis=1)
        some = best[0] + best[1] > 0.35 * energy
        if not some.any():
            self.key = np.full(count, -1, np.intp)
            self.terms[:] = 0.0
            return
        at = groups.argmax(axis=1)
        at += _GROUPS
        flat = at * count
        flat += np.arange(count)
        best += _TINY
        off = lean.ravel().take(flat)
        off /= best
        good = (np.abs(off) < _LIMIT_HZ.take(at)).all(axis=0)
        np.multiply(off, off, out=off)
        np.minimum(off, np.float32(2500.0), out=off)
        off *= _CURVATURE
        np.exp(off, out=off)
        tones = self.terms[1:3]
        np.multiply(best, off, out=tones)
        self.terms[0] = 1.0
        share = np.divide(tones[0] + tones[1], energy + _TINY, out=self.terms[3])
        np.subtract(energy, energy * share, out=self.terms[4])
        np.subtract(groups[1].sum(axis=0), best[1], out=self.terms[5])
        weaker = np.minimum(tones[0], tones[1])
        good &= share > MIN_SHARE
        good &= weaker > _MIN_POWER
        good &= np.maximum(tones[0], tones[1]) < _TWIST * weaker
        at[0] *= 4
        key = at[0] + at[1]
        key -= 3
        key *= good
        key -= 1
        self.key = key
        """Row times four plus column."""


class DigitMachine:
    """State of all lines; `step` takes one window of each line that is fed."""

    def __init__(self, lines: int) -> None:
        self._key = np.full(lines, -1, np.intp)
        self._state = np.zeros((_ROWS, lines), np.float32)
        self._state[_REF] = 1.0
        self._begun_ms = np.zeros(lines, np.int64)
        self._before = np.zeros((8, lines), np.float32)
        self._energy = np.zeros((2, lines), np.float32)
        """Power of the last window and of that before it."""
        self._loud = np.zeros(lines, np.float32)
        self._loud_ms = np.zeros(lines, np.int64)

    def reset(self, line: int) -> None:
        """Forget what this line was in."""
        self._key[line] = -1
        self._state[:, line] = 0.0
        self._state[_REF, line] = 1.0
        self._before[:, line] = 0.0
        self._energy[:, line] = 0.0
        self._loud[line] = 0.0

    def step(
        self,
        windows: Windows,
        begin: int,
        lines: Whole | None,
        now_ms: NDArray[np.int64],
    ) -> list[tuple[int, DigitHeard]]:
        """Windows from `begin` on, one of each of `lines` (None: all), that end at `now_ms`.

        Returns digits that ended, with their line.
        """
        end = begin + len(now_ms)
        open_key = self._key if lines is None else self._key[lines]
        at = np.flatnonzero(np.maximum(windows.key[begin:end], open_key) >= 0)
        heard: list[tuple[int, DigitHeard]] = []
        if len(at):
            rows = at if lines is None else lines[at]
            heard = self._advance(windows, at + begin, rows, now_ms.take(at))
        power, energy = windows.power[:, begin:end], windows.energy[begin:end]
        if lines is None:
            self._before = power
            self._energy[1] = self._energy[0]
            self._energy[0] = energy
        else:
            self._before[:, lines] = power
            self._energy[1, lines] = self._energy[0, lines]
            self._energy[0, lines] = energy
        return heard

    def _advance(
        self, windows: Windows, at: Whole, rows: Whole, now_ms: NDArray[np.int64]
    ) -> list[tuple[int, DigitHeard]]:
        """Windows `at` of lines `rows`."""
        new, key = windows.key.take(at), self._key.take(rows)
        state = self._state.take(rows, axis=1)
        opened = key >= 0
        same = opened & (new == key)
        size = _amplitude(windows.power, np.maximum(key, 0), at)
        ratio = size / state[_REF]
        short = np.maximum(_ONE - ratio, np.float32(0.0))
        gap = state[_GAP] + short
        ended = (gap >= GAP_HOPS) | ((new >= 0) & ~same & (ratio < 0.8))
        ended &= opened
        heard: list[tuple[int, DigitHeard]] = []
        over = np.flatnonzero(ended)
        if len(over):
            heard = self._ended(over, rows, key, state, gap, now_ms, windows.energy.take(at[over]))
            key[over] = -1
        full = same & (ratio >= 0.9)
        state[_GAP] = np.where(full, short, gap)
        state[_SUM] += size
        terms = windows.terms.take(at, axis=1) * same
        state[_SUMS] += terms
        np.maximum(state[_BEST], terms[_SHARE - _HITS], out=state[_BEST])
        # The reference rises at once and falls slowly: the first window holds only a part.
        state[_REF] *= np.where(full, np.maximum(ratio, _FALL), _ONE)
        begun = np.flatnonzero((new >= 0) & (key < 0))
        if len(begun):
            self._begin(windows, begun, at, rows, new, key, state, now_ms)
        self._state[:, rows] = state
        self._key[rows] = key
        return heard

    def _begin(
        self,
        windows: Windows,
        which: Whole,
        at: Whole,
        rows: Whole,
        new: Whole,
        key: Whole,
        state: Floats,
        now_ms: NDArray[np.int64],
    ) -> None:
        """Open a digit on `which` of the windows in hand, unless it is an echo."""
        lines = rows[which]
        fresh = _amplitude(windows.power, new[which], at[which])
        faded = _FORGET ** ((now_ms[which] - self._loud_ms[lines]) / HOP_MS)
        loud = fresh > ECHO_RATIO * self._loud[lines] * faded
        which, fresh, lines = which[loud], fresh[loud], lines[loud]
        key[which] = new[which]
        earlier = _amplitude(self._before, new[which], lines)
        state[_REF, which] = fresh
        state[_GAP, which] = 0.0
        state[_SUM, which] = state[_FIRST, which] = fresh + np.minimum(earlier, fresh)
        state[_SUMS, which] = windows.terms[:, at[which]]
        state[_BEST, which] = windows.terms[_SHARE - _HITS, at[which]]
        state[_BEFORE, which] = self._energy[1, lines]
        self._begun_ms[lines] = now_ms[which]

    def _ended(
        self,
        over: Whole,
        rows: Whole,
        key: Whole,
        state: Floats,
        gap: Floats,
        now_ms: NDArray[np.int64],
        after: Floats,
    ) -> list[tuple[int, DigitHeard]]:
        """Tell those that were digits; `after`: power where they are over."""
        ended = state[:, over].astype(np.float64)
        ref, hits = ended[_REF], ended[_HITS]
        length = ended[_SUM] / ref
        wanted = np.where(length >= SHORT_HOPS, MIN_MEAN_SHARE, SHORT_MEAN_SHARE)
        wanted[length >= LONG_HOPS] = LONG_MEAN_SHARE
        good = (hits >= 2.0) | ((ended[_SHARE] >= LONE_SHARE) & (length >= LONE_HOPS))
        good &= (length >= MIN_HOPS) & (ended[_SHARE] >= wanted * hits)
        good &= _among_noise(ended, after)
        over, ended, ref, hits = over[good], ended[:, good], ref[good], hits[good]
        lines = rows[over]
        self._loud[lines], self._loud_ms[lines] = ref, now_ms[over]
        # A window's middle lies a hop before its end, and a sum over hops reaches half a hop on.
        end_ms = now_ms[over] - HOP_MS * (0.5 + gap[over])
        start_ms = self._begun_ms[lines] - HOP_MS * (0.5 + ended[_FIRST] / ref)
        level = 10.0 * np.log10(np.minimum(ended[_LOW], ended[_HIGH]) / hits) + _DBM0
        twist = 10.0 * np.log10(ended[_HIGH] / ended[_LOW])
        return [
            (line, DigitHeard(KEYPAD[one_key], max(0, start), end, one_level, one_twist))
            for line, one_key, start, end, one_level, one_twist in zip(
                lines.tolist(),
                key[over].tolist(),
                np.rint(start_ms).astype(np.int64).tolist(),
                np.rint(end_ms).astype(np.int64).tolist(),
                level.round(1).tolist(),
                twist.round(1).tolist(),
                strict=True,
            )
        ]


def _among_noise(ended: NDArray[np.float64], after: Floats) -> Flags:
    """What is impure must be so because the line is noisy: the rest is spread evenly and is there
    before and after the digit too. The rest of a vowel is its other partials, and comes and goes
    with it. One pure window is enough, and two say too little: at its ends, and where a
    packet was lost, a digit is impure too.
    """
    hits = ended[_HITS]
    share = ended[_SHARE] / hits
    rest = ended[_REST] / hits
    # Chance evens out in a long digit.
    even = ended[_SIDE] < (MAX_SIDE / 2.0 + MAX_SIDE / hits) * ended[_HIGH]
    before = ended[_BEFORE]
    steady = (before > LEAST_NOISE * rest) & (before < MOST_NOISE * rest)
    steady &= after > LEAST_NOISE * rest
    good: Flags = (
        (hits < 3.0) | (ended[_BEST] > PURE_SHARE) | even & (steady | (share > FAIR_SHARE))
    )
    return good


def _amplitude(power: Floats, key: Whole, at: Whole) -> Floats:
    """Of both tones of `key` together, in the windows `at` of `power` (8, n)."""
    count = power.shape[1]
    flat = power.ravel()
    low = flat.take((key >> 2) * count + at)
    low += flat.take(((key & 3) + 4) * count + at)
    size: Floats = np.sqrt(low)
    return size
