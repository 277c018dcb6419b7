"""A small site for panel tests: every zone type, two areas; inputs by name, effects as text."""

from __future__ import annotations

from edge.config import (
    AreaConfig,
    Loop,
    MqttConfig,
    OutputConfig,
    PanelConfig,
    Schedule,
    SystemPoint,
    Timers,
    UserConfig,
    ZoneConfig,
    ZoneType,
)
from edge.field.reading import Reading, ReadingState
from edge.panel import Panel
from edge.panel.effects import Answer, Effect, Emit, SetOutput
from edge.panel.inputs import Action, Arm, ArmMode, CodeEntry, Disarm, PanelInput
from protocols.instants import NS_PER_S, Instant
from protocols.panel_event import Code, Qualifier

ALL_CODE = "a" * 64
ALL_DURESS = "d" * 64
TWO_CODE = "b" * 64
WRONG = "f" * 64

DOOR, HALL, WINDOW, FENCE, LOUNGE, VAULT = 1, 2, 3, 4, 5, 6
HOLDUP, HOLDUP_LOUD, CASE, SMOKE, GAS, WATER, NURSE, KEY = 7, 8, 9, 10, 11, 12, 13, 14
CROSS_A, CROSS_B, SAFE = 15, 16, 17
SHOP_DOOR, SHOP_PIR = 21, 22

TYPES = {
    DOOR: ZoneType.ENTRY_EXIT,
    HALL: ZoneType.FOLLOWER,
    WINDOW: ZoneType.INSTANT,
    FENCE: ZoneType.PERIMETER,
    LOUNGE: ZoneType.INTERIOR,
    VAULT: ZoneType.TWENTY_FOUR_HOUR,
    HOLDUP: ZoneType.HOLDUP_SILENT,
    HOLDUP_LOUD: ZoneType.HOLDUP_AUDIBLE,
    CASE: ZoneType.TAMPER,
    SMOKE: ZoneType.FIRE,
    GAS: ZoneType.GAS,
    WATER: ZoneType.WATER,
    NURSE: ZoneType.MEDICAL,
    KEY: ZoneType.KEYSWITCH,
    CROSS_A: ZoneType.INSTANT,
    CROSS_B: ZoneType.INSTANT,
    SAFE: ZoneType.INSTANT,
    SHOP_DOOR: ZoneType.ENTRY_EXIT,
    SHOP_PIR: ZoneType.INTERIOR,
}


def zone(number: int) -> ZoneConfig:
    cross = {CROSS_A: (CROSS_B,), CROSS_B: (CROSS_A,)}.get(number, ())
    return ZoneConfig(
        number=number,
        name=f"zone {number}",
        area=2 if number > 20 else 1,
        type=TYPES[number],
        loop=Loop(input="gpio:4"),
        bypassable=number != SAFE,
        cross_zone=cross,
    )


def site_config(
    *,
    schedules: tuple[Schedule, ...] = (),
    without: tuple[int, ...] = (),
    timers: Timers | None = None,
) -> PanelConfig:
    return PanelConfig(
        id="site-1",
        name="Site",
        areas=(
            AreaConfig(number=1, name="House", schedules=schedules),
            AreaConfig(number=2, name="Shop"),
        ),
        zones=tuple(zone(number) for number in TYPES if number not in without),
        users=(
            UserConfig(
                number=1, name="All", code_hash=ALL_CODE, duress_hash=ALL_DURESS, may_test=True
            ),
            UserConfig(number=2, name="Shop", code_hash=TWO_CODE, areas=(2,)),
        ),
        points=tuple(
            SystemPoint(role=role, loop=Loop(input="gpio:5"))
            for role in ("enclosure", "mains", "battery_low", "battery_missing", "siren")
        ),
        outputs=(
            OutputConfig(role="siren", gpio=20),
            OutputConfig(role="strobe", gpio=21),
            OutputConfig(role="armed:1", gpio=22),
            OutputConfig(role="relay:gate", gpio=23),
        ),
        mqtt=MqttConfig(host="localhost", ca="ca", cert="cert", key="key"),
        timers=timers or Timers(),
    )


def at(seconds: float) -> Instant:
    return Instant(round(seconds * NS_PER_S))


def line(effect: Effect) -> str:
    """ "+CODE" new, "-CODE" restore, "=CODE" status; then area, zone, user, test, detail."""
    match effect:
        case Emit(event):
            sign = {Qualifier.NEW: "+", Qualifier.RESTORE: "-", Qualifier.STATUS: "="}[event.q]
            words = [sign + Code(event.code).name]
            words += [f"a{event.area}"] if event.area else []
            words += [f"z{event.zone}"] if event.zone else []
            words += [f"u{event.user}"] if event.user else []
            words += ["test"] if event.test else []
            words += [f"({event.detail})"] if event.detail else []
            return " ".join(words)
        case SetOutput(role, on):
            return f"{role} {'on' if on else 'off'}"
        case Answer(_, ok, reason, zones):
            words = ["ok" if ok else "refused"]
            words += [reason.value] if reason is not None else []
            return " ".join([*words, *map(str, zones)])


def lines(effects: list[Effect]) -> list[str]:
    return [line(effect) for effect in effects]


class Site:
    """A panel and its time; each call returns what the panel did, as lines."""

    def __init__(self, config: PanelConfig | None = None) -> None:
        self.config = config or site_config()
        self.seconds = 0.0
        self.panel, _ = Panel.restore(self.config, None, at(0), same_boot=True)

    def give(self, given: PanelInput) -> list[str]:
        return lines(self.panel.receive(given, at(self.seconds)))

    def wait(self, seconds: float) -> list[str]:
        """Tick at each deadline on the way, as the shell does."""
        self.seconds += seconds
        told: list[str] = []
        while (due := self.panel.deadline()) is not None and due <= at(self.seconds):
            told += lines(self.panel.tick(due))
        return told

    def trip(self, number: int) -> list[str]:
        return self.give(Reading(f"zone:{number}", ReadingState.ALARM))

    def clear(self, number: int) -> list[str]:
        return self.give(Reading(f"zone:{number}", ReadingState.NORMAL))

    def reads(self, point: str, state: ReadingState) -> list[str]:
        return self.give(Reading(point, state))

    def pulse(self, number: int) -> list[str]:
        first = self.give(Reading(f"zone:{number}", ReadingState.ALARM, pulse=True))
        return first + self.clear(number)

    def types(self, action: Action, code: str = ALL_CODE) -> list[str]:
        return self.give(CodeEntry(code, action, 7))

    def disarm(self, *areas: int) -> list[str]:
        return self.types(Disarm(areas))

    def armed(self, mode: ArmMode = ArmMode.FULL, area: int = 1) -> Site:
        """Arm, leave by the door, wait until closed and past the recent-closing time."""
        assert self.types(Arm((area,), mode))[-1] == "ok"
        self.pulse(SHOP_DOOR if area == 2 else DOOR)
        self.wait(300)
        assert self.mode(area) == f"armed_{mode.value}"
        return self

    def mode(self, area: int = 1) -> str:
        return self.panel.modes()[area]

    def restart(
        self, *, same_boot: bool, config: PanelConfig | None = None, uptime_s: float | None = None
    ) -> list[str]:
        """Restore from the snapshot; a new boot starts its own monotonic time."""
        self.config = config or self.config
        if uptime_s is not None:
            self.seconds = uptime_s
        self.panel, effects = Panel.restore(
            self.config, self.panel.snapshot(), at(self.seconds), same_boot=same_boot
        )
        return lines(effects)
