"""What the panel's rules work on: configuration by number, state, this turn's effects."""

from __future__ import annotations

from typing import Final

from edge.bus.bus_machine import bus_points
from edge.config import AreaConfig, PanelConfig, UserConfig, ZoneConfig, ZoneType
from edge.field.reading import ReadingState
from edge.panel.effects import Effect, Emit
from edge.panel.inputs import ArmMode
from edge.panel.state import AreaMode, AreaState, Opened, PanelState, PointState
from edge.panel.table import INTRUSION, WATCHING
from protocols.instants import Instant, later
from protocols.panel_event import Code, PanelEvent, Qualifier

DETAIL_MAX: Final = 200

ALWAYS_REAL: Final = frozenset(
    {
        ZoneType.FIRE,
        ZoneType.HOLDUP_SILENT,
        ZoneType.HOLDUP_AUDIBLE,
        ZoneType.TAMPER,
        ZoneType.MEDICAL,
    }
)
"""No test mode marks these (H6)."""

_BASE: Final = {
    ArmMode.FULL: AreaMode.ARMED_FULL,
    ArmMode.STAY: AreaMode.ARMED_STAY,
    ArmMode.NIGHT: AreaMode.ARMED_NIGHT,
}


def armed_mode(mode: ArmMode) -> AreaMode:
    """The area mode that watches what `mode` says."""
    return _BASE[mode]


def clean(text: str) -> str:
    """Short, and such that UTF-8 can carry it: causes may quote file names of any bytes."""
    short = text[:DETAIL_MAX]
    return short if short.isascii() else short.encode("utf-8", "replace").decode("utf-8")


def _on_node(config: PanelConfig) -> frozenset[str]:
    found = set(bus_points(config))
    for zone in config.zones:
        name = f"zone:{zone.number}"
        if zone.pair is not None and f"{name}/pair" not in found:
            found.discard(name)  # either loop may be the lost one: it counts as wired
    return frozenset(found)


class Premises:
    """Mutable; belongs to one Panel. `now` is the instant being worked on."""

    def __init__(self, config: PanelConfig, state: PanelState, now: Instant) -> None:
        self.config = config
        self.timers = config.timers
        self.state = state
        self.now = now
        self.out: list[Effect] = []
        self.areas: dict[int, AreaConfig] = {area.number: area for area in config.areas}
        self.zones: dict[int, ZoneConfig] = {zone.number: zone for zone in config.zones}
        self.zones_in: dict[int, tuple[ZoneConfig, ...]] = {
            number: tuple(zone for zone in config.zones if zone.area == number)
            for number in self.areas
        }
        self.waits_for: dict[int, tuple[int, ...]] = {
            zone.number: tuple(o.number for o in config.zones if zone.number in o.cross_zone)
            for zone in config.zones
        }
        """By zone: the cross-zone zones whose alarm its trip completes."""
        self.on_node = _on_node(config)
        """Points that are on buses alone."""
        self.codes: dict[str, tuple[UserConfig, bool]] = {}
        for user in config.users:
            self.codes.setdefault(user.code_hash, (user, False))
            if user.card_hash is not None:
                self.codes.setdefault(user.card_hash, (user, False))
        for user in config.users:
            if user.duress_hash is not None:
                self.codes.setdefault(user.duress_hash, (user, True))

    def emit(
        self,
        code: int,
        q: Qualifier = Qualifier.NEW,
        *,
        area: int = 0,
        zone: int = 0,
        user: int = 0,
        test: bool = False,
        detail: str = "",
    ) -> None:
        """Add one event to this turn's effects."""
        self.out.append(Emit(PanelEvent(int(code), q, area, zone, user, test, clean(detail))))

    def open(self, zone: ZoneConfig, code: Code, *, test: bool = False, detail: str = "") -> None:
        """Emit a zone's NEW and remember that it owes a RESTORE (F7)."""
        self.emit(code, area=zone.area, zone=zone.number, test=test, detail=detail)
        self.owe(self.state.zones[zone.number], code, test=test)

    @staticmethod
    def owe(point: PointState, code: int, *, test: bool = False) -> None:
        """Remember that `code` is to be restored, once however often it was raised."""
        if all(opened.code != code for opened in point.open):
            point.open.append(Opened(int(code), test))

    def close(self, zone: ZoneConfig, codes: frozenset[int] | None = None, why: str = "") -> None:
        """Emit the RESTORE of each code the zone owes, or of those in `codes`."""
        point = self.state.zones[zone.number]
        for opened in point.open:
            if codes is None or opened.code in codes:
                self.emit(
                    opened.code,
                    Qualifier.RESTORE,
                    area=zone.area,
                    zone=zone.number,
                    test=opened.test,
                    detail=why,
                )
        point.open = [o for o in point.open if codes is not None and o.code not in codes]

    @property
    def testing(self) -> bool:
        """Walk test or panel test is on."""
        return self.state.walk_until is not None or self.state.test_until is not None

    def marked(self, zone: ZoneConfig) -> bool:
        """Whether this zone's events count as test."""
        return self.testing and zone.type not in ALWAYS_REAL

    @property
    def holding(self) -> bool:
        """Power came back just now: detectors are not judged yet."""
        return self.state.hold_until is not None

    def armed(self, number: int) -> bool:
        """Anything but disarmed."""
        return self.state.areas[number].mode is not AreaMode.DISARMED

    def watched(self, zone: ZoneConfig, mode: ArmMode) -> bool:
        """Whether an intrusion zone counts when armed this way."""
        match mode:
            case ArmMode.FULL:
                return True
            case ArmMode.STAY:
                chosen = zone.stay
            case ArmMode.NIGHT:
                chosen = zone.night
        if chosen is not None:
            return chosen
        return zone.type not in (ZoneType.INTERIOR, ZoneType.FOLLOWER)

    def intrusion_zones(self, area: int, mode: ArmMode) -> list[tuple[ZoneConfig, PointState]]:
        """Watched in `mode` and not left out."""
        return [
            (zone, point)
            for zone in self.zones_in[area]
            if zone.type in INTRUSION and self.watched(zone, mode)
            if (point := self.state.zones[zone.number]).bypass is None
        ]

    def sound(self, area: AreaState | None, *, seconds: float | None = None) -> None:
        """Siren for `seconds` (default: its full time) and strobe until disarm; None: the panel."""
        owner = self.state if area is None else area
        until = later(self.now, self.timers.siren_s if seconds is None else seconds)
        owner.siren_until = until if owner.siren_until is None else max(until, owner.siren_until)
        owner.strobe = True

    def latch(self, area: int, zone: int) -> None:
        """Alarm memory, until the stand-down order (R72)."""
        state = self.state.areas[area]
        if zone not in state.memory:
            state.memory.append(zone)
        if not state.latched:
            state.latched = True
            self.emit(Code.ALARM_MEMORY, area=area, zone=zone)

    def latch_panel(self) -> None:
        """Alarm memory of what belongs to no area."""
        if not self.state.latched:
            self.state.latched = True
            self.emit(Code.ALARM_MEMORY)

    def output_levels(self) -> dict[str, bool]:
        """What each configured output should be now; relays are not the panel's."""
        areas = self.state.areas
        siren = self.state.siren_until is not None or any(
            area.siren_until is not None for area in areas.values()
        )
        strobe = self.state.strobe or any(area.strobe for area in areas.values())
        levels: dict[str, bool] = {}
        for output in self.config.outputs:
            role = output.role
            if role == "siren":
                levels[role] = siren
            elif role == "strobe":
                levels[role] = strobe
            elif role.startswith("armed:"):
                shown = areas.get(int(role.removeprefix("armed:")))
                levels[role] = shown is not None and shown.mode in WATCHING
        return levels

    def readable(self, point: PointState) -> bool:
        """The detector works and says all is well."""
        return point.reading in (ReadingState.NORMAL, ReadingState.LOW_BATTERY)
