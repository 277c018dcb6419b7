"""How long what is played lasts."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.tones.elements import Digits, Fsk, Playable, Pulses, Silence, Tone

_FRAME_BITS = 10


def lasts_s(sound: Sequence[Playable]) -> float:
    """Seconds from the first sample to the last."""
    return sum(map(_one_s, sound))


def _one_s(each: Playable) -> float:
    match each:
        case Silence(ms) | Tone(ms=ms):
            return ms / 1000
        case Digits(keys, on_ms, off_ms):
            return len(keys) * (on_ms + off_ms) / 1000
        case Pulses(count, _, per_s):
            return count / per_s
        case Fsk(data, _, baud, lead_ms):
            return lead_ms / 1000 + len(data) * _FRAME_BITS / baud
