"""Hearing handshake and kiss-off in single tones, by their lengths (protocols.md 1.1)."""

from __future__ import annotations

from typing import Final

from protocols.instants import NS_PER_MS, Instant
from protocols.tones.elements import ToneHeard

LOW_HZ: Final = 1400
HIGH_HZ: Final = 2300
TONE_MS: Final = (60, 700)
"""Nominal 100; Express receivers send 500 (protocols.md 4.2)."""
GAP_MS: Final = (40, 700)


class HandshakeEar:
    """1400 Hz, silence, 2300 Hz. Anything else between begins anew."""

    def __init__(self) -> None:
        self._low_end_ms: int | None = None
        self.singles = 0
        """Tones heard that were no part of a handshake: another format's."""

    @property
    def under_way(self) -> bool:
        """The first half was heard."""
        return self._low_end_ms is not None

    def hears(self, tone: ToneHeard) -> bool:
        """True at the end of a whole handshake."""
        if tone.on:
            return False
        low_end_ms, self._low_end_ms = self._low_end_ms, None
        fits = TONE_MS[0] <= tone.lasted_ms <= TONE_MS[1]
        if tone.hz == LOW_HZ and fits:
            self.singles += 1
            self._low_end_ms = tone.at_ms
            return False
        if tone.hz == HIGH_HZ and fits and low_end_ms is not None:
            gap_ms = tone.at_ms - tone.lasted_ms - low_end_ms
            if GAP_MS[0] <= gap_ms <= GAP_MS[1]:
                return True
        self.singles += 1
        return False

    def forget(self) -> None:
        """What comes next stands alone."""
        self._low_end_ms = None


class KissOffEar:
    """1400 Hz that began after the block had gone out and lasts long enough.

    Our own digits' echo, or a tone that was there before, is none.
    """

    def __init__(self, heard_ms: int, longest_ms: int, slack_ms: int) -> None:
        """`slack_ms`: a tone may seem to begin so long before the line told that it had played."""
        self._heard_ms = heard_ms
        self._longest_ms = longest_ms
        self._slack_ms = slack_ms
        self._block_end: Instant | None = None
        self._began: Instant | None = None

    def block_begins(self) -> None:
        """Our digits go out: what sounds now is judged when they have."""
        self._block_end = None

    def block_ended(self, now: Instant) -> None:
        """The last digit is out: listen from here."""
        self._block_end = now
        if self._began is not None and not self._after_block(self._began):
            self._began = None

    def began(self, tone: ToneHeard, now: Instant) -> None:
        """A tone is there."""
        start = Instant(now - tone.lasted_ms * NS_PER_MS)
        if tone.hz == LOW_HZ and self._after_block(start):
            self._began = start

    def _after_block(self, start: Instant) -> bool:
        end = self._block_end
        return end is None or start >= end - self._slack_ms * NS_PER_MS

    @property
    def under_way(self) -> bool:
        """A tone that may be a kiss-off is there now."""
        return self._began is not None

    def stuck_at(self) -> Instant | None:
        """When the tone that is there will have been too long."""
        if self._began is None:
            return None
        return Instant(self._began + self._longest_ms * NS_PER_MS)

    def long_enough(self, now: Instant) -> bool:
        """The tone that is there now would do if it ended here."""
        began = self._began
        return began is not None and (
            self._heard_ms * NS_PER_MS <= now - began <= self._longest_ms * NS_PER_MS
        )

    def ended(self, tone: ToneHeard) -> bool:
        """The tone is over: whether it was a kiss-off."""
        began, self._began = self._began, None
        fits = self._heard_ms <= tone.lasted_ms <= self._longest_ms
        return tone.hz == LOW_HZ and began is not None and fits

    def forget(self) -> None:
        """The tone that is there is none."""
        self._began = None
