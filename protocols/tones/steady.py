"""Single tones (handshake, kiss-off, carriers): begun and ended, told by the nominal frequency.

A tone counts when it is alone: nearly all the power of a window at one frequency, and no DTMF row
beside it, so that an echo of dialled digits is never a handshake (1336 and 1477 Hz lie in reach of
1400 Hz). Holes of a lost packet are bridged as in digits.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.tones.elements import ToneHeard
from protocols.tones.spectrum import CURVATURE, HOP_MS, Floats, WindowsOf, columns, slopes
from protocols.tones.synthesis import FULL_SCALE_DBM0

TOLERANCE: Final = 0.055
"""Of the nominal frequency, or half way to a neighbour that is listened for too."""
RECOGNISED_HOPS: Final = 3.7
"""A tone is told when it has been there for this long."""
_MIN_SHARE: Final = 0.6
_MAX_ROW: Final = 0.04
_GAP_HOPS: Final = 2.5
_WANDER_HZ: Final = 40.0
"""A tone that has moved so far from where it was recognised is another one: whistles, sirens."""
_BIN_SPACING_HZ: Final = 60.0
_MIN_POWER: Final = 32767.0**2 / 2.0 * 10.0 ** ((-45.0 - FULL_SCALE_DBM0) / 10.0)

# Planes of the state, each (tones, lines).
_OPEN, _REF, _SUM, _GAP, _HOLE, _BEFORE, _HZ, _PLANES = range(8)


def tolerances_hz(nominal_hz: Sequence[int]) -> list[tuple[float, float]]:
    """The band in which each tone is accepted, lowest and highest frequency."""
    bands: list[tuple[float, float]] = []
    for hz in nominal_hz:
        reach = hz * TOLERANCE
        under = [other for other in nominal_hz if other < hz]
        over = [other for other in nominal_hz if other > hz]
        low = max([hz - reach, *((hz + other) / 2.0 for other in under)])
        high = min([hz + reach, *((hz + other) / 2.0 for other in over)])
        bands.append((low, high))
    return bands


def bins_hz(band: tuple[float, float]) -> list[float]:
    """Frequencies to fit so that any tone in the band is within 35 Hz of one."""
    low, high = band
    count = max(1, round((high - low) / _BIN_SPACING_HZ))
    spacing = (high - low) / count
    return [low + spacing * (at + 0.5) for at in range(count)]


class Looked(NamedTuple):
    """What many windows are at first sight: mean power, strongest DTMF row (n), strongest fit of
    each tone, whether it is worth a second look (tones, n).
    """

    energy: Floats
    row_power: Floats
    strongest: Floats
    worth: NDArray[np.bool_]


class ToneMachine:
    """State of all lines for all tones listened for."""

    def __init__(self, lines: int, nominal_hz: Sequence[int]) -> None:
        self.nominal_hz = tuple(nominal_hz)
        self._bands = tolerances_hz(nominal_hz)
        bins = [bins_hz(band) for band in self._bands]
        self.frequencies_hz = tuple(hz for group in bins for hz in group)
        ends = np.cumsum([len(group) for group in bins]).tolist()
        self._slices = [slice(end - len(group), end) for end, group in zip(ends, bins, strict=True)]
        self._centres = [np.array(group, np.float32) for group in bins]
        self._fit = [np.concatenate((columns(group), slopes(group))).T for group in bins]
        self._state = np.zeros((_PLANES, len(nominal_hz), lines), np.float32)
        self._open = np.zeros((len(nominal_hz), lines), np.bool_)
        self._before = np.zeros((len(nominal_hz), lines), np.float32)
        """The strongest fit of the last window."""

    def reset(self, line: int) -> None:
        """Forget what this line was in, without a word."""
        self._state[:, :, line] = 0.0
        self._open[:, line] = False
        self._before[:, line] = 0.0

    def looked(self, power: Floats, energy: Floats, row_power: Floats) -> Looked:
        """Many windows at once by themselves: fits of `frequencies_hz` (frequencies, n), mean power
        (n), strongest DTMF row (n).
        """
        strongest = np.empty((len(self._slices), len(energy)), np.float32)
        for tone, part in enumerate(self._slices):
            power[part].max(axis=0, out=strongest[tone])
        floor = np.maximum(energy * np.float32(0.3), np.float32(_MIN_POWER * 0.3))
        worth = (strongest > floor) & (row_power < np.float32(0.1) * energy)
        return Looked(energy, row_power, strongest, worth)

    def step(
        self,
        looked: Looked,
        hop: int,
        windows: WindowsOf,
        lines: NDArray[np.intp] | None,
        now_ms: NDArray[np.int64],
    ) -> tuple[list[tuple[int, ToneHeard]], NDArray[np.bool_]]:
        """Window `hop` of each line, its samples on demand.

        Returns what is told, with its line, and where a tone is (n).
        """
        count = len(now_ms)
        part = slice(hop * count, (hop + 1) * count)
        present = np.zeros(count, np.bool_)
        heard: list[tuple[int, ToneHeard]] = []
        worth, strongest = looked.worth[:, part], looked.strongest[:, part]
        if self._open.any():
            worth = worth | (self._open if lines is None else self._open[:, lines])
        for tone in range(len(worth)) if worth.any() else ():
            at = np.flatnonzero(worth[tone])
            if not len(at):
                continue
            rows = at if lines is None else lines[at]
            good, size, at_hz = self._fits(
                tone, windows(at), looked.energy[part][at], looked.row_power[part][at]
            )
            present[at] |= good
            some = self._state[:, tone, rows]
            some[_BEFORE] = self._before[tone, rows]
            for index, event in self._advance(some, tone, good, size, at_hz, now_ms[at]):
                heard.append((int(rows[index]), event))
            self._state[:, tone, rows] = some
            self._open[tone, rows] = some[_OPEN] > 0.0
        if lines is None:
            self._before = strongest
        else:
            self._before[:, lines] = strongest
        return heard, present

    def _fits(
        self, tone: int, windows: Floats, energy: Floats, row_power: Floats
    ) -> tuple[NDArray[np.bool_], Floats, Floats]:
        """Whether windows (n, 160) are this tone, its amplitude and its frequency."""
        cosine, sine, cosine_slope, sine_slope = np.split(windows @ self._fit[tone], 4, axis=1)
        power = cosine * cosine + sine * sine
        lean = cosine * cosine_slope + sine * sine_slope
        count = np.arange(len(windows))
        best = power.argmax(axis=1)
        strongest = power[count, best]
        off = lean[count, best] / (strongest + np.float32(1e-9))
        true = strongest * np.exp(np.float32(CURVATURE) * np.minimum(off * off, 2500.0))
        at_hz = self._centres[tone][best] + off
        low, high = self._bands[tone]
        good = (true > _MIN_SHARE * energy) & (true > _MIN_POWER)
        good &= (at_hz >= low) & (at_hz <= high) & (row_power < _MAX_ROW * true)
        size: Floats = np.sqrt(true).astype(np.float32)
        return good, size, at_hz

    def _advance(
        self,
        state: Floats,
        tone: int,
        good: NDArray[np.bool_],
        size: Floats,
        at_hz: Floats,
        now_ms: NDArray[np.int64],
    ) -> list[tuple[int, ToneHeard]]:
        opened = state[_OPEN] > 0.0
        away = at_hz - state[_HZ]
        good = good & (~opened | (np.abs(away) < _WANDER_HZ))
        ref = state[_REF]
        full = opened & good & (size >= 0.85 * ref)
        # A first window holds only a part of the tone: the reference rises at once, falls slowly.
        state[_REF] = ref = np.where(full, np.maximum(size, ref + (size - ref) * 0.25), ref)
        # A window that holds only a part of the tone tells its frequency less well.
        state[_HZ] += np.where(full & (state[_OPEN] < 2.0), away * 0.5, 0.0)
        share = np.minimum(size / (ref + np.float32(1e-9)), 1.0)
        share = np.where(good | (share < 0.85), share, 0.0)
        gap = state[_GAP] + 1.0 - share
        ended = opened & ~full & (gap >= _GAP_HOPS)
        heard = self._ended(state, tone, ended, gap, now_ms) if ended.any() else []
        state[_HOLE] += np.where(full, state[_GAP], 0.0)
        state[_GAP] = np.where(full, 1.0 - share, gap)
        state[_SUM] += share * ref
        state[_OPEN] = np.where(ended, 0.0, state[_OPEN])
        begun = good & (state[_OPEN] == 0.0)
        if begun.any():
            first = size + np.minimum(np.sqrt(state[_BEFORE]), size)
            for plane, value in (
                (_OPEN, 1.0),
                (_REF, size),
                (_HZ, at_hz),
                (_SUM, first),
                (_GAP, 0.0),
                (_HOLE, 0.0),
            ):
                state[plane] = np.where(begun, value, state[plane])
        length = state[_SUM] / (state[_REF] + np.float32(1e-9)) + state[_HOLE]
        fresh = (state[_OPEN] == 1.0) & good & (length >= RECOGNISED_HOPS)
        for at in np.flatnonzero(fresh).tolist():
            state[_OPEN, at] = 2.0
            lasted_ms = round(HOP_MS * float(length[at]))
            heard.append((at, ToneHeard(self.nominal_hz[tone], True, int(now_ms[at]), lasted_ms)))
        return heard

    def _ended(
        self,
        state: Floats,
        tone: int,
        ended: NDArray[np.bool_],
        gap: Floats,
        now_ms: NDArray[np.int64],
    ) -> list[tuple[int, ToneHeard]]:
        heard: list[tuple[int, ToneHeard]] = []
        for at in np.flatnonzero(ended & (state[_OPEN] > 1.0)).tolist():
            end_ms = round(int(now_ms[at]) - HOP_MS * (0.5 + float(gap[at])))
            length = float(state[_SUM, at] / state[_REF, at] + state[_HOLE, at])
            event = ToneHeard(self.nominal_hz[tone], False, max(0, end_ms), round(HOP_MS * length))
            heard.append((at, event))
        return heard
