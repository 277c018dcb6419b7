"""Where a played voice modem is plugged in: an exchange's line, or a socket that callers use.

A wall is the modem's clock: for each 20 ms it hears, it says 20 ms. Both live in the modem's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from typing import Final, Protocol
from uuid import UUID

import numpy as np

from hil.drivers.exchange_audiosocket import PATIENCE_S, dial, send
from hil.drivers.voice_modem_dce import Dce
from protocols import audiosocket
from protocols.audiosocket import Kind
from protocols.tones.elements import FRAME_MS, FRAME_SAMPLES

FRAME_BYTES: Final = 2 * FRAME_SAMPLES
FRAME_S: Final = FRAME_MS / 1000
QUIET_S: Final = 1.0
"""Without audio from the wall for so long the modem's own crystal is the clock. What it plays then
is lost, so a busy machine must not come to it."""
BACKLOG_FRAMES: Final = 4
"""What came while its clock slipped is made up for."""
MOST_HEARD_BYTES: Final = 50 * FRAME_BYTES


class Plugged(Protocol):
    """The modem as a wall sees it."""

    @property
    def dce(self) -> Dce:
        """Its insides; others after it was pulled from USB."""
        ...

    @property
    def end_by(self) -> str:
        """How a caller's hanging up is noticed, Dce.caller_gone."""
        ...

    @property
    def caller_id(self) -> bool:
        """Whether the exchange sends the caller's number."""
        ...


class Wall(Protocol):
    """One telephone line."""

    async def run(self, modem: Plugged) -> None:
        """Until cancelled."""

    def seize(self) -> None:
        """Off-hook."""

    def let_go(self) -> None:
        """On-hook."""

    def loop(self, *, closed: bool) -> None:
        """A break of the loop, or its end."""


class SubscriberWall:
    """A line of the simulated exchange, using of its `socket` protocol only what an analogue line
    has: audio, voltage, the loop.
    """

    def __init__(self, exchange: str, caller: str = "") -> None:
        """`exchange`: host:port or a path. `caller`: the line's own number."""
        self._exchange = exchange
        self._caller = caller
        self._writer: asyncio.StreamWriter | None = None
        self._heard_at = 0.0
        self._frames = bytearray()

    def seize(self) -> None:
        """Off-hook."""
        self._do("seize", force=True)

    def let_go(self) -> None:
        """On-hook."""
        self._do("release")

    def loop(self, *, closed: bool) -> None:
        """A break of the loop, or its end."""
        self._do("loop", closed=closed)

    def _do(self, what: str, **more: object) -> None:
        if self._writer is not None:
            send(self._writer, Kind.CONTROL, json.dumps({"do": what, **more}).encode())

    async def run(self, modem: Plugged) -> None:
        """Hold the line; it is dead while the exchange is not there."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._crystal(modem))
            while True:
                with contextlib.suppress(OSError):
                    await self._serve(modem)
                modem.dce.voltage(up=False)
                await asyncio.sleep(0.2)

    async def _serve(self, modem: Plugged) -> None:
        reader, writer = await dial(self._exchange)
        try:
            self._writer = writer
            call = audiosocket.call_id(self._caller, secrets.token_bytes(8))
            send(writer, Kind.ID, call.bytes)
            if modem.dce.off_hook:
                self.seize()
            frames = audiosocket.Reader()
            while data := await reader.read(16_384):
                for frame in frames.feed(data):
                    if frame.kind == Kind.AUDIO:
                        self._heard(modem, frame.payload)
                    elif frame.kind == Kind.CONTROL:
                        self._felt(modem, frame.payload)
        finally:
            self._writer = None
            writer.transport.abort()

    def _heard(self, modem: Plugged, audio: bytes) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self._frames += audio
        while len(self._frames) >= FRAME_BYTES:
            frame = bytes(self._frames[:FRAME_BYTES])
            del self._frames[:FRAME_BYTES]
            said = _frame(modem, frame)
            if self._writer is not None:
                send(self._writer, Kind.AUDIO, said)

    def _felt(self, modem: Plugged, payload: bytes) -> None:
        """Of all that is said only what a line can feel."""
        with contextlib.suppress(ValueError, AttributeError):
            said = json.loads(payload)
            if said.get("is") == "line":
                modem.dce.voltage(up=bool(said.get("up")), in_use=bool(said.get("in_use")))

    async def _crystal(self, modem: Plugged) -> None:
        """A dead wall gives no audio, but the modem's samples go on."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(FRAME_S)
            if modem.dce.off_hook and loop.time() - self._heard_at > QUIET_S:
                _frame(modem, bytes(FRAME_BYTES))


class CalledWall:
    """A line that is called: an AudioSocket connection to (`host`, `port`) rings. The caller's
    number rides in the call's id; audio passes once the line is lifted.
    """

    def __init__(self, listen: tuple[str, int] = ("127.0.0.1", 0), ring_s: float = 0.4) -> None:
        self.host, self.port = listen
        self.fast = 1
        """It gives so many times the audio that there is."""
        self._ring_s = ring_s
        self._caller: asyncio.StreamWriter | None = None
        self._heard = bytearray()
        self._waited = 0
        """Ticks without audio of the caller."""
        self._lifted = asyncio.Event()
        self.listening = asyncio.Event()
        """`port` is known."""

    def seize(self) -> None:
        """Off-hook: ringing ends."""
        self._heard.clear()
        self._lifted.set()

    def let_go(self) -> None:
        """On-hook: the caller hears it."""
        if self._caller is not None:
            self._caller.write(audiosocket.encode(Kind.HANGUP))
            self._caller.close()

    def loop(self, *, closed: bool) -> None:
        """Nothing counts the breaks of a line that is called."""

    async def run(self, modem: Plugged) -> None:
        """Listen, and be the clock."""
        server = await asyncio.start_server(
            lambda reader, writer: self._called(modem, reader, writer), self.host, self.port
        )
        async with server:
            self.port = int(server.sockets[0].getsockname()[1])
            self.listening.set()
            await self._crystal(modem)

    async def _called(
        self, modem: Plugged, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._caller is not None or modem.dce.volts < 3:
            writer.write(audiosocket.encode(Kind.HANGUP))
            writer.close()
            return
        self._caller = writer
        ringing: asyncio.Task[None] | None = None
        frames = audiosocket.Reader()
        try:
            over = False
            while not over and (data := await reader.read(16_384)):
                for frame in frames.feed(data):
                    if frame.kind == Kind.ID and len(frame.payload) == 16 and ringing is None:
                        number = audiosocket.caller_of(UUID(bytes=frame.payload))
                        ringing = asyncio.create_task(self._ring(modem, number))
                    elif frame.kind == Kind.AUDIO and len(self._heard) < MOST_HEARD_BYTES:
                        self._heard += frame.payload
                    over = over or frame.kind == Kind.HANGUP
        except ConnectionError:
            pass
        finally:
            if ringing is not None:
                ringing.cancel()
            self._caller = None
            modem.dce.caller_gone(modem.end_by)
            writer.close()

    async def _ring(self, modem: Plugged, number: str) -> None:
        first = True
        self._lifted.clear()
        while not modem.dce.off_hook:
            modem.dce.ring((number or "O") if first and modem.caller_id else "")
            first = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._ring_s):
                    await self._lifted.wait()

    async def _crystal(self, modem: Plugged) -> None:
        """The modem's samples go by its own clock; audio that is late is waited for a little."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + FRAME_S, loop.time() - 0.5)
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not modem.dce.off_hook:
                self._waited = 0
                continue
            self._waited += 1
            if len(self._heard) >= FRAME_BYTES:
                self._waited = 0
            elif self._waited <= PATIENCE_S / FRAME_S:
                continue  # its clock slips rather than to cut a hole
            self._step(modem)
            while len(self._heard) >= BACKLOG_FRAMES * FRAME_BYTES:
                self._step(modem)

    def _step(self, modem: Plugged) -> None:
        """20 ms of the line."""
        heard = bytes(self._heard[:FRAME_BYTES]).ljust(FRAME_BYTES, b"\0")
        del self._heard[:FRAME_BYTES]
        said = _frame(modem, heard)
        for _ in range(self.fast - 1):
            _frame(modem, heard)
        if self._caller is not None and not self._caller.is_closing():
            send(self._caller, Kind.AUDIO, said)


def _frame(modem: Plugged, heard: bytes) -> bytes:
    """20 ms through the modem."""
    said = modem.dce.frame(np.frombuffer(heard, "<i2").astype(np.int16))
    return said.astype("<i2").tobytes()
