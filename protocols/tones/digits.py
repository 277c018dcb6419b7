"""DTMF: which windows are a digit, and the machine that makes one digit of many windows.

All arrays run over lines. Amplitudes of a tone summed over windows are its duration (spectrum.py),
so the length of a digit, and of a hole in it, is measured much finer than the 10 ms hop: a hole of
a lost 20 ms packet is bridged, a 30 ms gap between equal digits is not.

Written for few numpy calls on long arrays: at hundreds of lines each call costs a microsecond and
little more.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.tones import verdict
from protocols.tones.elements import DigitHeard
from protocols.tones.spectrum import CURVATURE, HOP_MS, Floats
from protocols.tones.synthesis import COLUMNS_HZ, FULL_SCALE_DBM0, ROWS_HZ
from protocols.tones.verdict import Flags, Whole

FREQUENCIES_HZ: Final = ROWS_HZ + COLUMNS_HZ

MIN_SHARE: Final = 0.52
"""Of the power of a window that is a digit's two tones."""
MAX_OFFSET: Final = 0.026
MAX_TWIST_DB: Final = 10.2
MIN_DBM0: Final = -45.0
GAP_HOPS: Final = 2.5
ECHO_RATIO: Final = 0.36
"""A digit this much weaker than the one before it, shortly after it, is its echo."""
_FORGET: Final = 0.955
"""How that fades by hop: 20 dB in 500 ms."""
_MIN_POWER: Final = np.float32(32767.0**2 / 2.0 * 10.0 ** ((MIN_DBM0 - FULL_SCALE_DBM0) / 10.0))
_TWIST: Final = np.float32(10.0 ** (MAX_TWIST_DB / 10.0))
_LIMIT_HZ: Final = (MAX_OFFSET * np.array(FREQUENCIES_HZ)).astype(np.float32)
_CURVATURE: Final = np.float32(CURVATURE)
_LONG_AGO_MS: Final = -(10**6)
_TINY: Final = np.float32(1e-6)
_ONE: Final = np.float32(1.0)
_FALL: Final = np.float32(0.985)


class Windows:
    """What windows are by themselves: `key` -1 where there is no digit. All arrays (.., n)."""

    __slots__ = ("energy", "every", "key", "power", "size", "terms")

    def __init__(self, power: Floats, lean: Floats, energy: Floats) -> None:
        """`power` and `lean` (8, n) of each frequency, `energy` (n): mean power of the window."""
        self.power = power
        self.energy = energy
        count = power.shape[1]
        self.every = np.arange(count)
        groups = power.reshape(2, 4, count)
        pairs = np.maximum(groups[:, ::2], groups[:, 1::2])
        best = np.maximum(pairs[:, 0], pairs[:, 1])
        total = best[0] + best[1]
        self.size = np.sqrt(total)
        """Amplitude of the strongest row and column together."""
        self.terms = np.empty((verdict.ROWS - verdict.LOW, count), np.float32)
        """By window, in the order of the state's sums: power of the low and the high tone, their
        share of it, the rest of it, other columns; and by the tones' power: how many Hz each lies
        off.
        """
        if not (total > np.float32(0.35) * energy).any():
            self.key = np.full(count, -1, np.intp)
            self.terms[:] = 0.0
            return
        upper = pairs[:, 1] > pairs[:, 0]
        odd = groups[:, 1::2] > groups[:, ::2]
        second = np.where(upper, odd[:, 1], odd[:, 0])
        at = (2 * upper.view(np.int8) + second.view(np.int8)).astype(np.intp)
        key = 4 * at[0] + at[1]
        at[1] += 4
        off = lean.ravel().take(at * count + self.every)
        best += _TINY
        off /= best
        good = (np.abs(off) < _LIMIT_HZ.take(at)).all(axis=0)
        square = np.minimum(off * off, np.float32(2500.0))
        tones = self.terms[:2]
        np.multiply(best, np.exp(_CURVATURE * square), out=tones)
        both = tones[0] + tones[1]
        share = np.divide(both, energy + _TINY, out=self.terms[2])
        np.subtract(energy, both, out=self.terms[3])
        np.subtract(groups[1].sum(axis=0), best[1], out=self.terms[4])
        np.multiply(off, both, out=self.terms[5:7])
        weaker = np.minimum(tones[0], tones[1])
        good &= share > np.float32(MIN_SHARE)
        good &= weaker > _MIN_POWER
        good &= both < (_ONE + _TWIST) * weaker
        self.key = np.where(good, key, -1)
        """Row times four plus column."""


class DigitMachine:
    """State of all lines; `step` takes one window of each line that is fed."""

    def __init__(self, lines: int) -> None:
        self._every = np.arange(lines)
        self._key = np.full(lines, -1, np.intp)
        self._state = np.zeros((verdict.ROWS, lines), np.float32)
        self._state[verdict.REF] = 1.0
        self._begun_ms = np.zeros(lines, np.int64)
        self._before = np.zeros((8, lines), np.float32)
        self._past = [np.zeros(lines, np.float32) for _ in range(3)]
        """Power of the last windows, the last one first."""
        self._loud = np.zeros(lines, np.float32)
        self._loud_ms = np.full(lines, _LONG_AGO_MS, np.int64)
        self._over: list[tuple[int, Floats, NDArray[np.int64]]] = []
        """Candidates that are over and not judged yet: hop, columns, their line, key and time."""
        self._unjudged = np.zeros(lines, np.bool_)
        self._heard: list[tuple[int, int, DigitHeard]] = []

    def reset(self, line: int) -> None:
        """Forget what this line was in."""
        self._key[line] = -1
        self._state[:, line] = 0.0
        self._state[verdict.REF, line] = 1.0
        self._before[:, line] = 0.0
        for past in self._past:
            past[line] = 0.0
        self._loud[line] = 0.0
        self._loud_ms[line] = _LONG_AGO_MS

    def step(
        self, windows: Windows, hop: int, lines: Whole | None, now_ms: NDArray[np.int64]
    ) -> None:
        """Window `hop` of each of `lines` (None: all), which ends at `now_ms`."""
        begin = hop * len(now_ms)
        part = slice(begin, begin + len(now_ms))
        key = self._key if lines is None else self._key[lines]
        busy = np.maximum(windows.key[part], key) >= 0
        if lines is None and 2 * np.count_nonzero(busy) > len(now_ms):
            # Most have something: cheaper to take all along than to pick them out.
            self._advance(windows, hop, part, self._every, self._state, self._key, now_ms)
        elif busy.any():
            at = busy.nonzero()[0]
            rows = at if lines is None else lines[at]
            state, key = self._state.take(rows, axis=1), key[at]
            self._advance(windows, hop, begin + at, rows, state, key, now_ms[at])
            self._state[:, rows] = state
            self._key[rows] = key
        power, energy = windows.power[:, part], windows.energy[part]
        if lines is None:
            self._before = power
            self._past = [energy, *self._past[:2]]
        else:
            self._before[:, lines] = power
            for past, later in ((2, 1), (1, 0)):
                self._past[past][lines] = self._past[later][lines]
            self._past[0][lines] = energy

    def told(self) -> list[tuple[int, int, DigitHeard]]:
        """(hop, line, digit) for digits that ended in the steps since this was asked last."""
        self._judge()
        heard, self._heard = self._heard, []
        return heard

    def _advance(
        self,
        windows: Windows,
        hop: int,
        which: slice | Whole,
        rows: Whole,
        state: Floats,
        key: Whole,
        now_ms: NDArray[np.int64],
    ) -> None:
        """Windows `which` of lines `rows`, whose `state` and `key` are changed in place."""
        new, at = windows.key[which], windows.every[which]
        opened = key >= 0
        same = (new == key) & opened
        size = _amplitude(windows.power, np.maximum(key, 0), at)
        ratio = size / state[verdict.REF]
        short = np.maximum(_ONE - ratio, np.float32(0.0))
        gap = state[verdict.GAP] + short
        # Another digit, unless it is this one misread; one window that a second, stronger one
        # contradicts was itself misread, where an echo and a beginning met.
        other = (new >= 0) & ~same
        doubted = (state[verdict.HITS] <= _ONE) & (windows.size[which] > np.float32(1.1) * size)
        other &= doubted | (ratio < np.float32(0.8))
        ended = (other | (gap >= GAP_HOPS)) & opened
        over = ended.nonzero()[0]
        if len(over):
            columns = np.empty((verdict.ALL_ROWS, len(over)), np.float32)
            columns[: verdict.ROWS] = state.take(over, axis=1)
            columns[verdict.GAP] = gap.take(over)
            columns[verdict.AFTER] = windows.energy.take(at.take(over))
            self._hold(hop, columns, other[over], rows[over], key[over], now_ms[over])
            key[over] = -1
        full = same & (ratio >= np.float32(0.9))
        state[verdict.GAP] = np.where(full, short, gap)
        state[verdict.SUM] += size
        state[verdict.FULL] += full
        state[verdict.HITS] += same
        terms = windows.terms[:, which] * same
        state[verdict.SUMS] += terms
        np.maximum(state[verdict.BEST], terms[verdict.SHARE - verdict.LOW], out=state[verdict.BEST])
        # The reference rises at once and falls slowly: the first window holds only a part.
        state[verdict.REF] *= np.where(full, np.maximum(ratio, _FALL), _ONE)
        begun = (np.minimum(new, ~key) >= 0).nonzero()[0]
        if len(begun):
            self._begin(windows, begun, at[begun], rows[begun], new[begun], key, state, now_ms)

    def _begin(
        self,
        windows: Windows,
        which: Whole,
        at: Whole,
        lines: Whole,
        new: Whole,
        key: Whole,
        state: Floats,
        now_ms: NDArray[np.int64],
    ) -> None:
        """Open a digit on `which` of the windows in hand, unless it is an echo."""
        if self._over and self._unjudged[lines].any():
            self._judge()
        fresh = windows.size.take(at)
        faded = _FORGET ** ((now_ms[which] - self._loud_ms[lines]) / HOP_MS)
        loud = (fresh > ECHO_RATIO * self._loud[lines] * faded).nonzero()[0]
        which, at, lines, new, fresh = which[loud], at[loud], lines[loud], new[loud], fresh[loud]
        key[which] = new
        earlier = np.sqrt(self._before[new >> 2, lines] + self._before[4 + (new & 3), lines])
        first = np.empty((verdict.ROWS, len(which)), np.float32)
        first[verdict.REF] = fresh
        first[verdict.GAP] = 0.0
        first[verdict.SUM] = first[verdict.FIRST] = fresh + np.minimum(earlier, fresh)
        first[verdict.BEFORE] = self._past[1][lines]
        # A window that is a digit began 10 to 20 ms after this one ended; noise may delay it.
        first[verdict.QUIET] = np.minimum(first[verdict.BEFORE], self._past[2][lines])
        first[verdict.FULL] = first[verdict.HITS] = 1.0
        first[verdict.SUMS] = windows.terms.take(at, axis=1)
        first[verdict.BEST] = first[verdict.SHARE]
        state[:, which] = first
        self._begun_ms[lines] = now_ms[which]

    def _hold(
        self,
        hop: int,
        columns: Floats,
        cut: Flags,
        lines: Whole,
        key: Whole,
        now_ms: NDArray[np.int64],
    ) -> None:
        """Candidates over now, `cut`: by another. They are judged together with those of the next
        hops, unless they are asked for sooner: half the work where there are few.
        """
        if self._over and self._unjudged[lines].any():
            self._judge()
        columns[verdict.LASTED_MS] = now_ms - self._begun_ms[lines]
        quiet = np.minimum(self._past[0][lines], self._past[1][lines])
        columns[verdict.THEN_QUIET] = np.minimum(quiet, columns[verdict.AFTER]) * ~cut
        marks = np.empty((3, len(lines)), np.int64)
        marks[0], marks[1], marks[2] = lines, key, now_ms
        self._over.append((hop, columns, marks))
        self._unjudged[lines] = True

    def _judge(self) -> None:
        if not self._over:
            return
        hops, parts, marks = zip(*self._over, strict=True)
        columns = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        lines, key, now_ms = marks[0] if len(marks) == 1 else np.concatenate(marks, axis=1)
        self._over = []
        self._unjudged[lines] = False
        among = now_ms - self._loud_ms[lines] < verdict.AMONG_DIGITS_MS
        good = verdict.digits(columns, key, among).nonzero()[0]
        if not len(good):
            return
        when = np.repeat(hops, [part.shape[1] for part in parts])
        if len(good) < len(lines):
            columns, lines = columns[:, good], lines[good]
            key, now_ms, when = key[good], now_ms[good], when[good]
        self._loud[lines], self._loud_ms[lines] = columns[verdict.REF], now_ms
        heard = verdict.told(columns, key, now_ms)
        self._heard += zip(when.tolist(), lines.tolist(), heard, strict=True)


def _amplitude(power: Floats, key: Whole, at: Whole) -> Floats:
    """Of both tones of `key` together, in the windows `at` of `power` (8, n)."""
    count = power.shape[1]
    flat = power.ravel()
    low = flat.take((key >> 2) * count + at)
    low += flat.take(((key & 3) + 4) * count + at)
    size: Floats = np.sqrt(low)
    return size
