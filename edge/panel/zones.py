"""Readings of zones and system points: what each change of state means (H3, H4)."""

from __future__ import annotations

from typing import Final

from edge.config import ZoneConfig, ZoneType
from edge.field.reading import Reading, ReadingState
from edge.panel import alarms, areas
from edge.panel.areas import Cause
from edge.panel.premises import Premises
from edge.panel.state import AreaMode, PointState
from edge.panel.table import INTRUSION, KIND_OF, AreaInput
from protocols.instants import NS_PER_S, later
from protocols.panel_event import Code, Qualifier

LOST_TOGETHER_S: Final = 10
"""Two points without data inside this time are one event of their own (H3)."""

_OVER_WHEN_READABLE: Final = frozenset(
    {int(Code.ZONE_TAMPER), int(Code.SENSOR_MASKED), int(Code.ZONE_TROUBLE)}
)
_TROUBLE: Final = frozenset({int(Code.ZONE_TROUBLE)})

POINT_CODE: Final = {
    "enclosure": Code.PANEL_TAMPER,
    "mains": Code.MAINS_FAIL,
    "battery_low": Code.BATTERY_LOW,
    "battery_missing": Code.BATTERY_MISSING,
    "siren": Code.SOUNDER_FAULT,
}
_POINT_SOUNDS: Final = frozenset({Code.PANEL_TAMPER, Code.SOUNDER_FAULT})


def read(p: Premises, reading: Reading) -> None:
    """Take one Reading. The same state again is no news, unless a whole pulse was seen."""
    kind, _, number = reading.point.partition(":")
    number, _, half = number.partition("/")
    zone = p.zones.get(int(number)) if kind == "zone" and number.isdecimal() else None
    if zone is not None and half:
        _alone(p, zone, half, reading)
        return
    if zone is not None:
        point = p.state.zones[zone.number]
    else:
        known = p.state.points.get(reading.point)
        if known is None:
            _stranger(p, reading)
            return
        point = known
    if reading.state is point.reading:
        if not (reading.pulse and reading.state is ReadingState.ALARM):
            return
        _change(p, zone, point, Reading(reading.point, ReadingState.NORMAL))
    _change(p, zone, point, reading)


def release_held(p: Premises) -> None:
    """The power-up time is over: what is still active alarms (CP-01)."""
    p.state.hold_until = None
    for zone in p.config.zones:
        point = p.state.zones[zone.number]
        if point.held:
            point.held = False
            if p.armed(zone.area) and not _excused(p, zone, point):
                areas.step(p, zone.area, KIND_OF[zone.type], Cause(zone=zone))


def _change(p: Premises, zone: ZoneConfig | None, point: PointState, reading: Reading) -> None:
    old, point.reading = point.reading, reading.state
    if zone is None:
        _system(p, point, reading)
    else:
        _zone(p, zone, point, old)
    _lost(p, reading)


def _zone(p: Premises, zone: ZoneConfig, point: PointState, old: ReadingState) -> None:
    new = point.reading
    if new is ReadingState.NORMAL:
        point.held = False
        areas.step(p, zone.area, AreaInput.RESTORED, Cause(zone=zone))
        if point.shut:
            p.state.quiet[zone.number] = later(p.now, p.timers.swinger_quiet_s)
        return
    if new is ReadingState.ALARM:
        p.close(zone, _OVER_WHEN_READABLE)
        p.state.quiet.pop(zone.number, None)
        _activate(p, zone, point)
        return
    if old is ReadingState.LOST:
        p.close(zone, _TROUBLE)
    # An alarm whose loop is cut afterwards is not restored: nobody saw it end.
    areas.step(p, zone.area, AreaInput.UNREADABLE, Cause(zone=zone))


def _activate(p: Premises, zone: ZoneConfig, point: PointState) -> None:
    if zone.type is ZoneType.KEYSWITCH:
        alarms.log(p, zone, "power_up" if p.holding else "")
        if not p.holding:  # a key found turned after a power cut opens nothing (H2)
            areas.step(p, zone.area, KIND_OF[zone.type], Cause(zone=zone))
        return
    if zone.type in INTRUSION:
        if p.holding:
            point.held = True
            alarms.log(p, zone, "power_up")
            return
        excuse = _excused(p, zone, point)
        if excuse:
            alarms.log(p, zone, excuse)
            return
    areas.step(p, zone.area, KIND_OF[zone.type], Cause(zone=zone))


def _excused(p: Premises, zone: ZoneConfig, point: PointState) -> str:
    """Why an intrusion zone is not judged; empty when it is."""
    if point.bypass is not None:
        return "bypassed"
    area = p.state.areas[zone.area]
    if area.mode is not AreaMode.DISARMED and not p.watched(zone, area.armed_as):
        return "unwatched"
    return ""


def _system(p: Premises, point: PointState, reading: Reading) -> None:
    role, new = reading.point, reading.state
    fault = POINT_CODE[role]
    if new is ReadingState.LOW_BATTERY or new is ReadingState.MASKED:
        new = ReadingState.TAMPER
    if new is ReadingState.ALARM:
        code = fault
    elif new is ReadingState.LOST:
        code = Code.ZONE_TROUBLE
    else:
        code = Code.PANEL_TAMPER
    for opened in point.open:
        if new is ReadingState.NORMAL or opened.code != code:
            p.emit(opened.code, Qualifier.RESTORE, detail=role)
    point.open = []
    if new is ReadingState.NORMAL:
        return
    detail = role if new is ReadingState.ALARM else f"{role}:{new.value}"
    p.emit(code, detail=detail)
    p.owe(point, code)
    if code in _POINT_SOUNDS:
        p.sound(None)
        p.latch_panel()


def _lost(p: Premises, reading: Reading) -> None:
    """Two or more points lost within ten seconds: a cut cable or jamming, told once (H3).

    At least one of them on a wire of its own: nodes alone are for `sabotage` to judge.
    """
    lost = p.state.lost
    if reading.state is not ReadingState.LOST:
        if lost.pop(reading.point, None) is not None and not lost and p.state.lost_verdict:
            p.state.lost_verdict = False
            p.emit(Code.PANEL_TAMPER, Qualifier.RESTORE, detail="points_lost")
        return
    lost[reading.point] = p.now
    window_ns = LOST_TOGETHER_S * NS_PER_S
    together = sorted(name for name, at in lost.items() if p.now - at <= window_ns)
    wired = any(name not in p.on_node for name in together)
    if len(together) >= 2 and wired and not p.state.lost_verdict:
        p.state.lost_verdict = True
        names = ",".join(name.removeprefix("zone:") for name in together)
        p.emit(Code.PANEL_TAMPER, detail=f"points_lost:{names}")
        p.latch_panel()


def _alone(p: Premises, zone: ZoneConfig, half: str, reading: Reading) -> None:
    """One detector of a pair without the other: no alarm, kept as evidence (R103, H4)."""
    if reading.state is ReadingState.ALARM:
        p.emit(
            Code.ZONE_STATE,
            Qualifier.STATUS,
            area=zone.area,
            zone=zone.number,
            test=p.marked(zone),
            detail=f"alone:{half}",
        )


def _stranger(p: Premises, reading: Reading) -> None:
    """A point nobody configured: said, never judged."""
    if reading.state is not ReadingState.NORMAL:
        p.emit(
            Code.ZONE_TROUBLE,
            Qualifier.STATUS,
            detail=f"unknown_point:{reading.point[:32]} {reading.state.value}",
        )
