"""What every bus driver and its simulator offer the panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edge.bus.bus_types import BusEvent, BusStatistics, NodeCommand
from protocols.instants import Instant

Deliver = Callable[[BusEvent, Instant, int], None]
"""(event, when it became known, token). Called in the event loop's thread, in order. A token above
0 must be given back by `committed` once what follows from the event is on disk: until then the
node is not polled again, and keeps the change (users.md J5)."""


class BusDriver(Protocol):
    """One bus. Nothing here blocks or raises for what the bus does."""

    def start(self) -> None:
        """Open the port and poll; a port that is not there is tried again, and told once."""

    def stop(self) -> None:
        """Port closed, thread ended, nothing delivered any more."""

    def committed(self, token: int) -> None:
        """What followed from this event is on disk."""

    def command(self, address: int, command: NodeCommand, token: int = 0) -> bool:
        """Queue this for a node; False: no such node, or it has too much queued. With a token its
        end is told by CommandDone.
        """

    def statistics(self) -> BusStatistics:
        """As of now."""
