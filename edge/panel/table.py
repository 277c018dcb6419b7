"""The area machine as data: (mode, input) -> step. README.md shows it; a test holds them equal."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Final, NamedTuple

from edge.config import ZoneType
from edge.panel.state import AreaMode


class AreaInput(Enum):
    """What can happen to an area."""

    ARM_FULL = "arm full"
    ARM_STAY = "arm stay"
    ARM_NIGHT = "arm night"
    DISARM = "disarm"
    KEY = "keyswitch"
    TRIP_ENTRY = "entry/exit zone trips"
    TRIP_FOLLOWER = "follower trips"
    TRIP_INSTANT = "instant, perimeter, interior trips"
    TRIP_ALWAYS = "24 h, hold-up, fire, gas, water, medical, tamper trips"
    UNREADABLE = "zone tampered, masked, lost"
    RESTORED = "zone restored"
    TIMEOUT = "time over"
    SILENCE = "silence"
    STAND_DOWN = "stand-down"


class Act(Enum):
    """What is done about it; `areas.py` carries each out."""

    LOG = "log"
    NOTHING = "–"
    START_EXIT = "start exit delay"
    RETARGET = "change target"
    SWITCH = "switch mode"
    KEEP = "keep"
    REFUSE = "refuse"
    DISARM = "disarm"
    SILENCE = "silence"
    KEY_ARM = "arm at once"
    EXIT_DOOR = "note leaving"
    FINAL_DOOR = "note final door"
    START_ENTRY = "start entry delay"
    DOOR_AGAIN = "report door"
    ALARM = "alarm"
    REPORT = "report at once"
    FAULT = "report the fault"
    PAIR = "report restores"
    END_EXIT = "close"
    END_ENTRY = "alarm of the door"
    END_ALARM = "stay armed"
    CLEAR_MEMORY = "clear memory"


class Step(NamedTuple):
    """What to do, and the modes it may end in."""

    act: Act
    then: frozenset[AreaMode]


M = AreaMode
ARMED: Final = frozenset({M.ARMED_FULL, M.ARMED_STAY, M.ARMED_NIGHT})
WATCHING: Final = ARMED | {M.ENTRY, M.ALARM}
INTRUSION: Final = frozenset(
    {
        ZoneType.INSTANT,
        ZoneType.ENTRY_EXIT,
        ZoneType.FOLLOWER,
        ZoneType.PERIMETER,
        ZoneType.INTERIOR,
    }
)
"""Judged by the arm state; all other types alarm in any."""

_MODES: Final = tuple(AreaMode)
_ARM_ROWS: Final = {
    AreaInput.ARM_FULL: M.ARMED_FULL,
    AreaInput.ARM_STAY: M.ARMED_STAY,
    AreaInput.ARM_NIGHT: M.ARMED_NIGHT,
}


def _build() -> dict[tuple[AreaMode, AreaInput], Step]:
    table: dict[tuple[AreaMode, AreaInput], Step] = {}

    def put(modes: AbstractSet[AreaMode], kind: AreaInput, act: Act, *then: M) -> None:
        for mode in modes:
            table[mode, kind] = Step(act, frozenset(then or (mode,)))

    every = frozenset(_MODES)
    for kind, target in _ARM_ROWS.items():
        put({M.DISARMED}, kind, Act.START_EXIT, M.EXIT)
        put({M.EXIT}, kind, Act.RETARGET)
        put(ARMED, kind, Act.SWITCH, target)
        put({target}, kind, Act.KEEP)
        put({M.ENTRY, M.ALARM}, kind, Act.REFUSE)
    # More is watched afterwards: people must be able to leave first.
    put({M.ARMED_STAY, M.ARMED_NIGHT}, AreaInput.ARM_FULL, Act.START_EXIT, M.EXIT)
    put(every, AreaInput.DISARM, Act.DISARM, M.DISARMED)
    put({M.DISARMED}, AreaInput.DISARM, Act.SILENCE)
    put(every, AreaInput.KEY, Act.DISARM, M.DISARMED)
    put({M.DISARMED}, AreaInput.KEY, Act.KEY_ARM, M.DISARMED, M.ARMED_FULL)

    for kind in (AreaInput.TRIP_ENTRY, AreaInput.TRIP_FOLLOWER, AreaInput.TRIP_INSTANT):
        put({M.DISARMED, M.EXIT}, kind, Act.LOG)
        for mode in ARMED | {M.ENTRY}:  # a cross-zone zone's lone trip, or a shut zone: no alarm
            put({mode}, kind, Act.ALARM, mode, M.ALARM)
        put({M.ALARM}, kind, Act.ALARM)
    put({M.EXIT}, AreaInput.TRIP_ENTRY, Act.EXIT_DOOR)
    put(ARMED, AreaInput.TRIP_ENTRY, Act.START_ENTRY, M.ENTRY)
    put({M.ENTRY}, AreaInput.TRIP_ENTRY, Act.DOOR_AGAIN)
    put({M.ENTRY}, AreaInput.TRIP_FOLLOWER, Act.LOG)

    for kind, act in (
        (AreaInput.TRIP_ALWAYS, Act.REPORT),
        (AreaInput.UNREADABLE, Act.FAULT),
        (AreaInput.RESTORED, Act.PAIR),
        (AreaInput.TIMEOUT, Act.NOTHING),
        (AreaInput.SILENCE, Act.SILENCE),
        (AreaInput.STAND_DOWN, Act.CLEAR_MEMORY),
    ):
        put(every, kind, act)
    put({M.EXIT}, AreaInput.RESTORED, Act.FINAL_DOOR)
    put({M.EXIT}, AreaInput.TIMEOUT, Act.END_EXIT, *WATCHING)
    put({M.ENTRY}, AreaInput.TIMEOUT, Act.END_ENTRY, M.ALARM, *ARMED)
    put({M.ALARM}, AreaInput.TIMEOUT, Act.END_ALARM, *ARMED)
    return table


TABLE: Final = _build()
"""Complete: every mode has a step for every input."""

KIND_OF: Final = {
    kind: {
        ZoneType.ENTRY_EXIT: AreaInput.TRIP_ENTRY,
        ZoneType.FOLLOWER: AreaInput.TRIP_FOLLOWER,
        ZoneType.INSTANT: AreaInput.TRIP_INSTANT,
        ZoneType.PERIMETER: AreaInput.TRIP_INSTANT,
        ZoneType.INTERIOR: AreaInput.TRIP_INSTANT,
        ZoneType.KEYSWITCH: AreaInput.KEY,
    }.get(kind, AreaInput.TRIP_ALWAYS)
    for kind in ZoneType
}


def as_markdown() -> str:
    """The table: a row per input, a column per mode; "act → modes" where the mode may change."""
    lines = [
        "| input | " + " | ".join(mode.value for mode in _MODES) + " |",
        "|---" * (len(_MODES) + 1) + "|",
    ]
    for kind in AreaInput:
        cells = []
        for mode in _MODES:
            step = TABLE[mode, kind]
            then = [other.value for other in _MODES if other in step.then]
            still = then == [mode.value]
            cells.append(step.act.value if still else f"{step.act.value} → {', '.join(then)}")
        lines.append(f"| {kind.value} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
