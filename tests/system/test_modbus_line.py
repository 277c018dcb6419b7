"""The Modbus driver on a paced cable with modules of a second hand: adapters, noise, speed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from edge.bus.bus_types import NodeLost, NodeTrouble, NodeUp, Trouble
from edge.config_bus import ModbusDevice
from hil.drivers.bus_wire import BusWire
from tests.support.modbus_rig import Driver
from tests.support.modbus_station import ModbusStation
from tests.support.osdp_bus_rig import on_loop

pytestmark = pytest.mark.system


class Cable:
    def __init__(self, wire: BusWire, stations: dict[int, ModbusStation], panel: Driver) -> None:
        self.wire = wire
        self.stations = stations
        self.panel = panel

    async def move(self, times: int, within_s: float) -> None:
        """Each input in turn, open and shut; every state told once and in order."""
        for number in range(1, times + 1):
            for station in self.stations.values():
                station.inputs[number % 8] = not station.inputs[number % 8]
            for address in self.stations:
                await self.panel.until(
                    lambda a=address, n=number: len(self.panel.active(a)) > n, within_s
                )
        for address in self.stations:
            told = self.panel.active(address)
            assert len(told) == times + 1
            for number, (before, now) in enumerate(pairwise(told), 1):
                assert before ^ now == {number % 8 + 1}


@asynccontextmanager
async def cable(
    modules: int, baud: int, turnaround_ms: float = 3.0, **adapter: Any
) -> AsyncIterator[Cable]:
    with BusWire(baud, seed=5) as wire:
        port = wire.attach("panel")
        wire.drop("panel", **adapter)
        stations = {a: ModbusStation(a) for a in range(1, modules + 1)}
        for address, station in stations.items():
            wire.attach_station(f"m{address}", station, turnaround_ms)
        devices = tuple(ModbusDevice(address=a) for a in stations)
        async with Driver(port, devices, baud=baud) as panel:
            await panel.until(lambda: len(panel.events(NodeUp)) == modules, 8)
            yield Cable(wire, stations, panel)


LINES: dict[str, dict[str, Any]] = {
    "plain": {},
    "echo": {"echo": True},
    "batches": {"batch_ms": 16.0},
    "echo and split": {"echo": True, "split": True, "batch_ms": 20.0},
    "slow modules": {"turnaround_ms": 50.0},
}


@pytest.mark.parametrize("line", LINES)
@on_loop
async def test_every_change_is_told_once_and_in_order_over_any_adapter(line: str) -> None:
    async with cable(3, 38_400, **LINES[line]) as site:
        await site.move(5, within_s=3)
        assert site.panel.events(NodeLost) == []
        assert site.panel.events(NodeTrouble) == []


@on_loop
async def test_a_noisy_line_delays_changes_and_invents_none() -> None:
    async with cable(4, 38_400) as site:
        site.wire.set(flip=0.01, noise_per_s=5.0)
        await site.move(5, within_s=6)
        assert site.panel.bus.statistics().noise_bytes > 0


@on_loop
async def test_all_are_polled_again_in_three_seconds_after_a_short_between_the_wires() -> None:
    async with cable(8, 38_400) as site:
        site.wire.set(short=True)
        await site.panel.until(lambda: len(site.panel.events(NodeLost)) == 8, 3)
        site.stations[3].inputs[0] = True
        site.wire.set(short=False)
        assert await site.panel.until(lambda: len(site.panel.events(NodeUp)) == 16) < 3.0
        await site.panel.until(lambda: site.panel.active(3)[-1] == {1})


@on_loop
async def test_a_babbling_module_is_told_of_the_bus_and_over_when_it_stops() -> None:
    async with cable(2, 38_400) as site:
        site.wire.drop("m2", babble_ms=20.0)

        def standing() -> set[Trouble]:
            found: set[Trouble] = set()
            for event in site.panel.events(NodeTrouble):
                (found.add if event.on else found.discard)(event.trouble)
            return found

        await site.panel.until(standing, 8)
        assert standing() <= {Trouble.BABBLE, Trouble.NOISE}
        site.wire.drop("m2", babble_ms=None)
        await site.panel.until(lambda: not standing(), 8)
        assert set().union(*site.panel.active(1), *site.panel.active(2)) == set()


@pytest.mark.parametrize(("baud", "least_ms"), [(9600, 3.64), (38_400, 1.75)])
@on_loop
async def test_the_gap_stands_between_all_frames_on_the_cable(baud: int, least_ms: float) -> None:
    async with cable(3, baud) as site:
        await site.panel.polled(1, 10)
        said = site.wire.said()
        gaps_ms = [(b.from_s - a.until_s) * 1000 for a, b in pairwise(said) if b.sender == "panel"]
        assert len(gaps_ms) > 20
        assert min(gaps_ms) >= least_ms


@on_loop
async def test_thirty_two_modules_are_polled_within_the_standards_arithmetic() -> None:
    """protocols.md 6.4: 12.1 ms a module at 38,400, 0.39 s a round."""
    async with cable(32, 38_400, turnaround_ms=5.0) as site:
        before = site.stations[1].asked
        began = time.monotonic()
        await site.panel.polled(1, 3)
        round_s = (time.monotonic() - began) / (site.stations[1].asked - before)
        assert round_s < 0.39 * 1.25
        site.stations[32].inputs[0] = True
        assert await site.panel.until(lambda: site.panel.active(32)[-1] == {1}) < 1.0
