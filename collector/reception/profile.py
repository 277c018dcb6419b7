"""How a line is answered: handshakes in order, times, kiss-off (protocols.md 1.1, 4.5; R85)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from protocols.tones.elements import Fsk, FskKind, Playable, Silence, Tone


@dataclass(frozen=True, slots=True)
class Handshake:
    """What is sounded to invite a family of formats, and how long its first sign is awaited."""

    name: str
    sound: tuple[Playable, ...]
    wait_s: float = 2.0


DUAL: Final = Handshake("dual", (Tone(1400, 100), Silence(100), Tone(2300, 100)))
"""SIA DC-05 and the Ademco DTMF family."""
SINGLE_2300: Final = Handshake("2300", (Tone(2300, 500),), wait_s=3.5)
SINGLE_1400: Final = Handshake("1400", (Tone(1400, 500),), wait_s=3.5)
"""Pulse formats: the first digit is known at its end only, up to 1.5 s after it began."""
BELL103: Final = Handshake("bell103", (Fsk(b"", FskKind.BELL103_ANSWER, lead_ms=2500),))
V21: Final = Handshake("v21", (Fsk(b"", FskKind.V21_ANSWER, lead_ms=2500),))
HANDSHAKES: Final = {each.name: each for each in (DUAL, SINGLE_2300, SINGLE_1400, BELL103, V21)}


@dataclass(frozen=True, slots=True)
class Profile:
    """Times of one line. Defaults follow protocols.md 1.1; all are the line's own clock."""

    name: str = "tocsin"
    answer_silence_s: float = 1.0
    """Answer to first handshake: 0.5 to 2 s."""
    handshakes: tuple[Handshake, ...] = (DUAL, SINGLE_2300, SINGLE_1400, BELL103, V21)
    rounds: int = 2
    """How often the whole list is gone through before the receiver gives up."""
    digit_gap_s: float = 0.95
    """A DTMF block ends with this much silence: longer than any hole that lost digits leave,
    shorter than the 1.25 s after which the panel repeats."""
    block_end_s: float = 0.15
    """A block that is whole by its own check ends with this much silence, or somewhat more than a
    digit period where that is longer (two periods for a caller whose blocks are not known to be so
    long: one digit may be lost): 16 digits may be the beginning of 22."""
    late_digit_s: float = 0.8
    """A block that begins so long after the handshake may lack its beginning (16 digits the first
    six of 22): it must come twice alike, unless the caller is known to send so many. Panels begin
    after 0.3 s (protocols.md 1.1), the rest is the line's delay."""
    pulse_gap_s: float = 3.0
    """A round of pulses ends when no digit came to its end for this long..."""
    pulse_round_s: float = 1.0
    """...or when the next digit begins so long after the last [U]."""
    pulse_end_s: float = 0.3
    """From the end of an equal second round to the kiss-off, for the panel to listen."""
    pulse_digit_s: float = 1.8
    """Longest pulse digit, 15 bursts at 10 a second, and its pause."""
    fsk_gap_s: float = 0.6
    """FSK ends after this, or after `block_end_s` when it is whole (a byte at 110 baud: 0.09 s)."""
    kiss_off: tuple[Playable, ...] = (Tone(1400, 850),)
    """After every format that has no answer of its own."""
    kiss_off_2300: tuple[Playable, ...] = (Tone(2300, 850),)
    """After pulses that answered a 2300 Hz handshake (protocols.md 4.3)."""
    kiss_off_latest_s: float = 1.0
    """Later than this after the last digit none is given: the panel repeats at 1.25 s."""
    repeat_wait_s: float = 4.0
    """After a block that failed: silence for the panel to repeat in, then a handshake again."""
    next_block_s: float = 8.0
    """After a kiss-off without another block: hang up."""
    listen_in_s: float = 300.0
    max_call_s: float = 180.0
    max_blocks: int = 200
    max_refused: int = 12
    """Refused blocks in a row before the receiver hangs up, so that the panel dials anew."""
    behind_s: float = 0.4
    """Audio older than this is not kissed off."""
    short_twice: bool = True
    """What may be a part of a longer block must come twice alike, unless pinned or known of the
    caller. What has no check at all must in any case."""


ASTERISK: Final = Profile(
    name="asterisk",
    answer_silence_s=1.25,
    handshakes=(replace(DUAL, wait_s=2.0),),
    rounds=10,
    digit_gap_s=0.2,
    block_end_s=0.2,
    kiss_off=(Tone(1400, 900),),
    next_block_s=2.0,
    repeat_wait_s=2.0,
)
"""The constants of app_alarmreceiver (protocols.md 5.5), for panels that were tuned to it."""
