"""Lines as AudioSocket streams: a TCP server, one connection a call, one ToneBank over all of them.

Everything runs in one event loop; `_turn` is its beat. Each beat takes whole 20 ms frames from the
lines that have them, hears them all at once, and sends one frame to each line. The call machines
live by the time of the audio, so what the network delays is not judged late; where no audio comes
(the sender suppresses silence), silence is put in its place after FILL_AFTER_S.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Final
from uuid import UUID

import numpy as np

from collector.adapters.peer_limits import Limits, PeerLimits
from collector.adapters.reception_call import LineCall
from protocols.audiosocket import Frame, Kind, Reader, caller_of, encode
from protocols.tones.bank import ToneBank
from protocols.tones.elements import (
    DTMF_SYMBOLS,
    FRAME_MS,
    FRAME_SAMPLES,
    Heard,
)
from protocols.tones.listening import CENTRE, Listen

FRAME_BYTES: Final = 2 * FRAME_SAMPLES
FRAME_S: Final = FRAME_MS / 1000
ID_WITHIN_S: Final = 2.0
PARTING_S: Final = 5.0
"""For the peer to read our last words."""
FILL_AFTER_S: Final = 0.2
MOST_AHEAD: Final = 100
"""Frames by which a line may run ahead of time: what comes faster is held back, or one that pumps
audio would take the others' time and make a whole call, and a notice to operators, in a second.
"""
MOST_BUFFERED: Final = 100 * FRAME_BYTES
"""Two seconds of audio; then the sender has to wait."""
MOST_UNSENT_BYTES: Final = 64 * 1024
"""Who does not read our audio for so long (4 s) is gone."""
MOST_OTHER_FRAMES: Final = 500
"""Frames of kinds we do not know, in one call."""
MOST_AT_ONCE: Final = 5
"""Frames sent to a line in one beat when we were held up; what is beyond is left out."""
TURN_BUDGET_S: Final = 0.1
_QUIET: Final = encode(Kind.AUDIO, bytes(FRAME_BYTES))
_HANG_UP: Final = encode(Kind.HANGUP)


OpenCall = Callable[[str, str, str], LineCall]
"""(line, call's id, caller) -> the driver of the call that begins."""


class AudioSocketServer:
    """One listening address; `line` names it in reports. Must be started in a running loop.

    `paced` False: one frame is sent for each received and time is the sender's: for tests that
    cannot wait.
    """

    def __init__(
        self,
        line: str,
        open_call: OpenCall,
        limits: Limits | None = None,
        *,
        listen: Listen = CENTRE,
        paced: bool = True,
        clock: Callable[[], float] = time.monotonic,
        on_fault: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.line = line
        self.limits = limits or Limits()
        self.counts: Counter[str] = Counter()
        """Calls taken and what was refused or dropped, by reason."""
        self._open_call = open_call
        self._paced = paced
        self._clock = clock
        self._on_fault = on_fault
        self._bank = ToneBank(self.limits.lines, listen)
        self._free = list(range(self.limits.lines))
        self._calls: dict[int, _Connection] = {}
        self.peers = PeerLimits(self.limits, clock)
        self._server: asyncio.Server | None = None
        self._beat: asyncio.Task[None] | None = None
        self._work = asyncio.Event()

    @property
    def busy(self) -> int:
        """Calls in progress."""
        return len(self._calls)

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port)
        self._beat = loop.create_task(self._run())

    async def stop(self) -> None:
        """Close all calls and the socket."""
        if self._server is not None:
            self._server.close()
        for each in list(self._calls.values()):
            each.leave("the receiver stops")
        if self._beat is not None:
            self._beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beat

    def fault(self, text: str) -> None:
        """A fault of ours, which costs a call or a frame but not the others."""
        self.counts["faults of ours"] += 1
        self._on_fault(text)

    # -- lines ---------------------------------------------------------------------------------

    def take_line(self, connection: _Connection, call: UUID) -> LineCall | None:
        """A free line for a call; None: all are busy."""
        if not self._free:
            return None
        channel = self._free.pop()
        self._bank.reset(channel)
        self._calls[channel] = connection
        connection.channel = channel
        self.counts["calls"] += 1
        self._work.set()
        return self._open_call(self.line, call.hex, caller_of(call))

    def leave_line(self, channel: int) -> None:
        """The line is free again."""
        if self._calls.pop(channel, None) is not None:
            self._free.append(channel)

    # -- the beat ------------------------------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if not self._calls:
                self._work.clear()
                await self._work.wait()
                due = loop.time()
            due = max(due + FRAME_S, loop.time() - FRAME_S) if self._paced else loop.time() + 0.002
            await asyncio.sleep(max(0.0, due - loop.time()))
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 - a fault of ours must not silence all lines
                self.fault(f"a beat of line {self.line} failed: {error!r}")

    def _turn(self) -> None:
        now = self._clock()
        for each in list(self._calls.values()):
            each.fill(now)
        while True:
            ready = [each for each in self._calls.values() if each.ready(now)]
            if not ready:
                break
            self._hear(ready)
            if self._clock() - now > TURN_BUDGET_S:
                break
        if self._paced:
            for each in list(self._calls.values()):
                each.send(now)

    def _hear(self, ready: Sequence[_Connection]) -> None:
        frames = [each.next_frame() for each in ready]
        channels = [each.channel for each in ready]
        samples = np.frombuffer(b"".join(frames), "<i2").reshape(len(frames), FRAME_SAMPLES)
        heard: dict[int, list[Heard]] = {}
        for channel, each in self._bank.feed(samples.astype(np.int16, copy=False), channels):
            heard.setdefault(channel, []).append(each)
        for connection, frame in zip(ready, frames, strict=True):
            try:
                connection.passed(frame, heard.get(connection.channel, ()))
            except Exception as error:  # noqa: BLE001 - it ends this call only
                self.fault(f"a call on line {self.line} failed: {error!r}")
                connection.leave("fault of the receiver")
            if not self._paced:
                connection.send_one()


class _Connection(asyncio.Protocol):
    """One connection, from accept to close."""

    def __init__(self, server: AudioSocketServer) -> None:
        self.channel = -1
        self._server = server
        self._reader = Reader()
        self._audio = bytearray()
        self._call: LineCall | None = None
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._waits: asyncio.TimerHandle | None = None
        self._others = 0
        self._began = 0.0
        self._heard_at = 0.0
        self._filled = 0
        self._silences = 0
        self._passed = 0
        self._sent = 0
        self._held = False

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Who is it, and may it?"""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        name = transport.get_extra_info("peername")
        peer = str(name[0]) if name else ""
        why = self._server.peers.why_not(peer)
        if why:
            self._server.counts[why] += 1
            transport.abort()
            return
        self._peer = peer
        self._server.peers.came(peer)
        # Sound must not pile up in the kernel: what a peer does not take in time is worth nothing.
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, MOST_UNSENT_BYTES)
        loop = asyncio.get_running_loop()
        self._waits = loop.call_later(ID_WITHIN_S, self._drop, "no call id in time")

    def data_received(self, data: bytes) -> None:
        """Frames in any pieces."""
        for frame in self._reader.feed(data):
            if self._transport is None or self._transport.is_closing():
                return
            self._take(frame)
        if len(self._audio) > MOST_BUFFERED and not self._held and self._transport is not None:
            self._held = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer, or we, ended it."""
        if self._waits is not None:
            self._waits.cancel()
        if self._peer:
            self._server.peers.went(self._peer)
            self._peer = ""
        self._end("the connection was lost" if exc else "the caller hung up")

    # frames

    def _take(self, frame: Frame) -> None:
        if self._call is None:
            self._begin(frame)
            return
        match frame.kind:
            case Kind.AUDIO:
                self._audio += frame.payload[: len(frame.payload) // 2 * 2]
                self._heard_at = self._server._clock()
            case Kind.HANGUP:
                self._end("the caller hung up")
                self._close()
            case Kind.ERROR:
                self._end("the exchange told an error")
                self._close()
            case Kind.DTMF if len(frame.payload) == 1 and chr(frame.payload[0]) in DTMF_SYMBOLS:
                self._call.digit_frame(chr(frame.payload[0]))
            case _:
                self._others += 1
                if self._others > MOST_OTHER_FRAMES:
                    self._drop("too many frames of unknown kind")

    def _begin(self, frame: Frame) -> None:
        if frame.kind != Kind.ID or len(frame.payload) != 16:
            self._drop("the first frame is no call id")
            return
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None
        self._call = self._server.take_line(self, UUID(bytes=frame.payload))
        if self._call is None:
            self._write(_HANG_UP)
            self._drop("all lines busy")
            return
        self._began = self._heard_at = self._server._clock()
        self._call.answered()

    # the beat calls these

    def ready(self, now: float) -> bool:
        """A whole frame of audio waits and may be heard by now."""
        if len(self._audio) < FRAME_BYTES:
            return False
        due = (now - self._began) / FRAME_S + MOST_AHEAD + self._silences
        return not self._server._paced or self._passed < due

    def next_frame(self) -> bytes:
        """The oldest frame that waits."""
        self._passed += 1
        frame = bytes(self._audio[:FRAME_BYTES])
        del self._audio[:FRAME_BYTES]
        if self._held and len(self._audio) < MOST_BUFFERED // 2 and self._transport is not None:
            self._held = False
            self._transport.resume_reading()
        return frame

    def passed(self, frame: bytes, heard: Sequence[Heard]) -> None:
        """A frame's time has passed."""
        call = self._call
        if call is None or call.over:
            return
        if self._server._paced:
            call.behind(len(self._audio) * FRAME_MS // FRAME_BYTES)
        call.frame(frame, heard)
        if call.left:
            self._let_go(call)

    def fill(self, now: float) -> None:
        """Silence in place of audio that does not come."""
        if self._call is None or len(self._audio) >= FRAME_BYTES or self._held:
            self._filled = 0
            return
        missing = int((now - self._heard_at - FILL_AFTER_S) / FRAME_S)
        if missing > self._filled:
            frames = min(missing - self._filled, MOST_AT_ONCE)
            self._audio += bytes(FRAME_BYTES * frames)
            self._silences += frames
            self._filled = missing

    def send(self, now: float) -> None:
        """What is due by now, a frame each 20 ms since the call began."""
        due = int((now - self._began) / FRAME_S) - self._sent
        self._sent += due
        for _ in range(min(due, MOST_AT_ONCE)):
            self.send_one()

    def send_one(self) -> None:
        """One frame to the line."""
        call = self._call
        if call is None or call.over or self._transport is None:
            return
        sound = call.sound()
        self._write(_QUIET if sound is None else encode(Kind.AUDIO, sound.astype("<i2").tobytes()))
        if self._transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            self._drop("the peer does not read")

    # the end

    def leave(self, cause: str) -> None:
        """End the call from our side."""
        self._end(cause)
        self._write(_HANG_UP if self._call is None else encode(self._call.parting))
        self._close()

    def _let_go(self, call: LineCall) -> None:
        self._write(encode(call.parting))
        self._end("left to voice")
        self._close()

    def _drop(self, why: str) -> None:
        self._server.counts[why] += 1
        self._end(why)
        if self._transport is not None:
            self._transport.abort()

    def _end(self, cause: str) -> None:
        if self.channel >= 0:
            self._server.leave_line(self.channel)
            self.channel = -1
        if self._call is not None:
            self._call.hung_up(cause)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _close(self) -> None:
        """A peer that reads nothing must not keep its place, and our last words, for ever."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            later = asyncio.get_running_loop().call_later
            self._waits = later(PARTING_S, self._transport.abort)
