"""What the panel shows of itself: status command, heartbeat, keypad."""

from __future__ import annotations

from dataclasses import dataclass

from edge.panel import sabotage
from edge.panel.premises import Premises
from edge.panel.state import AreaMode
from protocols.instants import Instant


@dataclass(frozen=True, slots=True)
class ZoneView:
    """One zone. `open`: codes raised and not restored."""

    number: int
    area: int
    name: str
    state: str
    open: tuple[int, ...]
    bypassed_by: int | None
    bypass_reason: str
    shut: bool
    trips: int


@dataclass(frozen=True, slots=True)
class AreaView:
    """One area. `until` ends the exit or entry delay, or the alarm; `memory` lists zones."""

    number: int
    name: str
    mode: str
    armed_as: str | None
    user: int
    until: Instant | None
    siren_until: Instant | None
    memory: tuple[int, ...]
    memory_latched: bool


@dataclass(frozen=True, slots=True)
class PanelView:
    """The whole panel at instant `now`."""

    now: Instant
    areas: tuple[AreaView, ...]
    zones: tuple[ZoneView, ...]
    points: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, bool], ...]
    faults: tuple[str, ...]
    walk_test: bool
    panel_test: bool
    locked_out: bool
    memory_latched: bool
    detectors_held: bool


def look(p: Premises) -> PanelView:
    """A frozen copy of what matters to people."""
    areas = []
    for number, config in p.areas.items():
        state = p.state.areas[number]
        armed = state.mode is not AreaMode.DISARMED
        areas.append(
            AreaView(
                number,
                config.name,
                state.mode.value,
                state.armed_as.value if armed else None,
                state.user if armed else 0,
                state.until,
                state.siren_until,
                tuple(state.memory),
                state.latched,
            )
        )
    zones = []
    for zone in p.config.zones:
        point = p.state.zones[zone.number]
        zones.append(
            ZoneView(
                zone.number,
                zone.area,
                zone.name,
                point.reading.value,
                tuple(opened.code for opened in point.open),
                point.bypass.user if point.bypass is not None else None,
                point.bypass.reason if point.bypass is not None else "",
                point.shut,
                point.trips,
            )
        )
    return PanelView(
        p.now,
        tuple(areas),
        tuple(zones),
        tuple((role, point.reading.value) for role, point in p.state.points.items()),
        tuple(p.state.outputs.items()),
        faults_of(p),
        p.state.walk_until is not None,
        p.state.test_until is not None,
        p.state.lock_until is not None,
        p.state.latched,
        p.holding,
    )


def faults_of(p: Premises) -> tuple[str, ...]:
    """Tokens: "mains", "zone:3 lost", "path:mqtt", "fault:1021 disk_full", ..."""
    found = [
        role if point.reading.value == "alarm" else f"{role} {point.reading.value}"
        for role, point in p.state.points.items()
        if point.open
    ]
    found += [
        f"zone:{zone.number} {point.reading.value}"
        for zone in p.config.zones
        if (point := p.state.zones[zone.number]).reading.value not in ("normal", "alarm")
    ]
    found += [f"path:{path}" for path in p.state.paths_down]
    found += [f"fault:{code} {detail}".rstrip() for code, detail in p.state.faults.items()]
    found += [
        f"fault:{code} {node} {detail}".rstrip()
        for node, faults in p.state.node_faults.items()
        for code, detail in faults.items()
    ]
    if p.state.sabotage.told:
        found.append(f"sabotage {sabotage.listed(p.state.sabotage.told)}")
    return tuple(found)
