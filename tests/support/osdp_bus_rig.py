"""An OsdpBus on the bus wire, with what it delivered."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

from edge.adapters.osdp_bus import OsdpBus
from edge.adapters.osdp_keys import NodeKeys
from edge.bus.bus_types import BusEvent, CommandDone, NodeCommand, NodeId
from edge.config_bus import BusConfig, OsdpNode
from hil.drivers.bus_node import SimNode
from hil.drivers.bus_wire import BusWire
from hil.drivers.bus_wire_drop import Station
from protocols.instants import Instant

E = TypeVar("E")
P = ParamSpec("P")
BUS = "main"


def on_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an async test in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def whole() -> None:
            await test(*args, **kwargs)

        asyncio.run(whole())

    return run


class BusRig:
    """`async with`: wire and driver run. `nodes` of ours are keyed unless told otherwise."""

    def __init__(
        self,
        directory: Path,
        baud: int = 0,
        window_s: float = 600,
        seed: int = 0,
        lost_after_s: float = 0.9,
    ) -> None:
        self.directory = directory
        self.wire = BusWire(baud, seed=seed)
        self.keys = NodeKeys(directory, "panel")
        self.nodes: dict[int, SimNode] = {}
        self.told: list[tuple[float, BusEvent]] = []
        self.commit = True
        """Give every token back at once."""
        self.owed: list[int] = []
        self.link = directory / "bus-port"
        self.path = self.wire.attach("panel", self.link)
        self._baud = baud
        self._window_s = window_s
        self._lost_after_s = lost_after_s
        self._configured: list[OsdpNode] = []
        self._tokens = 0

    def node(self, address: int, *, keyed: bool = True, config: OsdpNode | None = None) -> SimNode:
        """A simulated node of ours, wired and configured."""
        node = SimNode(address, self.keys.key(BUS, address) if keyed else None)
        self.nodes[address] = node
        self.station(address, node, config)
        return node

    def station(
        self, address: int, station: Station | None, config: OsdpNode | None = None
    ) -> None:
        """Configured, and wired if there is one."""
        if station is not None:
            self.wire.attach_station(f"n{address}", station, turnaround_ms=1.0)
        self._configured.append(config or OsdpNode(address=address))

    async def __aenter__(self) -> Self:
        self.wire.start()
        self.restart()
        return self

    def restart(self) -> None:
        """A fresh driver, as after a restart of the panel."""
        config = BusConfig(
            name=BUS,
            port=self.path,
            baud=self._baud or 230_400,
            nodes=tuple(self._configured),
            lost_after_s=self._lost_after_s,
        )
        loop = asyncio.get_running_loop()
        keys = NodeKeys(self.directory, "panel")
        self.bus = OsdpBus(config, keys, loop, self._deliver, self._window_s)
        self.bus.start()

    async def __aexit__(self, *_: object) -> None:
        self.bus.stop()
        self.wire.stop()

    def _deliver(self, event: BusEvent, now: Instant, token: int) -> None:
        assert now <= time.monotonic_ns()
        self.told.append((time.monotonic(), event))
        if token and self.commit:
            self.bus.committed(token)
        elif token:
            self.owed.append(token)

    def events(self, kind: type[E], address: int | None = None) -> list[E]:
        """Of this kind, so far; of one node."""
        found = [event for _, event in self.told if isinstance(event, kind)]
        if address is None:
            return found
        return [event for event in found if getattr(event, "node", None) == NodeId(BUS, address)]

    async def until(self, holds: Callable[[], object], within_s: float = 5.0) -> float:
        """Seconds until it held."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > within_s:
                raise AssertionError(
                    f"not in {within_s} s; told: {[e for _, e in self.told][-12:]}"
                )
            await asyncio.sleep(0.005)
        return time.monotonic() - began

    async def done(self, address: int, command: NodeCommand, within_s: float = 5.0) -> CommandDone:
        """This command's end."""
        self._tokens += 1
        token = self._tokens
        assert self.bus.command(address, command, token)
        await self.until(lambda: any(e.token == token for e in self.events(CommandDone)), within_s)
        return next(e for e in self.events(CommandDone) if e.token == token)
