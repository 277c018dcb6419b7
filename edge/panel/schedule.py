"""Opening and closing against the agreed times (R27). Uses wall-clock minutes and no timer."""

from __future__ import annotations

from typing import Final, NamedTuple

from edge.config import AreaConfig
from edge.panel.inputs import LocalTime
from edge.panel.premises import Premises
from edge.panel.state import AreaMode, Clock
from protocols.instants import NS_PER_S
from protocols.panel_event import Code, Qualifier

DAY_MIN: Final = 1440
TRUSTED_FOR_S: Final = 150
"""The shell sends LocalTime each minute; older than this, nobody knows what time it is."""
_LOOK_BACK_DAYS: Final = 8


class Period(NamedTuple):
    """One scheduled stay, in running local minutes; `shut` is its identity too."""

    open: int
    shut: int
    early_min: int
    late_min: int

    def covers(self, minute: int) -> bool:
        """From the earliest opening to the latest closing."""
        return self.open - self.early_min <= minute <= self.shut + self.late_min


def periods(area: AreaConfig, day: int, weekday: int) -> list[Period]:
    """The stays of the last days up to tomorrow, by closing time. `weekday` 0 is Monday.

    A closing time not after the opening time is on the next day.
    """
    found = []
    for back in range(_LOOK_BACK_DAYS, -2, -1):
        iso = (weekday - back) % 7 + 1
        start = (day - back) * DAY_MIN
        for plan in area.schedules:
            if iso in plan.days:
                opens, shuts = start + _minute(plan.open_at), start + _minute(plan.close_at)
                if shuts <= opens:
                    shuts += DAY_MIN
                found.append(Period(opens, shuts, plan.early_min, plan.late_min))
    return sorted(found, key=lambda period: period.shut)


def told(p: Premises, local: LocalTime) -> None:
    """A minute passed: was anything not opened or not closed?

    Judged by what is, not by what just passed, so a step of the clock neither hides nor repeats.
    """
    p.state.clock = Clock(local.minute_of_week, local.day_number, p.now)
    for number, area in p.areas.items():
        if area.schedules:
            _judge(p, number, area)


def opened(p: Premises, number: int, user: int) -> None:
    """The area was disarmed now."""
    view = _now(p, number)
    if view is None:
        return
    minute, plan = view
    state = p.state.areas[number]
    here = _covering(plan, minute)
    if here is None:
        p.emit(Code.EARLY_OPEN_CLOSE, area=number, user=user, detail="out_of_schedule")
        return
    if minute > here.open + here.late_min and state.opened_for != here.shut:
        p.emit(Code.LATE_OPEN_CLOSE, area=number, user=user)
    state.opened_for = here.shut


def closed(p: Premises, number: int) -> None:
    """The area was armed now."""
    view = _now(p, number)
    if view is None:
        return
    minute, plan = view
    state = p.state.areas[number]
    here = _covering(plan, minute)
    if here is None:
        p.emit(Code.LATE_OPEN_CLOSE, Qualifier.RESTORE, area=number, user=state.user)
    elif minute < here.shut - here.early_min:
        p.emit(Code.EARLY_OPEN_CLOSE, Qualifier.RESTORE, area=number, user=state.user)


def _judge(p: Premises, number: int, area: AreaConfig) -> None:
    view = _now(p, number)
    if view is None:
        return
    minute, plan = view
    state = p.state.areas[number]
    here = _covering(plan, minute)
    ended = max((one.shut for one in plan if one.shut + one.late_min < minute), default=None)
    if state.mode is AreaMode.EXIT:
        return
    if state.mode is AreaMode.DISARMED:
        if here is not None:
            state.opened_for = here.shut
        elif ended is not None and state.close_settled is not None and state.close_settled < ended:
            p.emit(Code.FAILED_TO_CLOSE, area=number)
    elif here is not None:
        overdue = minute > here.open + here.late_min and state.opened_for != here.shut
        if overdue and state.open_settled != here.shut:
            state.open_settled = here.shut
            p.emit(Code.FAILED_TO_OPEN, area=number)
    if here is None or state.close_settled is None:
        # The first look only sets the base: what was before it nobody knows.
        state.close_settled = max(ended or 0, state.close_settled or 0)


def _now(p: Premises, number: int) -> tuple[int, list[Period]] | None:
    clock = p.state.clock
    area = p.areas[number]
    if clock is None or not area.schedules:
        return None
    elapsed_s = (p.now - clock.at) // NS_PER_S
    if elapsed_s > TRUSTED_FOR_S:
        return None
    minute_of_week = clock.minute_of_week % (7 * DAY_MIN)
    minute = clock.day_number * DAY_MIN + minute_of_week % DAY_MIN + elapsed_s // 60
    return minute, periods(area, clock.day_number, minute_of_week // DAY_MIN)


def _covering(plan: list[Period], minute: int) -> Period | None:
    return next((period for period in plan if period.covers(minute)), None)


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
