"""The collector's last list of pinned accounts, kept beside the spool: it outlives him (R92)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from collector.adapters.durable_file import replace_file
from collector.reception.pinned import PinParts
from protocols.mqtt.reception import Pin, ReceiverPins, pins_version

FILE: Final = "pins.json"


class PinsFile:
    """`offer` comes from the link's thread, the rest from any. `on_change` is called, in the link's
    thread, for a new list; `on_problem(text)` when it could not be kept.
    """

    def __init__(
        self, folder: Path, on_change: Callable[[], None], on_problem: Callable[[str], None]
    ) -> None:
        self._path = folder / FILE
        self._on_change = on_change
        self._on_problem = on_problem
        self._parts = PinParts()
        self._lock = threading.Lock()
        self._held = read_pins(folder)
        self._version = pins_version(self._held)
        self.malformed = 0

    @property
    def pins(self) -> tuple[Pin, ...]:
        """The list in force."""
        return self._held

    @property
    def version(self) -> str:
        """Its version, for the collector."""
        return self._version

    def offer(self, payload: bytes) -> None:
        """One message from the collector."""
        with self._lock:
            try:
                part = msgspec.json.decode(payload, type=ReceiverPins)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                self.malformed += 1
                return
            if part.part >= part.parts:
                self.malformed += 1
                return
            held = self._parts.receive(part)
            if held is None or held == self._held:
                return
            try:
                replace_file(self._path, msgspec.json.encode(held))
            except OSError as error:
                self._on_problem(
                    f"the collector's list of pinned accounts is used, but {self._path} could not"
                    f" be written: {error.strerror or error}"
                )
            self._held, self._version = held, pins_version(held)
        self._on_change()


def read_pins(folder: Path) -> tuple[Pin, ...]:
    """The list as kept; none when there is none that can be read: the collector sends it again."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=tuple[Pin, ...])
    except (OSError, ValueError, RecursionError):
        return ()
