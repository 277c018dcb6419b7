"""A far end that is an AudioSocket server: the receiver at the centre, reached by TCP or path."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from typing import Final

import numpy as np

from hil.drivers.exchange_far_ends import Route, Stage
from hil.drivers.exchange_tones import SILENT_FRAME, Pcm
from protocols import audiosocket
from protocols.tones.elements import FRAME_SAMPLES

FRAME_BYTES: Final = 2 * FRAME_SAMPLES
QUEUED_FRAMES: Final = 25
"""Half a second; older audio is thrown away, as a jitter buffer would."""
PRIME_FRAMES: Final = 2
UNSENT_BYTES: Final = 64_000
"""A reader that does not read loses frames from here on."""
CONNECT_S: Final = 5.0
PATIENCE_S: Final = 0.3
"""A line's clock waits so long for audio that is late: this is a simulator, and a busy machine
shall not cut holes into digits. Then it goes on with silence."""


class FrameQueue:
    """Audio bytes in any pieces -> 20 ms frames, a bounded jitter buffer."""

    def __init__(self, prime: int = PRIME_FRAMES, most: int = QUEUED_FRAMES) -> None:
        self.thrown_away = 0
        self.filled = False
        """It has been full enough to begin."""
        self._prime = prime
        self._most = most
        self._rest = b""
        self._frames: deque[bytes] = deque()
        self._primed = False

    def put(self, data: bytes) -> None:
        """What arrived."""
        data = self._rest + data
        whole = len(data) // FRAME_BYTES * FRAME_BYTES
        self._rest = data[whole:]
        self._frames.extend(data[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES))
        while len(self._frames) > self._most:
            self._frames.popleft()
            self.thrown_away += 1
        if len(self._frames) >= self._prime:
            self._primed = self.filled = True

    @property
    def ready(self) -> bool:
        """Whether a frame can be had."""
        return self._primed

    def take(self) -> Pcm:
        """The next frame; silence when there is none (and the buffer fills anew)."""
        if not self._primed:
            return SILENT_FRAME
        frame = self._frames.popleft()
        self._primed = bool(self._frames)
        return np.frombuffer(frame, "<i2").astype(np.int16)

    def clear(self) -> None:
        """Forget what is queued."""
        self._frames.clear()
        self._rest = b""
        self._primed = False


async def dial(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to `host:port`, or to a path. Raises OSError."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        return await asyncio.open_connection(host.strip("[]"), int(port))
    return await asyncio.open_unix_connection(address.removeprefix("unix:"))


def send(writer: asyncio.StreamWriter, kind: int, payload: bytes = b"") -> None:
    """One frame, unless the other side does not read."""
    transport = writer.transport
    if not transport.is_closing() and transport.get_write_buffer_size() < UNSENT_BYTES:
        writer.write(audiosocket.encode(kind, payload))


class AudioSocketEnd:
    """One call to a receiver. Lives in the running loop."""

    def __init__(self, route: Route, caller: str) -> None:
        self.stage = Stage.OPENING
        self.queue = FrameQueue()
        self._hung_up = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._task = asyncio.create_task(self._serve(route, caller))

    @property
    def ready(self) -> bool:
        """Has a frame, or never had enough: a receiver may stay silent for ever, and one that
        answers frame by frame fills the queue only if it is given more than one.
        """
        return self.queue.ready or not self.queue.filled

    def step(self, frame: Pcm) -> Pcm:
        """Send one frame, take one."""
        if self._writer is not None:
            send(self._writer, audiosocket.Kind.AUDIO, frame.astype("<i2").tobytes())
        return self.queue.take()

    def hang_up(self) -> None:
        """Tell it and close."""
        if self._writer is not None:
            send(self._writer, audiosocket.Kind.HANGUP)
        self._hung_up.set()

    async def _serve(self, route: Route, caller: str) -> None:
        try:
            reader, writer = await asyncio.wait_for(dial(route.address), CONNECT_S)
        except (OSError, TimeoutError):
            self.stage = Stage.FAILED
            return
        try:
            self._writer = writer
            call = audiosocket.call_id(caller, secrets.token_bytes(8))
            send(writer, audiosocket.Kind.ID, call.bytes)
            if self._hung_up.is_set():
                send(writer, audiosocket.Kind.HANGUP)
            self.stage = Stage.TALKING
            reading = asyncio.create_task(self._read(reader))
            gone = asyncio.create_task(self._hung_up.wait())
            await asyncio.wait({reading, gone}, return_when=asyncio.FIRST_COMPLETED)
            reading.cancel()
            gone.cancel()
            await asyncio.gather(reading, gone, return_exceptions=True)
        finally:
            self.stage = Stage.ENDED
            self._writer = None
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        frames = audiosocket.Reader()
        while data := await reader.read(16_384):
            for frame in frames.feed(data):
                if frame.kind == audiosocket.Kind.AUDIO:
                    self.queue.put(frame.payload)
                elif frame.kind == audiosocket.Kind.HANGUP:
                    return
