"""Playables as a half-duplex modem plays them: +VTS where it makes the tones, else samples.

+VTS: `[f1,f2,d]` is a tone pair, `{digit,d}` a DTMF digit, d in 10 ms; `[,,d]` is silence (V.253).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocols.tones.elements import Digits, Playable, Silence, Tone

COMMAND_CHARS: Final = 120
"""Older modems take command lines of 128 characters at most."""
LONGEST_MS: Final = 2550
"""Duration is one byte of 10 ms."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One step: a pause kept by our own clock, a +VTS command that lasts so long, or samples."""

    pause_ms: int = 0
    command: str = ""
    lasts_s: float = 0.0
    samples: tuple[Playable, ...] = ()


def by_modem(item: Playable) -> bool:
    """Whether +VTS can say it."""
    match item:
        case Digits(keys, on_ms, off_ms):
            return bool(keys) and on_ms % 10 == 0 and off_ms % 10 == 0
        case Tone(hz, ms):
            return 200 <= hz <= 3000 and ms > 0 and ms % 10 == 0
        case _:
            return False


def pieces(what: tuple[Playable, ...], *, by_tones: bool) -> Iterator[Piece]:
    """Steps in order. Silence at the beginning is a pause; within samples it is samples."""
    samples: list[Playable] = []
    for item in what:
        if by_tones and by_modem(item):
            if samples:
                yield from _sampled(samples)
                samples = []
            yield from _commands(item)
        else:
            samples.append(item)
    if samples:
        yield from _sampled(samples)


def _sampled(samples: list[Playable]) -> Iterator[Piece]:
    if all(isinstance(item, Silence) for item in samples):
        yield Piece(pause_ms=sum(item.ms for item in samples if isinstance(item, Silence)))
    else:
        yield Piece(samples=tuple(samples))


def _commands(item: Playable) -> Iterator[Piece]:
    """As few +VTS commands as fit; a digit's gap goes with it."""
    words: list[tuple[str, int]] = []
    if isinstance(item, Digits):
        for key in item.keys:
            word = f"{{{key},{item.on_ms // 10}}}"
            if item.off_ms:
                word += f",[,,{item.off_ms // 10}]"
            words.append((word, item.on_ms + item.off_ms))
    elif isinstance(item, Tone):
        left_ms = item.ms
        while left_ms > 0:
            part_ms = min(left_ms, LONGEST_MS)
            words.append((f"[{round(item.hz)},,{part_ms // 10}]", part_ms))
            left_ms -= part_ms
    line, lasts_ms = "", 0
    for word, ms in words:
        if line and len(line) + len(word) + 1 > COMMAND_CHARS:
            yield Piece(command=line, lasts_s=lasts_ms / 1000)
            line, lasts_ms = "", 0
        line = f"{line},{word}" if line else f"AT+VTS={word}"
        lasts_ms += ms
    yield Piece(command=line, lasts_s=lasts_ms / 1000)
