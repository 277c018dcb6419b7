"""Digits, pulses or bytes gathered into blocks; where a block ends."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Final

from collector.reception.formats import Block
from collector.reception.profile import Profile
from protocols.instants import Instant, later
from protocols.tones.elements import DigitHeard, FskHeard, PulseDigitHeard

MOST_DIGITS: Final = 64
MOST_FSK_BYTES: Final = 4096
PERIODS: Final = 1.25
PERIODS_AND_ONE_LOST: Final = 2.3
STEP_S: Final = 0.02

Sign = DigitHeard | PulseDigitHeard | FskHeard


class Gathering:
    """The block in progress, of one kind of sign. Bounded: what is too much is only counted.

    `whole(block)`: it could be kissed off as it is, so that little silence ends it.
    """

    def __init__(self, profile: Profile, whole: Callable[[Block], bool]) -> None:
        self._profile = profile
        self._whole = whole
        self._heard: list[Sign] = []
        self._fsk_bytes = 0
        self._overflow = False
        self._last = Instant(0)
        self._until: Instant | None = None
        self._paused = False
        self.usual_digits = 0
        """How many the blocks of this caller have; 0: not known."""

    @property
    def busy(self) -> bool:
        """A block is in progress."""
        return self._until is not None

    @property
    def of_digits(self) -> bool:
        """A block of DTMF digits is in progress."""
        return bool(self._heard) and isinstance(self._heard[-1], DigitHeard)

    @property
    def deadline(self) -> Instant | None:
        """When the block in progress ends if nothing more comes."""
        return self._until

    def takes(self, sign: Sign) -> bool:
        """False: it belongs to another block than the one in progress, which is over."""
        last = self._heard[-1] if self._heard else None
        if isinstance(last, PulseDigitHeard) and isinstance(sign, PulseDigitHeard):
            return sign.start_ms - last.end_ms <= self._profile.pulse_round_s * 1000
        return last is None or type(last) is type(sign)

    def add(self, sign: Sign, now: Instant) -> None:
        """One more of the block."""
        self._last = now
        self._paused = False
        if isinstance(sign, FskHeard):
            self._fsk_bytes += len(sign.data)
            self._overflow |= self._fsk_bytes > MOST_FSK_BYTES
        else:
            self._overflow |= len(self._heard) >= MOST_DIGITS
        if not self._overflow:
            self._heard.append(sign)
        self._until = later(now, self._patience_s(sign))

    def due(self, now: Instant) -> bool:
        """The block in progress has ended. Bytes come one by one, so that they are judged in a
        pause only.
        """
        if self._until is None or now < self._until:
            return False
        if not self._paused and isinstance(self._heard[-1], FskHeard) and not self._is_whole():
            self._paused = True
            self._until = later(self._last, self._profile.fsk_gap_s)
        return now >= self._until

    def _is_whole(self) -> bool:
        return not self._overflow and self._whole(Block(tuple(self._heard)))

    def take(self) -> tuple[Block, Instant, bool]:
        """The block, when its last sign was told, and whether more came than is kept."""
        taken = Block(tuple(self._heard)), self._last, self._overflow
        self._heard, self._until = [], None
        self._fsk_bytes, self._overflow = 0, False
        return taken

    def _patience_s(self, sign: Sign) -> float:
        profile = self._profile
        match sign:
            case DigitHeard():
                if not self._is_whole():
                    return profile.digit_gap_s
                return min(profile.digit_gap_s, max(profile.block_end_s, self._next_s()))
            case PulseDigitHeard():
                return profile.pulse_end_s if self._is_whole() else profile.pulse_gap_s
            case FskHeard():
                return profile.block_end_s

    def _next_s(self) -> float:
        """Within this time a next digit of the same block would have been told."""
        starts = [each.start_ms for each in self._heard if isinstance(each, DigitHeard)]
        periods = [after - before for before, after in pairwise(starts)]
        patience = PERIODS if len(starts) == self.usual_digits else PERIODS_AND_ONE_LOST
        return patience * median(periods or [0]) / 1000 + STEP_S
