"""A Contact ID receiver as a test wants it: an AudioSocket server that notes what it heard.

It answers, is silent, sounds the handshake, takes 16 digits, kisses off. Not ours: nothing of the
collector is used, so that the panel's half is tested alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from hil.drivers.proxy_thread import ProxyThread
from protocols import audiosocket
from protocols.contact_id.message import Message, decode, digits_of
from protocols.tones.ear import Ear
from protocols.tones.elements import FRAME_SAMPLES, DigitHeard, Playable, Silence, Tone
from protocols.tones.listening import EXCHANGE
from protocols.tones.synthesis import Player

HANDSHAKE: tuple[Playable, ...] = (Silence(400), Tone(1400, 100), Silence(100), Tone(2300, 100))
BLOCK_DIGITS = 16


@dataclass
class Answered:
    """One call as the receiver had it."""

    caller: str
    keys: str = ""
    """All DTMF keys, in order."""
    blocks: list[str] = field(default_factory=list)
    """Blocks of 16 digits, hex, good or not."""
    peak: int = 0
    """Loudest sample of the last frame."""
    ended: bool = False


class PhoneFarEnd(ProxyThread):
    """The server. `kiss_ms` 0: silent after every block; `kisses`: how many it gives a call.

    `handshakes` is how often the handshake is sounded until the first digit, 2 s apart.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0))
        self.calls: list[Answered] = []
        self.kiss_ms = 850
        self.kiss_after_ms = 150
        self.next_digit_ms = 400
        self.handshake = HANDSHAKE
        self.hang_up_after_blocks = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def drop(self) -> None:
        """Close all calls."""
        self._soon(lambda: [task.cancel() for task in list(self._tasks)])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = audiosocket.Reader()
        call = Answered("")
        self.calls.append(call)
        talk = _Talk(self, call)
        try:
            while data := await reader.read(16_384):
                for frame in frames.feed(data):
                    if frame.kind == audiosocket.Kind.ID:
                        call.caller = audiosocket.caller_of(UUID(bytes=frame.payload))
                    elif frame.kind == audiosocket.Kind.HANGUP:
                        return
                    elif frame.kind == audiosocket.Kind.AUDIO:
                        said = talk.step(np.frombuffer(frame.payload, "<i2").astype(np.int16))
                        pcm = said.astype("<i2").tobytes()
                        writer.write(audiosocket.encode(audiosocket.Kind.AUDIO, pcm))
                        if talk.over:
                            writer.write(audiosocket.encode(audiosocket.Kind.HANGUP))
                            return
        finally:
            call.ended = True


class _Talk:
    """The receiver's side of one call, frame by frame."""

    def __init__(self, end: PhoneFarEnd, call: Answered) -> None:
        self.over = False
        self._end = end
        self._call = call
        self._ear = Ear(EXCHANGE)
        self._player = Player()
        self._player.play(end.handshake)
        self._block = ""
        self._last_ms = 0

    def step(self, heard: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        self._call.peak = int(np.abs(heard).max(initial=0))
        for one in self._ear.feed(heard):
            if isinstance(one, DigitHeard):
                self._digit(one)
        if self._block and self._ear.now_ms - self._last_ms > self._end.next_digit_ms:
            self._block = ""
        return self._player.read(FRAME_SAMPLES)

    def _digit(self, digit: DigitHeard) -> None:
        self._player.clear()
        self._call.keys += digit.key
        self._block += digits_of(digit.key)
        self._last_ms = digit.end_ms
        if len(self._block) == BLOCK_DIGITS:
            block, self._block = self._block, ""
            self._call.blocks.append(block)
            if isinstance(decode(block), Message) and self._end.kiss_ms:
                self._player.play((Silence(self._end.kiss_after_ms), Tone(1400, self._end.kiss_ms)))
            self.over = len(self._call.blocks) == self._end.hang_up_after_blocks
