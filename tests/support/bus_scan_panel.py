"""A panel's socket with buses, served in a thread: what `tocsin-edge bus` talks to."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from edge.adapters.local_socket import BusAsked, BusCommandAsked, LocalSocket, Reply, Request
from edge.bus.bus_types import BusStatistics, NodeId, NodeReport, NodeStatistics

SPEAKS_S: Final = 10.0
REPORT: Final = NodeReport(
    NodeId("main", 5), "watchdog", 3, 7, 11_940, 86_400, "1.0.12", trial=True, loop_worst_ms=41
)


class BusPanel:
    """`with BusPanel(data, buses)`: commands to nodes it has succeed, others are refused as the
    panel refuses them. An update is over once its progress was asked for `looks` times.
    """

    def __init__(self, data: Path, buses: list[BusStatistics], looks: int = 0) -> None:
        self.orders: list[BusCommandAsked] = []
        self._buses = buses
        self._looks = looks
        self._looked = 0
        self._updating = ""
        self._enough = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bus-panel")
        self._socket = LocalSocket(data / "panel.sock", self._handle)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._socket.start(), self._loop).result(SPEAKS_S)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(SPEAKS_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        await self._socket.stop()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(rest, timeout=SPEAKS_S) if rest else None

    async def _handle(self, request: Request) -> Reply:
        if isinstance(request, BusAsked):
            self._looked += bool(self._updating)
            if self._looked >= self._looks:
                self._enough.set()
            return Reply(ok=True, buses=[self._shown(bus) for bus in self._buses])
        if not isinstance(request, BusCommandAsked):
            return Reply(ok=False, reason="not asked of this panel")
        self.orders.append(request)
        if not any(str(n.node) == request.node for bus in self._buses for n in bus.nodes):
            return Reply(ok=False, reason="no_such_node_or_busy")
        if request.what == "update":
            self._updating = request.node
            if self._looks:
                await self._enough.wait()
            self._updating = ""
        told = REPORT if request.what == "report" else None
        return Reply(ok=True, report=told)

    def _shown(self, bus: BusStatistics) -> BusStatistics:
        progress = f"{self._looked * 4096}/40960"
        nodes = (
            replace(n, progress=progress) if str(n.node) == self._updating else n for n in bus.nodes
        )
        return replace(bus, nodes=tuple(nodes))


def two_buses() -> list[BusStatistics]:
    """Good, lost, in the clear and pairing nodes; a Modbus bus whose port is gone."""

    def node(address: int, state: str, **more: float | str | None) -> NodeStatistics:
        figures = {"cycle_ms": 45.4, "turnaround_ms": 3.21, "last_seen_s": 0.04, **more}
        return NodeStatistics(NodeId("main", address), state, **figures)  # type: ignore[arg-type]

    main = BusStatistics(
        "main",
        True,
        "",
        158.7,
        12,
        (
            node(5, "secure", polls=1_234_567, replies=1_234_560, handshakes=3, firmware="1.0.12"),
            node(6, "lost", last_seen_s=4_321.5, timeouts=98_765, retries=12_345),
            node(7, "clear", crc_errors=17),
            node(126, "pairing", last_seen_s=None),
        ),
    )
    rack = NodeStatistics(NodeId("rack", 130), "lost", last_seen_s=None)
    return [main, BusStatistics("rack", False, "No such file or directory", 0.0, 0, (rack,))]
