"""A simulated voice modem on a pty, plugged into the simulated exchange.

    python -m edge.adapters.line_modem_sim --exchange 127.0.0.1:7000 --link /tmp/modem --kind duplex

Its device side speaks V.253 as `line_modem.py` expects it; its wall side is a subscriber's line:
the `socket` protocol, but using of it only what an analogue line has: audio, voltage, the loop.
JSON lines on stdin, each answered: {"do": "unplug" | "plug"}, {"set": {"slow_s": 0.5}}, names as in
Troubles.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import secrets
import sys
import threading
import tty
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from edge.adapters.modem_sim_commands import Dte
from edge.adapters.modem_sim_kinds import KINDS, Kind
from protocols import audiosocket
from protocols.tones.elements import FRAME_SAMPLES

FRAME_S: Final = 0.02
QUIET_S: Final = 0.08
"""Without audio from the wall for so long the modem's own crystal is the clock."""
UNREAD_BYTES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Troubles:
    """What can be wrong with the modem itself. Busy, no dial tone and the rest are the line's."""

    slow_s: float = 0.0
    """Every answer comes so much later."""
    garbage: bool = False
    """Noise bytes before every answer."""
    deaf: bool = False
    """It answers nothing any more."""
    no_carrier: bool = False
    """Every dialling ends with NO CARRIER."""


class ModemSim:
    """The modem, in a thread of its own. `device` is its path; with `link` that path stays the
    same when it is pulled and plugged again. `kind` names one of KINDS.
    """

    def __init__(
        self, exchange: str, kind: str = "duplex", link: Path | None = None, caller: str = ""
    ) -> None:
        self.troubles = Troubles()
        self._exchange = exchange
        self._kind: Kind = KINDS[kind]
        self._link = link
        self._caller = caller
        self._dice = random.Random(kind)  # noqa: S311 - noise, the same each time
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="modem-sim", daemon=True
        )
        self._master = -1
        self._slave_path = ""
        self._dte = Dte(self._kind, self)
        self._unsent = bytearray()
        self._tasks: list[asyncio.Task[None]] = []
        self._writer: asyncio.StreamWriter | None = None
        self._last_frame = 0.0
        self._frames = bytearray()

    # --- from outside, any thread ---

    @property
    def device(self) -> str:
        """Where the panel opens it."""
        return str(self._link) if self._link is not None else self._slave_path

    @property
    def in_use(self) -> bool:
        """Whether a telephone beside it is known to be lifted."""
        return self._dte.in_use

    def start(self) -> Self:
        """Plug it in, both sides."""
        self._thread.start()
        self._call(self._plug_wall())
        self.plug()
        return self

    def stop(self) -> None:
        """Pull everything."""
        self.unplug()
        self._call(self._pull_wall())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def unplug(self) -> None:
        """The USB plug is pulled: the device is gone."""
        self._call(self._unplug())

    def plug(self) -> None:
        """And plugged in again; with `link`, under the same name."""
        self._call(self._plug())

    def set(self, **troubles: Any) -> None:
        """Change Troubles by name."""
        self.troubles = replace(self.troubles, **troubles)

    # --- the device side ---

    async def _plug(self) -> None:
        if self._master >= 0:
            return
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self._slave_path = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self._slave_path)
        self._loop.add_reader(self._master, self._from_dte)

    async def _unplug(self) -> None:
        if self._master < 0:
            return
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        os.close(self._master)
        self._master = -1
        self._unsent.clear()
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        self._dte.hang_up()
        # the wall is as it was
        self._dte = Dte(self._kind, self, self._dte.volts, in_use=self._dte.in_use)

    def _from_dte(self) -> None:
        try:
            data = os.read(self._master, 65_536)
        except BlockingIOError:
            return
        except OSError:
            # nobody has it open: a modem whose DTR fell hangs up
            self._dte.hang_up()
            self._loop.remove_reader(self._master)
            self._loop.call_later(0.05, self._look_again)
            return
        if not self.troubles.deaf:
            self._dte.receive(data)

    def _look_again(self) -> None:
        if self._master >= 0:
            self._loop.add_reader(self._master, self._from_dte)

    def to_dte(self, data: bytes) -> None:
        """Bytes for the panel; what it does not read is lost, as in a modem's buffer."""
        if self._master < 0 or self.troubles.deaf:
            return
        if len(self._unsent) < UNREAD_BYTES:
            self._unsent += data
        self._flush()

    def say(self, text: str) -> None:
        """A result code or line of an answer."""
        noise = self._dice.randbytes(12).replace(b"\x10", b"") if self.troubles.garbage else b""
        data = noise + b"\r\n" + text.encode() + b"\r\n"
        if self.troubles.slow_s:
            self._loop.call_later(self.troubles.slow_s, self.to_dte, data)
        else:
            self.to_dte(data)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """The modem's own timer."""
        self._loop.call_later(seconds, what)

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._master, self._unsent)]
        except BlockingIOError:
            self._loop.add_writer(self._master, self._writable)
        except OSError:
            self._unsent.clear()

    def _writable(self) -> None:
        self._loop.remove_writer(self._master)
        self._flush()

    # --- the wall side ---

    def wall(self, do: str, **more: object) -> None:
        """What a line can feel: seizing, letting go, a break of the loop."""
        self._send(audiosocket.Kind.CONTROL, json.dumps({"do": do, **more}).encode())

    def _send(self, kind: int, payload: bytes) -> None:
        writer = self._writer
        if writer is not None and writer.transport.get_write_buffer_size() < UNREAD_BYTES:
            writer.write(audiosocket.encode(kind, payload))

    async def _plug_wall(self) -> None:
        self._tasks = [asyncio.create_task(work) for work in (self._hold_line(), self._crystal())]

    async def _pull_wall(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _hold_line(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                await self._serve_wall()
            self._dte.voltage(False)
            await asyncio.sleep(0.2)

    async def _serve_wall(self) -> None:
        host, _, port = self._exchange.rpartition(":")
        if port.isdigit():
            reader, writer = await asyncio.open_connection(host, int(port))
        else:
            reader, writer = await asyncio.open_unix_connection(self._exchange)
        try:
            self._writer = writer
            call = audiosocket.call_id(self._caller, secrets.token_bytes(8))
            self._send(audiosocket.Kind.ID, call.bytes)
            if self._dte.off_hook:
                self.wall("seize", force=True)
            frames = audiosocket.Reader()
            while data := await reader.read(16_384):
                for frame in frames.feed(data):
                    if frame.kind == audiosocket.Kind.AUDIO:
                        self._heard(frame.payload)
                    elif frame.kind == audiosocket.Kind.CONTROL:
                        self._felt(frame.payload)
        finally:
            self._writer = None
            writer.transport.abort()

    def _heard(self, audio: bytes) -> None:
        self._last_frame = self._loop.time()
        self._frames += audio
        while len(self._frames) >= 2 * FRAME_SAMPLES:
            frame = bytes(self._frames[: 2 * FRAME_SAMPLES])
            del self._frames[: 2 * FRAME_SAMPLES]
            said = self._dte.frame(np.frombuffer(frame, "<i2").astype(np.int16))
            self._send(audiosocket.Kind.AUDIO, said.astype("<i2").tobytes())

    def _felt(self, payload: bytes) -> None:
        """Of all that is said only what a line can feel."""
        with contextlib.suppress(ValueError, AttributeError):
            said = json.loads(payload)
            if said.get("is") == "line":
                self._dte.voltage(bool(said.get("up")), in_use=bool(said.get("in_use")))

    async def _crystal(self) -> None:
        """A dead wall gives no audio, but the modem's samples go on."""
        silent = np.zeros(FRAME_SAMPLES, np.int16)
        while True:
            await asyncio.sleep(FRAME_S)
            if self._dte.off_hook and self._loop.time() - self._last_frame > QUIET_S:
                self._dte.frame(silent)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)


def _obey(modem: ModemSim, line: str) -> dict[str, Any]:
    try:
        order = json.loads(line)
        match order.get("do"):
            case "plug":
                modem.plug()
            case "unplug":
                modem.unplug()
            case None:
                pass
            case other:
                return {"error": f"do {other!r}: plug, unplug"}
        modem.set(**order.get("set", {}))
    except (ValueError, TypeError, AttributeError) as error:
        return {"error": f"not understood: {error}"}
    return {"device": modem.device, **asdict(modem.troubles)}


def _put(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m edge.adapters.line_modem_sim",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--exchange", required=True, metavar="HOST:PORT|PATH")
    parser.add_argument("--kind", choices=sorted(KINDS), default="duplex")
    parser.add_argument("--link", type=Path, help="name of the device that stays")
    parser.add_argument("--caller", default="", help="the line's own number")
    options = parser.parse_args()
    modem = ModemSim(options.exchange, options.kind, options.link, options.caller)
    with contextlib.suppress(KeyboardInterrupt), modem:
        _put({"device": modem.device, "ready": True})
        for line in sys.stdin:
            _put(_obey(modem, line))


if __name__ == "__main__":
    main()
