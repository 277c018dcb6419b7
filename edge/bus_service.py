"""The panel's detector buses: drivers' events to the panel, commands back, keys held until stored.

A change of a node is given back to its driver only when what followed from it is on disk; until
then the node keeps it (users.md J5).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from edge.adapters.bus_driver import BusDriver
from edge.adapters.local_socket import BusCommandAsked, Reply
from edge.adapters.osdp_keys import KeysUnusableError, NodeKeys
from edge.adapters.wall_clock import monotonic
from edge.bus.bus_machine import BusMachine, BusTold
from edge.bus.bus_types import (
    AskReport,
    BusChanged,
    BusEvent,
    BusStatistics,
    CardRead,
    ClosePairing,
    CommandDone,
    KeysPressed,
    LossCause,
    NodeCommand,
    NodeId,
    NodeLost,
    NodeReport,
    NodeTrouble,
    NodeUp,
    Pair,
    Rekey,
    SendFirmware,
    SetNodeOutput,
    Trouble,
)
from edge.config import PanelConfig
from edge.config_bus import BusConfig
from protocols.instants import NS_PER_S, Instant

COMMAND_S: Final = 900.0
"""A firmware image of the largest size at 9600 baud takes ten minutes."""
REPORT_S: Final = 5.0
"""A node tells its report within a poll or two of being asked."""
IMAGE_BYTES: Final = 1 << 20
_ORDERS: Final[dict[str, NodeCommand]] = {
    "report": AskReport(),
    "pair": Pair(),
    "close_pairing": ClosePairing(),
    "rekey": Rekey(),
}


class BusService:
    """All buses of one panel. Everything here runs in the event loop's thread."""

    def __init__(
        self,
        config: PanelConfig,
        data: Path,
        feed: Callable[[BusTold], None],
        entered: Callable[[KeysPressed | CardRead], None],
        came_up: Callable[[NodeId], None],
        stored: Callable[[], Awaitable[None]],
    ) -> None:
        """`feed` takes what the panel is to know; `entered` what came from keypads and readers,
        which want to be told that they `came_up`; `stored` returns when all that followed so far
        is on disk.
        """
        self._loop = asyncio.get_running_loop()
        self._feed = feed
        self._entered = entered
        self._came_up = came_up
        self._stored = stored
        self._machine = BusMachine(config)
        self._timer: asyncio.TimerHandle | None = None
        self._storing: set[asyncio.Task[None]] = set()
        self._reports: dict[NodeId, asyncio.Future[NodeReport]] = {}
        self._refusals: dict[NodeId, asyncio.Future[str]] = {}
        self._waiting: dict[int, asyncio.Future[CommandDone]] = {}
        self._token = 0
        self._drivers: dict[str, BusDriver] = {}
        self._unusable: list[tuple[BusConfig, str]] = []
        keys: NodeKeys | None = None
        problem = ""
        if any(bus.protocol == "osdp" for bus in config.buses):
            try:  # one for all buses
                keys = NodeKeys(data, config.id, config.bus_keys.master_file)
            except KeysUnusableError as error:  # the rest of the panel goes on, and says so
                problem = str(error)
        for bus in config.buses:
            deliver = partial(self._arrived, bus.name)
            if bus.protocol == "modbus":
                from edge.adapters.modbus_bus import ModbusBus  # pymodbus is slow to load

                self._drivers[bus.name] = ModbusBus(bus, config.modbus_maps, self._loop, deliver)
            elif keys is None:
                self._unusable.append((bus, problem))
            else:
                from edge.adapters.osdp_bus import OsdpBus

                window_s = config.bus_keys.pairing_window_s
                self._drivers[bus.name] = OsdpBus(bus, keys, self._loop, deliver, window_s)

    def start(self) -> None:
        """Poll. Ports that are not there are tried again, and told."""
        for bus, cause in self._unusable:
            self._arrived(bus.name, BusChanged(bus.name, up=False, cause=cause), monotonic(), 0)
            for node in bus.nodes:
                lost = NodeLost(NodeId(bus.name, node.address), LossCause.BUS_DOWN)
                self._arrived(bus.name, lost, monotonic(), 0)
        for driver in self._drivers.values():
            driver.start()

    def stop(self) -> None:
        """Nothing is delivered any more."""
        for driver in self._drivers.values():
            driver.stop()
        for task in self._storing:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def statistics(self) -> list[BusStatistics]:
        """Of every bus, as of now."""
        unusable = [
            BusStatistics(bus.name, up=False, cause=cause, cycle_ms=0, noise_bytes=0)
            for bus, cause in self._unusable
        ]
        return [*unusable, *(driver.statistics() for driver in self._drivers.values())]

    def order(self, node: NodeId, command: NodeCommand) -> None:
        """Have a node do this some time soon; nobody waits for it."""
        driver = self._drivers.get(node.bus)
        if driver is not None:
            driver.command(node.address, command)

    async def command(self, node: NodeId, command: NodeCommand) -> CommandDone:
        """Have a node do this, and how it ended."""
        self._token += 1
        token = self._token
        driver = self._drivers.get(node.bus)
        done: asyncio.Future[CommandDone] = self._loop.create_future()
        self._waiting[token] = done
        try:
            if driver is None or not driver.command(node.address, command, token):
                return CommandDone(node, token, ok=False, detail="no_such_node_or_busy")
            return await asyncio.wait_for(done, COMMAND_S)
        except TimeoutError:
            return CommandDone(node, token, ok=False, detail="no_end_seen")
        finally:
            self._waiting.pop(token, None)

    async def asked(self, request: BusCommandAsked) -> Reply:
        """What somebody on the spot wants of a node."""
        command: NodeCommand | None = _ORDERS.get(request.what)
        if request.what == "output":
            command = SetNodeOutput(request.number, request.on)
        elif request.what == "update":
            try:
                command = SendFirmware(await asyncio.to_thread(_image, Path(request.image)))
            except (OSError, ValueError) as error:
                return Reply(ok=False, reason=f"image: {error}")
        if command is None:
            return Reply(ok=False, reason=f"no such order: {request.what}")
        bus, _, address = request.node.partition(".")
        node = NodeId(bus, int(address))
        match command:
            case SendFirmware():
                return await self._update(node, command)
            case AskReport():
                return await self._report(node, command)
            case _:
                done = await self.command(node, command)
                return Reply(ok=done.ok, reason=done.detail)

    async def _update(self, node: NodeId, command: SendFirmware) -> Reply:
        why = self._refusals[node] = self._loop.create_future()
        done = await self.command(node, command)
        if not done.ok:
            with contextlib.suppress(TimeoutError):  # the node tells its reason a poll later
                return Reply(ok=False, reason=await asyncio.wait_for(why, REPORT_S))
        return Reply(ok=done.ok, reason=done.detail)

    async def _report(self, node: NodeId, command: AskReport) -> Reply:
        told = self._reports.setdefault(node, self._loop.create_future())
        done = await self.command(node, command)
        if not done.ok:
            return Reply(ok=False, reason=done.detail)
        try:
            return Reply(ok=True, report=await asyncio.wait_for(asyncio.shield(told), REPORT_S))
        except TimeoutError:
            return Reply(ok=False, reason="no_report")

    def _arrived(self, bus: str, event: BusEvent, _at: Instant, token: int) -> None:
        for item in self._machine.receive(event, monotonic()):
            self._feed(item)
        match event:
            case KeysPressed() | CardRead():
                self._entered(event)
            case NodeTrouble(node=node, trouble=Trouble.REFUSED, detail=detail):
                why = self._refusals.pop(node, None)
                if why is not None and not why.done():
                    why.set_result(detail)
            case NodeReport(node=node):
                told = self._reports.pop(node, None)
                if told is not None:
                    told.set_result(event)
            case NodeUp(node=node):
                self._came_up(node)
            case CommandDone(token=asked):
                waiting = self._waiting.get(asked)
                if waiting is not None and not waiting.done():
                    waiting.set_result(event)
            case _:
                pass
        if token:
            task = self._loop.create_task(self._give_back(bus, token))
            self._storing.add(task)
            task.add_done_callback(self._storing.discard)
        self._arm_timer()

    async def _give_back(self, bus: str, token: int) -> None:
        await self._stored()
        self._drivers[bus].committed(token)

    def _tick(self) -> None:
        self._timer = None
        for item in self._machine.tick(monotonic()):
            self._feed(item)
        self._arm_timer()

    def _arm_timer(self) -> None:
        due = self._machine.deadline()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            wait_s = max(0.0, (due - monotonic()) / NS_PER_S)
            self._timer = self._loop.call_later(wait_s, self._tick)


def _image(path: Path) -> bytes:
    with path.open("rb") as stream:
        image = stream.read(IMAGE_BYTES + 1)
    if not image or len(image) > IMAGE_BYTES:
        raise ValueError(f"{path} is empty or larger than {IMAGE_BYTES} bytes")
    return image
