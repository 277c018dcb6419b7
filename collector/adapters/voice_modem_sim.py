"""A played voice modem on a pty that is called: an AudioSocket connection is a call on its line.

    python -m collector.adapters.voice_modem_sim --listen 127.0.0.1:7100 --link /tmp/modem

The caller's number rides in the call's id; audio passes once the receiver has answered. JSON lines
on stdin, each answered: {"do": "unplug" | "plug"}, {"set": {"end_by": "loop"}}, names as in
AnsweringTroubles.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import threading
import tty
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from uuid import UUID

import numpy as np

from collector.adapters.voice_modem_sim_dte import KINDS, AnsweringDte
from protocols.audiosocket import Kind, Reader, caller_of, encode
from protocols.tones.elements import FRAME_MS, FRAME_SAMPLES

T = TypeVar("T")
FRAME_S: Final = FRAME_MS / 1000
FRAME_BYTES: Final = 2 * FRAME_SAMPLES
MOST_HEARD: Final = 50 * FRAME_BYTES
MOST_UNREAD: Final = 100_000


@dataclass(frozen=True, slots=True)
class AnsweringTroubles:
    """What can be wrong with modem and line."""

    slow_s: float = 0.0
    """Every answer comes so much later."""
    garbage: bool = False
    """Noise bytes before every answer and ring."""
    deaf: bool = False
    """It answers nothing any more."""
    no_caller_id: bool = False
    end_by: str = "busy"
    """What tells that the caller hung up: busy, loop, no_carrier, nothing."""
    fast: int = 1
    """It gives so many times the audio that there is."""
    no_line: bool = False
    """The telephone line is not plugged in."""


class AnsweringModemSim:
    """In a thread of its own. `device` is for the receiver, (`host`, `port`) for callers. With
    `link` the device keeps its name when it is pulled and plugged again.
    """

    def __init__(
        self,
        kind: str = "duplex",
        link: Path | None = None,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        ring_s: float = 0.4,
    ) -> None:
        self.troubles = AnsweringTroubles()
        self.answered = 0
        """Calls taken by the receiver."""
        self.host, self.port = listen
        self._kind = KINDS[kind]
        self._link = link
        self._ring_s = ring_s
        self._dice = random.Random(kind)  # noqa: S311 - noise, the same each time
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="answering-modem-sim", daemon=True
        )
        self._master = -1
        self._slave_path = ""
        self._dte = self._new_dte()
        self._unsent = bytearray()
        self._caller: asyncio.StreamWriter | None = None
        self._heard = bytearray()
        self._lifted = asyncio.Event()

    # --- from outside, any thread ---

    @property
    def device(self) -> str:
        """Where the receiver opens it."""
        return str(self._link) if self._link is not None else self._slave_path

    @property
    def in_call(self) -> bool:
        """Off-hook."""
        return self._dte.off_hook

    @property
    def lost_samples(self) -> int:
        """Samples to be played that its buffer did not take."""
        return self._dte.lost_samples

    def start(self) -> Self:
        """Plug it in, both sides."""
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._called, self.host, self.port))
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._clock = self._do(self._begin_clock())
        self.plug()
        return self

    def stop(self) -> None:
        """Pull everything."""
        self.unplug()
        self._do(self._pull_wall())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def unplug(self) -> None:
        """The USB plug is pulled: the device is gone, the line on-hook."""
        self._do(self._unplug())

    def plug(self) -> None:
        """And plugged in again."""
        self._do(self._plug())

    def set(self, **troubles: Any) -> None:
        """Change AnsweringTroubles by name."""
        self.troubles = replace(self.troubles, **troubles)
        self._dte.volts = 0.4 if self.troubles.no_line else 48.0

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    # --- the receiver's side ---

    def _new_dte(self) -> AnsweringDte:
        return AnsweringDte(self._kind, self, 0.4 if self.troubles.no_line else 48.0)

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
        self._dte = self._new_dte()

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

    def say(self, text: str) -> None:
        """A result code or line of an answer."""
        noise = self._dice.randbytes(12).replace(b"\x10", b"") if self.troubles.garbage else b""
        data = noise + b"\r\n" + text.encode() + b"\r\n"
        if self.troubles.slow_s:
            self._loop.call_later(self.troubles.slow_s, self.to_dte, data)
        else:
            self.to_dte(data)

    def to_dte(self, data: bytes) -> None:
        """Bytes for the receiver; what it does not read is lost, as in a modem's buffer."""
        if self._master < 0 or self.troubles.deaf:
            return
        if len(self._unsent) < MOST_UNREAD:
            self._unsent += data
        self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._master, self._unsent)]
            self._loop.remove_writer(self._master)
        except BlockingIOError:
            self._loop.add_writer(self._master, self._flush)
        except OSError:
            self._unsent.clear()

    # --- the line ---

    def calling(self) -> bool:
        """Somebody rings or is connected."""
        return self._caller is not None

    def lifted(self) -> None:
        """Off-hook: ringing ends."""
        self._lifted.set()

    def let_go(self) -> None:
        """On-hook: the caller hears it."""
        if self._caller is not None:
            self._caller.write(encode(Kind.HANGUP))
            self._caller.close()

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._caller is not None or self.troubles.no_line:
            writer.write(encode(Kind.HANGUP))
            writer.close()
            return
        self._caller = writer
        self._heard.clear()
        ringing: asyncio.Task[None] | None = None
        frames = Reader()
        try:
            over = False
            while not over and (data := await reader.read(16_384)):
                for frame in frames.feed(data):
                    if frame.kind == Kind.ID and len(frame.payload) == 16 and ringing is None:
                        number = caller_of(UUID(bytes=frame.payload))
                        ringing = asyncio.create_task(self._ring(number))
                    elif frame.kind == Kind.AUDIO and len(self._heard) < MOST_HEARD:
                        self._heard += frame.payload
                    over = over or frame.kind == Kind.HANGUP
        except ConnectionError:
            pass
        finally:
            if ringing is not None:
                ringing.cancel()
            self._caller = None
            if self._dte.off_hook:
                self._dte.caller_gone(self.troubles.end_by)
            writer.close()

    async def _ring(self, number: str) -> None:
        count = 0
        self._lifted.clear()
        while not self._dte.off_hook:
            caller = "" if count or self.troubles.no_caller_id else number or "O"
            self._dte.ring(caller)
            count += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._ring_s):
                    await self._lifted.wait()
        self.answered += 1
        self._heard.clear()

    async def _begin_clock(self) -> asyncio.Task[None]:
        return self._loop.create_task(self._crystal())

    async def _crystal(self) -> None:
        """The modem's samples go by its own clock."""
        due = self._loop.time()
        while True:
            due = max(due + FRAME_S, self._loop.time() - 0.5)
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if not self._dte.off_hook:
                continue
            heard = bytes(self._heard[:FRAME_BYTES]).ljust(FRAME_BYTES, b"\0")
            del self._heard[:FRAME_BYTES]
            pcm = np.frombuffer(heard, "<i2").astype(np.int16)
            said = self._dte.frame(pcm)
            for _ in range(self.troubles.fast - 1):
                self._dte.frame(pcm)
            if self._caller is not None and not self._caller.is_closing():
                self._caller.write(encode(Kind.AUDIO, said.astype("<i2").tobytes()))

    async def _pull_wall(self) -> None:
        self._server.close()
        if self._caller is not None:
            self._caller.close()
        self._clock.cancel()
        mine = asyncio.current_task()
        others = [each for each in asyncio.all_tasks() if each is not mine]
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _obey(modem: AnsweringModemSim, line: str) -> dict[str, Any]:
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
        prog="python -m collector.adapters.voice_modem_sim",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="for callers")
    parser.add_argument("--kind", choices=sorted(KINDS), default="duplex")
    parser.add_argument("--link", type=Path, help="name of the device that stays")
    parser.add_argument("--ring-s", type=float, default=5.0, help="from ring to ring")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    if not host or not port.isdigit():
        parser.error(f"--listen {options.listen}: write host:port")
    modem = AnsweringModemSim(options.kind, options.link, (host, int(port)), options.ring_s)
    with contextlib.suppress(KeyboardInterrupt), modem:
        _put({"device": modem.device, "listen": f"{modem.host}:{modem.port}", "ready": True})
        for line in sys.stdin:
            _put(_obey(modem, line))


if __name__ == "__main__":
    main()
