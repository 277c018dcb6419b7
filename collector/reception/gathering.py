"""Digits, pulses or bytes gathered into blocks; where a block ends."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final

from collector.reception.formats import Block, Format, Found
from collector.reception.profile import Profile
from protocols.instants import Instant, later
from protocols.tones.elements import DigitHeard, FskHeard, PulseDigitHeard

MOST_HEARD: Final = 64
MOST_FSK_BYTES: Final = 4096
PERIODS: Final = 1.5
STEP_S: Final = 0.02

Sign = DigitHeard | PulseDigitHeard | FskHeard


class Gathering:
    """The block in progress, of one kind of sign. Bounded: what is too much is only counted."""

    def __init__(self, profile: Profile, formats: Sequence[Format]) -> None:
        self._profile = profile
        self._formats = formats
        self._heard: list[Sign] = []
        self._fsk_bytes = 0
        self._overflow = False
        self._last = Instant(0)
        self._until: Instant | None = None

    @property
    def busy(self) -> bool:
        """A block is in progress."""
        return self._until is not None

    @property
    def deadline(self) -> Instant | None:
        """When the block in progress ends if nothing more comes."""
        return self._until

    def takes(self, sign: Sign) -> bool:
        """False: it is of another kind than the block in progress, which is over."""
        return not self._heard or type(self._heard[-1]) is type(sign)

    def add(self, sign: Sign, now: Instant) -> None:
        """One more of the block."""
        self._last = now
        if isinstance(sign, FskHeard):
            self._fsk_bytes += len(sign.data)
        if len(self._heard) >= MOST_HEARD or self._fsk_bytes > MOST_FSK_BYTES:
            self._overflow = True
        else:
            self._heard.append(sign)
        self._until = later(now, self._patience_s(sign))

    def due(self, now: Instant) -> bool:
        """The block in progress has ended."""
        return self._until is not None and now >= self._until

    def take(self) -> tuple[Block, Instant, bool]:
        """The block, when its last sign was told, and whether more came than is kept."""
        taken = Block(tuple(self._heard)), self._last, self._overflow
        self._heard, self._until = [], None
        self._fsk_bytes, self._overflow = 0, False
        return taken

    def _patience_s(self, sign: Sign) -> float:
        profile = self._profile
        whole = not self._overflow and self._whole()
        match sign:
            case DigitHeard():
                if not whole:
                    return profile.digit_gap_s
                return min(profile.digit_gap_s, max(profile.block_end_s, self._next_s()))
            case PulseDigitHeard():
                return profile.pulse_end_s if whole else profile.pulse_gap_s
            case FskHeard():
                return profile.block_end_s if whole else profile.fsk_gap_s

    def _whole(self) -> bool:
        """Some format with a check of its own reads a message in what there is."""
        block = Block(tuple(self._heard))
        for each in self._formats:
            got = each.read(block)
            if isinstance(got, Sequence) and any(
                isinstance(one, Found) and not one.weak for one in got
            ):
                return True
        return False

    def _next_s(self) -> float:
        """Within this time a next digit of the same block would have been told."""
        starts = [each.start_ms for each in self._heard if isinstance(each, DigitHeard)]
        periods = [after - before for before, after in pairwise(starts)]
        return PERIODS * median(periods or [0]) / 1000 + STEP_S
