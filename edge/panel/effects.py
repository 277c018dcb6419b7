"""What the panel wants done, carried out in list order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from protocols.panel_event import PanelEvent


class Refusal(Enum):
    """Why an action was not carried out."""

    WRONG_CODE = "wrong_code"
    LOCKED_OUT = "locked_out"
    NOT_ALLOWED = "not_allowed"
    UNKNOWN_AREA = "unknown_area"
    UNKNOWN_ZONE = "unknown_zone"
    OPEN_ZONES = "open_zones"
    NOT_BYPASSABLE = "not_bypassable"
    ARMED = "armed"
    """Only possible while disarmed."""
    IN_ALARM = "in_alarm"
    """Entry delay or alarm in progress: disarm first."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Keep and report this."""

    event: PanelEvent


@dataclass(frozen=True, slots=True)
class SetOutput:
    """Switch an output by its configured role."""

    role: str
    on: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Outcome of the CodeEntry with this token. `zones`: what stands open, or was bypassed."""

    token: int
    ok: bool
    reason: Refusal | None = None
    zones: tuple[int, ...] = ()


Effect = Emit | SetOutput | Answer
