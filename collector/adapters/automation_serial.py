"""A hardware receiver on a serial port (pyserial)."""

from __future__ import annotations

import contextlib
import os
import select
import termios
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import serial

READ_BYTES: Final = 4096
SEVEN: Final = 0x7F
PTYS: Final = Path("/dev/pts")


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

    @property
    def may_be_dead(self) -> bool:
        """A device that is gone says so."""
        return False

    def open(self, timeout_s: float) -> bool:
        """Open the device for ourselves alone."""
        line = self.line
        if Path(line.device).resolve().parent == PTYS:  # a pty knows eight bits only
            line = replace(line, data_bits=8, parity="N")
        try:
            self._port = serial.Serial(
                line.device,
                baudrate=line.baud,
                bytesize=line.data_bits,
                parity=line.parity,
                stopbits=line.stop_bits,
                timeout=0,
                exclusive=True,
            )
        except (ValueError, termios.error) as error:
            mode = f"{line.baud} {line.data_bits}{line.parity}{line.stop_bits}"
            raise OSError(f"{line.device} cannot be set to {mode}: {error}") from error
        return True

    def read(self, timeout_s: float) -> bytes:
        """What has come within `timeout_s`."""
        number = self._opened().fileno()
        poll = select.poll()  # pyserial's select knows no file beyond the 1024th
        poll.register(number, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            return b""
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(number, READ_BYTES)
        if not data:
            raise ConnectionResetError(f"{self.line.device} is gone")
        # A real port set to seven bits takes the parity away; a pty and some converters do not.
        return bytes(byte & SEVEN for byte in data) if self.line.data_bits == 7 else data

    def write(self, data: bytes) -> None:
        """Send all of it, without waiting: the thread that writes commits for all lines."""
        number = self._opened().fileno()
        sent = 0
        with contextlib.suppress(BlockingIOError):
            sent = os.write(number, data)
        if sent < len(data):
            raise TimeoutError(f"{self.line.device} takes no answer")

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
