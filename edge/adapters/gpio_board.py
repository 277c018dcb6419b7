"""What carries the panel's pins and converter, as the Field adapter needs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from edge.field.point import FieldInput
from protocols.instants import Instant

Arrived = Callable[[FieldInput, Instant], None]
"""Takes what happened and when. May be called from any thread."""


class BoardError(Exception):
    """A pin or converter that cannot be used now; its text says why."""


def instant() -> Instant:
    """CLOCK_MONOTONIC, the clock of every edge."""
    return Instant(time.monotonic_ns())


class Board(Protocol):
    """Pins and converters. Any method but `open` and `close` may raise BoardError."""

    sample_ms: int
    """How often `read_mv` must be asked; 0: the board tells every change by itself."""

    def open(self, arrived: Arrived) -> None:
        """Get ready. What cannot be had is told by the other methods, not here."""

    def close(self) -> None:
        """Give everything back."""

    def claim_input(self, gpio: int) -> int:
        """Watch this pin and return its level. Claiming twice only reads it."""

    def read_level(self, gpio: int) -> int:
        """Level of a claimed pin."""

    def read_mv(self, channel: str) -> int:
        """Converter input, on the scale of the nominal supply."""

    def write(self, gpio: int, *, on: bool, active_high: bool) -> None:
        """Drive an output, claiming its pin when needed."""
