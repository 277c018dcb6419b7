"""Weighted fit of many frequencies to the last 20 ms of many lines, by one matrix product.

A window is 160 samples at a hop of 80, weighted by sin^2 (Hann). These weights sum to one over
overlapping windows, so amplitudes summed over windows are exact durations. For each frequency two
complex columns: the tone itself, and its derivative by frequency, which tells how far off it is.
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
    """Rows: cosine, sine, cosine derivative, sine derivative, each for all frequencies in order.

    Scaled so that |X|^2 of a sine is its power. Shape: (4 * frequencies, 160).
    """
    turns = np.asarray(frequencies_hz)[:, None] * _PHASE
    scale = WEIGHTS * np.sqrt(2.0) / _TOTAL
    cosine, sine = np.cos(turns) * scale, -np.sin(turns) * scale
    # Derivative by frequency of the response to a real tone at +d: multiply by -j * phase.
    slope = _PHASE / CURVATURE
    return np.concatenate((cosine, sine, sine * slope, -cosine * slope)).astype(np.float32)
