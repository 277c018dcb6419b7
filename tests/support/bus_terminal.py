"""A program at a bus port, for tests: writes, and reads with a time to each piece."""

from __future__ import annotations

import os
import select
import time
from types import TracebackType
from typing import Self

from hil.drivers.bus_wire import BusWire
from hil.drivers.process import wait_for


class Terminal:
    """Opens a pty of the wire and waits until the wire has seen that."""

    def __init__(self, wire: BusWire, name: str, path: str | None = None) -> None:
        self.name = name
        self._wire = wire
        self._file = os.open(
            path or wire.attach(name), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        )
        wait_for("the wire to see the port open", lambda: wire.open(name), 5, 0.002)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._file)

    def write(self, data: bytes) -> float:
        """When it was written."""
        at_s = time.monotonic()
        os.write(self._file, data)
        return at_s

    def read(self, size: int, timeout_s: float = 2.0) -> list[tuple[float, bytes]]:
        """(when, bytes) until `size` bytes are there or nothing came for `timeout_s`."""
        pieces: list[tuple[float, bytes]] = []
        while size > 0 and select.select([self._file], [], [], timeout_s)[0]:
            data = os.read(self._file, 4096)
            pieces.append((time.monotonic(), data))
            size -= len(data)
        return pieces

    def hear(self, size: int, timeout_s: float = 2.0) -> bytes:
        return b"".join(data for _, data in self.read(size, timeout_s))


class Answering:
    """A station that answers each whole speech that begins with its own byte."""

    def __init__(self, mark: bytes, answer: bytes) -> None:
        self.mark = mark
        self.answer = answer
        self.heard: list[bytes] = []
        self.ticks = 0

    def receive(self, data: bytes, now_ms: int) -> bytes:
        self.heard.append(data)
        return self.answer if data.startswith(self.mark) else b""

    def tick(self, now_ms: int) -> None:
        self.ticks += 1
