"""User codes: who may do what, guessing, duress. The panel sees hashes only."""

from __future__ import annotations

from typing import assert_never

from edge.config import UserConfig, ZoneConfig, ZoneType
from edge.panel import areas, trials
from edge.panel.areas import ARM_INPUT, Cause
from edge.panel.effects import Answer, Refusal
from edge.panel.inputs import (
    Arm,
    Bypass,
    CodeEntry,
    Disarm,
    ManualTest,
    PanelTest,
    Silence,
    WalkTest,
)
from edge.panel.premises import Premises
from edge.panel.state import AreaMode
from edge.panel.table import AreaInput
from protocols.instants import later
from protocols.panel_event import Code, Qualifier

NEVER_BYPASSED = frozenset(
    {
        ZoneType.HOLDUP_SILENT,
        ZoneType.HOLDUP_AUDIBLE,
        ZoneType.FIRE,
        ZoneType.TAMPER,
        ZoneType.KEYSWITCH,
    }
)


def enter(p: Premises, entry: CodeEntry) -> None:
    """Judge a code, do the action, answer.

    A duress code does and shows exactly what the normal one would, and reports; so also during a
    lock-out, where it too is refused (EN 50131-1, GB/T 32581).
    """
    found = p.codes.get(entry.code_hash)
    if found is not None and found[1]:
        user = found[0]
        p.emit(Code.DURESS, area=_first_area(p, user, entry), user=user.number)
    if p.state.lock_until is not None:
        p.emit(Code.WRONG_CODE, detail="locked")
        p.out.append(Answer(entry.token, False, Refusal.LOCKED_OUT))
        return
    if found is None:
        _wrong(p, entry)
        return
    p.state.wrong = 0
    reason, zones = _perform(p, found[0], entry)
    p.out.append(Answer(entry.token, reason is None, reason, zones))


def unlock(p: Premises) -> None:
    """The lock-out is over."""
    p.state.lock_until = None
    p.state.wrong = 0
    p.emit(Code.CODE_LOCKOUT, Qualifier.RESTORE)


def _wrong(p: Premises, entry: CodeEntry) -> None:
    p.state.wrong += 1
    p.emit(Code.WRONG_CODE, detail=f"count:{p.state.wrong}")
    if p.state.wrong < p.timers.lockout_after:
        p.out.append(Answer(entry.token, False, Refusal.WRONG_CODE))
        return
    p.state.lock_until = later(p.now, p.timers.lockout_s)
    p.emit(Code.CODE_LOCKOUT, detail=f"wrong:{p.state.wrong}")
    p.out.append(Answer(entry.token, False, Refusal.LOCKED_OUT))


_Outcome = tuple[Refusal | None, tuple[int, ...]]
_DONE: _Outcome = (None, ())


def _perform(p: Premises, user: UserConfig, entry: CodeEntry) -> _Outcome:
    action = entry.action
    match action:
        case Arm():
            return _arm(p, user, action)
        case Disarm():
            return _disarm(p, user, action)
        case Bypass():
            return _bypass(p, user, action)
        case WalkTest():
            return _walk_test(p, user, action)
        case PanelTest():
            return _panel_test(p, user, action)
        case ManualTest():
            p.emit(Code.MANUAL_TEST, user=user.number)
            return _DONE
        case Silence():
            for number in _own_areas(p, user):
                areas.step(p, number, AreaInput.SILENCE, Cause(user=user.number))
            return _DONE
        case _:
            assert_never(action)


def _own_areas(p: Premises, user: UserConfig) -> list[int]:
    return [number for number in p.areas if not user.areas or number in user.areas]


def _targets(
    p: Premises, user: UserConfig, wanted: tuple[int, ...], *, of_user: bool = False
) -> list[int] | Refusal:
    own = _own_areas(p, user)
    if not wanted:
        return own
    if any(number not in p.areas for number in wanted):
        return Refusal.UNKNOWN_AREA
    if of_user and any(number in own for number in wanted):
        wanted = tuple(number for number in wanted if number in own)
    if any(number not in own for number in wanted):
        return Refusal.NOT_ALLOWED
    return list(dict.fromkeys(wanted))


def _first_area(p: Premises, user: UserConfig, entry: CodeEntry) -> int:
    action = entry.action
    if isinstance(action, Arm | Disarm):
        targets = _targets(p, user, action.areas, of_user=action.of_user)
    else:
        targets = _own_areas(p, user)
    return targets[0] if isinstance(targets, list) and targets else 0


def _arm(p: Premises, user: UserConfig, action: Arm) -> _Outcome:
    targets = _targets(p, user, action.areas, of_user=action.of_user)
    if isinstance(targets, Refusal):
        return targets, ()
    if any(p.state.areas[n].mode in (AreaMode.ENTRY, AreaMode.ALARM) for n in targets):
        return Refusal.IN_ALARM, ()
    barring: dict[int, list[ZoneConfig]] = {
        number: areas.open_zones(p, number, action.mode, leaving=True) for number in targets
    }
    stuck = {
        number: [zone for zone in zones if not (action.force and may_bypass(zone))]
        for number, zones in barring.items()
    }
    for number, zones in stuck.items():
        if zones:
            areas.refuse_arming(p, number, user.number, [zone.number for zone in zones])
    refused = tuple(zone.number for zones in stuck.values() for zone in zones)
    if refused:
        return Refusal.OPEN_ZONES, refused
    if p.state.walk_until is not None:
        trials.end_walk(p, "arming", user.number)
    for number in targets:
        for zone in barring[number]:
            areas.bypass(p, zone, user.number, "forced")
        areas.step(p, number, ARM_INPUT[action.mode], Cause(user=user.number, mode=action.mode))
    left_out = tuple(  # H5: whoever arms is told what is left out, by him or before
        zone.number
        for number in targets
        for zone in p.zones_in[number]
        if p.state.zones[zone.number].bypass is not None
    )
    return None, left_out


def _disarm(p: Premises, user: UserConfig, action: Disarm) -> _Outcome:
    targets = _targets(p, user, action.areas, of_user=action.of_user)
    if isinstance(targets, Refusal):
        return targets, ()
    for number in targets:
        areas.step(p, number, AreaInput.DISARM, Cause(user=user.number, detail="disarm"))
    return _DONE


def may_bypass(zone: ZoneConfig) -> bool:
    """Configured so, and of a type that may ever be left out (GB 50394 5.2.2)."""
    return zone.bypassable and zone.type not in NEVER_BYPASSED


def _bypass(p: Premises, user: UserConfig, action: Bypass) -> _Outcome:
    zone = p.zones.get(action.zone)
    if zone is None:
        return Refusal.UNKNOWN_ZONE, ()
    if zone.area not in _own_areas(p, user):
        return Refusal.NOT_ALLOWED, ()
    if not may_bypass(zone):
        return Refusal.NOT_BYPASSABLE, (zone.number,)
    if p.armed(zone.area):
        return Refusal.ARMED, ()
    standing = p.state.zones[zone.number].bypass is not None
    if action.on and not standing:
        areas.bypass(p, zone, user.number, "user")
    elif standing and not action.on:
        areas.unbypass(p, zone, user.number, "user")
    return _DONE


def _walk_test(p: Premises, user: UserConfig, action: WalkTest) -> _Outcome:
    if not user.may_test:
        return Refusal.NOT_ALLOWED, ()
    running = p.state.walk_until is not None
    if not action.on:
        if running:
            trials.end_walk(p, "user", user.number)
        return _DONE
    if any(map(p.armed, p.areas)):
        return Refusal.ARMED, ()
    if not running:
        p.state.walk_until = later(p.now, p.timers.walk_test_s)
        p.emit(Code.WALK_TEST, user=user.number)
    return _DONE


def _panel_test(p: Premises, user: UserConfig, action: PanelTest) -> _Outcome:
    if not user.may_test:
        return Refusal.NOT_ALLOWED, ()
    running = p.state.test_until is not None
    if not action.on:
        if running:
            trials.end_panel_test(p, "user", user.number)
        return _DONE
    if any(map(p.armed, p.areas)):
        return Refusal.ARMED, ()
    if not running:
        p.state.test_until = later(p.now, p.timers.panel_test_s)
        p.emit(Code.PANEL_ON_TEST, user=user.number)
    return _DONE
