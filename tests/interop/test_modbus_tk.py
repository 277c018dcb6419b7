"""The Modbus driver against modbus-tk: another reading of the standard than pymodbus has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.bus.bus_types import InputsReported, LocalReported, LossCause, NodeLost, NodeTrouble
from edge.config_bus import ModbusDevice, ModbusMap, ModbusTable
from hil.drivers.bus_wire import BusWire
from tests.support.modbus_rig import Driver
from tests.support.osdp_bus_rig import on_loop

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".peers" / "modbus"
SCRIPT = ROOT / "tests/support/modbus_tk_peer.py"
BAUD = 38_400
MODULES = (7, 8)


class Server:
    """modbus-tk's modules on a paced wire."""

    def __init__(self, wire: BusWire) -> None:
        assert (PEERS / "modbus_tk").is_dir(), (
            "scripts/test installs .peers/modbus from tests/interop/modbus_peers.lock"
        )
        self.panel = wire.attach("panel")
        port = wire.attach("modules")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(SCRIPT), port, str(BAUD), *map(str, MODULES)],
            env={**os.environ, "PYTHONPATH": str(PEERS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._heard("ready")

    def _heard(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == word

    def set(self, table: ModbusTable, item: int, value: int, address: int = MODULES[0]) -> None:
        """It is so when this returns."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([address, table.value, item, value]) + "\n")
        self._process.stdin.flush()
        self._heard("done")

    def kill(self) -> None:
        """All its modules fall silent at once."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def server() -> Iterator[Server]:
    with BusWire(BAUD, seed=1) as wire:
        server = Server(wire)
        try:
            yield server
        finally:
            server.kill()


MAPS = [
    ModbusMap(name="m", first=3, inputs=16, tamper=40),
    ModbusMap(name="m", table=ModbusTable.COILS, inputs=9, tamper=9),
    ModbusMap(name="m", table=ModbusTable.HOLDING_REGISTERS, first=2, inputs=32, tamper=4),
    ModbusMap(name="m", table=ModbusTable.INPUT_REGISTERS, first=1, inputs=5, bits=False),
]


@pytest.mark.parametrize("shape", MAPS, ids=lambda m: m.table.value)
@on_loop
async def test_each_input_of_each_table_is_found_where_the_other_server_has_it(
    server: Server, shape: ModbusMap
) -> None:
    packed = shape.bits and shape.table.value.endswith("registers")
    async with Driver(
        server.panel, (ModbusDevice(address=7, map="m"),), (shape,), baud=BAUD
    ) as panel:
        await panel.until(lambda: panel.active(7) == [set()])
        for number in range(1, shape.inputs + 1):
            word, bit = divmod(number - 1, 16)
            item, value = (word, 1 << bit) if packed else (number - 1, 1)
            server.set(shape.table, shape.first + item, value)
            await panel.until(lambda n=number: n in panel.active(7)[-1])
            server.set(shape.table, shape.first + item, 0)
            await panel.until(lambda: panel.active(7)[-1] == set())
        assert panel.active(7) == [
            set(),
            *(now for n in range(1, shape.inputs + 1) for now in ({n}, set())),
        ]
        if shape.tamper is not None:
            server.set(shape.table, shape.tamper, 1)
            await panel.until(lambda: panel.events(LocalReported)[-1].tamper)
        assert panel.events(NodeTrouble) == []
        assert panel.figures(7).crc_errors == panel.figures(7).refused == 0


@on_loop
async def test_the_other_servers_exception_and_its_end_are_told_as_what_they_are(
    server: Server,
) -> None:
    beyond = ModbusMap(name="beyond", first=60, inputs=8)
    devices = (ModbusDevice(address=7, map="beyond"), ModbusDevice(address=8))
    async with Driver(server.panel, devices, (beyond,), baud=BAUD, lost_after_s=0.6) as panel:
        await panel.until(lambda: panel.events(NodeLost, 7))
        assert [trouble.detail for trouble in panel.events(NodeTrouble, 7)] == ["exception 2"]
        server.set(ModbusTable.DISCRETE_INPUTS, 0, 1, address=8)
        await panel.until(lambda: panel.active(8)[-1:] == [{1}])
        server.kill()
        await panel.until(lambda: panel.events(NodeLost, 8))
        assert panel.events(NodeLost, 8)[0].cause is LossCause.NO_ANSWER
        assert panel.events(InputsReported, 7) == []
