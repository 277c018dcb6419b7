"""A panel that reports over an AudioSocket stream, as audio: waits for handshake and kiss-off by
hearing them, sends DTMF or whatever it is given, four tries a block.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocols.audiosocket import Kind, Reader, call_id, encode
from protocols.contact_id import message
from protocols.tones.ear import Ear
from protocols.tones.elements import (
    FRAME_MS,
    FRAME_SAMPLES,
    Digits,
    Playable,
    Silence,
    ToneHeard,
)
from protocols.tones.listening import PANEL
from protocols.tones.synthesis import Player

Block = tuple[Playable, ...]


def dtmf(digits: str) -> Block:
    """A block of hex digits, 50/50 ms."""
    return (Digits(message.keys_of(digits)),)


@dataclass
class AudioPanel:
    """`paced`: 20 ms a frame by the clock; else as fast as the other end answers (lock-step).

    `handshake`: the tone whose end invites; `kiss_off`: the tone that acknowledges.
    `deaf`: how many kiss-offs are not heard.
    """

    host: str
    port: int
    caller: str = ""
    paced: bool = True
    handshake: int = 2300
    kiss_off: int = 1400
    deaf: int = 0
    tries: int = 4
    hang_up: bool = True
    linger_ms: int = 0
    most_ms: int = 120_000
    acknowledged: list[int] = field(default_factory=list)
    """Places of the blocks that were kissed off."""
    sent: int = 0
    over_by: str = ""
    now_ms: int = 0
    heard: list[tuple[int, ToneHeard]] = field(default_factory=list)

    async def call(self, blocks: Sequence[Block]) -> AudioPanel:
        """One call; returns when it is over. Connection faults end it, they do not raise."""
        self._blocks = list(blocks)
        self._place = 0
        self._try = 0
        self._player = Player()
        self._waits_until: int | None = None
        self._invited = False
        self._ending: int | None = None
        self._ear = Ear(PANEL)
        try:
            reader, writer = await asyncio.open_connection(self.host, self.port)
        except OSError as error:
            self.over_by = f"no connection: {error}"
            return self
        try:
            writer.write(encode(Kind.ID, call_id(self.caller, os.urandom(8)).bytes))
            if self.paced:
                await self._by_the_clock(reader, writer)
            else:
                await self._in_lock_step(reader, writer)
        except (ConnectionError, TimeoutError) as error:
            self.over_by = repr(error)
        finally:
            writer.close()
        return self

    async def _by_the_clock(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        listening = asyncio.create_task(self._listen(reader))
        due = time.monotonic()
        try:
            while not self.over_by and not writer.transport.is_closing():
                writer.write(self._next())
                due += FRAME_MS / 1000
                await asyncio.sleep(max(0, due - time.monotonic()))
            if self.over_by == "done" and self.hang_up:
                writer.write(encode(Kind.HANGUP))
                await writer.drain()
        finally:
            listening.cancel()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        frames = Reader()
        while not self.over_by:
            try:
                data = await reader.read(65_536)
            except ConnectionError:
                data = b""
            if not data:
                self.over_by = self.over_by or "connection closed"
                return
            for frame in frames.feed(data):
                self._frame(frame.kind, frame.payload)

    async def _in_lock_step(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while not self.over_by:
            writer.write(self._next())
            head = await asyncio.wait_for(reader.readexactly(3), 20)
            payload = await reader.readexactly(int.from_bytes(head[1:], "big"))
            self._frame(head[0], payload)
        if self.over_by == "done" and self.hang_up:
            writer.write(encode(Kind.HANGUP))
            await writer.drain()

    def _next(self) -> bytes:
        self.now_ms += FRAME_MS
        self._think()
        return encode(Kind.AUDIO, self._player.read(FRAME_SAMPLES).astype("<i2").tobytes())

    def _think(self) -> None:
        if self.now_ms > self.most_ms:
            self.over_by = "too long"
        if self._ending is not None and self.now_ms >= self._ending:
            self.over_by = "done"
        if self._waits_until is not None and self.now_ms >= self._waits_until:
            self._waits_until = None
            if self._try >= self.tries:
                self._ending = self.now_ms
            else:
                self._send(0)

    def _send(self, after_ms: int) -> None:
        if self._place >= len(self._blocks):
            self._ending = self.now_ms + self.linger_ms
            return
        block = self._blocks[self._place]
        self._try += 1
        self.sent += 1
        self._player.play((Silence(after_ms), *block))
        lasts = after_ms + sum(_ms(each) for each in block)
        self._waits_until = self.now_ms + lasts + 1250

    def _frame(self, kind: int, payload: bytes) -> None:
        if kind == Kind.HANGUP:
            self.over_by = self.over_by or "hung up by the receiver"
        if kind == Kind.ERROR:
            self.over_by = self.over_by or "ended by the receiver"
        if kind != Kind.AUDIO:
            return
        for heard in self._ear.feed(payload):
            if not isinstance(heard, ToneHeard):
                continue
            if heard.on:
                if heard.hz == self.kiss_off and self._waits_until is not None:
                    # it has begun in time (DC-05): how long it is, is seen at its end
                    self._waits_until = max(self._waits_until, self.now_ms + 1000)
                continue
            self.heard.append((self.now_ms, heard))
            if not self._invited and heard.hz == self.handshake and heard.lasted_ms < 700:
                self._invited = True
                self._send(250)
            elif self._invited and heard.hz == self.kiss_off and heard.lasted_ms >= 400:
                self._kissed()

    def _kissed(self) -> None:
        if self.deaf > 0:
            self.deaf -= 1
            return
        if self._waits_until is None:
            return
        self.acknowledged.append(self._place)
        self._place += 1
        self._try = 0
        self._waits_until = None
        self._player.clear()
        self._send(250)


def _ms(each: Playable) -> int:
    from collector.reception.sounding import lasts_s

    return round(1000 * lasts_s((each,)))
