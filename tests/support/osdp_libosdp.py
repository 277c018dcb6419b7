"""libosdp at the other end: its controller with our node, its device with our controller."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import osdp_sys

from protocols.osdp import codes
from tests.support.osdp_board import IDENTITY, KEY, Board
from tests.support.osdp_controller import Controller

Event = dict[str, Any]
QUIET = 1
"""Of libosdp's log levels: it prints by itself."""
REFRESH_S = 0.001


def described(address: int, key: bytes | None, flags: int, channel: object) -> dict[str, object]:
    return {
        "name": "node",
        "address": address,
        "flags": flags,
        "scbk": key,
        "channel": channel,
        "version": 1,
        "model": 1,
        "vendor_code": 0x112233,
        "serial_number": 99,
        "firmware_version": 0x010203,
    }


class NodeChannel:
    """A channel whose far end is a peripheral of ours, answering at once."""

    id = 0

    def __init__(self, receive: Callable[[bytes, int], bytes]) -> None:
        self._receive = receive
        self._reply = b""
        self.spoil: Callable[[bytes], bytes] = bytes
        """What the line makes of a command."""
        self.spoil_reply: Callable[[bytes], bytes] = bytes

    def read(self, most: int) -> bytes:
        part, self._reply = self._reply[:most], self._reply[most:]
        return part

    def write(self, data: bytes) -> int:
        now_ms = time.monotonic_ns() // 1_000_000
        self._reply += self.spoil_reply(self._receive(self.spoil(bytes(data)), now_ms))
        return len(data)

    def flush(self) -> None:
        self._reply = b""


class LibosdpController:
    """libosdp's ControlPanel for one node of ours. `flags` beside notifications."""

    def __init__(
        self,
        receive: Callable[[bytes, int], bytes],
        key: bytes | None = KEY,
        flags: int = osdp_sys.FLAG_ENFORCE_SECURE,
        address: int = 5,
    ) -> None:
        osdp_sys.set_loglevel(QUIET)
        self.channel = NodeChannel(receive)
        self.events: list[Event] = []
        flags |= osdp_sys.FLAG_ENABLE_NOTIFICATION
        self.context = osdp_sys.ControlPanel([described(address, key, flags, self.channel)])
        self.context.set_event_callback(self._heard)

    def _heard(self, _node: int, event: Event) -> int:
        self.events.append(event)
        return 0

    def until(self, done: Callable[[], object], within_s: float = 3.0) -> bool:
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            self.context.refresh()
            if done():
                return True
            time.sleep(REFRESH_S)
        return False

    @property
    def online(self) -> bool:
        return bool(self.context.status() & 1)

    @property
    def secure(self) -> bool:
        return bool(self.context.sc_status() & 1)

    def states(self, kind: int) -> list[bytes]:
        """Status reports of one kind in order."""
        return [
            event["report"]
            for event in self.events
            if event["event"] == osdp_sys.EVENT_STATUS and event["type"] == kind
        ]

    def done(self, command: int) -> list[bool]:
        """Outcomes told of commands of one kind."""
        return [
            bool(event["arg1"])
            for event in self.events
            if event["event"] == osdp_sys.EVENT_NOTIFICATION
            and event["type"] == osdp_sys.EVENT_NOTIFICATION_COMMAND
            and event["arg0"] == command
        ]

    def command(self, **command: object) -> bool:
        """Submit and wait for the outcome."""
        kind = command["command"]
        assert isinstance(kind, int)
        before = len(self.done(kind))
        assert self.context.submit_command(0, command)
        assert self.until(lambda: len(self.done(kind)) > before), "no outcome"
        return self.done(kind)[-1]


class DeviceChannel:
    """libosdp's device reads what `feed` was given; what it writes is collected."""

    id = 0

    def __init__(self) -> None:
        self.fed = b""
        self.said = b""

    def read(self, most: int) -> bytes:
        part, self.fed = self.fed[:most], self.fed[most:]
        return part

    def write(self, data: bytes) -> int:
        self.said += bytes(data)
        return len(data)

    def flush(self) -> None:
        pass


class LibosdpDevice:
    """libosdp's PeripheralDevice, asked by our controller."""

    def __init__(self, key: bytes | None = KEY) -> None:
        osdp_sys.set_loglevel(QUIET)
        self.channel = DeviceChannel()
        self.commands: list[Event] = []
        capabilities = [
            {"function_code": code, "compliance_level": level, "num_items": count}
            for code, level, count in (
                (codes.CAPABILITY_INPUTS, 4, 8),
                (codes.CAPABILITY_OUTPUTS, 2, 2),
                (codes.CAPABILITY_LED, 1, 1),
                (codes.CAPABILITY_AUDIBLE, 1, 1),
            )
        ]
        self.context = osdp_sys.PeripheralDevice(
            described(5, key, 0, self.channel), capabilities=capabilities
        )
        self.context.set_command_callback(self._commanded)
        self.controller = Controller(5, key or codes.DEFAULT_KEY)

    def _commanded(self, command: Event) -> tuple[int, Event]:
        self.commands.append(command)
        return 0, command

    def carry(self, data: bytes) -> bytes:
        self.channel.fed += data
        self.channel.said = b""
        for _ in range(5):
            self.context.refresh()
        return self.channel.said

    def ask(self, code: int, payload: bytes = b"") -> tuple[int, bytes] | None:
        return self.controller.hear(self.carry(self.controller.ask(code, payload)))

    def open(self) -> bool:
        controller = self.controller
        controller.restart()
        answer = controller.hear(self.carry(controller.challenge()))
        proof = controller.prove(answer)
        return bool(proof) and controller.settle(controller.hear(self.carry(proof)))


__all__ = ["IDENTITY", "Board", "LibosdpController", "LibosdpDevice", "NodeChannel"]
