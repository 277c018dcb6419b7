"""A multi-drop OSDP bus on one pty, with nodes of our own and of libosdp, and faults by hand."""

from __future__ import annotations

import os
import random
import select
import threading
import time
import tty
from collections.abc import Callable
from typing import Any, Protocol, Self

import osdp_sys

from protocols.osdp.frame import Frame, FrameReader


class Station(Protocol):
    """A node: bytes from the bus in, what it sends out."""

    def receive(self, data: bytes, now_ms: int) -> bytes: ...


class _Channel:
    def __init__(self, identity: int) -> None:
        self.id = identity
        self.heard = b""
        self.said = b""

    def read(self, most: int) -> bytes:
        data, self.heard = self.heard[:most], self.heard[most:]
        return data

    def write(self, data: bytes) -> int:
        self.said += bytes(data)
        return len(data)

    def flush(self) -> None:
        self.heard = b""


class LibosdpNode:
    """libosdp's own peripheral."""

    def __init__(self, address: int, key: bytes | None, inputs: int = 8, serial: int = 7) -> None:
        self.address = address
        self._channel = _Channel(100 + address)
        info: dict[str, Any] = {
            "name": f"pd-{address}",
            "address": address,
            "flags": osdp_sys.FLAG_INSTALL_MODE if key is None else osdp_sys.FLAG_ENFORCE_SECURE,
            "channel": self._channel,
            "version": 1,
            "model": 2,
            "vendor_code": 0x010203,
            "serial_number": serial,
            "firmware_version": 0x010203,
        }
        if key is not None:
            info["scbk"] = key
        capabilities = [
            (osdp_sys.CAP_CONTACT_STATUS_MONITORING, 4, inputs),
            (osdp_sys.CAP_OUTPUT_CONTROL, 1, 2),
            (osdp_sys.CAP_READER_LED_CONTROL, 1, 1),
            (osdp_sys.CAP_READER_AUDIBLE_OUTPUT, 1, 1),
            (osdp_sys.CAP_CHECK_CHARACTER_SUPPORT, 1, 0),
            (osdp_sys.CAP_COMMUNICATION_SECURITY, 1, 1),
        ]
        self._device = osdp_sys.PeripheralDevice(
            info,
            capabilities=[
                {"function_code": code, "compliance_level": level, "num_items": items}
                for code, level, items in capabilities
            ],
        )
        self.commands: list[dict[str, Any]] = []
        self._device.set_command_callback(self._commanded)

    def _commanded(self, command: dict[str, Any]) -> tuple[int, None]:
        self.commands.append(command)
        return 0, None

    def tell_inputs(self, states: bytes) -> None:
        event = {
            "event": osdp_sys.EVENT_STATUS,
            "type": osdp_sys.STATUS_REPORT_INPUT,
            "report": states,
        }
        assert self._device.submit_event(event)

    def receive(self, data: bytes, now_ms: int) -> bytes:
        del now_ms
        self._channel.heard += data
        for _ in range(3):
            self._device.refresh()
        said, self._channel.said = self._channel.said, b""
        return said


class StationBus:
    """The pty and its pump. `path` is what the controller opens; faults are plain attributes."""

    def __init__(self, baud: int = 0, seed: int = 1) -> None:
        self.stations: dict[str, Station] = {}
        self.mute: set[str] = set()
        self.turnaround_s = 0.0
        self.echo = False
        self.split = False
        """Replies come in pieces with pauses up to 40 ms."""
        self.spoil: Callable[[str, bytes], bytes] = lambda _name, reply: reply
        """Changes what a station sends."""
        self.commands: list[tuple[float, Frame]] = []
        """What the controller sent."""
        self.replies: list[tuple[float, str, bytes]] = []
        self.failure: BaseException | None = None
        self._character_s = 10 / baud if baud else 0.0
        self._random = random.Random(seed)
        self._reader = FrameReader()
        self._lock = threading.Lock()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._run, name="station-bus")
        self._ending = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        os.write(self._waker, b"\0")
        self._thread.join()
        for fd in (self._master, self._slave, self._wake, self._waker):
            os.close(fd)
        if self.failure is not None:
            raise self.failure

    def inject(self, data: bytes) -> None:
        """Bytes from nobody."""
        os.write(self._master, data)

    def _run(self) -> None:
        try:
            while not self._ending:
                ready, _, _ = select.select([self._master, self._wake], [], [])
                if self._wake in ready:
                    return
                self._heard(os.read(self._master, 4096))
        except BaseException as error:
            self.failure = error

    def _heard(self, data: bytes) -> None:
        if self.echo:
            os.write(self._master, data)
        time.sleep(len(data) * self._character_s)
        now = time.monotonic()
        for frame in self._reader.feed(data):
            if isinstance(frame, Frame):
                self.commands.append((now, frame))
        for name, station in list(self.stations.items()):
            if name in self.mute:
                continue
            reply = station.receive(data, round(now * 1000))
            if reply:
                self._send(name, self.spoil(name, reply))

    def _send(self, name: str, reply: bytes) -> None:
        if self.turnaround_s:
            time.sleep(self.turnaround_s)
        self.replies.append((time.monotonic(), name, reply))
        while reply:
            size = self._random.randint(1, len(reply)) if self.split else len(reply)
            time.sleep(size * self._character_s)
            os.write(self._master, reply[:size])
            reply = reply[size:]
            if reply:
                time.sleep(self._random.uniform(0, 0.04))
