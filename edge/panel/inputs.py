"""What the panel is told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge.bus.node_fault import NodeFault
from edge.field.reading import Reading


class ArmMode(Enum):
    """What is watched: all zones, or those a person at home leaves alone."""

    FULL = "full"
    STAY = "stay"
    NIGHT = "night"


@dataclass(frozen=True, slots=True)
class Arm:
    """Arm `areas` (empty: all the user's), all of them or none.

    `force` bypasses the open zones that may be bypassed, each recorded with its author; any other
    open zone still refuses (R137, R139).
    """

    areas: tuple[int, ...] = ()
    mode: ArmMode = ArmMode.FULL
    force: bool = False
    of_user: bool = False
    """Only those of `areas` that are the user's: a keypad serves more areas than he may."""


@dataclass(frozen=True, slots=True)
class Disarm:
    """Disarm `areas` (empty: all the user's). In a disarmed area: silence its sounders."""

    areas: tuple[int, ...] = ()
    of_user: bool = False
    """As in `Arm`."""


@dataclass(frozen=True, slots=True)
class Bypass:
    """Leave a zone out until the next disarm, or take it back in. Only while disarmed."""

    zone: int
    on: bool = True


@dataclass(frozen=True, slots=True)
class WalkTest:
    """Each detector's activation is reported, marked test. Needs all areas disarmed (H6)."""

    on: bool = True


@dataclass(frozen=True, slots=True)
class PanelTest:
    """The panel works as ever, its intrusion events marked test. Starts only disarmed (H6)."""

    on: bool = True


@dataclass(frozen=True, slots=True)
class ManualTest:
    """Report one test event now."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Stop the siren; nothing else changes."""


Action = Arm | Disarm | Bypass | WalkTest | PanelTest | ManualTest | Silence


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """Somebody typed a code. `token` comes back in the Answer."""

    code_hash: str
    action: Action
    token: int


@dataclass(frozen=True, slots=True)
class StandDown:
    """The centre's order that allows alarm memory to be reset (R72). Area 0: all."""

    area: int
    operator: str
    case: int = 0


@dataclass(frozen=True, slots=True)
class RemoteTest:
    """The centre asks for a test event."""

    operator: str


@dataclass(frozen=True, slots=True)
class PathChanged:
    """A path's end-to-end truth changed: "mqtt" or "phone"."""

    path: str
    up: bool
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Journal, clock, certificate, output or task fault seen by the shell.

    Emitted once per change; codes that name a moment rather than a condition are emitted each time.
    """

    code: int
    on: bool = True
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LocalTime:
    """The trusted wall clock, once a minute; used by schedules (R27) and by no delay.

    `minute_of_week` counts from Monday 00:00 local; `day_number` is a running count of local days.
    """

    minute_of_week: int
    day_number: int


@dataclass(frozen=True, slots=True)
class Booted:
    """The process came up: in a new kernel boot, or again in the same one."""

    boot: str
    same_boot: bool
    cause: str = ""


PanelInput = (
    Reading
    | CodeEntry
    | StandDown
    | RemoteTest
    | PathChanged
    | Fault
    | NodeFault
    | LocalTime
    | Booted
)
