"""A TCP link that fails on request: stands between panel and broker, as the ADSL line does.

    python -m hil.drivers.link_sim --listen 127.0.0.1:0 --target 127.0.0.1:8883 --seed 1

prints {"port": N} and obeys JSON lines on stdin, each answered by a line with the state:
{"set": "open" | "cut" | "refuse" | "blackhole"}, {"do": "drop" | "strand"},
{"up": {"delay_ms": 40, …}, "down": {…}} (names as in Conditions), {"target": "host:port"}.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

from hil.drivers.proxy_thread import ProxyThread, reset


class Mode(Enum):
    """How the link behaves."""

    OPEN = "open"
    CUT = "cut"
    """Connections are reset, new ones too, at once."""
    REFUSE = "refuse"
    """Connections are reset, nobody listens."""
    BLACKHOLE = "blackhole"
    """Everything is accepted and nothing arrives, in either direction. What was on the way when
    it ends goes on, as TCP would see to it."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """One direction of the link. Zero: does not happen."""

    delay_ms: float = 0
    jitter_ms: float = 0
    bytes_per_s: float = 0
    garble_every_bytes: int = 0
    """One byte in so many, on average, is flipped."""
    drop_every_bytes: int = 0
    """The connection is reset after so many bytes, on average."""
    split_bytes: int = 0
    """Segments are cut into pieces of 1 to so many bytes."""
    coalesce_ms: float = 0
    """What comes within so long arrives as one."""


class _Connection:
    def __init__(self, near: asyncio.StreamWriter) -> None:
        self.near = near
        self.far: asyncio.StreamWriter | None = None
        self.stranded = False

    def reset(self) -> None:
        reset(self.near)
        if self.far is not None:
            reset(self.far)


class LinkSim(ProxyThread):
    """The link. Same seed and same bytes: same faults at the same bytes. Methods may be called
    from any thread and return when done.
    """

    def __init__(
        self, target: tuple[str, int], listen: tuple[str, int] = ("127.0.0.1", 0), seed: int = 0
    ) -> None:
        super().__init__(listen)
        self.target = target
        self.mode = Mode.OPEN
        self.accepted = 0
        """Connections so far."""
        self.breaks: list[tuple[str, int]] = []
        """Direction and byte count of each reset made by `drop_every_bytes`."""
        self.up = Conditions()
        """From who dials to the target."""
        self.down = Conditions()
        self._seed = seed
        self._passable = asyncio.Event()
        self._passable.set()
        self._never = asyncio.Event()
        self._alive: set[_Connection] = set()

    @property
    def connections(self) -> int:
        """Connections now."""
        return len(self._alive)

    def set(self, mode: Mode) -> None:
        """Change the mode."""
        self._call(self._set(mode))

    def condition(self, up: Conditions | None = None, down: Conditions | None = None) -> None:
        """Change the conditions; what is not given stays."""
        self.up = up or self.up
        self.down = down or self.down

    def drop(self) -> None:
        """Reset all connections once."""
        self._soon(self._reset_all)

    def strand(self) -> None:
        """All connections fall silent for good, though neither end is told; new ones work."""
        self._soon(self._strand_all)

    def retarget(self, target: tuple[str, int]) -> None:
        """New connections go there."""
        self.target = target

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.accepted += 1
        connection = _Connection(writer)
        self._alive.add(connection)
        name = f"{self._seed}/{self.accepted}"
        try:
            if self.mode is Mode.CUT:
                connection.reset()
                return
            await self._passable.wait()
            far_reader, connection.far = await asyncio.open_connection(*self.target)
            pumps = [
                asyncio.create_task(self._pump(connection, reader, connection.far, "up", name)),
                asyncio.create_task(self._pump(connection, far_reader, writer, "down", name)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            # the target is not there: who dialled sees a reset, as behind a gateway
            connection.reset()
        finally:
            self._alive.discard(connection)
            if connection.far is not None:
                connection.far.transport.abort()

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: str,
        name: str,
    ) -> None:
        # how bytes come in chunks is not ours to repeat: what depends on it has dice of its own
        dice = random.Random(f"{name}/{direction}/times")  # noqa: S311
        faults = _ByteFaults(random.Random(f"{name}/{direction}/bytes"))  # noqa: S311
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        sender = asyncio.create_task(self._sender(connection, queue, writer, direction, dice))
        loop = asyncio.get_running_loop()
        due = 0.0
        try:
            while True:
                data = await reader.read(16_384)
                rules: Conditions = getattr(self, direction)
                if rules.coalesce_ms and data:
                    await asyncio.sleep(rules.coalesce_ms / 1000)
                late_s = (rules.delay_ms + rules.jitter_ms * dice.random()) / 1000
                due = max(due, loop.time() + late_s)
                data, broken = faults.apply(data, rules)
                await _put(queue, (due, data), sender)
                if broken:
                    self.breaks.append((direction, faults.passed))
                    await _put(queue, (due, b""), sender)
                    await sender
                    connection.reset()
                    raise ConnectionResetError
                if not data:
                    await sender
                    return
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _sender(
        self,
        connection: _Connection,
        queue: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
        direction: str,
        dice: random.Random,
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._passage(connection)
            rules: Conditions = getattr(self, direction)
            if rules.coalesce_ms:
                while not queue.empty() and data:
                    _, more = queue.get_nowait()
                    if not more:
                        queue.put_nowait((due, b""))
                        break
                    data += more
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            for piece in _pieces(data, rules.split_bytes, dice):
                await self._passage(connection)
                writer.write(piece)
                await writer.drain()
                if rules.bytes_per_s:
                    await asyncio.sleep(len(piece) / rules.bytes_per_s)
                elif rules.split_bytes:
                    await asyncio.sleep(0)

    async def _passage(self, connection: _Connection) -> None:
        await self._passable.wait()
        if connection.stranded:
            await self._never.wait()

    async def _set(self, mode: Mode) -> None:
        self.mode = mode
        if mode is Mode.BLACKHOLE:
            self._passable.clear()
        else:
            self._passable.set()
        if mode is Mode.REFUSE:
            self._close_listener()
        elif self._server is None:
            await self._open()
        if mode in {Mode.CUT, Mode.REFUSE}:
            self._reset_all()

    def _reset_all(self) -> None:
        for connection in list(self._alive):
            connection.reset()

    def _strand_all(self) -> None:
        for connection in self._alive:
            connection.stranded = True


class _ByteFaults:
    """Counts bytes down to the next fault."""

    def __init__(self, dice: random.Random) -> None:
        self.passed = 0
        self._dice = dice
        self._garble_in: int | None = None
        self._drop_in: int | None = None

    def apply(self, data: bytes, rules: Conditions) -> tuple[bytes, bool]:
        """(what goes on, whether the connection breaks after it)."""
        if rules.drop_every_bytes:
            if self._drop_in is None:
                self._drop_in = self._dice.randrange(2 * rules.drop_every_bytes)
            if self._drop_in < len(data):
                self.passed += self._drop_in
                return data[: self._drop_in], True
            self._drop_in -= len(data)
        self.passed += len(data)
        if rules.garble_every_bytes:
            changed = bytearray(data)
            if self._garble_in is None:
                self._garble_in = self._dice.randrange(2 * rules.garble_every_bytes)
            while self._garble_in < len(changed):
                changed[self._garble_in] ^= 1 << self._dice.randrange(8)
                self._garble_in += 1 + self._dice.randrange(2 * rules.garble_every_bytes)
            self._garble_in -= len(changed)
            data = bytes(changed)
        return data, False


async def _put(
    queue: asyncio.Queue[tuple[float, bytes]], item: tuple[float, bytes], sender: asyncio.Task[None]
) -> None:
    """Put, unless the sender ended: then raise what ended it."""
    put = asyncio.create_task(queue.put(item))
    await asyncio.wait({put, sender}, return_when=asyncio.FIRST_COMPLETED)
    if not put.done():
        put.cancel()
        sender.result()
        raise ConnectionResetError


def _pieces(data: bytes, most: int, dice: random.Random) -> list[bytes]:
    if not most:
        return [data]
    pieces: list[bytes] = []
    while data:
        size = 1 + dice.randrange(most)
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def obey(link: LinkSim, order: dict[str, Any]) -> dict[str, Any]:
    """Carry out one control line; the answer is the state, or what was wrong with the line."""
    try:
        if "set" in order:
            link.set(Mode(order["set"]))
        if "do" in order:
            {"drop": link.drop, "strand": link.strand}[order["do"]]()
        if "target" in order:
            link.retarget(_address(order["target"]))
        link.condition(
            up=replace(link.up, **order.get("up", {})),
            down=replace(link.down, **order.get("down", {})),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return {"error": f"not understood: {error}"}
    return {
        "mode": link.mode.value,
        "connections": link.connections,
        "accepted": link.accepted,
        "up": asdict(link.up),
        "down": asdict(link.down),
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m hil.drivers.link_sim", description=__doc__)
    parser.add_argument("--listen", type=_address, default=("127.0.0.1", 0))
    parser.add_argument("--target", type=_address, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    link = LinkSim(options.target, options.listen, options.seed)
    with contextlib.suppress(KeyboardInterrupt), link:
        print(json.dumps({"port": link.port, "ready": True}), flush=True)
        for line in sys.stdin:
            try:
                order = json.loads(line)
            except ValueError:
                order = None
            answer = obey(link, order) if isinstance(order, dict) else {"error": "not an object"}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
