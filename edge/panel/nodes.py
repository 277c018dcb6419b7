"""Faults of bus nodes and of whole buses: each (code, node) is a condition of its own."""

from __future__ import annotations

from typing import Final

from edge.bus.bus_types import NodeId
from edge.bus.node_fault import WHOLE_BUS, NodeFault
from edge.config import PanelConfig
from edge.panel import sabotage
from edge.panel.premises import Premises, clean
from protocols.panel_event import Code, Qualifier

MOMENTS: Final = frozenset({Code.NODE_OVERFLOW, Code.NODE_RESTARTED, Code.NODE_UPDATED})
"""Codes that say something happened, not that something is wrong until further notice."""

_SOUNDS: Final = frozenset({Code.NODE_TAMPER})
_LATCHES: Final = frozenset({Code.NODE_TAMPER, Code.NODE_FORGED, Code.NODE_DUPLICATE})
"""Forged frames and double addresses go out as tamper and stay in the memory, but do not sound:
they are seen at the centre at once, and while a bus is being fitted they are everyday."""


def told(p: Premises, fault: NodeFault) -> None:
    """Emitted once per change; with the bus and address first in `detail`."""
    name, detail = clean(str(fault.node)), clean(fault.detail)
    if fault.code in MOMENTS or _changes(p, name, fault.code, detail, on=fault.on):
        _emit(p, fault.code, name, fault.node.address, detail, on=fault.on)
        if fault.on and fault.code in _SOUNDS:
            p.sound(None)
        if fault.on and fault.code in _LATCHES:
            p.latch_panel()
    part = _part(fault)
    if part:
        (sabotage.vanished if fault.on else sabotage.there)(p, part)


def fit(p: Premises) -> None:
    """Restore what removed nodes owed."""
    known = parts_of(p.config)
    for name in list(p.state.node_faults):
        bus, _, address = name.rpartition(".")
        whole = int(address) == WHOLE_BUS
        if (f"bus:{bus}" if whole else f"node:{name}") not in known:
            for code in p.state.node_faults.pop(name):
                _emit(p, code, name, int(address), "removed", on=False)
    sabotage.fit(p, known)


def parts_of(config: PanelConfig) -> frozenset[str]:
    """Everything that can vanish."""
    parts = {"path:mqtt"} if config.mqtt is not None else set()
    parts |= {"path:phone"} if config.phone is not None else set()
    for bus in config.buses:
        parts.add(f"bus:{bus.name}")
        parts |= {f"node:{NodeId(bus.name, node.address)}" for node in bus.nodes}
        parts |= {f"node:{NodeId(bus.name, device.address)}" for device in bus.devices}
    return frozenset(parts)


def _changes(p: Premises, name: str, code: int, detail: str, *, on: bool) -> bool:
    known = p.state.node_faults
    faults = known.get(name, {})
    if faults.get(code) == detail if on else code not in faults:
        return False
    if on:
        known.setdefault(name, {})[code] = detail
    else:
        del faults[code]
        if not faults:
            del known[name]
    return True


def _emit(p: Premises, code: int, name: str, address: int, detail: str, *, on: bool) -> None:
    shown = name.removesuffix(f".{WHOLE_BUS}")
    p.emit(
        code,
        Qualifier.NEW if on else Qualifier.RESTORE,
        zone=max(0, address),
        detail=f"{shown} {detail}".rstrip(),
    )


def _part(fault: NodeFault) -> str:
    """The part that vanishes or is back with this fault."""
    if fault.code == Code.NODE_LOST:
        return f"node:{fault.node}"
    if fault.code == Code.BUS_FAULT:
        return f"bus:{fault.node.bus}"
    return ""
