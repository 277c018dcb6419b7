"""Playables as a half-duplex modem plays them: +VTS where it makes the tones, else samples.

+VTS in V.253: `{digit,d}` is a DTMF digit, `[f1,f2,d]` a tone pair, d in 10 ms; a frequency 0 is
none. Not every modem knows braces, and some want all three values in brackets (AN93).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from edge.adapters.line_audio import LineAudio, LineThread
from edge.adapters.modem_port import ModemPort
from protocols.tones.elements import RATE_HZ, Digits, Playable, Silence, Tone
from protocols.tones.synthesis import COLUMNS_HZ, KEYPAD, ROWS_HZ
from protocols.voice_modem.answers import Reply, Result
from protocols.voice_modem.device import DRAIN_S
from protocols.voice_modem.samples import Coding, to_bytes
from protocols.voice_modem.stream import CANCEL, END, shield

COMMAND_CHARS: Final = 120
"""Older modems take command lines of 128 characters at most."""
LONGEST_MS: Final = 2550
"""Duration is one byte of 10 ms."""
AHEAD_S: Final = 0.4
"""Samples written ahead of the modem."""
CHUNK: Final = 160


class Way(Enum):
    """How what can be said by +VTS is said."""

    DIGITS = "{digit,d}"
    PAIRS = "[f1,f2,d]"
    SAMPLES = "+VTX"


@dataclass(frozen=True, slots=True)
class Piece:
    """One step: a pause kept by our own clock, a +VTS command that lasts so long, or samples.
    `said` is what it says: when the modem refuses the way, that is to be said in another.
    """

    said: tuple[Playable, ...]
    pause_ms: int = 0
    command: str = ""
    lasts_s: float = 0.0


def by_modem(item: Playable) -> bool:
    """Whether +VTS can say it."""
    match item:
        case Digits(keys, on_ms, off_ms):
            return bool(keys) and on_ms % 10 == 0 and off_ms % 10 == 0
        case Tone(hz, ms):
            return 200 <= hz <= 3000 and ms > 0 and ms % 10 == 0
        case _:
            return False


def pieces(what: tuple[Playable, ...], way: Way) -> Iterator[Piece]:
    """Steps in order. Silence at the beginning is a pause; within samples it is samples."""
    samples: list[Playable] = []
    for item in what:
        if way is not Way.SAMPLES and by_modem(item):
            if samples:
                yield _sampled(samples)
                samples = []
            yield from _commands(item, way)
        else:
            samples.append(item)
    if samples:
        yield _sampled(samples)


def _sampled(samples: list[Playable]) -> Piece:
    said = tuple(samples)
    if all(isinstance(item, Silence) for item in said):
        return Piece(said, pause_ms=sum(item.ms for item in said if isinstance(item, Silence)))
    return Piece(said)


def _words(item: Playable, way: Way) -> Iterator[tuple[str, int, Playable]]:
    """(+VTS element, its length, what it says); a digit's gap goes with it."""
    if isinstance(item, Digits):
        for key in item.keys:
            if way is Way.DIGITS:
                word = f"{{{key},{item.on_ms // 10}}}"
            else:
                row, column = divmod(KEYPAD.index(key), len(COLUMNS_HZ))
                word = f"[{ROWS_HZ[row]:.0f},{COLUMNS_HZ[column]:.0f},{item.on_ms // 10}]"
            if item.off_ms:
                word += f",[0,0,{item.off_ms // 10}]"
            yield word, item.on_ms + item.off_ms, Digits(key, item.on_ms, item.off_ms)
    elif isinstance(item, Tone):
        for at_ms in range(0, item.ms, LONGEST_MS):
            part_ms = min(item.ms - at_ms, LONGEST_MS)
            yield f"[{round(item.hz)},0,{part_ms // 10}]", part_ms, Tone(item.hz, part_ms)


def _commands(item: Playable, way: Way) -> Iterator[Piece]:
    """As few +VTS commands as fit."""
    line, lasts_ms, said = "", 0, list[Playable]()
    for word, ms, saying in _words(item, way):
        if line and len(line) + len(word) + 1 > COMMAND_CHARS:
            yield Piece(tuple(said), command=line, lasts_s=lasts_ms / 1000)
            line, lasts_ms, said = "", 0, []
        line = f"{line},{word}" if line else f"AT+VTS={word}"
        lasts_ms += ms
        said.append(saying)
    yield Piece(tuple(said), command=line, lasts_s=lasts_ms / 1000)


class HalfDuplexPlayer:
    """Plays on a modem that does not hear meanwhile, in the best way it takes: a refusal (ERROR)
    is remembered until `begin`. `speed` as Timing's.
    """

    def __init__(self, line: LineThread, audio: LineAudio, speed: float) -> None:
        self._line = line
        self._audio = audio
        self._speed = speed
        self.begin(by_modem=True)

    def begin(self, *, by_modem: bool) -> None:
        """A modem that is not known yet; `by_modem`: it is to make digits and tones itself."""
        # tone pairs are long commands, several to a block, with gaps between them
        by_vts = [Way.DIGITS, Way.SAMPLES, Way.PAIRS]
        self._all = by_vts if by_modem else [Way.SAMPLES, Way.DIGITS, Way.PAIRS]
        self._ways = list(self._all)

    def play(self, port: ModemPort, what: tuple[Playable, ...], coding: Coding) -> bool:
        """False: it was hurried, or could not be played."""
        todo = list(pieces(what, self._ways[0]))
        while todo:
            piece = todo.pop(0)
            reply = self._play(port, piece, coding)
            if reply.result is Result.ERROR:
                refused = self._ways[0] if piece.command else Way.SAMPLES
                self._ways = [way for way in self._ways if way is not refused]
                if not self._ways:
                    self._ways = list(self._all)  # it is the moment that is wrong: not off-hook?
                    return False
                left = tuple(item for each in (piece, *todo) for item in each.said)
                todo = list(pieces(left, self._ways[0]))
            elif not reply.ok:
                return False
        return True

    def _play(self, port: ModemPort, piece: Piece, coding: Coding) -> Reply:
        if piece.pause_ms:
            return self._pause(piece.pause_ms / 1000)
        if piece.command:
            return port.command(piece.command, DRAIN_S + piece.lasts_s, lambda: self._line.hurried)
        reply = port.command("AT+VTX")
        return self._samples(port, piece, coding) if reply.result is Result.CONNECT else reply

    def _samples(self, port: ModemPort, piece: Piece, coding: Coding) -> Reply:
        self._audio.play(piece.said)
        began = time.monotonic()
        written = 0
        ended = False
        while not ended and not self._line.hurried:
            early_s = self._lasts_s(written) - (time.monotonic() - began) - AHEAD_S
            if early_s > 0:
                self._line.wait(None, early_s)
                continue
            pcm, ended = self._audio.read(CHUNK)
            written += len(pcm)
            port.write(shield(to_bytes(pcm, coding)))
        port.write(END if ended else CANCEL + END)
        # it has played its buffer: <DLE><ETX> and OK, or OK (VCON) alone
        port.leave_stream()
        left_s = max(0.0, self._lasts_s(written) - (time.monotonic() - began))
        reply = port.answer(left_s + DRAIN_S)
        return reply if ended else Reply(None)

    def _lasts_s(self, samples: int) -> float:
        return samples / RATE_HZ / self._speed

    def _pause(self, seconds: float) -> Reply:
        """OK, unless hurried."""
        until = time.monotonic() + seconds / self._speed
        while not self._line.hurried:
            left = until - time.monotonic()
            if left <= 0:
                return Reply(Result.OK)
            self._line.wait(None, left)
        return Reply(None)
