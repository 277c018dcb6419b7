"""A bad broker path at the level of MQTT messages: drops, doubles, reorders and delays PUBLISH.

Above TCP nothing is lost or reordered inside a connection, but between panel and collector stand
brokers, bridges and sessions where it is. So TLS is ended here with certificates of the test, the
MQTT 3.1.1 packets are taken apart, and TLS is begun anew towards the broker with the panel's own
certificate. A dropped QoS 1 PUBLISH is PUBACKed all the same: that is what a broker that loses
its store looks like (users.md B2).
"""

from __future__ import annotations

import asyncio
import random
import ssl
from dataclasses import dataclass, field
from typing import Final

from hil.drivers.proxy_thread import ProxyThread, reset

PUBLISH: Final = 3
PUBACK: Final = 4


@dataclass(frozen=True, slots=True)
class Mischief:
    """Chances in [0, 1] for each PUBLISH of one direction."""

    drop: float = 0
    double: float = 0
    reorder: float = 0
    """Held back until the next PUBLISH, or `hold_ms`."""
    delay: float = 0
    hold_ms: float = 50
    cut: float = 0
    """The connection is reset instead."""


@dataclass(slots=True)
class Packet:
    """One MQTT control packet; `raw` with its fixed header (MQTT 3.1.1, 2.2)."""

    raw: bytes
    body: int
    """Where the variable header begins."""

    @property
    def kind(self) -> int:
        """Control packet type."""
        return self.raw[0] >> 4

    @property
    def mid(self) -> int | None:
        """Packet identifier of a PUBLISH with QoS > 0 or of a PUBACK."""
        if self.kind == PUBACK:
            return int.from_bytes(self.raw[self.body : self.body + 2], "big")
        if self.kind != PUBLISH or not self.raw[0] & 0x06:
            return None
        topic = int.from_bytes(self.raw[self.body : self.body + 2], "big")
        at = self.body + 2 + topic
        return int.from_bytes(self.raw[at : at + 2], "big")


async def read_packet(reader: asyncio.StreamReader) -> Packet:
    """The next packet. Raises EOFError at the end of the stream."""
    head = await reader.readexactly(1)
    length, shift = 0, 0
    while True:
        byte = await reader.readexactly(1)
        head += byte
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            break
        if shift > 21:
            raise EOFError("no MQTT: remaining length of more than 4 bytes")
    return Packet(head + await reader.readexactly(length), len(head))


def puback(mid: int) -> bytes:
    """A PUBACK packet."""
    return bytes((PUBACK << 4, 2)) + mid.to_bytes(2, "big")


@dataclass(slots=True)
class Tally:
    """What was done to one direction."""

    passed: int = 0
    dropped: int = 0
    doubled: int = 0
    reordered: int = 0
    delayed: int = 0
    cut: int = 0


@dataclass(slots=True)
class _Direction:
    reader: asyncio.StreamReader
    out: asyncio.StreamWriter
    back: asyncio.StreamWriter
    """Towards the sender of this direction."""
    dice: random.Random
    swallow: dict[int, int]
    """PUBACKs coming on this direction that answer what the proxy sent twice: not passed on."""
    opposite_swallow: dict[int, int]
    held: list[bytes] = field(default_factory=list)
    later: set[asyncio.Task[None]] = field(default_factory=set)


class MqttChaos(ProxyThread):
    """`up` (panel to broker) and `down` may be changed at any time; `tally` counts.

    `server` is the TLS context shown to the panel, `client` the one used towards the broker; None:
    plain TCP on that leg.
    """

    def __init__(
        self,
        target: tuple[str, int],
        server: ssl.SSLContext | None = None,
        client: ssl.SSLContext | None = None,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        seed: int = 0,
        server_name: str | None = None,
    ) -> None:
        super().__init__(listen)
        self.target = target
        self.up = Mischief()
        self.down = Mischief()
        self.tally = {"up": Tally(), "down": Tally()}
        self._server_tls = server
        self._client_tls = client
        self._server_name = server_name
        self._seed = seed
        self._count = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._count += 1
        name = f"{self._seed}/{self._count}"
        if self._server_tls is not None:
            await writer.start_tls(self._server_tls)
        far_reader, far = await asyncio.open_connection(
            *self.target,
            ssl=self._client_tls,
            server_hostname=self._server_name if self._client_tls is not None else None,
        )
        to_panel: dict[int, int] = {}
        to_broker: dict[int, int] = {}
        ways = {
            "up": _Direction(
                reader,
                far,
                writer,
                random.Random(name + "u"),  # noqa: S311
                to_broker,
                to_panel,
            ),
            "down": _Direction(
                far_reader,
                writer,
                far,
                random.Random(name + "d"),  # noqa: S311
                to_panel,
                to_broker,
            ),
        }
        pumps = [asyncio.create_task(self._pump(name, way)) for name, way in ways.items()]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks = [*pumps, *ways["up"].later, *ways["down"].later]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            far.transport.abort()

    async def _pump(self, name: str, way: _Direction) -> None:
        while True:
            packet = await read_packet(way.reader)
            if packet.kind == PUBACK and self._swallowed(packet, way):
                continue
            if packet.kind != PUBLISH:
                way.out.write(packet.raw)
            elif not self._publish(name, way, packet):
                reset(way.out)
                reset(way.back)
                return
            await way.out.drain()

    def _swallowed(self, packet: Packet, way: _Direction) -> bool:
        mid = packet.mid or 0
        left = way.swallow.get(mid, 0)
        if left:
            way.swallow[mid] = left - 1
        return left > 0

    def _publish(self, name: str, way: _Direction, packet: Packet) -> bool:
        """False: cut the connection."""
        rules: Mischief = getattr(self, name)
        tally = self.tally[name]
        if way.dice.random() < rules.cut:
            tally.cut += 1
            return False
        if way.dice.random() < rules.drop:
            tally.dropped += 1
            if packet.mid is not None:
                way.back.write(puback(packet.mid))
            return True
        copies = 1
        if way.dice.random() < rules.double:
            tally.doubled += 1
            copies = 2
            if packet.mid is not None:
                way.opposite_swallow[packet.mid] = way.opposite_swallow.get(packet.mid, 0) + 1
        raw = packet.raw * copies
        if way.dice.random() < rules.reorder:
            tally.reordered += 1
            way.held.append(raw)
            self._in_a_while(way, rules.hold_ms, None)
            return True
        if way.dice.random() < rules.delay:
            tally.delayed += 1
            self._in_a_while(way, rules.hold_ms * way.dice.random(), raw)
            return True
        tally.passed += 1
        way.out.write(raw)
        self._release(way)
        return True

    def _in_a_while(self, way: _Direction, hold_ms: float, raw: bytes | None) -> None:
        async def work() -> None:
            await asyncio.sleep(hold_ms / 1000)
            if raw is not None:
                way.out.write(raw)
            else:
                self._release(way)

        task = asyncio.create_task(work())
        way.later.add(task)
        task.add_done_callback(way.later.discard)

    def _release(self, way: _Direction) -> None:
        while way.held:
            way.out.write(way.held.pop())
