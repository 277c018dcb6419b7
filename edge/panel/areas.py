"""Carrying out the area table: arming, delays, closing, disarming, memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.config import ZoneConfig, ZoneType
from edge.field.reading import ReadingState
from edge.panel import alarms, schedule, trials
from edge.panel.effects import Refusal
from edge.panel.inputs import ArmMode
from edge.panel.premises import Premises, armed_mode
from edge.panel.state import AreaMode, AreaState, Bypassed
from edge.panel.table import INTRUSION, TABLE, Act, AreaInput
from protocols.instants import NS_PER_S, later
from protocols.panel_event import Code, Qualifier

ARM_INPUT: Final = {
    ArmMode.FULL: AreaInput.ARM_FULL,
    ArmMode.STAY: AreaInput.ARM_STAY,
    ArmMode.NIGHT: AreaInput.ARM_NIGHT,
}
_CLOSING: Final = {
    ArmMode.FULL: Code.OPEN_CLOSE,
    ArmMode.STAY: Code.ARMED_STAY,
    ArmMode.NIGHT: Code.ARMED_NIGHT,
}
_INSIDE_ROUTE: Final = frozenset({ZoneType.ENTRY_EXIT, ZoneType.FOLLOWER})


@dataclass(frozen=True, slots=True)
class Cause:
    """Who or what moves an area."""

    user: int = 0
    zone: ZoneConfig | None = None
    mode: ArmMode = ArmMode.FULL
    detail: str = ""


def step(p: Premises, number: int, kind: AreaInput, cause: Cause) -> Refusal | None:
    """One row of the table."""
    act = TABLE[p.state.areas[number].mode, kind].act
    return _ACTS[act](p, number, cause)


def open_zones(p: Premises, number: int, mode: ArmMode, *, leaving: bool) -> list[ZoneConfig]:
    """What stands in the way of arming (R137). Followers see whoever is `leaving`."""
    return [
        zone
        for zone, point in p.intrusion_zones(number, mode)
        if not p.readable(point)
        and not (leaving and zone.type is ZoneType.FOLLOWER and point.reading is ReadingState.ALARM)
    ]


def refuse_arming(p: Premises, number: int, user: int, zones: list[int], by: int = 0) -> None:
    """Tell the centre, who tells the technician (R139)."""
    listed = ",".join(map(str, zones))
    p.emit(Code.ARMING_REFUSED, area=number, zone=by, user=user, detail=f"zones:{listed}")


def bypass(p: Premises, zone: ZoneConfig, user: int, reason: str) -> None:
    """Leave a zone out (H5)."""
    p.state.zones[zone.number].bypass = Bypassed(user, reason, p.now)
    p.emit(Code.ZONE_BYPASS, area=zone.area, zone=zone.number, user=user, detail=reason)


def unbypass(p: Premises, zone: ZoneConfig, user: int, reason: str) -> None:
    """Take it back in."""
    p.state.zones[zone.number].bypass = None
    p.emit(
        Code.ZONE_BYPASS,
        Qualifier.RESTORE,
        area=zone.area,
        zone=zone.number,
        user=user,
        detail=reason,
    )


def _nothing(p: Premises, number: int, cause: Cause) -> Refusal | None:
    return None


def _log(p: Premises, number: int, cause: Cause) -> Refusal | None:
    if cause.zone is None:
        return None
    if p.state.walk_until is not None and cause.zone.type in INTRUSION:
        p.open(cause.zone, alarms.ALARM_CODE[cause.zone.type], test=True, detail="walk")
    else:
        alarms.log(p, cause.zone)
    return None


def _report(p: Premises, number: int, cause: Cause) -> Refusal | None:
    if cause.zone is not None:
        alarms.report(p, cause.zone)
    return None


def _fault(p: Premises, number: int, cause: Cause) -> Refusal | None:
    if cause.zone is not None:
        alarms.unreadable(p, cause.zone)
    return None


def _pair(p: Premises, number: int, cause: Cause) -> Refusal | None:
    if cause.zone is not None:
        p.close(cause.zone)
    return None


def _refuse(p: Premises, number: int, cause: Cause) -> Refusal | None:
    return Refusal.IN_ALARM


def _start_exit(p: Premises, number: int, cause: Cause) -> Refusal | None:
    area = p.state.areas[number]
    area.mode = AreaMode.EXIT
    area.armed_as = cause.mode
    area.user = cause.user
    area.doors = 0
    area.left = False
    area.until = area.exit_ends = later(p.now, p.areas[number].exit_delay_s)
    _forget_period(p, number)
    p.emit(Code.EXIT_DELAY, area=number, user=cause.user, detail=cause.mode.value)
    return None


def _retarget(p: Premises, number: int, cause: Cause) -> Refusal | None:
    area = p.state.areas[number]
    if area.armed_as is not cause.mode:
        area.armed_as = cause.mode
        area.user = cause.user
        p.emit(
            Code.EXIT_DELAY, Qualifier.STATUS, area=number, user=cause.user, detail=cause.mode.value
        )
    return None


def _switch(p: Premises, number: int, cause: Cause) -> Refusal | None:
    area = p.state.areas[number]
    area.armed_as = cause.mode
    area.user = cause.user
    area.mode = armed_mode(cause.mode)
    _emit_closing(p, number, "switched")
    return None


def _exit_door(p: Premises, number: int, cause: Cause) -> Refusal | None:
    """CP-01: the second opening restarts the exit delay, once."""
    _log(p, number, cause)
    area = p.state.areas[number]
    area.doors += 1
    if area.exit_ends is not None:
        area.until = area.exit_ends  # the door stands open again: not the final shutting
    if area.doors == 2:
        area.until = area.exit_ends = later(p.now, p.areas[number].exit_delay_s)
        p.emit(Code.EXIT_DELAY, Qualifier.STATUS, area=number, user=area.user, detail="restarted")
    for other in p.state.areas.values():
        if other.mode is AreaMode.EXIT:
            other.left = True
    return None


def _final_door(p: Premises, number: int, cause: Cause) -> Refusal | None:
    """Final-door setting: shutting the entry door after leaving arms shortly after."""
    _pair(p, number, cause)
    area, wait_s = p.state.areas[number], p.areas[number].final_door_s
    shut = cause.zone is not None and cause.zone.type is ZoneType.ENTRY_EXIT
    if shut and wait_s is not None and area.left and area.armed_as is ArmMode.FULL:
        soon = later(p.now, wait_s)
        area.until = soon if area.until is None else min(area.until, soon)
    return None


def _end_exit(p: Premises, number: int, cause: Cause) -> Refusal | None:
    area = p.state.areas[number]
    detail = ""
    if area.armed_as is ArmMode.FULL and not area.left and _has_door(p, number):
        area.armed_as = ArmMode.STAY  # CP-01: nobody left
        detail = "no_exit"
    p.emit(Code.EXIT_DELAY, Qualifier.RESTORE, area=number, user=area.user)
    _close(p, number, detail)
    active = [
        zone
        for zone, point in p.intrusion_zones(number, area.armed_as)
        if point.reading is ReadingState.ALARM
    ]
    route = [zone for zone in active if zone.type in _INSIDE_ROUTE]
    for zone in route:
        p.open(zone, Code.EXIT_ERROR, test=p.marked(zone))
    if route:
        # CP-01 exit error: sounders at once, and the entry time to come back and disarm.
        _begin_entry(p, number, route[0])
        p.sound(area, seconds=p.areas[number].entry_delay_s)
    for zone in active:
        if zone.type not in _INSIDE_ROUTE:
            alarms.intrusion(p, zone)
    return None


def _has_door(p: Premises, number: int) -> bool:
    return any(
        zone.type is ZoneType.ENTRY_EXIT for zone, _ in p.intrusion_zones(number, ArmMode.FULL)
    )


def _close(p: Premises, number: int, detail: str, key: int = 0) -> None:
    area = p.state.areas[number]
    area.mode = armed_mode(area.armed_as)
    area.until = None
    area.closed_at = p.now
    _emit_closing(p, number, detail, key)
    schedule.closed(p, number)


def _emit_closing(p: Premises, number: int, detail: str, key: int = 0) -> None:
    area = p.state.areas[number]
    words = [detail] if detail else []
    if area.latched:
        words.append("memory")
    left_out = [str(z.number) for z in p.zones_in[number] if p.state.zones[z.number].bypass]
    if left_out:
        words.append("bypassed:" + ",".join(left_out))
    p.emit(
        Code.OPEN_CLOSE_KEYSWITCH if key else _CLOSING[area.armed_as],
        Qualifier.RESTORE,
        area=number,
        zone=key,
        user=area.user,
        detail=" ".join(words),
    )


def _key_arm(p: Premises, number: int, cause: Cause) -> Refusal | None:
    """A keyswitch stands outside the area it sets (BS 8243): no exit delay, nobody inside."""
    key = cause.zone.number if cause.zone is not None else 0
    barring = [zone.number for zone in open_zones(p, number, ArmMode.FULL, leaving=False)]
    if barring:
        refuse_arming(p, number, 0, barring, by=key)
        return Refusal.OPEN_ZONES
    if p.state.walk_until is not None:
        trials.end_walk(p, "arming")
    area = p.state.areas[number]
    area.armed_as = ArmMode.FULL
    area.user = 0
    _forget_period(p, number)
    _close(p, number, "", key)
    return None


def _begin_entry(p: Premises, number: int, zone: ZoneConfig) -> None:
    area = p.state.areas[number]
    area.mode = AreaMode.ENTRY
    area.entry_zone = zone.number
    area.until = later(p.now, p.areas[number].entry_delay_s)
    p.emit(Code.ENTRY_DELAY, area=number, zone=zone.number)


def _door_opened(p: Premises, number: int, cause: Cause) -> Refusal | None:
    if cause.zone is not None:
        p.open(cause.zone, Code.ENTRY_DOOR_OPENED, test=p.marked(cause.zone))
    return None


def _start_entry(p: Premises, number: int, cause: Cause) -> Refusal | None:
    if cause.zone is not None:
        _door_opened(p, number, cause)
        _begin_entry(p, number, cause.zone)
    return None


def _end_entry(p: Premises, number: int, cause: Cause) -> Refusal | None:
    area = p.state.areas[number]
    zone = p.zones.get(area.entry_zone)
    if zone is None or p.state.zones[zone.number].shut:
        # Shut down as a swinger: the door still gives the entry time, but reports no more.
        alarms.end_entry_delay(p, number, "swinger" if zone is not None else "zone_removed")
        area.mode = armed_mode(area.armed_as)
        area.until = None
        return None
    alarms.alarm(p, zone)
    return None


def _alarm(p: Premises, number: int, cause: Cause) -> Refusal | None:
    if cause.zone is not None:
        alarms.intrusion(p, cause.zone)
    return None


def _end_alarm(p: Premises, number: int, cause: Cause) -> Refusal | None:
    """Siren time over: still armed, memory still latched, what stands open is accounted for."""
    area = p.state.areas[number]
    area.mode = armed_mode(area.armed_as)
    area.until = None
    return None


def _silence(p: Premises, number: int, cause: Cause) -> Refusal | None:
    """Stop the sounders of the area and of the panel. A disarm also ends strobe and alarm."""
    area = p.state.areas[number]
    if area.siren_until is not None or p.state.siren_until is not None:
        p.emit(Code.SIREN_SILENCED, area=number, user=cause.user)
    area.siren_until = None
    p.state.siren_until = None
    if cause.detail == "disarm":
        area.strobe = False
        p.state.strobe = False
        _cancel(p, number, cause.user)
    return None


def _disarm(p: Premises, number: int, cause: Cause) -> Refusal | None:
    """The only step that ends in DISARMED; always by a known user or a turned key (H2)."""
    area = p.state.areas[number]
    was = area.mode
    key = cause.zone.number if cause.zone is not None else 0
    area.mode = AreaMode.DISARMED
    area.until = None
    p.emit(
        Code.OPEN_CLOSE_KEYSWITCH if key else Code.OPEN_CLOSE,
        area=number,
        zone=key,
        user=cause.user,
        detail=f"was:{was.value}",
    )
    if was is AreaMode.EXIT:
        p.emit(Code.EXIT_DELAY, Qualifier.RESTORE, area=number, user=cause.user, detail="disarmed")
    elif was is AreaMode.ENTRY:
        alarms.end_entry_delay(p, number, "disarmed", cause.user)
    _cancel(p, number, cause.user)
    area.siren_until = None
    area.strobe = False
    p.state.siren_until = None
    p.state.strobe = False
    alarms.reopen_swingers(p, number)
    for zone in p.zones_in[number]:
        if p.state.zones[zone.number].bypass is not None:
            unbypass(p, zone, cause.user, "disarmed")
    _forget_period(p, number)
    schedule.opened(p, number, cause.user)
    return None


def _cancel(p: Premises, number: int, user: int) -> None:
    """CP-01 abort and cancel. The alarm is at the centre already, so an abort cancels too."""
    area = p.state.areas[number]
    test = p.testing
    abort_ns = p.timers.abort_window_s * NS_PER_S
    if area.alarm_at is not None and p.now - area.alarm_at <= abort_ns:
        p.emit(Code.ABORT, area=number, user=user, test=test)
    if area.cancel_until is not None and p.now <= area.cancel_until:
        p.emit(Code.ALARM_CANCEL, area=number, user=user, test=test)
    area.alarm_at = None
    area.cancel_until = None


def _forget_period(p: Premises, number: int) -> None:
    area: AreaState = p.state.areas[number]
    area.alarm_at = None
    area.closed_at = None
    area.entry_zone = 0


def _clear_memory(p: Premises, number: int, cause: Cause) -> Refusal | None:
    """R72: only this resets alarm memory. Modes and sounders are not touched."""
    area = p.state.areas[number]
    q = Qualifier.RESTORE if area.latched else Qualifier.STATUS
    p.emit(Code.ALARM_MEMORY, q, area=number, detail=cause.detail)
    area.latched = False
    area.memory = []
    return None


_ACTS: Final[dict[Act, Callable[[Premises, int, Cause], Refusal | None]]] = {
    Act.LOG: _log,
    Act.NOTHING: _nothing,
    Act.START_EXIT: _start_exit,
    Act.RETARGET: _retarget,
    Act.SWITCH: _switch,
    Act.KEEP: _nothing,
    Act.REFUSE: _refuse,
    Act.DISARM: _disarm,
    Act.SILENCE: _silence,
    Act.KEY_ARM: _key_arm,
    Act.EXIT_DOOR: _exit_door,
    Act.FINAL_DOOR: _final_door,
    Act.START_ENTRY: _start_entry,
    Act.DOOR_AGAIN: _door_opened,
    Act.ALARM: _alarm,
    Act.REPORT: _report,
    Act.FAULT: _fault,
    Act.PAIR: _pair,
    Act.END_EXIT: _end_exit,
    Act.END_ENTRY: _end_entry,
    Act.END_ALARM: _end_alarm,
    Act.CLEAR_MEMORY: _clear_memory,
}
