"""Raising alarms: intrusion with its CP-01 reductions, and what alarms in any state.

CP-01 lets a dialler hold a burglary report back for the abort window. This panel does not: each
alarm is emitted in the turn that saw it, and an abort or cancel follows as its own event.
"""

from __future__ import annotations

from typing import Final

from edge.config import ZoneConfig, ZoneType
from edge.field.reading import ReadingState
from edge.panel.premises import Premises
from edge.panel.state import AreaMode, PointState
from protocols.instants import NS_PER_S, later
from protocols.panel_event import Code, Qualifier

ALARM_CODE: Final = {
    ZoneType.INSTANT: Code.BURGLARY,
    ZoneType.ENTRY_EXIT: Code.ENTRY_EXIT,
    ZoneType.FOLLOWER: Code.INTERIOR,
    ZoneType.PERIMETER: Code.PERIMETER,
    ZoneType.INTERIOR: Code.INTERIOR,
    ZoneType.TWENTY_FOUR_HOUR: Code.TWENTY_FOUR_HOUR,
    ZoneType.HOLDUP_SILENT: Code.HOLDUP_SILENT,
    ZoneType.HOLDUP_AUDIBLE: Code.HOLDUP_AUDIBLE,
    ZoneType.TAMPER: Code.ZONE_TAMPER,
    ZoneType.FIRE: Code.FIRE,
    ZoneType.GAS: Code.GAS,
    ZoneType.WATER: Code.WATER,
    ZoneType.MEDICAL: Code.MEDICAL,
    ZoneType.KEYSWITCH: Code.ZONE_STATE,
}

UNREADABLE: Final = {
    ReadingState.TAMPER: Code.ZONE_TAMPER,
    ReadingState.SHORT: Code.ZONE_TAMPER,
    ReadingState.OPEN: Code.ZONE_TAMPER,
    ReadingState.MASKED: Code.SENSOR_MASKED,
    ReadingState.LOST: Code.ZONE_TROUBLE,
    ReadingState.LOW_BATTERY: Code.SENSOR_BATTERY_LOW,
}

_SILENT: Final = frozenset({ZoneType.HOLDUP_SILENT, ZoneType.WATER, ZoneType.MEDICAL})
_CANCELLABLE: Final = frozenset(
    {
        ZoneType.TWENTY_FOUR_HOUR,
        ZoneType.FIRE,
        ZoneType.GAS,
        ZoneType.WATER,
        ZoneType.MEDICAL,
    }
)


def log(p: Premises, zone: ZoneConfig, why: str = "") -> None:
    """Keep an activation that is no alarm as evidence (H4)."""
    p.open(zone, Code.ZONE_STATE, test=p.marked(zone), detail=why)


def report(p: Premises, zone: ZoneConfig) -> None:
    """24 h, hold-up, fire, gas, water, medical, tamper: at once, whatever the arm state."""
    test = p.marked(zone)
    p.state.zones[zone.number].tripped_at = p.now
    p.open(zone, ALARM_CODE[zone.type], test=test)
    if test:
        return
    area = p.state.areas[zone.area]
    if zone.type not in _SILENT:
        p.sound(area)
    if zone.type in _CANCELLABLE:
        area.cancel_until = later(p.now, p.timers.cancel_window_s)
    p.latch(zone.area, zone.number)


def unreadable(p: Premises, zone: ZoneConfig) -> None:
    """Tampered, masked, lost or low: said armed or not, bypassed or not (GB 50394 5.2.2)."""
    reading = p.state.zones[zone.number].reading
    code = UNREADABLE.get(reading)
    if code is None:
        return
    p.open(zone, code, detail=reading.value)
    if code is Code.ZONE_TAMPER:
        p.sound(p.state.areas[zone.area])
    if code in (Code.ZONE_TAMPER, Code.SENSOR_MASKED):
        p.latch(zone.area, zone.number)


def intrusion(p: Premises, zone: ZoneConfig) -> None:
    """A watched zone tripped with nothing to excuse it."""
    point = p.state.zones[zone.number]
    if point.shut:
        log(p, zone, "swinger")
        return
    point.tripped_at = p.now
    if zone.cross_zone and not any(_tripped(p, number) for number in zone.cross_zone):
        # Not swallowed: the lone first trip is told at once, as what it is (CP-01 cross-zone).
        point.pending = True
        p.open(zone, Code.CROSS_ZONE_TROUBLE, test=p.marked(zone))
        _settle(p, zone, point)
    else:
        alarm(p, zone)
    for number in p.waits_for[zone.number]:
        partner = p.state.zones[number]
        if partner.pending and _tripped(p, number):
            alarm(p, p.zones[number])


def alarm(p: Premises, zone: ZoneConfig) -> None:
    """Full intrusion alarm of an armed area."""
    point = p.state.zones[zone.number]
    area = p.state.areas[zone.area]
    test = p.marked(zone)
    point.pending = False
    point.tripped_at = p.now
    if area.mode is AreaMode.ENTRY:
        end_entry_delay(p, zone.area, "alarm")
    p.open(zone, ALARM_CODE[zone.type], test=test)
    recent_s = p.timers.recent_close_s
    if (
        area.alarm_at is None
        and area.closed_at is not None
        and p.now - area.closed_at <= recent_s * NS_PER_S
    ):
        p.emit(Code.RECENT_CLOSE, area=zone.area, zone=zone.number, user=area.user, test=test)
    if area.alarm_at is None:
        area.alarm_at = p.now
    area.cancel_until = later(p.now, p.timers.cancel_window_s)
    area.mode = AreaMode.ALARM
    p.sound(area)
    area.until = area.siren_until
    if not test:
        p.latch(zone.area, zone.number)
    point.trips += 1
    if zone.swinger_limit and point.trips >= zone.swinger_limit:
        _shut(p, zone, point)
    _settle(p, zone, point)


def end_entry_delay(p: Premises, number: int, why: str, user: int = 0) -> None:
    """Close the ENTRY_DELAY pair."""
    area = p.state.areas[number]
    p.emit(
        Code.ENTRY_DELAY,
        Qualifier.RESTORE,
        area=number,
        zone=area.entry_zone,
        user=user,
        detail=why,
    )
    area.entry_zone = 0


def reopen_swingers(p: Premises, number: int) -> None:
    """The armed period is over: trips count from nought."""
    for zone in p.zones_in[number]:
        point = p.state.zones[zone.number]
        point.trips = 0
        point.tripped_at = None
        point.pending = False
        if point.shut:
            reopen(p, zone, "disarmed")


def reopen(p: Premises, zone: ZoneConfig, why: str) -> None:
    """End one zone's swinger shutdown."""
    point = p.state.zones[zone.number]
    point.shut = False
    point.trips = 0
    p.state.quiet.pop(zone.number, None)
    p.emit(
        Code.SWINGER_SHUTDOWN,
        Qualifier.RESTORE,
        area=zone.area,
        zone=zone.number,
        test=p.marked(zone),
        detail=why,
    )


def _shut(p: Premises, zone: ZoneConfig, point: PointState) -> None:
    if point.shut:
        return
    point.shut = True
    if point.reading is not ReadingState.ALARM:
        p.state.quiet[zone.number] = later(p.now, p.timers.swinger_quiet_s)
    p.emit(
        Code.SWINGER_SHUTDOWN,
        area=zone.area,
        zone=zone.number,
        test=p.marked(zone),
        detail=f"trips:{point.trips}",
    )


def _settle(p: Premises, zone: ZoneConfig, point: PointState) -> None:
    """A zone that had closed again before it was judged gets its RESTORE at once (F7)."""
    if point.reading is ReadingState.NORMAL:
        p.close(zone)


def _tripped(p: Premises, number: int) -> bool:
    point = p.state.zones.get(number)
    if point is None or point.tripped_at is None:
        return False
    window_ns = p.timers.cross_zone_s * NS_PER_S
    return p.now - point.tripped_at <= window_ns or point.reading is ReadingState.ALARM
