"""One place on the cable: what is plugged in there, and what is wrong with it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from hil.drivers.bus_wire_pty import WirePty

Later = Callable[[float, Callable[[float], None]], None]
"""Have this called at that time, with the time."""


class Station(Protocol):
    """A node in this process. Called in the wire's thread."""

    def receive(self, data: bytes, now_ms: int) -> bytes:
        """What it heard; returns what it answers, b"" for nothing."""

    def tick(self, now_ms: int) -> None:
        """Time goes by; about every 20 ms."""


@dataclass(frozen=True, slots=True)
class DropFaults:
    """What is wrong at one drop."""

    echo: bool = False
    """It hears itself, as with an adapter that never closes its receiver."""
    late_ms: tuple[float, float] = (0.0, 0.0)
    """What it says comes so much later, from .. to."""
    babble_ms: float | None = None
    """It talks nonsense, with pauses of so many ms; 0: without a pause."""
    deaf: bool = False
    mute: bool = False
    batch_ms: float = 0.0
    """Bytes reach its reader only at multiples of this, as behind a USB adapter (users.md J2)."""
    split: bool = False
    """Bytes reach its reader in pieces, each up to `batch_ms` (or 5 ms) later, in order."""


@dataclass(slots=True)
class Drop:
    """One place on the cable."""

    name: str
    position: int
    station: Station | None = None
    pty: WirePty | None = None
    faults: DropFaults = field(default_factory=DropFaults)
    turnaround_ms: float = 0.0
    held: bytearray = field(default_factory=bytearray)
    free_s: float = 0.0
    """Nothing may overtake what is held for its reader until then."""
    swallow_s: float = 0.0
    """Somebody in line has cut off what it says until then."""

    def hand(self, data: bytes, at_s: float, later: Later, dice: random.Random) -> None:
        """Towards the reader of its pty, through the adapter."""
        faults = self.faults
        if faults.split:
            while data:
                size = dice.randint(1, 8)
                self.held += data[:size]
                data = data[size:]
                at_s = max(at_s, self.free_s) + dice.uniform(0, faults.batch_ms or 5) / 1000
                self._release_at(at_s, size, later)
        elif faults.batch_ms:
            batch_s = faults.batch_ms / 1000
            self.held += data
            at_s = max(math.ceil(at_s / batch_s) * batch_s, self.free_s)
            self._release_at(at_s, len(data), later)
        elif self.held:
            self.held += data
            self._release_at(max(at_s, self.free_s), len(data), later)
        elif self.pty is not None:
            self.pty.write(data)

    def _release_at(self, at_s: float, size: int, later: Later) -> None:
        self.free_s = at_s

        def release(_: float) -> None:
            data = bytes(self.held[:size])
            del self.held[:size]
            if self.pty is not None:
                self.pty.write(data)

        later(at_s, release)
