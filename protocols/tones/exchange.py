"""Call-progress tones of exchanges, as data: what is played, and the cadences to listen for.

CN: GB/T 3380 (450 Hz); EU: ETSI TR 101 041 (425 Hz); US: ANSI T1.401 (precise tone plan).
A line behind a PBX may differ: hand your own ExchangeTone to the player.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.tones.elements import Progress


@dataclass(frozen=True, slots=True)
class ExchangeTone:
    """One or two `hz` together; `cadence_ms` is on, off, on, off ...; empty: without a break."""

    hz: tuple[float, ...]
    cadence_ms: tuple[int, ...] = ()


PLANS: Final[dict[str, dict[Progress, ExchangeTone]]] = {
    "CN": {
        Progress.DIAL_TONE: ExchangeTone((450.0,)),
        Progress.RINGING: ExchangeTone((450.0,), (1000, 4000)),
        Progress.BUSY: ExchangeTone((450.0,), (350, 350)),
        Progress.CONGESTION: ExchangeTone((450.0,), (700, 700)),
    },
    "EU": {
        Progress.DIAL_TONE: ExchangeTone((425.0,)),
        Progress.RINGING: ExchangeTone((425.0,), (1000, 4000)),
        Progress.BUSY: ExchangeTone((425.0,), (500, 500)),
        Progress.CONGESTION: ExchangeTone((425.0,), (250, 250)),
    },
    "US": {
        Progress.DIAL_TONE: ExchangeTone((350.0, 440.0)),
        Progress.RINGING: ExchangeTone((440.0, 480.0), (2000, 4000)),
        Progress.BUSY: ExchangeTone((480.0, 620.0), (500, 500)),
        Progress.CONGESTION: ExchangeTone((480.0, 620.0), (250, 250)),
    },
}
"""Tones by country plan and state."""
