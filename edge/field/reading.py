"""Reading: what one detector input says now."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ReadingState(Enum):
    """State of a point after debounce and end-of-line decoding."""

    NORMAL = "normal"
    ALARM = "alarm"
    TAMPER = "tamper"
    SHORT = "short"
    OPEN = "open"
    LOST = "lost"
    """No data: pin busy, converter silent, node gone."""
    MASKED = "masked"
    LOW_BATTERY = "low_battery"


@dataclass(frozen=True, slots=True)
class Reading:
    """`point` is "zone:<n>" or a role of `edge.config.SystemPoint`; ALARM means active there."""

    point: str
    state: ReadingState
    pulse: bool = False
    """The activation was already over when seen whole: ALARM and NORMAL follow each other."""
