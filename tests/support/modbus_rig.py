"""A ModbusBus on some port, with what it delivered; and Modbus frames by a second hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Self, TypeVar

from edge.adapters.modbus_bus import ModbusBus
from edge.bus.bus_types import BusEvent, InputsReported, InputState, NodeId, NodeStatistics
from edge.config_bus import BusConfig, ModbusDevice, ModbusMap
from protocols.instants import Instant

E = TypeVar("E")
BUS = "io"


def crc16_modbus(data: bytes) -> int:
    """CRC-16/MODBUS bit by bit, as the standard's appendix describes it."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            odd = crc & 1
            crc >>= 1
            if odd:
                crc ^= 0xA001
    return crc


def framed(*body: int) -> bytes:
    """With its CRC, low byte first."""
    return bytes(body) + crc16_modbus(bytes(body)).to_bytes(2, "little")


class Driver:
    """`async with Driver(port, devices)`: it polls, and everything is committed at once."""

    def __init__(
        self,
        port: str,
        devices: tuple[ModbusDevice, ...],
        maps: tuple[ModbusMap, ...] = (),
        baud: int = 38_400,
        lost_after_s: float = 1.5,
    ) -> None:
        self.told: list[tuple[float, BusEvent]] = []
        self.commit = True
        self.owed: list[int] = []
        config = BusConfig(
            name=BUS,
            protocol="modbus",
            port=port,
            devices=devices,
            baud=baud,
            lost_after_s=lost_after_s,
        )
        self.bus = ModbusBus(config, maps, asyncio.get_running_loop(), self._deliver)

    async def __aenter__(self) -> Self:
        self.bus.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.bus.stop()

    def _deliver(self, event: BusEvent, now: Instant, token: int) -> None:
        assert now <= time.monotonic_ns()
        self.told.append((time.monotonic(), event))
        if token and self.commit:
            self.bus.committed(token)
        elif token:
            self.owed.append(token)

    def events(self, kind: type[E], address: int | None = None) -> list[E]:
        """Of this kind, so far; of one module."""
        found = [event for _, event in self.told if isinstance(event, kind)]
        if address is None:
            return found
        return [event for event in found if getattr(event, "node", None) == NodeId(BUS, address)]

    def active(self, address: int) -> list[set[int]]:
        """Numbers of the inputs in alarm, in each report so far."""
        return [
            {n for n, state in enumerate(event.states, 1) if state is InputState.ALARM}
            for event in self.events(InputsReported, address)
        ]

    def figures(self, address: int) -> NodeStatistics:
        """Of one module."""
        return next(n for n in self.bus.statistics().nodes if n.node.address == address)

    async def until(self, holds: Callable[[], object], within_s: float = 5.0) -> float:
        """Seconds until it held."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > within_s:
                raise AssertionError(
                    f"not in {within_s} s; told: {[e for _, e in self.told][-12:]}"
                )
            await asyncio.sleep(0.002)
        return time.monotonic() - began

    async def polled(self, address: int, times: int, within_s: float = 5.0) -> None:
        """Until it was asked so many times more."""
        target = self.figures(address).polls + times
        await self.until(lambda: self.figures(address).polls >= target, within_s)
