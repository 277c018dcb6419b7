"""A rack of simulated Modbus modules behind a pty: pymodbus's own serial server, and its faults.

Two traps of that server are closed here: it answers for ids it does not have (a real absent module
is silent), and it knows no faults. Every packet passes `_packet`, where replies are held back,
delayed, garbled and cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import tty
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge.adapters.modbus_wire import EXCEPTION_BIT, close
from edge.config_bus import ModbusTable

T = TypeVar("T")

ITEMS: Final = 64
"""Inputs, coils and registers each of a module, from 0; above them it refuses."""
REPLY_S: Final = 10.0
_FUNCTION: Final = {
    ModbusTable.COILS: 1,
    ModbusTable.DISCRETE_INPUTS: 2,
    ModbusTable.HOLDING_REGISTERS: 3,
    ModbusTable.INPUT_REGISTERS: 4,
}


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a module's replies."""

    silent: bool = False
    late_s: float = 0.0
    garbled: bool = False
    exception: int = 0
    poses_as: int = 0
    """Its replies bear this id."""
    longer_bytes: int = 0
    """So many data bytes more than asked for, with a good check."""
    noise: bytes = b""
    """Stands before and behind each reply."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame as it went over the wire."""

    at_s: float
    reply: bool
    data: bytes


class Rack:
    """`with Rack(link, addresses)`: the driver opens `link`. Methods: any thread but the rack's.

    `line`: a port that is there already (of a simulated cable) instead of a pty of its own.
    """

    def __init__(
        self, link: Path, addresses: Iterable[int], line: str = "", baud: int = 38_400
    ) -> None:
        self.link: Final = link
        self.packets: list[Packet] = []
        self._addresses = tuple(addresses)
        self._line = line
        self._baud = baud
        self._faults: dict[int, Faults] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="modbus-rack")
        self._outer = -1
        """Master of the pty that the driver opens; -1 unplugged."""
        self._held = -1
        self._inner = -1
        self._say_to = -1
        self._server: ModbusSerialServer | None = None

    # --- from outside ---

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set(
        self,
        address: int,
        item: int,
        value: int,
        table: ModbusTable = ModbusTable.DISCRETE_INPUTS,
    ) -> None:
        """Item of a module's table, from 0."""
        bits = table in {ModbusTable.COILS, ModbusTable.DISCRETE_INPUTS}
        values: list[bool] | list[int] = [bool(value)] if bits else [value]

        async def work() -> None:
            assert self._server is not None
            await self._server.async_setValues(address, _FUNCTION[table], item, values)

        self._run(work())

    def fault(self, address: int, **changes: Any) -> None:
        """Change Faults of a module by name."""

        def work() -> None:
            self._faults[address] = replace(self._faults.get(address, Faults()), **changes)

        self._call(work)

    def say(self, data: bytes) -> None:
        """Somebody on the cable says this unasked."""
        self._call(lambda: self._say(data))

    def unplug(self) -> None:
        """The adapter is pulled."""
        self._call(self._pull)

    def plug(self) -> None:
        """And back, at the same `link`."""
        self._call(self._plug)

    def heard(self, address: int) -> list[Packet]:
        """Requests to a module, oldest first."""
        packets = self._call(lambda: list(self.packets))
        return [p for p in packets if not p.reply and p.data[0] == address]

    # --- in the rack's thread ---

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(REPLY_S)

    def _call(self, work: Callable[[], T]) -> T:
        async def whole() -> T:
            return work()

        return self._run(whole())

    async def _start(self) -> None:
        line = self._line
        if not line:
            self._inner, slave = os.openpty()
            tty.setraw(slave)
            line = os.ttyname(slave)
            self._say_to = slave
            self._loop.add_reader(self._inner, self._outward)
            self._plug()
        # Id 0 stands for all it does not have: without it the server stumbles over each of them.
        devices = [_device(address) for address in (0, *self._addresses)]
        self._server = ModbusSerialServer(
            devices, port=line, baudrate=self._baud, trace_packet=self._packet
        )
        await self._server.serve_forever(background=True)

    async def _stop(self) -> None:
        assert self._server is not None
        await self._server.shutdown()  # type: ignore[no-untyped-call]
        self._pull()
        if self._inner >= 0:
            self._loop.remove_reader(self._inner)
            os.close(self._inner)
            os.close(self._say_to)

    def _plug(self) -> None:
        if self._outer >= 0:
            return
        self._outer, slave = os.openpty()
        tty.setraw(slave)
        fresh = self.link.with_name(f".{self.link.name}.fresh")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(slave))
        fresh.replace(self.link)
        # Held open as well: a master whose slave nobody has open is ready for nothing but errors.
        self._held = slave
        os.set_blocking(self._outer, False)
        self._loop.add_reader(self._outer, self._inward)

    def _pull(self) -> None:
        if self._outer < 0:
            return
        self._loop.remove_reader(self._outer)
        os.close(self._outer)
        os.close(self._held)
        self._outer = self._held = -1
        self.link.unlink(missing_ok=True)

    def _inward(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._inner, os.read(self._outer, 4096))

    def _outward(self) -> None:
        data = os.read(self._inner, 4096)
        with contextlib.suppress(OSError):  # unplugged, or nobody reads
            os.write(self._outer, data)

    def _say(self, data: bytes) -> None:
        os.write(self._say_to, data)

    def _packet(self, sending: bool, data: bytes) -> bytes:
        """Every packet of the server passes here; it takes what is returned, b"" for nothing."""
        if not data:
            return data
        self.packets.append(Packet(self._loop.time(), sending, data))
        if not sending:
            return data
        faults = self._faults.get(data[0], Faults())
        if data[0] not in self._addresses or faults.silent:
            return b""
        return self._spoilt(data, faults)

    def _spoilt(self, data: bytes, faults: Faults) -> bytes:
        if faults.exception:
            data = close(bytes((data[0], data[1] | EXCEPTION_BIT, faults.exception)))
        if faults.poses_as:
            data = close(bytes((faults.poses_as,)) + data[1:-2])
        if faults.longer_bytes:
            body = bytes((data[0], data[1], data[2] + faults.longer_bytes)) + data[3:-2]
            data = close(body + bytes(faults.longer_bytes))
        if faults.garbled:
            data = data[:-1] + bytes((data[-1] ^ 0x55,))
        data = faults.noise + data + faults.noise
        if faults.late_s:
            self._loop.call_later(faults.late_s, self._say, data)
            return b""
        return data


def _device(address: int) -> SimDevice:
    def bits() -> list[SimData]:
        return [SimData(0, values=[False] * ITEMS, datatype=DataType.BITS)]

    def registers() -> list[SimData]:
        return [SimData(0, values=[0] * ITEMS, datatype=DataType.REGISTERS)]

    return SimDevice(address, simdata=(bits(), bits(), registers(), registers()))
