"""Fitting a restored state to a configuration that changed since."""

from __future__ import annotations

from edge.panel import areas, nodes
from edge.panel.premises import Premises
from edge.panel.state import PanelState
from edge.panel.users import may_bypass
from protocols.panel_event import Code, Qualifier


def fit(p: Premises, fresh: PanelState) -> None:
    """Keep what still exists, start new areas and zones fresh, restore what removed zones owed."""
    state = p.state
    for number, point in state.zones.items():
        if number not in p.zones:
            for owed in point.open:
                p.emit(
                    owed.code, Qualifier.RESTORE, zone=number, test=owed.test, detail="zone_removed"
                )
    for role, point in state.points.items():
        if role not in fresh.points:
            for owed in point.open:
                p.emit(owed.code, Qualifier.RESTORE, detail=f"{role} removed")
    state.areas = {n: state.areas.get(n, area) for n, area in fresh.areas.items()}
    state.zones = {n: state.zones.get(n, zone) for n, zone in fresh.zones.items()}
    state.points = {r: state.points.get(r, point) for r, point in fresh.points.items()}
    state.quiet = {n: at for n, at in state.quiet.items() if n in p.zones}
    known = {f"zone:{n}" for n in p.zones} | set(fresh.points)
    state.lost = {name: at for name, at in state.lost.items() if name in known}
    if state.lost_verdict and not state.lost:
        state.lost_verdict = False
        p.emit(Code.PANEL_TAMPER, Qualifier.RESTORE, detail="points_lost")
    nodes.fit(p)
    for zone in p.config.zones:
        if state.zones[zone.number].bypass is not None and not may_bypass(zone):
            areas.unbypass(p, zone, 0, "config")
    for area in state.areas.values():
        area.memory = [n for n in area.memory if n in p.zones]
