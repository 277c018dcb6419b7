"""Panel: the machine the shell drives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Final, assert_never

from edge.bus.node_fault import NodeFault
from edge.config import PanelConfig
from edge.field.reading import Reading
from edge.panel import alarms, areas, nodes, reconcile, sabotage, schedule, trials, users, zones
from edge.panel.areas import Cause
from edge.panel.effects import Effect, SetOutput
from edge.panel.inputs import (
    Booted,
    CodeEntry,
    Fault,
    LocalTime,
    PanelInput,
    PathChanged,
    RemoteTest,
    StandDown,
)
from edge.panel.premises import Premises, clean
from edge.panel.state import (
    VERSION,
    AreaMode,
    AreaState,
    PanelState,
    PointState,
    Snapshot,
    decode,
    digest_of,
    encode,
    shift,
)
from edge.panel.table import AreaInput
from edge.panel.view import PanelView, faults_of, look
from protocols.instants import NS_PER_S, Instant, later
from protocols.panel_event import Code, Qualifier

_Timer = tuple[Instant, Callable[[int], None], int]
_AT: Final = itemgetter(0)
_PATH_CODE: Final = {"mqtt": Code.PATH_IP_FAULT, "phone": Code.PATH_PHONE_FAULT}

_START: Final = Instant(0)

MOMENTS: Final = frozenset(
    {
        Code.PANEL_RESET,
        Code.PANEL_SHUTDOWN,
        Code.CLOCK_SET,
        Code.CLOCK_STEPPED,
        Code.EPOCH_OPENED,
        Code.TASK_RESTARTED,
        Code.RECORDS_UNAVAILABLE,
    }
)
"""Codes that say something happened, not that something is wrong until further notice."""


class Panel:
    """The alarm system of one site. Inputs never raise; time comes in as `now`, never backwards.

    Timers that fell due before `now` fire first, each at its own instant, so a late call gives the
    same events as punctual ones.
    """

    def __init__(self, config: PanelConfig, now: Instant = _START) -> None:
        self._digest = digest_of(config)
        self._p = Premises(config, _fresh(config, now), now)

    @classmethod
    def restore(
        cls,
        config: PanelConfig,
        snapshot: bytes | None,
        now: Instant,
        same_boot: bool,
        *,
        lost: bool = False,
    ) -> tuple[Panel, list[Effect]]:
        """The panel as it was, and what the restart makes known. Outputs are all set anew.

        `same_boot`: Instants still hold; else remaining durations are kept and detectors are held
        for the power-up time. No usable snapshot: disarmed on the first start ever, but armed in
        full when there was one and it is `lost` or unreadable (EN 50131-1: fail secure).
        """
        panel = cls(config, now)
        p = panel._p
        saved = decode(snapshot) if snapshot is not None else None
        if saved is not None:
            panel._adopt(saved, now, same_boot)
        elif lost or snapshot is not None:
            for area in p.state.areas.values():
                area.mode = AreaMode.ARMED_FULL
            p.emit(Code.STATE_LOST, detail="unreadable" if snapshot is not None else "missing")
        if not same_boot and (saved is not None or lost) and p.timers.power_up_ignore_s > 0:
            p.state.hold_until = later(now, p.timers.power_up_ignore_s)
        if p.state.walk_until is not None:
            trials.end_walk(p, "restart")
        if p.state.test_until is not None:
            trials.end_panel_test(p, "restart")
        p.state.outputs = {}
        return panel, panel._flush()

    def receive(self, given: PanelInput, now: Instant) -> list[Effect]:
        """Take one input."""
        self._advance(now)
        p = self._p
        match given:
            case Reading():
                zones.read(p, given)
            case CodeEntry():
                users.enter(p, given)
            case StandDown():
                self._stand_down(given)
            case RemoteTest():
                p.emit(Code.MANUAL_TEST, detail=f"operator:{given.operator}")
            case PathChanged():
                self._path(given)
            case Fault():
                self._fault(given)
            case NodeFault():
                nodes.told(p, given)
            case LocalTime():
                schedule.told(p, given)
            case Booted():
                code = Code.PANEL_RESET if given.same_boot else Code.BOOT
                p.emit(code, detail=given.cause)
                sabotage.restarted(p)
            case _:
                assert_never(given)
        return self._flush()

    def tick(self, now: Instant) -> list[Effect]:
        """Let time pass."""
        self._advance(now)
        return self._flush()

    def deadline(self) -> Instant | None:
        """When to call `tick` next at the latest."""
        return min(timer[0] for timer in self._timers())

    def snapshot(self) -> bytes:
        """All state; small."""
        p = self._p
        return encode(Snapshot(VERSION, p.now, self._digest, p.state))

    def modes(self) -> dict[int, str]:
        """AreaMode value by area."""
        return {number: area.mode.value for number, area in self._p.state.areas.items()}

    def faults(self) -> tuple[str, ...]:
        """What is wrong now, as short tokens."""
        return faults_of(self._p)

    def bypassed(self) -> tuple[int, ...]:
        """Zones left out now."""
        return tuple(n for n, point in self._p.state.zones.items() if point.bypass is not None)

    def view(self) -> PanelView:
        """For people."""
        return look(self._p)

    def _adopt(self, saved: Snapshot, now: Instant, same_boot: bool) -> None:
        p = self._p
        if not same_boot:
            shift(saved.state, now - saved.now)
            saved.state.clock = None
        else:
            p.now = min(saved.now, now)
        p.state, fresh = saved.state, p.state
        if saved.config != self._digest:
            reconcile.fit(p, fresh)
            p.emit(Code.CONFIG_CHANGED, detail=self._digest[:16])

    def _advance(self, now: Instant) -> None:
        p = self._p
        period_ns = round(p.timers.periodic_test_s * NS_PER_S)
        if p.state.periodic_at + period_ns <= now:
            # After a long sleep one test is enough; the rhythm stays.
            missed = (now - p.state.periodic_at) // period_ns
            p.state.periodic_at = Instant(p.state.periodic_at + missed * period_ns)
        while (timer := min(self._timers(), key=_AT))[0] <= now:
            at, fire, number = timer
            p.now = max(p.now, at)
            fire(number)
        p.now = max(p.now, now)

    def _timers(self) -> Iterator[_Timer]:
        """All running, in the order in which equal ones fire."""
        state = self._p.state
        if state.hold_until is not None:
            yield state.hold_until, self._release, 0
        if state.sabotage.held_until is not None:
            yield state.sabotage.held_until, self._judge_vanished, 0
        if state.sabotage.gather_until is not None:
            yield state.sabotage.gather_until, self._tell_sabotage, 0
        for number, area in state.areas.items():
            if area.until is not None:
                yield area.until, self._area_timeout, number
            if area.siren_until is not None:
                yield area.siren_until, self._siren_off, number
        if state.siren_until is not None:
            yield state.siren_until, self._siren_off, 0
        if state.lock_until is not None:
            yield state.lock_until, self._unlock, 0
        if state.walk_until is not None:
            yield state.walk_until, self._end_walk, 0
        if state.test_until is not None:
            yield state.test_until, self._end_panel_test, 0
        for number, at in state.quiet.items():
            yield at, self._reopen, number
        yield state.periodic_at, self._periodic, 0

    def _release(self, _: int) -> None:
        zones.release_held(self._p)

    def _judge_vanished(self, _: int) -> None:
        sabotage.release(self._p)

    def _tell_sabotage(self, _: int) -> None:
        sabotage.tell(self._p)

    def _area_timeout(self, number: int) -> None:
        self._p.state.areas[number].until = None
        areas.step(self._p, number, AreaInput.TIMEOUT, Cause())

    def _siren_off(self, number: int) -> None:
        owner = self._p.state.areas[number] if number else self._p.state
        owner.siren_until = None

    def _unlock(self, _: int) -> None:
        users.unlock(self._p)

    def _end_walk(self, _: int) -> None:
        trials.end_walk(self._p, "expired")

    def _end_panel_test(self, _: int) -> None:
        trials.end_panel_test(self._p, "expired")

    def _reopen(self, number: int) -> None:
        alarms.reopen(self._p, self._p.zones[number], "quiet")

    def _periodic(self, _: int) -> None:
        p = self._p
        p.emit(Code.PERIODIC_TEST)
        p.state.periodic_at = later(p.state.periodic_at, p.timers.periodic_test_s)

    def _stand_down(self, order: StandDown) -> None:
        p = self._p
        detail = f"operator:{order.operator[:64]} case:{order.case}"
        if order.area != 0 and order.area not in p.areas:
            p.emit(Code.ALARM_MEMORY, Qualifier.STATUS, detail=f"unknown_area {detail}")
            return
        for number in p.areas if order.area == 0 else (order.area,):
            areas.step(p, number, AreaInput.STAND_DOWN, Cause(detail=detail))
        if order.area == 0 and p.state.latched:
            p.state.latched = False
            p.emit(Code.ALARM_MEMORY, Qualifier.RESTORE, detail=detail)

    def _path(self, change: PathChanged) -> None:
        p = self._p
        down = p.state.paths_down
        path = clean(change.path)
        if change.up is not (path in down):
            if change.up:
                sabotage.there(p, f"path:{path}")
            return
        code = _PATH_CODE.get(path, Code.FAILED_TO_COMMUNICATE)
        if change.up:
            down.remove(path)
        else:
            down.append(path)
        q = Qualifier.RESTORE if change.up else Qualifier.NEW
        p.emit(code, q, detail=f"{path} {change.cause}".rstrip())
        (sabotage.there if change.up else sabotage.vanished)(p, f"path:{path}")

    def _fault(self, fault: Fault) -> None:
        p = self._p
        known = p.state.faults
        detail = clean(fault.detail)
        q = Qualifier.NEW if fault.on else Qualifier.RESTORE
        if fault.code not in MOMENTS:
            if fault.on and known.get(fault.code) == detail:
                return
            if not fault.on and fault.code not in known:
                return
            known.pop(fault.code, None)
            if fault.on:
                known[fault.code] = detail
        p.emit(fault.code, q, detail=detail)

    def _flush(self) -> list[Effect]:
        p = self._p
        levels = p.output_levels()
        shown = p.state.outputs
        if levels != shown:
            p.out.extend(
                SetOutput(role, on) for role, on in levels.items() if shown.get(role) is not on
            )
            p.state.outputs = levels
        out, p.out = p.out, []
        return out


def _fresh(config: PanelConfig, now: Instant) -> PanelState:
    return PanelState(
        areas={area.number: AreaState() for area in config.areas},
        zones={zone.number: PointState() for zone in config.zones},
        points={point.role: PointState() for point in config.points},
        periodic_at=later(now, config.timers.periodic_test_s),
    )
