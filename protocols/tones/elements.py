"""What a line plays and what is heard on it, as both call machines speak of it (no samples).

An adapter turns `Playable`s into audio (or into modem commands) in order, and audio into `Heard`s.
Audio is 8 kHz, 16 bit, mono; one frame is 20 ms. Levels are dBm0: 0 dBm0 is 3.14 dB below a
full-scale sine (G.711 A-law; 3.17 for mu-law).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

RATE_HZ: Final = 8000
FRAME_SAMPLES: Final = 160
FRAME_MS: Final = 20
DTMF_SYMBOLS: Final = "0123456789*#ABCD"
"""Keys as printed. Contact ID writes hex B..F as `* # A B C`; key D is unused there."""


class FskKind(Enum):
    """Tone pairs (mark, space) in Hz, protocols.md 4.1."""

    BELL103_ORIGINATE = (1270, 1070)
    BELL103_ANSWER = (2225, 2025)
    V21_ORIGINATE = (980, 1180)
    V21_ANSWER = (1650, 1850)


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing for `ms`."""

    ms: int


@dataclass(frozen=True, slots=True)
class Tone:
    """One sine of `hz` for `ms`."""

    hz: float
    ms: int


@dataclass(frozen=True, slots=True)
class Digits:
    """DTMF, each of `keys` (DTMF_SYMBOLS) `on_ms` long with `off_ms` of silence after it."""

    keys: str
    on_ms: int = 50
    off_ms: int = 50


@dataclass(frozen=True, slots=True)
class Pulses:
    """Pulse formats (protocols.md 4.3): `count` bursts of `hz` at `per_s` pulses a second."""

    count: int
    hz: float
    per_s: int


@dataclass(frozen=True, slots=True)
class Fsk:
    """Asynchronous 8-bit bytes, one start and one stop bit, with `lead_ms` of mark before them."""

    data: bytes
    kind: FskKind
    baud: int = 300
    lead_ms: int = 200


Playable = Silence | Tone | Digits | Pulses | Fsk


class DigitHeard(msgspec.Struct, frozen=True):
    """One DTMF digit, told at its end. Times are ms of this line's audio since it began.

    A Struct, because a full bank makes thousands a second and a frozen dataclass costs four times.
    `level_dbm0` is that of the weaker tone; `twist_db` is high group minus low group.
    """

    key: str
    start_ms: int
    end_ms: int
    level_dbm0: float = 0.0
    twist_db: float = 0.0


@dataclass(frozen=True, slots=True)
class ToneHeard:
    """A single tone began (`on`) or ended. `hz` is the nominal frequency that was listened for;
    `lasted_ms` is how long it has been there, told at its beginning (recognition time) and end.
    """

    hz: int
    on: bool
    at_ms: int
    lasted_ms: int


@dataclass(frozen=True, slots=True)
class PulseDigitHeard:
    """One digit of a pulse format: 1..15 bursts, told when the burst train ended."""

    count: int
    hz: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class FskHeard:
    """Bytes received by FSK; `framing_errors` counts bad stop bits among them."""

    data: bytes
    kind: FskKind
    baud: int
    framing_errors: int
    at_ms: int


class Progress(Enum):
    """Call progress, by cadence."""

    DIAL_TONE = "dial_tone"
    RINGING = "ringing"
    BUSY = "busy"
    CONGESTION = "congestion"
    VOICE = "voice"
    """Energy that is none of the known tones, for a second or more."""
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class ProgressHeard:
    """The exchange or the far end is heard to be in this state, once at each change."""

    progress: Progress
    at_ms: int


Heard = DigitHeard | ToneHeard | PulseDigitHeard | FskHeard | ProgressHeard
