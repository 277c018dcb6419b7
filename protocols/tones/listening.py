"""What a ToneBank listens for. Fewer things cost less; what is not listed is never told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.tones.elements import FskKind


@dataclass(frozen=True, slots=True)
class Listen:
    """`tones_hz` are single tones (ToneHeard); `fsk` are (kind, baud) to demodulate.

    `digits` gives DigitHeard, `pulses` PulseDigitHeard (1800 and 1900 Hz), `progress`
    ProgressHeard. `dial_tone_ms` of unbroken exchange tone before dialling are a dial tone (see
    `dialled`).
    """

    digits: bool = False
    tones_hz: tuple[int, ...] = ()
    pulses: bool = False
    fsk: tuple[tuple[FskKind, int], ...] = ()
    progress: bool = False
    dial_tone_ms: int = 600


CENTRE: Final = Listen(
    digits=True,
    pulses=True,
    fsk=tuple(
        (kind, baud)
        for kind in (FskKind.BELL103_ORIGINATE, FskKind.V21_ORIGINATE)
        for baud in (300, 110)
    ),
)
"""A receiver's line: what panels send."""
PANEL: Final = Listen(tones_hz=(1400, 2300), progress=True)
"""A panel's line: handshake, kiss-off, call progress."""
EXCHANGE: Final = Listen(digits=True)
"""An exchange's line: dialled digits."""
