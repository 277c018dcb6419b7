"""Weighted fit of many frequencies to the last 20 ms of many lines, by one matrix product.

A window is 160 samples at a hop of 80, weighted by sin^2 (Hann). These weights sum to one over
overlapping windows, so amplitudes summed over windows are exact durations. For each frequency a
complex column; where it must be known how far off the tone is, a second one, its derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.tones.elements import RATE_HZ

Floats = NDArray[np.float32]
WindowsOf = Callable[[NDArray[np.intp]], Floats]
"""Gives the samples of windows (n, 160) of the rows asked for."""
HOP: Final = 80
WINDOW: Final = 160
HOP_MS: Final = 10
_PHASE: Final = (np.arange(WINDOW) - (WINDOW - 1) / 2.0) * (2.0 * np.pi / RATE_HZ)
WEIGHTS: Final = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW) ** 2
_TOTAL: Final = float(WEIGHTS.sum())
ENERGY_WEIGHTS: Final = (WEIGHTS / _TOTAL).astype(np.float32)
"""Squares of samples times these: mean power of the window."""
CURVATURE: Final = float(np.sum(WEIGHTS * _PHASE**2) / _TOTAL)
"""A tone `d` Hz off is seen with amplitude exp(-CURVATURE * d^2 / 2), nearly, up to 60 Hz."""


def columns(frequencies_hz: Sequence[float]) -> Floats:
    """Rows (2 * frequencies, 160): the cosines of all frequencies in order, then the sines.

    Scaled so that the sum of both squares is the power of a sine.
    """
    turns, scale = _turns(frequencies_hz)
    return np.concatenate((np.cos(turns) * scale, -np.sin(turns) * scale)).astype(np.float32)


def slopes(frequencies_hz: Sequence[float]) -> Floats:
    """Rows as in `columns`: derivatives by frequency. Their product with those, over the power, is
    how many Hz the tone lies above the frequency.
    """
    turns, scale = _turns(frequencies_hz)
    slope = scale * _PHASE / CURVATURE
    return np.concatenate((-np.sin(turns) * slope, -np.cos(turns) * slope)).astype(np.float32)


def folded(frequencies_hz: Sequence[float], leaning_hz: Sequence[float]) -> Floats:
    """`columns` of the first and `slopes` of the second for windows folded at their middle, which
    halves the work: (2, rows, 80), first what is the same on both sides of the middle (cosines;
    sines by the slope), to be multiplied with newer half + mirrored older half; then what changes
    sign (sines; cosines by the slope), for newer - mirrored older half.

    Rows: frequencies, slopes, zeros up to a multiple of 8 (odd counts are slower than even ones).
    """
    fits = columns(frequencies_hz).reshape(2, -1, WINDOW)
    leans = slopes(leaning_hz).reshape(2, -1, WINDOW)
    both = np.concatenate((fits, leans), axis=1)[:, :, HOP:]
    return np.pad(both, ((0, 0), (0, -both.shape[1] % 8), (0, 0)))


def _turns(
    frequencies_hz: Sequence[float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    turns = np.asarray(frequencies_hz, np.float64)[:, None] * _PHASE
    return turns, WEIGHTS * np.sqrt(2.0) / _TOTAL
