"""What the panel must remember across a restart, and its snapshot bytes."""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Final

import msgspec

from edge.config import PanelConfig
from edge.field.reading import ReadingState
from edge.panel.inputs import ArmMode
from protocols.instants import Instant

VERSION: Final = 1


class AreaMode(Enum):
    """Where an area stands."""

    DISARMED = "disarmed"
    EXIT = "exit"
    ARMED_FULL = "armed_full"
    ARMED_STAY = "armed_stay"
    ARMED_NIGHT = "armed_night"
    ENTRY = "entry"
    ALARM = "alarm"
    """Intrusion alarm in progress; falls back to the armed mode when the siren time is over."""


class Opened(msgspec.Struct, array_like=True):
    """A NEW that still owes its RESTORE."""

    code: int
    test: bool = False


class Bypassed(msgspec.Struct, array_like=True):
    """Who left a zone out, why and since when (H5). It expires at the area's next disarm."""

    user: int
    reason: str
    since: Instant


class PointState(msgspec.Struct, omit_defaults=True):
    """One zone or system point."""

    reading: ReadingState = ReadingState.NORMAL
    open: list[Opened] = []
    bypass: Bypassed | None = None
    trips: int = 0
    """Alarms in this armed period."""
    shut: bool = False
    """Swinger shutdown (CP-01)."""
    tripped_at: Instant | None = None
    """Last trip judged in this armed period, for cross-zone pairs."""
    pending: bool = False
    """Tripped alone; its cross-zone partner may still make it an alarm."""
    held: bool = False
    """Active since the power came back and not yet judged."""


class AreaState(msgspec.Struct, omit_defaults=True):
    """One area."""

    mode: AreaMode = AreaMode.DISARMED
    armed_as: ArmMode = ArmMode.FULL
    """Target in EXIT; what is watched in ENTRY and ALARM."""
    user: int = 0
    """Who armed it."""
    until: Instant | None = None
    """End of EXIT, ENTRY or ALARM."""
    exit_ends: Instant | None = None
    """End of the exit delay had no final door been shut; never later extended by a door again."""
    doors: int = 0
    """Openings of the area's entry doors in this exit delay."""
    left: bool = False
    """An entry door was opened while this exit delay ran."""
    entry_zone: int = 0
    siren_until: Instant | None = None
    strobe: bool = False
    memory: list[int] = []
    """Zones that alarmed since the last stand-down, in order."""
    latched: bool = False
    closed_at: Instant | None = None
    alarm_at: Instant | None = None
    """First intrusion alarm of this armed period: the abort window runs from here."""
    cancel_until: Instant | None = None
    opened_for: int | None = None
    """Schedule period (its closing minute) in which the area was opened."""
    open_settled: int | None = None
    close_settled: int | None = None


class SabotageState(msgspec.Struct, omit_defaults=True):
    """Parts that vanish together, see `sabotage.py`."""

    seen: list[str] = []
    """Parts that were there once: only these can vanish."""
    gone: dict[str, Instant] = {}
    """Parts missing now, and since when."""
    gathered: list[str] = []
    """Parts of the next event."""
    gather_until: Instant | None = None
    told: list[str] = []
    """Parts of the standing verdict; empty: none."""
    held_until: Instant | None = None
    """Nothing is judged before this."""
    gone_before: list[str] = []
    """Parts that were missing when that time began, and of these"""
    gone_lately: list[str] = []
    """those that may belong together with what turns out to be missing after it."""


class Clock(msgspec.Struct, array_like=True):
    """Last LocalTime and when it came."""

    minute_of_week: int
    day_number: int
    at: Instant


class PanelState(msgspec.Struct, omit_defaults=True):
    """All of it. Every field of type Instant is moved by `shift`."""

    areas: dict[int, AreaState]
    zones: dict[int, PointState]
    points: dict[str, PointState]
    periodic_at: Instant
    wrong: int = 0
    lock_until: Instant | None = None
    walk_until: Instant | None = None
    test_until: Instant | None = None
    hold_until: Instant | None = None
    """Detectors are not trusted before this (CP-01 power-up)."""
    siren_until: Instant | None = None
    strobe: bool = False
    latched: bool = False
    faults: dict[int, str] = {}
    node_faults: dict[str, dict[int, str]] = {}
    """Of each bus node ("main.3", a whole bus "main.-1"): code and detail."""
    sabotage: SabotageState = msgspec.field(default_factory=SabotageState)
    paths_down: list[str] = []
    lost: dict[str, Instant] = {}
    """Points without data, and since when."""
    lost_verdict: bool = False
    quiet: dict[int, Instant] = {}
    """When each shut and inactive zone has been quiet long enough."""
    clock: Clock | None = None
    outputs: dict[str, bool] = {}


class Snapshot(msgspec.Struct):
    """What is stored."""

    version: int
    now: Instant
    config: str
    state: PanelState


class Sealed(msgspec.Struct):
    """How it is stored: `check` is SHA-256 of `body`, so that a garbled state is known as lost."""

    check: str
    body: msgspec.Raw


_encoder = msgspec.json.Encoder()
_sealed = msgspec.json.Decoder(Sealed)
_decoder = msgspec.json.Decoder(Snapshot)


def encode(snapshot: Snapshot) -> bytes:
    """JSON, defaults left out."""
    body = _encoder.encode(snapshot)
    return _encoder.encode(Sealed(hashlib.sha256(body).hexdigest(), msgspec.Raw(body)))


def decode(raw: bytes) -> Snapshot | None:
    """None when the bytes are no whole snapshot of this version."""
    try:
        sealed = _sealed.decode(raw)
        if hashlib.sha256(sealed.body).hexdigest() != sealed.check:
            return None
        found = _decoder.decode(sealed.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.version == VERSION else None


def digest_of(config: PanelConfig) -> str:
    """Digest of what the panel machine judges by."""
    parts = (
        config.areas,
        config.zones,
        config.users,
        config.points,
        config.outputs,
        config.timers,
        config.buses,
        config.sabotage,
    )
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


_AREA = ("until", "exit_ends", "siren_until", "closed_at", "alarm_at", "cancel_until")
_POINT = ("tripped_at",)
_SABOTAGE = ("gather_until", "held_until")
_PANEL = ("lock_until", "walk_until", "test_until", "hold_until", "siren_until", "periodic_at")


def shift(state: PanelState, by_ns: int) -> None:
    """Move every Instant, so that durations hold in a new boot's time."""

    def move(owner: msgspec.Struct, names: tuple[str, ...]) -> None:
        for name in names:
            at = getattr(owner, name)
            if at is not None:
                setattr(owner, name, at + by_ns)

    move(state, _PANEL)
    move(state.sabotage, _SABOTAGE)
    gone = state.sabotage.gone
    state.sabotage.gone = {part: Instant(at + by_ns) for part, at in gone.items()}
    for area in state.areas.values():
        move(area, _AREA)
    for point in (*state.zones.values(), *state.points.values()):
        move(point, _POINT)
        if point.bypass is not None:
            point.bypass.since = Instant(point.bypass.since + by_ns)
    state.quiet = {number: Instant(at + by_ns) for number, at in state.quiet.items()}
    state.lost = {name: Instant(at + by_ns) for name, at in state.lost.items()}
