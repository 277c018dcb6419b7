"""What a block of a call is for, and what still has to come through the journal first."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge.reporting.phone.dialler_types import Reportable
from protocols.instants import Instant
from protocols.panel_event import PanelEvent


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
