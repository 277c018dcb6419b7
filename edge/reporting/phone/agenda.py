"""What a block of a call is for, what still has to come through the journal first, and when a line
held for listening in gives way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from edge.reporting.phone.dialler_types import Reportable
from edge.reporting.phone.redial import URGENT
from protocols.instants import Instant, later
from protocols.panel_event import PanelEvent

LISTENED_S: Final = 60.0
"""What is no alarm waits so long for who listens (a path's loss is told within 180 s, M2)."""


class What(Enum):
    """A block's purpose."""

    REPORT = "report"
    MARK = "mark"
    LISTEN_IN = "listen-in"


@dataclass(frozen=True, slots=True)
class Going:
    """The block under way, or the one to come."""

    what: What
    item: Reportable


@dataclass(frozen=True, slots=True)
class Asked:
    """An event on its way through the journal, for the call that waits."""

    event: PanelEvent
    what: What
    until: Instant

    def is_it(self, recorded: PanelEvent) -> bool:
        """Whether this Record is the answer."""
        return self.event.code == recorded.code and self.event.detail == recorded.detail


class Listening:
    """A line held for voice gives way: to an alarm at once, to anything else soon."""

    def __init__(self) -> None:
        self.until: Instant | None = None

    def gives_way(self, priority: int | None, now: Instant) -> bool:
        """Whether to hang up. `priority`: of what is due, None for nothing."""
        if priority is None:
            self.until = None
            return False
        if self.until is None:
            self.until = later(now, LISTENED_S)
        return priority <= URGENT or now >= self.until
