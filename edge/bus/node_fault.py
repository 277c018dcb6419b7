"""What the panel is told of a bus node beside the Readings of its points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.bus.bus_types import NodeId

WHOLE_BUS: Final = -1
"""Address of a NodeId that means the bus itself."""


@dataclass(frozen=True, slots=True)
class NodeFault:
    """A fault of one node, or of its bus (address `WHOLE_BUS`), kept apart by code and node.

    `code` is one of `protocols.panel_event.Code`. Told once per change; a code that names a moment
    (restart, update, overflow) is told each time.
    """

    code: int
    node: NodeId
    on: bool = True
    detail: str = ""
