"""The `socket` line: a telephone line held by another program that speaks AudioSocket to us.

That program is the SIP agent or the simulated exchange. Orders are `do`s, answers `is`es (JSON in
CONTROL frames, protocols/audiosocket.py); audio goes both ways in frames of 20 ms. One frame is
sent for each that came, so the holder's clock is the line's clock; while none comes, our own is.
A broken connection is a line that is not there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import time
from pathlib import Path
from typing import Any, Final

from edge.adapters.line_audio import LineAudio, LineGoneError, LineThread
from edge.config_phone import PhoneLineConfig
from edge.reporting.phone.line import (
    Busy,
    Connected,
    Deliver,
    Dial,
    Dialled,
    Dropped,
    Failed,
    LineOrder,
    NoLine,
    Play,
    Played,
    Release,
    Released,
    Seize,
    Seized,
    Voice,
)
from protocols import audiosocket
from protocols.audiosocket import Kind
from protocols.tones.elements import FRAME_SAMPLES, Progress, ProgressHeard

FRAME_BYTES: Final = 2 * FRAME_SAMPLES
CONNECT_S: Final = 5.0
SEIZE_S: Final = 5.0
OWN_CLOCK_S: Final = 0.1
"""Without audio from the holder for so long, frames are sent by our own clock."""
STALL_S: Final = 5.0
"""Audio that had begun and then stopped for so long: the holder hangs."""
UNSENT_BYTES: Final = 64_000
"""A holder that does not read is no line."""
CONTROL_BYTES: Final = 4_096


class SocketLine(LineThread):
    """One line. `address` of the configuration is `host:port` or `unix:PATH`, relative to `base`;
    `caller` is the line's own number as the holder knows it (digits; empty: let it choose).
    """

    name = "socket"

    def __init__(
        self,
        config: PhoneLineConfig,
        base: Path,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        caller: str = "",
    ) -> None:
        super().__init__(loop, deliver)
        self.malformed = 0
        """CONTROL frames that were none."""
        self._address = config.address
        self._base = base
        self._caller = caller
        self._audio = LineAudio(config.level_dbm0, microphone=config.microphone)
        self._plug: socket.socket | None = None
        self._out = bytearray()
        self._begin_call()

    def serve(self) -> None:
        """One connection."""
        plug = self._connect()
        try:
            self._plug = plug
            self._out.clear()
            self._send(Kind.ID, audiosocket.call_id(self._caller, secrets.token_bytes(8)).bytes)
            reader = audiosocket.Reader()
            while not self.stopping:
                self._turn(plug, reader)
            self._do("release")
            with contextlib.suppress(LineGoneError):
                self._flush(plug)
        finally:
            self._audio.silence()
            self._plug = None
            plug.close()

    # --- the connection ---

    def _connect(self) -> socket.socket:
        try:
            if self._address.startswith("unix:"):
                plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                plug.settimeout(CONNECT_S)
                try:
                    plug.connect(str(self._base / self._address.removeprefix("unix:")))
                except OSError:
                    plug.close()
                    raise
            else:
                host, _, port = self._address.rpartition(":")
                plug = socket.create_connection((host.strip("[]"), int(port)), CONNECT_S)
                plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except (OSError, ValueError) as error:
            raise LineGoneError("no_connection", f"{self._address}: {error}") from error
        plug.setblocking(False)
        return plug

    def _turn(self, plug: socket.socket, reader: audiosocket.Reader) -> None:
        """Wait for one thing and deal with it."""
        now = time.monotonic()
        if self.wait(plug.fileno(), self._due() - now, writing=bool(self._out)):
            for frame in reader.feed(self._receive(plug)):
                self._frame(frame)
        self._take_orders()
        self._tick(time.monotonic())
        self._flush(plug)

    def _receive(self, plug: socket.socket) -> bytes:
        try:
            data = plug.recv(65_536)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise LineGoneError("no_connection", str(error)) from error
        if not data:
            raise LineGoneError("no_connection", "the holder closed the connection")
        return data

    def _send(self, kind: Kind, payload: bytes) -> None:
        self._out += audiosocket.encode(kind, payload)

    def _do(self, what: str, **more: object) -> None:
        self._send(Kind.CONTROL, json.dumps({"do": what, **more}).encode())

    def _flush(self, plug: socket.socket) -> None:
        try:
            while self._out:
                del self._out[: plug.send(self._out)]
        except BlockingIOError:
            if len(self._out) > UNSENT_BYTES:
                raise LineGoneError("no_connection", "the holder does not read") from None
        except OSError as error:
            raise LineGoneError("no_connection", str(error)) from error

    # --- orders ---

    def _begin_call(self) -> None:
        self._audio.begin()
        self._gate_until: float | None = None
        self._gate_audio_ms = 0
        self._owed_bytes = 0
        self._last_audio: float | None = None
        self._next_own = 0.0

    def _take_orders(self) -> None:
        while True:
            waits = self._gate_until is not None
            order = self.next_order(only_release=waits)
            if order is None:
                return
            self._carry_out(order)

    def _carry_out(self, order: LineOrder) -> None:
        match order:
            case Seize(force):
                self._begin_call()
                self.in_call = True
                self._gate_until = time.monotonic() + SEIZE_S
                self._do("seize", force=force)
            case Release():
                self._do("release")
                self._hang_up()
                self.tell(Released())
            case _ if not self.in_call:
                pass  # crossed the end of the call, which has been told
            case Dial(number, pulse):
                self._audio.dialled()
                self._do("dial", number=number, pulse=pulse)
                self.tell(Dialled())
            case Play(what):
                self._audio.play(what)
                self._next_own = time.monotonic() + OWN_CLOCK_S
            case Voice(on):
                self._audio.voice(on=on)
                self._do("voice", on=on)

    def _hang_up(self) -> None:
        self.in_call = False
        self._gate_until = None
        self._audio.silence()

    def _over(self, why: NoLine | Dropped | Failed) -> None:
        """The holder ended it: be on-hook."""
        if self.in_call:
            self._do("release")
            self.end_call(why)
            self._hang_up()

    # --- what the holder says ---

    def _frame(self, frame: audiosocket.Frame) -> None:
        if frame.kind == Kind.AUDIO:
            self._heard(frame.payload)
        elif frame.kind == Kind.CONTROL:
            self._control(frame.payload)
        elif frame.kind == Kind.HANGUP:
            self._over(Dropped("hangup"))

    def _heard(self, audio: bytes) -> None:
        if not self.in_call:
            return
        self._last_audio = time.monotonic()
        if self._gate_until is not None:
            # no `seized`, but audio: it is open. The first 0.3 s may still be of the call before
            self._gate_audio_ms += len(audio) // 16
            if self._gate_audio_ms > 300:
                self._open_gate()
        for heard in self._audio.hear(audio):
            self.tell(heard)
        self._owed_bytes += len(audio)
        while self._owed_bytes >= FRAME_BYTES:
            self._owed_bytes -= FRAME_BYTES
            self._say()

    def _say(self) -> None:
        pcm, ended = self._audio.read(FRAME_SAMPLES)
        self._send(Kind.AUDIO, pcm.astype("<i2", copy=False).tobytes())
        if ended:
            self.tell(Played())

    def _control(self, payload: bytes) -> None:
        try:
            said: Any = json.loads(payload[:CONTROL_BYTES])
            what = said["is"]
            why = str(said.get("why", ""))
            up = bool(said.get("up"))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.malformed += 1
            return
        if what == "line":
            self.tell_status(up, "" if up else why or "no_voltage")
            if not up:
                self._over(NoLine(why or "no_voltage"))
        elif self.in_call:
            self._progress(what, why)

    def _progress(self, what: object, why: str) -> None:
        if self._gate_until is not None:
            # what is not an answer to our seizure belongs to the call before
            if what == "no_line":
                self._over(NoLine(why or "no_line"))
            elif what in ("seized", "dial_tone"):
                self._open_gate()
        match what:
            case _ if self._gate_until is not None or not self.in_call:
                pass
            case "dial_tone":
                self.tell(ProgressHeard(Progress.DIAL_TONE, self._audio.now_ms))
            case "ringing":
                self.tell(ProgressHeard(Progress.RINGING, self._audio.now_ms))
            case "answered":
                self.tell(Connected())
            case "busy":
                self.tell(Busy())
            case "failed":
                self._over(Failed(why or "failed"))
            case "no_line":
                self._over(NoLine(why or "no_line"))
            case "dropped":
                self._over(Dropped(why))
            case _:
                pass  # `seized`, or what a later holder may say

    def _open_gate(self) -> None:
        self._gate_until = None
        self.tell(Seized())

    # --- time ---

    def _due(self) -> float:
        now = time.monotonic()
        if self._gate_until is not None:
            return self._gate_until
        if self._audio.playing and self.in_call:
            return self._next_own
        return now + 1.0

    def _tick(self, now: float) -> None:
        if not self.in_call:
            return
        if self._gate_until is not None:
            if now >= self._gate_until:
                self._over(NoLine("no_answer_to_seize"))
            return
        last = self._last_audio
        if last is not None and now - last > STALL_S:
            raise LineGoneError("no_connection", "audio stopped")
        if last is not None and now - last < OWN_CLOCK_S:
            self._next_own = last + OWN_CLOCK_S
        elif self._audio.playing and now >= self._next_own:
            self._next_own = max(self._next_own + 0.02, now - 0.2)
            self._say()
