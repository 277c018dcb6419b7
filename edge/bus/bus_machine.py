"""From what the bus drivers say to the panel's Readings and node faults. Pure.

Every point on a bus is unknown until its node has told it. A node that is up and still owes one of
its points `REPORT_S` later is not believed: the point is LOST (never silently at rest).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, assert_never

from edge.bus.bus_types import (
    BusChanged,
    BusEvent,
    CardRead,
    ChangesLost,
    CommandDone,
    InputsReported,
    InputState,
    KeysPressed,
    LocalReported,
    LossCause,
    NodeId,
    NodeLost,
    NodeReport,
    NodeTrouble,
    NodeUp,
    Trouble,
)
from edge.bus.node_fault import WHOLE_BUS, NodeFault
from edge.config import PanelConfig
from edge.field.reading import Reading, ReadingState
from protocols.instants import Instant, later
from protocols.panel_event import Code

BusTold = Reading | NodeFault

REPORT_S: Final = 5.0
"""A node tells its inputs and local state within one poll of coming up; so long is never right."""

READINGS: Final[dict[InputState, tuple[ReadingState, ...]]] = {
    InputState.NORMAL: (ReadingState.NORMAL,),
    InputState.ALARM: (ReadingState.ALARM,),
    InputState.SHORT: (ReadingState.SHORT,),
    InputState.OPEN: (ReadingState.OPEN,),
    InputState.TAMPER: (ReadingState.TAMPER,),
    InputState.MASKED: (ReadingState.MASKED,),
    InputState.MASKED_ALARM: (ReadingState.MASKED, ReadingState.ALARM),
    InputState.UNKNOWN: (ReadingState.LOST,),
}
"""As `edge.field.eol.READINGS`: a masked detector in alarm says both, the alarm last."""

_TROUBLE_CODE: Final = {
    Trouble.FORGED: Code.NODE_FORGED,
    Trouble.DUPLICATE: Code.NODE_DUPLICATE,
    Trouble.NOISE: Code.BUS_NOISE,
    Trouble.BABBLE: Code.BUS_NOISE,
}
"""The others answer somebody's command on the spot, and are no fault of the premises."""


def source_of(wired: str) -> tuple[NodeId, str] | None:
    """Node and input ("1".."32", "tamper", "power") of a `Loop.input`; None when on no bus."""
    kind, _, rest = wired.partition(":")
    if kind != "bus":
        return None
    bus, address, which = rest.split(".")
    return NodeId(bus, int(address)), which if which.isalpha() else str(int(which))


def bus_points(config: PanelConfig) -> dict[str, tuple[NodeId, str]]:
    """Every point on a bus, the second loops of pairs as "zone:<n>/pair"."""
    found: dict[str, tuple[NodeId, str]] = {}
    for zone in config.zones:
        for name, loop in (
            (f"zone:{zone.number}", zone.loop),
            (f"zone:{zone.number}/pair", zone.pair),
        ):
            source = source_of(loop.input) if loop is not None else None
            if source is not None:
                found[name] = source
    for point in config.points:
        source = source_of(point.loop.input)
        if source is not None:
            found[point.role] = source
    return found


@dataclass(slots=True)
class _Point:
    name: str
    state: InputState | None = None
    """Last one told; None: unknown, or lost."""
    told: ReadingState | None = None


@dataclass(slots=True)
class _Node:
    points: dict[str, list[_Point]] = field(default_factory=dict)
    owes_until: Instant | None = None
    """When what it has not told by then is LOST."""
    local: dict[str, bool] = field(default_factory=dict)
    report: NodeReport | None = None
    firmware: str = ""
    firmware_before: str = ""


class BusMachine:
    """All buses of one panel. Nodes, buses and inputs that the file does not name do nothing.

    Faults the last run left standing and that nobody told of since are taken back when their node,
    or their bus, first shows that it works: no driver remembers them.
    """

    def __init__(self, config: PanelConfig) -> None:
        self._nodes: dict[NodeId, _Node] = {}
        self._heard: set[str] = set()
        self._down: set[str] = set()
        self._troubles: dict[tuple[NodeId, int], dict[Trouble, str]] = {}
        self._buses = {bus.name for bus in config.buses}
        for bus in config.buses:
            addresses = [node.address for node in bus.nodes]
            addresses += [device.address for device in bus.devices]
            for address in addresses:
                self._nodes[NodeId(bus.name, address)] = _Node()
        for name, (node_id, which) in bus_points(config).items():
            known = self._nodes.get(node_id)
            if known is not None:
                known.points.setdefault(which, []).append(_Point(name))

    def receive(self, event: BusEvent, now: Instant) -> list[BusTold]:
        """One event of a driver, in its order."""
        told = self.tick(now)
        match event:
            case BusChanged():
                told += self._bus(event)
            case NodeTrouble():
                told += self._trouble(event)
            case KeysPressed() | CardRead() | CommandDone():
                pass
            case (
                NodeUp()
                | NodeLost()
                | InputsReported()
                | LocalReported()
                | NodeReport()
                | ChangesLost()
            ):
                known = self._nodes.get(event.node)
                if known is not None:
                    told += self._node(known, event, now)
            case _:
                assert_never(event)
        return told

    def tick(self, now: Instant) -> list[BusTold]:
        """Points a node still owes are LOST."""
        told: list[BusTold] = []
        for node in self._nodes.values():
            if node.owes_until is not None and node.owes_until <= now:
                node.owes_until = None
                for point in _all(node):
                    if point.state is None:
                        told += _lose(point)
        return told

    def deadline(self) -> Instant | None:
        """When `tick` has something to do."""
        return min(
            (node.owes_until for node in self._nodes.values() if node.owes_until is not None),
            default=None,
        )

    def _node(
        self,
        node: _Node,
        event: NodeUp | NodeLost | InputsReported | LocalReported | NodeReport | ChangesLost,
        now: Instant,
    ) -> list[BusTold]:
        match event:
            case NodeUp():
                return self._up(node, event, now)
            case NodeLost():
                heard = [] if event.cause is LossCause.BUS_DOWN else self._first(event.node.bus)
                return [*heard, *_lost(node, event)]
            case InputsReported():
                return _inputs(node, event.states)
            case LocalReported():
                return _local(node, event)
            case NodeReport():
                return _reported(node, event)
            case ChangesLost():
                detail = f"changes:{event.count}"
                return [NodeFault(Code.NODE_OVERFLOW, event.node, detail=detail)]

    def _up(self, node: _Node, event: NodeUp, now: Instant) -> list[BusTold]:
        told = self._first(event.node.bus)
        if str(event.node) not in self._heard:
            self._heard.add(str(event.node))
            told += self._stale(event.node, (Code.NODE_FORGED, Code.NODE_DUPLICATE, Code.BUS_NOISE))
        told.append(NodeFault(Code.NODE_LOST, event.node, on=False))
        told += _firmware(node, event.node, event.firmware, "")
        if any(point.state is None for point in _all(node)):
            node.owes_until = later(now, REPORT_S)
        return told

    def _first(self, bus: str) -> list[BusTold]:
        """The port works, the first that is heard of it."""
        if bus in self._heard or bus in self._down:
            return []
        self._heard.add(bus)
        whole = NodeId(bus, WHOLE_BUS)
        return [
            NodeFault(Code.BUS_FAULT, whole, on=False),
            *self._stale(whole, (Code.BUS_NOISE,)),
        ]

    def _stale(self, node: NodeId, codes: tuple[Code, ...]) -> list[BusTold]:
        return [
            NodeFault(code, node, on=False)
            for code in codes
            if not self._troubles.get((node, code))
        ]

    def _bus(self, event: BusChanged) -> list[BusTold]:
        if event.bus not in self._buses:
            return []
        whole = NodeId(event.bus, WHOLE_BUS)
        (self._down.discard if event.up else self._down.add)(event.bus)
        told: list[BusTold] = [NodeFault(Code.BUS_FAULT, whole, not event.up, event.cause)]
        if event.up and event.bus not in self._heard:
            self._heard.add(event.bus)
            told += self._stale(whole, (Code.BUS_NOISE,))
        return told

    def _trouble(self, event: NodeTrouble) -> list[BusTold]:
        """Two troubles that share a code are over when both are."""
        code = _TROUBLE_CODE.get(event.trouble)
        whole = event.node.address == WHOLE_BUS
        if code is None or not (
            event.node.bus in self._buses if whole else event.node in self._nodes
        ):
            return []
        standing = self._troubles.setdefault((event.node, code), {})
        if not event.on:
            standing.pop(event.trouble, None)
            return [] if standing else [NodeFault(code, event.node, on=False)]
        standing[event.trouble] = event.detail
        words = f"{event.trouble.value} {event.detail}".rstrip()
        return [NodeFault(code, event.node, detail=words)]


def _all(node: _Node) -> list[_Point]:
    return [point for points in node.points.values() for point in points]


def _lost(node: _Node, event: NodeLost) -> list[BusTold]:
    told: list[BusTold] = [NodeFault(Code.NODE_LOST, event.node, detail=event.cause.value)]
    node.owes_until = None
    node.local = {}
    for point in _all(node):
        told += _lose(point)
    return told


def _lose(point: _Point) -> list[BusTold]:
    point.state = None
    if point.told is ReadingState.LOST:
        return []
    point.told = ReadingState.LOST
    return [Reading(point.name, ReadingState.LOST)]


def _inputs(node: _Node, states: tuple[InputState, ...]) -> list[BusTold]:
    told: list[BusTold] = []
    for which, points in node.points.items():
        if not which.isdecimal():
            continue
        number = int(which)
        # An input the node does not have is never at rest: a wrong file, or another node.
        state = states[number - 1] if 0 < number <= len(states) else InputState.UNKNOWN
        for point in points:
            told += _tell(point, state)
    return told


def _local(node: _Node, event: LocalReported) -> list[BusTold]:
    """With a zone or system point of its own only that; else the node's own fault."""
    told: list[BusTold] = []
    for which, wrong, code in (
        ("tamper", event.tamper, Code.NODE_TAMPER),
        ("power", event.power, Code.NODE_POWER),
    ):
        for point in node.points.get(which, ()):
            told += _tell(point, InputState.ALARM if wrong else InputState.NORMAL)
        if which not in node.points and node.local.get(which) is not wrong:
            node.local[which] = wrong
            told.append(NodeFault(code, event.node, wrong))
    return told


def _tell(point: _Point, state: InputState) -> list[BusTold]:
    if state is point.state:
        return []
    point.state = state
    told: list[BusTold] = []
    for reading in READINGS[state]:
        if reading is not point.told:
            point.told = reading
            told.append(Reading(point.name, reading))
    return told


def _reported(node: _Node, event: NodeReport) -> list[BusTold]:
    told: list[BusTold] = []
    before, node.report = node.report, event
    if before is not None and (event.resets != before.resets or event.uptime_s < before.uptime_s):
        detail = f"{event.reset_cause} resets:{event.resets}"
        told.append(NodeFault(Code.NODE_RESTARTED, event.node, detail=detail))
    told += _firmware(node, event.node, event.firmware, " trial" if event.trial else "")
    return told


def _firmware(node: _Node, node_id: NodeId, runs: str, trial: str) -> list[BusTold]:
    """NEW: another one than before. RESTORE: the one before the last change again (roll-back)."""
    if not runs or runs == node.firmware:
        return []
    was, node.firmware = node.firmware, runs
    if not was:
        return []
    back = runs == node.firmware_before
    node.firmware_before = was
    detail = f"{was}>{runs}{trial}"
    return [NodeFault(Code.NODE_UPDATED, node_id, on=not back, detail=detail)]
