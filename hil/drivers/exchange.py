"""The simulated telephone exchange as a process: panels' lines in, receivers out.

    python -m hil.drivers.exchange --listen 127.0.0.1:0 --route 5550100=receiver:127.0.0.1:9092

prints {"port": N, ...} and obeys JSON lines on stdin, and on the unix socket `--control PATH`:
{"get": "state"}, {"route": {"number": "5550101", "to": "busy"}}, {"unroute": "5550101"},
{"line": "1001", "faults": {"cut": true}}, {"line": "*", "dials": {"loss": 0.01}} (both ways; `out`
= from the panel, `in` = to it), {"line": "1001", "do": "drop"}. Each is answered by a line: the
state, or {"error": ...}. Names as in Faults, Dials, Route. A line is named by the caller's number
in its AudioSocket id, else `line-N` in order; `*` is all lines, those to come too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from hil.drivers.exchange_audiosocket import PATIENCE_S, AudioSocketEnd, FrameQueue, send
from hil.drivers.exchange_far_ends import Route, Routes
from hil.drivers.exchange_line import SubscriberLine
from hil.drivers.exchange_tones import PLANS
from hil.drivers.proxy_thread import ProxyThread
from protocols import audiosocket
from protocols.tones.elements import FRAME_MS

BURST_FRAMES: Final = 4
MOST_LATE_FRAMES: Final = 15
SAID_FRAMES: Final = 100
"""A subscriber whose own clock ran on while this machine was busy loses nothing by it."""
FRAME_S: Final = FRAME_MS / 1000


class _Port:
    """One line and who is plugged into it."""

    def __init__(self, line: SubscriberLine, patience_frames: int) -> None:
        self.line = line
        self.said = FrameQueue(prime=1, most=SAID_FRAMES)
        self._patience = patience_frames
        self._waited = 0
        """Ticks since both ends had their audio."""
        self.late = 0
        """Frames this line's clock is behind."""
        self.writer: asyncio.StreamWriter | None = None

    def tick(self) -> None:
        """20 ms have passed."""
        line = self.line
        if not line.off_hook:
            self.late = 0
            self.said.clear()
            line.step(self.said.take())
            self.tell()
            return
        # a clock that cannot keep up slips: to catch up for ever would cut holes
        self.late = min(self.late + 1, MOST_LATE_FRAMES)
        self._waited += 1
        for _ in range(BURST_FRAMES):
            waits = not self.said.ready or line.waits_for_far
            if not self.late or not line.off_hook or (waits and self._waited <= self._patience):
                break
            self._waited = self._waited if waits else 0
            self.step()
        self.tell()

    def step(self) -> None:
        """20 ms of the line's audio."""
        self.late -= 1
        heard = self.line.step(self.said.take())
        self.tell()
        if self.writer is not None and self.line.off_hook:
            send(self.writer, audiosocket.Kind.AUDIO, heard.astype("<i2").tobytes())

    def order(self, do: dict[str, Any]) -> None:
        """A `do` from the plug."""
        was = self.line.off_hook
        self.line.order(do)
        self.tell()
        if self.line.off_hook and not was:
            # so many frames are on the way round from now on: the jitter buffer
            self.late = self._waited = 0
            self.said.clear()
            for _ in range(3):
                self.late += 1
                self.step()

    def tell(self) -> None:
        """Send what is to be told."""
        told = self.line.told
        while told:
            what = told.popleft()
            if self.writer is not None:
                send(self.writer, audiosocket.Kind.CONTROL, json.dumps(what).encode())


class Exchange(ProxyThread):
    """The exchange, with a thread of its own. Methods may be called from any thread. `speed`: its
    clock goes so many times faster than life; whoever waits by samples does not notice.
    `patience_s` as PATIENCE_S.
    """

    def __init__(
        self,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        path: Path | None = None,
        control: Path | None = None,
        plan: str = "CN",
        seed: int = 0,
        speed: float = 1.0,
        patience_s: float = PATIENCE_S,
    ) -> None:
        super().__init__(listen)
        self.routes = Routes()
        self._plan = PLANS[plan]
        self._seed = seed
        self._frame_s = FRAME_S / speed
        self._patience_frames = round(patience_s / self._frame_s)
        self._paths = (path, control)
        self._ports: dict[str, _Port] = {}
        self._defaults: dict[str, Any] = {}
        self._others: list[asyncio.Server] = []
        self._ticker: asyncio.Task[None] | None = None

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one control line; see the module."""
        return self._call(self._obey(order))

    def state(self) -> dict[str, Any]:
        """All lines, their calls, the table."""
        return self.obey({"get": "state"})

    def line(self, name: str = "*", **changes: Any) -> dict[str, Any]:
        """Change `faults`, `dials`, `out`, `in_` or `do` of a line. Raises ValueError."""
        changes = {key.rstrip("_"): value for key, value in changes.items()}
        return self._or_raise({"line": name, **changes})

    def route(self, number: str, to: str = "receiver", **more: Any) -> None:
        """Put a number into the table. Raises ValueError."""
        self._or_raise({"route": {"number": number, "to": to, **more}})

    def pull(self, name: str) -> None:
        """Break the connection of whoever holds this line."""

        def work() -> None:
            writer = self._port(name).writer
            if writer is not None:
                writer.transport.abort()

        self._soon(work)

    def _or_raise(self, order: dict[str, Any]) -> dict[str, Any]:
        answer = self.obey(order)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    async def _open(self) -> None:
        await super()._open()
        path, control = self._paths
        if path is not None:
            path.unlink(missing_ok=True)
            self._others.append(await asyncio.start_unix_server(self._accepted, path))
        if control is not None:
            control.unlink(missing_ok=True)
            self._others.append(await asyncio.start_unix_server(self._controlled, control))
        self._ticker = asyncio.create_task(self._tick())

    def _close_listener(self) -> None:
        super()._close_listener()
        for server in self._others:
            server.close()
        self._others.clear()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self._frame_s, loop.time() - 0.2)
            await asyncio.sleep(max(0.0, due - loop.time()))
            for port in list(self._ports.values()):
                port.tick()

    # --- a panel's line ---

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One plug: from its id to its end."""
        port: _Port | None = None
        frames = audiosocket.Reader()
        nameless = f"line-{len(self._ports) + 1}"
        try:
            while data := await reader.read(16_384):
                for frame in frames.feed(data):
                    if frame.kind == audiosocket.Kind.ID and len(frame.payload) == 16:
                        name = audiosocket.caller_of(UUID(bytes=frame.payload))
                        port = self._plug(name or nameless, writer)
                    elif port is None:
                        port = self._plug(nameless, writer)
                    if frame.kind == audiosocket.Kind.AUDIO:
                        port.said.put(frame.payload)
                    elif frame.kind == audiosocket.Kind.CONTROL:
                        _control_frame(port, frame.payload)
                    elif frame.kind == audiosocket.Kind.HANGUP:
                        port.order({"do": "release"})
        finally:
            if port is not None and port.writer is writer:
                port.writer = None
                port.line.order({"do": "release"})

    def _plug(self, name: str, writer: asyncio.StreamWriter) -> _Port:
        port = self._port(name)
        if port.writer is not None and port.writer is not writer:
            port.writer.transport.abort()
            port.line.order({"do": "release"})
        port.writer = writer
        port.line.told.clear()
        port.line.tell_voltage()
        port.tell()
        return port

    def _port(self, name: str) -> _Port:
        port = self._ports.get(name)
        if port is None:
            seed = self._seed + 7919 * len(self._ports)
            line = SubscriberLine(name, self.routes, AudioSocketEnd, self._plan, seed)
            port = self._ports[name] = _Port(line, self._patience_frames)
            _change(port.line, self._defaults)
        return port

    # --- control ---

    async def _controlled(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.CancelledError):
            while line := await reader.readline():
                order = _object(line)
                answer = await self._obey(order) if order is not None else NO_OBJECT
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        try:
            if "route" in order:
                self.routes.add(Route(**order["route"]))
            if "unroute" in order:
                self.routes.by_number.pop(order["unroute"], None)
            if "line" in order:
                self._obey_line(str(order["line"]), order)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return {"error": f"not understood: {error}"}
        return self._state()

    def _obey_line(self, name: str, order: dict[str, Any]) -> None:
        keys = ("faults", "dials", "out", "in", "do")
        changes: dict[str, Any] = {key: order[key] for key in keys if key in order}
        if name == "*":
            # tried on a line that nobody uses, so that nonsense is refused before it is remembered
            _change(SubscriberLine("spare", Routes(), AudioSocketEnd, self._plan), changes)
            for key, value in changes.items():
                if key != "do":
                    self._defaults[key] = {**self._defaults.get(key, {}), **value}
            ports = list(self._ports.values())
        else:
            ports = [self._port(name)]
        for port in ports:
            _change(port.line, changes)

    def _state(self) -> dict[str, Any]:
        return {
            "lines": {
                name: {**port.line.state(), "plugged": port.writer is not None, "late": port.late}
                for name, port in self._ports.items()
            },
            "calls": {
                name: [asdict(call) for call in port.line.calls]
                for name, port in self._ports.items()
            },
            "routes": {number: route.to for number, route in self.routes.by_number.items()},
        }


NO_OBJECT: Final = {"error": "not a JSON object"}


def _object(text: bytes | str) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        order = json.loads(text)
        if isinstance(order, dict):
            return order
    return None


def _control_frame(port: _Port, payload: bytes) -> None:
    order = _object(payload)
    if order is not None:
        port.order(order)


def _change(line: SubscriberLine, changes: dict[str, Any]) -> None:
    for key in ("out", "in"):
        way = line.wire.ab if key == "out" else line.wire.ba
        way.dials = replace(way.dials, **changes.get("dials", {}), **changes.get(key, {}))
    line.set_faults(replace(line.faults, **changes.get("faults", {})))
    match changes.get("do"):
        case "drop":
            line.drop()
        case None:
            pass
        case other:
            raise ValueError(f"do {other!r}: there is `drop`")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _route(text: str) -> Route:
    number, _, rest = text.partition("=")
    to, _, address = rest.partition(":")
    return Route(number, to, address)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m hil.drivers.exchange",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--listen", type=_address, default=("127.0.0.1", 0))
    parser.add_argument("--path", type=Path, help="unix socket for lines, beside the TCP one")
    parser.add_argument("--control", type=Path, help="unix socket for control lines")
    parser.add_argument("--plan", choices=sorted(PLANS), default="CN")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--speed", type=float, default=1.0, help="times faster than life")
    parser.add_argument(
        "--route", type=_route, action="append", default=[], metavar="NUMBER=END[:ADDRESS]"
    )
    options = parser.parse_args()
    exchange = Exchange(
        options.listen, options.path, options.control, options.plan, options.seed, options.speed
    )
    for route in options.route:
        exchange.routes.add(route)
    _run(exchange, sys.stdin.readline)


def _run(exchange: Exchange, next_line: Callable[[], str]) -> None:
    with contextlib.suppress(KeyboardInterrupt), exchange:
        print(json.dumps({"port": exchange.port, "ready": True}), flush=True)
        while line := next_line():
            order = _object(line)
            print(json.dumps(NO_OBJECT if order is None else exchange.obey(order)), flush=True)


if __name__ == "__main__":
    main()
