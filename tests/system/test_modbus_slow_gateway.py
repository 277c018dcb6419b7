"""A module behind a gateway that answers everything in order, but later than it may."""

from __future__ import annotations

import asyncio

import pytest

from edge.bus.bus_types import NodeLost
from edge.config_bus import ModbusDevice
from hil.drivers.bus_wire import BusWire
from tests.support.modbus_rig import Driver, framed
from tests.support.osdp_bus_rig import on_loop

pytestmark = pytest.mark.system

BAUD = 38_400
ADDRESS = 1
ASKED = framed(ADDRESS, 2, 0, 0, 0, 8)


class Module:
    """Eight inputs that stand as they are when the question comes."""

    def __init__(self) -> None:
        self.bits = 0

    def receive(self, data: bytes, now_ms: int) -> bytes:
        return framed(ADDRESS, 2, 1, self.bits) if data == ASKED else b""

    def tick(self, now_ms: int) -> None: ...


@pytest.mark.parametrize("seed", [1, 2])
@on_loop
async def test_replies_that_come_back_to_back_for_older_questions_are_not_believed(
    seed: int,
) -> None:
    """Several questions are on their way at once: each reply is in time for a later one (J5)."""
    with BusWire(BAUD, seed=seed) as wire:
        port = wire.attach("panel")
        module = Module()
        wire.attach_station("module", module)
        devices = (ModbusDevice(address=ADDRESS),)
        async with Driver(port, devices, baud=BAUD, lost_after_s=3.0) as panel:
            await panel.until(lambda: panel.active(ADDRESS) == [set()])
            wire.drop("module", late_ms=(300.0, 420.0))
            await panel.polled(ADDRESS, 2)
            known = len(panel.active(ADDRESS))
            while not panel.events(NodeLost):
                module.bits = (module.bits + 1) % 256
                await asyncio.sleep(0.02)
            assert len(panel.active(ADDRESS)) == known
            assert panel.figures(ADDRESS).replies > 3
