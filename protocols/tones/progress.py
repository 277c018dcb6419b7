"""Call progress by cadence: dial tone, ringing, busy, congestion; voice and silence.

The cadences of all plans in exchange.py are listened for at once: no two mean different things.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.tones.elements import Progress, ProgressHeard
from protocols.tones.exchange import PLANS
from protocols.tones.spectrum import HOP_MS

BAND_HZ: Final = tuple(float(hz) for hz in range(300, 651, 50))
"""Fits whose powers together are the power of the band that exchange tones lie in."""
_ON_HOPS: Final = 3
_OFF_HOPS: Final = 6
"""Shorter breaks are beats of two tones (440 + 480 Hz), or lost packets."""
_LATE_DIAL_TONE_MS: Final = 3000
_RING_PAUSE_MS: Final = 900
_TOLERANCE: Final = 0.15
_VOICE_HOPS: Final = 100
_SILENCE_HOPS: Final = 200


@dataclass(frozen=True, slots=True)
class Sounding:
    """What one window is, for progress: in the exchange's band, other sound, or neither."""

    exchange: bool
    other: bool


def _cadences(progress: Progress) -> list[tuple[int, int]]:
    found = {plan[progress].cadence_ms[:2] for plan in PLANS.values()}
    return sorted((cadence[0], cadence[1]) for cadence in found)


_SHORT: Final = tuple(
    (progress, cadence)
    for progress in (Progress.BUSY, Progress.CONGESTION)
    for cadence in _cadences(progress)
)
_RING_ON_MS: Final = tuple(cadence[0] for cadence in _cadences(Progress.RINGING))


class ProgressMachine:
    """One line. `step` takes the windows in order."""

    def __init__(self, dial_tone_ms: int) -> None:
        self._dial_tone_ms = dial_tone_ms
        self.reset()

    def reset(self) -> None:
        """A new call."""
        self._dialled = False
        self._now: Progress | None = None
        self._on = False
        self._turned_ms: int | None = None
        self._since_ms = 0
        self._lasted: list[int] = []
        self._against = 0
        self._voice = 0.0
        self._quiet = 0

    def dialled(self) -> None:
        """From now on a long tone is ringing until it proves not to be."""
        self._dialled = True
        self._lasted.clear()

    def step(self, sounding: Sounding, now_ms: int) -> list[ProgressHeard]:
        """The state if it is a new one."""
        self._turn(sounding.exchange, now_ms)
        found = self._judge(sounding, now_ms)
        if found is None or found is self._now:
            return []
        self._now = found
        return [ProgressHeard(found, now_ms)]

    def _turn(self, exchange: bool, now_ms: int) -> None:
        """Follow on and off; a change counts from where it began."""
        if exchange == self._on:
            self._against = max(0, self._against - 1)
            return
        if self._against == 0:
            self._since_ms = now_ms - HOP_MS
        self._against += 1
        if self._against >= (_OFF_HOPS if self._on else _ON_HOPS):
            if self._turned_ms is not None:
                self._lasted = [*self._lasted[-3:], self._since_ms - self._turned_ms]
            self._turned_ms, self._on, self._against = self._since_ms, exchange, 0

    def _judge(self, sounding: Sounding, now_ms: int) -> Progress | None:
        if sounding.other:
            self._voice += 1.0
        elif sounding.exchange or self._on:
            self._voice = 0.0
        else:
            self._voice = max(0.0, self._voice - 0.4)
        self._quiet = 0 if sounding.other or sounding.exchange else self._quiet + 1
        since_ms = now_ms - (self._turned_ms or 0)
        if self._on:
            enough_ms = _LATE_DIAL_TONE_MS if self._dialled else self._dial_tone_ms
            if since_ms >= enough_ms and not self._against:
                return Progress.DIAL_TONE
            return self._short()
        if self._short() is not None:
            return self._short()
        if self._rung() and since_ms >= _RING_PAUSE_MS:
            return Progress.RINGING
        if self._voice >= _VOICE_HOPS:
            return Progress.VOICE
        # The pause of ringing is four seconds of silence and no news.
        patience = 3 if self._now is Progress.RINGING else 1
        return Progress.SILENCE if self._quiet >= _SILENCE_HOPS * patience else None

    def _rung(self) -> bool:
        return bool(self._lasted) and any(_near(self._lasted[-1], on_ms) for on_ms in _RING_ON_MS)

    def _short(self) -> Progress | None:
        """Three in a row, on-off-on or off-on-off, that fit one cadence (all have on = off)."""
        if len(self._lasted) < 3:
            return None
        for progress, (on_ms, off_ms) in _SHORT:
            first_ms, second_ms = (off_ms, on_ms) if self._on else (on_ms, off_ms)
            wanted = (first_ms, second_ms, first_ms)
            if all(_near(ms, want) for ms, want in zip(self._lasted[-3:], wanted, strict=True)):
                return progress
        return None


def _near(ms: int, wanted_ms: int) -> bool:
    return abs(ms - wanted_ms) <= max(30.0, _TOLERANCE * wanted_ms)
