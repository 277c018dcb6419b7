"""Which candidates of digits.py are digits, and what is told of them.

A candidate is a column: sums over its windows, and what was around it. Voice and music have two
partials in the right places now and then; what they do not have is a pause on both sides and a
level without slopes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.tones.elements import DigitHeard
from protocols.tones.spectrum import HOP_MS, Floats
from protocols.tones.synthesis import COLUMNS_HZ, FULL_SCALE_DBM0, KEYPAD, ROWS_HZ

Whole = NDArray[np.intp]
Flags = NDArray[np.bool_]

MIN_MEAN_SHARE: Final = 0.575
LONG_HOPS: Final = 6.0
LONG_MEAN_SHARE: Final = 0.64
"""Of the power that is the digit's two tones, on the average; in a long digit chance evens out
(0.67 is 3 dB of signal to noise).
"""
LONE_SHARE: Final = 0.9
LONE_HOPS: Final = 2.3
"""One window alone is enough if it is pure and there is tone on both sides of it: what a lost
packet leaves.
"""
MEAN_OFFSET: Final = 0.021
OFFSET_BY_NOISE: Final = 0.004
"""How far each tone may lie off on the average, without noise, and how much more by the noise."""
PURE_SHARE: Final = 0.9
FAIR_SHARE: Final = 0.75
FAIR_HOPS: Final = 9.0
LEAST_NOISE: Final = 0.45
MOST_NOISE: Final = 2.3
"""What is not pure must stand in noise: see `_among_noise`."""
MAX_SIDE: Final = 0.1
"""Other columns over the digit's own, and twice as much over the number of windows."""
SOUND_NEAR: Final = 0.3
"""Sound before and after a digit over its power, beyond noise."""
SLOPING_HOPS: Final = 2.5
SLOPING_SHARE: Final = 0.35
"""How much of a digit may be less than full, in hops and of its length: ends, lost packets, what a
codec does.
"""
MIN_HOPS: Final = 2.4
MIN_HOPS_AMONG_DIGITS: Final = 2.0
"""Shortest sum of tone in a digit, in hops of 10 ms. What a lost packet leaves of a digit may be
shorter: it is believed when another digit has just been there.
"""
AMONG_DIGITS_MS: Final = 300
_HZ: Final = np.array(ROWS_HZ + COLUMNS_HZ, np.float32)
_DBM0: Final = FULL_SCALE_DBM0 - 20.0 * np.log10(32767.0 / np.sqrt(2.0))

# Rows of a candidate's column. While it lasts; LOW to OFF_HIGH are sums over its windows:
REF, GAP, SUM, FIRST, BEFORE, QUIET, BEST, FULL, HITS = range(9)
LOW, HIGH, SHARE, REST, SIDE, OFF_LOW, OFF_HIGH, ROWS = range(9, 17)
SUMS: Final = slice(LOW, ROWS)
# When it is over: how long it lasted, the power then, and the least since shortly before.
LASTED_MS, AFTER, THEN_QUIET, ALL_ROWS = range(ROWS, ROWS + 4)


def digits(ended: Floats, key: Whole, among: Flags) -> Flags:
    """Which columns are digits of these keys; `among`: shortly after another digit."""
    means = ended[SUMS] / ended[HITS]
    length = ended[SUM] / ended[REF]
    good: Flags = _pure(ended, means, length, among) & _steady(ended, means, length, key)
    good &= _among_noise(ended, means) & _apart(ended, means) & _single(ended, means)
    return good


def told(ended: Floats, key: Whole, now_ms: NDArray[np.int64]) -> list[DigitHeard]:
    """What is told of digits that were found to be over at `now_ms`."""
    means = ended[LOW : HIGH + 1] / ended[HITS]
    # A window's middle lies a hop before its end, and a sum over hops reaches half a hop on.
    end_ms = np.rint(now_ms - HOP_MS * (0.5 + ended[GAP])).astype(np.int64)
    begun_ms = now_ms - ended[LASTED_MS].astype(np.int64)
    start_ms = np.rint(begun_ms - HOP_MS * (0.5 + ended[FIRST] / ended[REF])).astype(np.int64)
    low_db, high_db = 10.0 * np.log10(means.astype(np.float64))
    return list(
        map(
            DigitHeard,
            [KEYPAD[one] for one in key.tolist()],
            np.maximum(start_ms, 0).tolist(),
            end_ms.tolist(),
            (np.minimum(low_db, high_db) + _DBM0).round(1).tolist(),
            (high_db - low_db).round(1).tolist(),
        )
    )


def _pure(ended: Floats, means: Floats, length: Floats, among: Flags) -> Flags:
    """Long enough, and enough of it its own two tones."""
    share = means[SHARE - LOW]
    enough = (ended[HITS] >= 2.0) | ((share >= LONE_SHARE) & (length >= LONE_HOPS))
    enough &= length >= np.where(among, MIN_HOPS_AMONG_DIGITS, MIN_HOPS)
    good: Flags = enough & (share >= np.where(length < LONG_HOPS, MIN_MEAN_SHARE, LONG_MEAN_SHARE))
    return good


def _single(ended: Floats, means: Floats) -> Flags:
    """There is no second column beside its own: two keys at once are none."""
    limit = MAX_SIDE + 2.0 * MAX_SIDE / ended[HITS]
    good: Flags = means[SIDE - LOW] < limit * means[HIGH - LOW]
    return good


def _among_noise(ended: Floats, means: Floats) -> Flags:
    """What is impure must be so because the line is noisy: the rest is there before and after the
    digit too. The rest of a vowel is its other partials, and comes and goes with it. One pure
    window is enough, and few say too little: at its ends, and where a packet was lost, a digit is
    impure too.
    """
    before, rest = ended[BEFORE], means[REST - LOW]
    least = LEAST_NOISE * rest
    good: Flags = (before > least) & (before < MOST_NOISE * rest) & (ended[AFTER] > least)
    good |= (means[SHARE - LOW] > FAIR_SHARE) & (ended[HITS] < FAIR_HOPS)
    good |= ended[BEST] > PURE_SHARE
    good |= ended[HITS] < 3.0
    return good


def _apart(ended: Floats, means: Floats) -> Flags:
    """There is a pause, but for noise, before the digit and after it. Voice, music and gliding
    tones come from somewhere and go on.
    """
    loudest = np.maximum(ended[QUIET], ended[THEN_QUIET])
    good: Flags = loudest < SOUND_NEAR * (means[0] + means[1]) + _noise(means)
    return good


def _steady(ended: Floats, means: Floats, length: Floats, key: Whole) -> Flags:
    """Its frequencies are near nominal on the average, the nearer the less noise; its level is flat
    on top.
    """
    pair, off = means[:2], means[OFF_LOW - LOW : OFF_HIGH - LOW + 1]
    tones = pair[0] + pair[1]
    lean = np.abs(off) / tones
    noise = _noise(means)
    scatter = np.sqrt(noise / pair)
    limit = (MEAN_OFFSET + OFFSET_BY_NOISE * scatter) * _HZ.take((key >> 2, 4 + (key & 3)))
    good: Flags = (lean < limit).all(axis=0)
    good &= length - ended[FULL] < SLOPING_HOPS + SLOPING_SHARE * length + 2.0 * noise / tones
    return good


def _noise(means: Floats) -> Floats:
    """Power that is not the tones'."""
    rest: Floats = np.maximum(means[REST - LOW], 0.0)
    return rest
