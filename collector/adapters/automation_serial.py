"""A hardware receiver on a serial port (pyserial)."""

from __future__ import annotations

import contextlib
import select
from dataclasses import dataclass, field

import serial


@dataclass(frozen=True, slots=True)
class SerialLine:
    """Line settings. MLR2-E comes with 19200 7E1, MLR2000 with 9600 8N1 (protocols.md 3.1)."""

    device: str
    baud: int = 9600
    data_bits: int = 8
    parity: str = "N"
    stop_bits: int = 1


@dataclass(slots=True)
class SerialTransport:
    """A Transport (automation_port) over one device."""

    line: SerialLine
    _port: serial.Serial | None = field(default=None, init=False)

    @property
    def waits(self) -> bool:
        """We open the device ourselves."""
        return False

    def open(self, timeout_s: float) -> bool:
        """Open the device for ourselves alone."""
        self._port = serial.Serial(
            self.line.device,
            baudrate=self.line.baud,
            bytesize=self.line.data_bits,
            parity=self.line.parity,
            stopbits=self.line.stop_bits,
            timeout=0,
            write_timeout=2,
            exclusive=True,
        )
        return True

    def read(self, timeout_s: float) -> bytes:
        """What has come within `timeout_s`."""
        port = self._opened()
        poll = select.poll()
        poll.register(port.fileno(), select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            return b""
        data = bytes(port.read(max(1, port.in_waiting)))
        if not data:
            raise ConnectionResetError(f"{self.line.device} is gone")
        return data

    def write(self, data: bytes) -> None:
        """Send all of it."""
        self._opened().write(data)

    def close(self) -> None:
        """Close; never raises."""
        if self._port is not None:
            with contextlib.suppress(OSError):
                self._port.close()
            self._port = None

    def _opened(self) -> serial.Serial:
        if self._port is None:
            raise OSError(f"{self.line.device} is not open")
        return self._port
