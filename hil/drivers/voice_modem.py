"""A voice modem played on a pty, for the panel that dials and for the receiver that answers.

    python -m hil.drivers.voice_modem --exchange 127.0.0.1:7000 --link /tmp/modem --kind conexant
    python -m hil.drivers.voice_modem --listen 127.0.0.1:7100 --link /tmp/modem --kind usr

With `--exchange` it is plugged into a line of the simulated exchange; with `--listen` an
AudioSocket connection is a call that rings. JSON lines on stdin, each answered: {"do": "unplug" |
"plug" | "ring"}, {"set": {"slow_s": 0.5}}, names as in Troubles.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import termios
import threading
import tty
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from hil.drivers.voice_modem_dce import Dce
from hil.drivers.voice_modem_kinds import KINDS
from hil.drivers.voice_modem_wall import CalledWall, SubscriberWall, Wall

T = TypeVar("T")
UNREAD_BYTES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Troubles:
    """What can be wrong with the modem itself, and with the line where the exchange is not one."""

    slow_s: float = 0.0
    """Everything it says comes so much later."""
    garbage: bool = False
    """Noise bytes before every answer and ring."""
    deaf: bool = False
    """It answers nothing any more."""
    echo: bool = False
    """It echoes commands whatever it is told."""
    mute_profile: bool = False
    """Its stored profile forbids answers: nothing is said after ATZ until Q0."""
    refuses: str = ""
    """Every dialling ends with these words: NO CARRIER, BLACKLISTED."""
    baud: int = 0
    """At any other speed both sides read noise; 0: USB, speeds mean nothing."""
    lose_dle: int = 0
    """Every so many-th <DLE> to the computer is lost."""
    stalls: bool = False
    """Its voice streams fall silent without an end."""
    end_by: str = "busy"
    """What tells that a caller hung up: busy, loop, no_carrier, words, nothing."""
    no_caller_id: bool = False
    no_line: bool = False
    """The telephone line is not plugged in (of a modem that is called)."""


class PlayedModem:
    """The modem, in a thread of its own. `device` is its path; with `link` that path stays the
    same when it is pulled and plugged again. `kind` names one of KINDS.
    """

    def __init__(self, wall: Wall, kind: str, link: Path | None = None) -> None:
        self.troubles = Troubles()
        self.lifted = 0
        """Times it went off-hook."""
        self.lost_samples = 0
        """Samples to be played that its buffer did not take."""
        self._wall = wall
        self._kind = KINDS[kind]
        self._link = link
        self._dice = random.Random(kind)  # noqa: S311 - noise, the same each time
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="played-modem", daemon=True
        )
        self._master = -1
        self._slave = -1
        self._slave_path = ""
        self.dce = Dce(self._kind, self)
        self._unsent = bytearray()
        self._dles = 0
        self._muted = False
        self._plugged: asyncio.Task[None] | None = None

    # --- from outside, any thread ---

    @property
    def device(self) -> str:
        """Where the computer opens it."""
        return str(self._link) if self._link is not None else self._slave_path

    @property
    def in_call(self) -> bool:
        """Off-hook."""
        return self.dce.off_hook

    def start(self) -> Self:
        """Plug it in, both sides."""
        self._thread.start()
        self._do(self._begin())
        self.plug()
        return self

    def stop(self) -> None:
        """Pull everything."""
        self.unplug()
        self._do(self._end())
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
        """And plugged in again; with `link`, under the same name."""
        self._do(self._plug())

    def ring(self, caller: str = "") -> None:
        """It rings once."""

        async def work() -> None:
            self.dce.ring(caller)

        self._do(work())

    def drop(self, how: str) -> None:
        """The far end is gone, noticed so (Dce.caller_gone)."""

        async def work() -> None:
            self.dce.caller_gone(how)

        self._do(work())

    def set(self, **troubles: Any) -> None:
        """Change Troubles by name."""
        self.troubles = replace(self.troubles, **troubles)
        if "no_line" in troubles:
            self.dce.voltage(up=not self.troubles.no_line)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _begin(self) -> None:
        running = self._plugged = self._loop.create_task(self._wall.run(self))
        if isinstance(self._wall, CalledWall):
            listening = self._loop.create_task(self._wall.listening.wait())
            await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
            listening.cancel()
            if running.done():
                await running  # it raises: the address is taken

    async def _end(self) -> None:
        mine = asyncio.current_task()
        others = [each for each in asyncio.all_tasks() if each is not mine]
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    # --- what its insides and its wall ask ---

    @property
    def refuses(self) -> str:
        """Troubles."""
        return self.troubles.refuses

    @property
    def end_by(self) -> str:
        """Troubles."""
        return self.troubles.end_by

    @property
    def caller_id(self) -> bool:
        """Troubles."""
        return not self.troubles.no_caller_id

    def seize(self) -> None:
        """Off-hook."""
        self.lifted += 1
        self._wall.seize()

    def let_go(self) -> None:
        """On-hook."""
        self._wall.let_go()

    def loop(self, *, closed: bool) -> None:
        """A break of the loop, or its end."""
        self._wall.loop(closed=closed)

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
            if self._link.is_symlink():
                self._link.unlink()
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
        was = self.dce
        was.hang_up()
        self.lost_samples += was.lost_samples
        # the wall is as it was
        self.dce = Dce(self._kind, self, was.volts, in_use=was.in_use)

    def _from_dte(self) -> None:
        try:
            data = os.read(self._master, 65_536)
        except BlockingIOError:
            return
        except OSError:
            # nobody has it open: a modem whose DTR fell hangs up
            self.dce.hang_up()
            self._loop.remove_reader(self._master)
            self._loop.call_later(0.05, self._look_again)
            return
        troubles = self.troubles
        if troubles.deaf:
            return
        if not self._same_speed():
            self._send(self._dice.randbytes(len(data)))
            return
        if troubles.mute_profile and b"Z" in data:
            self._muted = True
        if b"Q0" in data:
            self._muted = False
        if troubles.echo:
            self.dce.echoes = True
        self.dce.receive(data)
        self.lost_samples, self.dce.lost_samples = self.lost_samples + self.dce.lost_samples, 0

    def _same_speed(self) -> bool:
        if not self.troubles.baud:
            return True
        speed = termios.tcgetattr(self._master)[5]
        return bool(speed == getattr(termios, f"B{self.troubles.baud}"))

    def _look_again(self) -> None:
        if self._master >= 0:
            self._loop.add_reader(self._master, self._from_dte)

    def say(self, text: str) -> None:
        """A result code or line of an answer."""
        if self._muted:
            return
        noise = self._dice.randbytes(12).replace(b"\x10", b"") if self.troubles.garbage else b""
        self._later(noise + b"\r\n" + text.encode() + b"\r\n")

    def to_dte(self, data: bytes) -> None:
        """Shielded bytes: audio, events."""
        if self.troubles.stalls and len(data) > 2:
            return
        if self.troubles.lose_dle:
            data = self._without_some_dle(data)
        self._later(data)

    def _later(self, data: bytes) -> None:
        """Nothing overtakes an answer that is late."""
        if self.troubles.slow_s:
            self._loop.call_later(self.troubles.slow_s, self._send, data)
        else:
            self._send(data)

    def _without_some_dle(self, data: bytes) -> bytes:
        kept = bytearray()
        for byte in data:
            if byte == 0x10:
                self._dles += 1
                if self._dles % self.troubles.lose_dle == 0:
                    continue
            kept.append(byte)
        return bytes(kept)

    def _send(self, data: bytes) -> None:
        """What the computer does not read is lost, as in a modem's buffer."""
        if self._master < 0 or self.troubles.deaf:
            return
        if len(self._unsent) < UNREAD_BYTES:
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


class SubscriberModem(PlayedModem):
    """On a line of the exchange."""

    def __init__(
        self, exchange: str, kind: str = "conexant", link: Path | None = None, caller: str = ""
    ) -> None:
        super().__init__(SubscriberWall(exchange, caller), kind, link)


class CalledModem(PlayedModem):
    """On a line that callers connect to; `wall` has its address."""

    def __init__(
        self,
        kind: str = "conexant",
        link: Path | None = None,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        ring_s: float = 0.4,
    ) -> None:
        self.wall = CalledWall(listen, ring_s)
        super().__init__(self.wall, kind, link)


def _obey(modem: PlayedModem, line: str) -> dict[str, Any]:
    does: dict[str | None, Callable[[], None]] = {
        "plug": modem.plug,
        "unplug": modem.unplug,
        "ring": modem.ring,
        None: lambda: None,
    }
    try:
        order = json.loads(line)
        do = does.get(order.get("do"))
        if do is None:
            return {"error": f"do {order['do']!r}: plug, unplug, ring"}
        do()
        modem.set(**order.get("set", {}))
    except (ValueError, TypeError, AttributeError) as error:
        return {"error": f"not understood: {error}"}
    return {"device": modem.device, **asdict(modem.troubles)}


def _put(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m hil.drivers.voice_modem",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--exchange", metavar="HOST:PORT|PATH", help="plugged into a line of it")
    where.add_argument("--listen", type=_address, metavar="HOST:PORT", help="called by connecting")
    parser.add_argument("--kind", choices=sorted(KINDS), default="conexant")
    parser.add_argument("--link", type=Path, help="name of the device that stays")
    parser.add_argument("--caller", default="", help="with --exchange: the line's own number")
    parser.add_argument("--ring-s", type=float, default=5.0, help="with --listen: ring to ring")
    options = parser.parse_args()
    if options.link is not None and options.link.exists() and not options.link.is_symlink():
        parser.error(f"--link {options.link}: there is a file of that name")
    modem = (
        SubscriberModem(options.exchange, options.kind, options.link, options.caller)
        if options.exchange
        else CalledModem(options.kind, options.link, options.listen, options.ring_s)
    )
    with contextlib.suppress(KeyboardInterrupt), modem:
        ready = {"device": modem.device, "ready": True}
        if isinstance(modem, CalledModem):
            ready["listen"] = f"{modem.wall.host}:{modem.wall.port}"
        _put(ready)
        for line in sys.stdin:
            _put(_obey(modem, line))


if __name__ == "__main__":
    main()
