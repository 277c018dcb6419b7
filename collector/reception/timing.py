"""Whether the digits of one DTMF block can be one block of one sender.

A checksum mod 15 passes one garbled block in fifteen (users.md L1). What garbles blocks is a digit
lost, split or run into its neighbour, and that shows in a sender's even rhythm and level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from protocols.tones.elements import DigitHeard, PulseDigitHeard


@dataclass(frozen=True, slots=True)
class Evenness:
    """How far digits of one block may differ from their median (protocols.md 1.1: 50-60 ms)."""

    longest_period: float = 1.35
    """A lost digit makes a period twice as long; a lost packet shifts a beginning by 0.3 at most.
    """
    shortest_period: float = 0.65
    """A digit too many between two others makes periods half as long."""
    longest_digit: float = 1.7
    """Two equal digits run together are three times as long."""
    shortest_digit: float = 0.4
    slack_ms: int = 15
    """Added to both upper limits: what the ear may be off at both ends."""
    level_db: float = 7.0
    twist_db: float = 6.0
    """Measured within blocks that were heard right, over noise at 3 dB and one packet in ten lost:
    3.5 and 3 dB. The rest is for lines that are not flat."""


NOMINAL = Evenness()
PULSE_SHARE: Final = 0.5
PULSE_SLACK_MS: Final = 8
SCATTERED: Final = 2.2


def uneven(digits: Sequence[DigitHeard], limits: Evenness = NOMINAL) -> str | None:
    """Why these digits are not one block as one sender sends it; None when they may be."""
    if len(digits) < 3:
        return None
    starts = [digit.start_ms for digit in digits]
    periods = [after - before for before, after in pairwise(starts)]
    lengths = [digit.end_ms - digit.start_ms for digit in digits]
    usual = median(periods)
    if max(periods) > limits.longest_period * usual + limits.slack_ms:
        place = periods.index(max(periods)) + 1
        return f"hole of {max(periods)} ms after digit {place}, usual {usual:.0f}"
    if min(periods) < limits.shortest_period * usual:
        place = periods.index(min(periods)) + 2
        return f"digit {place} comes {min(periods)} ms after its neighbour, usual {usual:.0f}"
    length = median(lengths)
    if max(lengths) > limits.longest_digit * length + limits.slack_ms:
        place = lengths.index(max(lengths)) + 1
        return f"digit {place} lasts {max(lengths)} ms, usual {length:.0f}"
    if min(lengths) < limits.shortest_digit * length - limits.slack_ms / 2:
        place = lengths.index(min(lengths)) + 1
        return f"digit {place} lasts {min(lengths)} ms, usual {length:.0f}"
    return _odd_sound(digits, limits)


def _odd_sound(digits: Sequence[DigitHeard], limits: Evenness) -> str | None:
    level = median(digit.level_dbm0 for digit in digits)
    twist = median(digit.twist_db for digit in digits)
    for place, digit in enumerate(digits, 1):
        if abs(digit.level_dbm0 - level) > limits.level_db:
            return f"digit {place} at {digit.level_dbm0:.0f} dBm0, usual {level:.0f}"
        if abs(digit.twist_db - twist) > limits.twist_db:
            return f"digit {place} with twist {digit.twist_db:.0f} dB, usual {twist:.0f}"
    return None


def scattered(digits: Sequence[PulseDigitHeard]) -> str | None:
    """Why these pulses are nobody's: lone bursts and what is left of a broken train come at any
    time. Noise alone is ever again the digit 1, so that it would come alike any number of times.
    """
    pauses = _pauses_ms(digits)
    if not pauses or max(pauses) <= SCATTERED * max(min(pauses), 1):
        lone = bool(pauses) and all(one.count == 1 for one in digits)
        apart = max(pauses) - min(pauses) if lone else 0
        return "single pulses at uneven times" if apart > 2 * PULSE_SLACK_MS else None
    return f"pauses of {min(pauses)} to {max(pauses)} ms between pulse digits"


def uneven_pulses(digits: Sequence[PulseDigitHeard]) -> bool:
    """A pause longer or shorter than the others by a pulse: the first or last of a digit was lost.
    Nothing but lone bursts, which noise makes, is uneven too.

    No refusal: that a panel pauses evenly is nowhere written, so what is uneven must come once more
    alike.
    """
    periods = [(one.end_ms - one.start_ms) / (one.count - 0.5) for one in digits if one.count > 1]
    pauses = _pauses_ms(digits)
    if not pauses:
        return False
    if not periods:
        return True
    usual = median(pauses)
    most = PULSE_SHARE * median(periods) + PULSE_SLACK_MS
    return any(abs(one - usual) > most for one in pauses)


def _pauses_ms(digits: Sequence[PulseDigitHeard]) -> list[int]:
    """Between the digits of a round; between two equal rounds any pause is well."""
    pauses = [after.start_ms - before.end_ms for before, after in pairwise(digits)]
    counts = [one.count for one in digits]
    half = len(counts) // 2
    if half and counts[:half] == counts[half:]:
        del pauses[half - 1]
    return pauses
