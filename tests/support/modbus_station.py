"""A Modbus module written from the standard alone, for the simulated cable: no pymodbus here."""

from __future__ import annotations

from tests.support.modbus_rig import crc16_modbus, framed

READ_DISCRETE_INPUTS = 2
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS = 1, 2


class ModbusStation:
    """`hil.drivers.bus_wire_drop.Station` with discrete inputs; hears every speech on the cable."""

    def __init__(self, address: int, inputs: int = 8) -> None:
        self.address = address
        self.inputs = [False] * inputs
        self.dead = False
        self.asked = 0

    def receive(self, data: bytes, now_ms: int) -> bytes:
        """The reply to a good request of ours."""
        good = len(data) == 8 and crc16_modbus(data[:-2]) == int.from_bytes(data[-2:], "little")
        if self.dead or not good or data[0] != self.address:
            return b""
        self.asked += 1
        function = data[1]
        if function != READ_DISCRETE_INPUTS:
            return framed(self.address, function | 0x80, ILLEGAL_FUNCTION)
        first, count = int.from_bytes(data[2:4], "big"), int.from_bytes(data[4:6], "big")
        if not count or first + count > len(self.inputs):
            return framed(self.address, function | 0x80, ILLEGAL_ADDRESS)
        packed = sum(on << n for n, on in enumerate(self.inputs[first : first + count]))
        size = -(-count // 8)
        return framed(self.address, function, size, *packed.to_bytes(size, "little"))

    def tick(self, now_ms: int) -> None:
        """Nothing by itself."""
