"""chrony's tracking state, from the one CSV line of `chronyc -c tracking`.

Fields: reference id, name, stratum, reference time, system offset s (+ = clock slow), last offset,
rms offset, frequency, residual frequency, skew, root delay s, root dispersion s, interval, leap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

_FIELDS: Final = 14
_LOCAL: Final = "7F7F0101"
"""chronyd following its own clock (`local`): synchronised to nothing."""
_MAX_S: Final = 1e9


class Leap(Enum):
    """Leap status as chronyc words it."""

    NORMAL = "Normal"
    INSERT = "Insert second"
    DELETE = "Delete second"


@dataclass(frozen=True, slots=True)
class Tracking:
    """chronyd follows a source."""

    ref: str
    stratum: int
    ref_time_s: float
    """When the last measurement was taken in: changes with each one."""
    offset_s: float
    """True time minus system time, still to be corrected."""
    root_delay_s: float
    root_dispersion_s: float
    leap: Leap = Leap.NORMAL


@dataclass(frozen=True, slots=True)
class NoTracking:
    """chronyd follows nothing, or does not answer. `reason` is one token."""

    reason: str


def parse(line: str) -> Tracking | NoTracking:
    """Never raises: what is not a tracking line is NoTracking("unreadable")."""
    fields = line.strip().split(",")
    if len(fields) != _FIELDS:
        return NoTracking("unreadable")
    ref, stratum, leap = fields[0], fields[2], fields[13]
    if leap == "Not synchronised":
        return NoTracking("unsynchronised")
    try:
        numbers = [float(fields[at]) for at in (3, 4, 10, 11)]
        ref_time_s, offset_s, delay_s, dispersion_s = numbers
        tracking = Tracking(
            ref, int(stratum), ref_time_s, offset_s, delay_s, dispersion_s, Leap(leap)
        )
    except (ValueError, OverflowError):
        return NoTracking("unreadable")
    if not all(math.isfinite(each) for each in numbers) or abs(tracking.offset_s) > _MAX_S:
        return NoTracking("unreadable")
    if not 0 <= tracking.root_delay_s <= _MAX_S or not 0 <= tracking.root_dispersion_s <= _MAX_S:
        return NoTracking("unreadable")
    if ref.upper() == _LOCAL:
        return NoTracking("local_reference")
    if not 0 < tracking.stratum < 16:
        return NoTracking("unsynchronised")
    return tracking


def line_of(tracking: Tracking) -> str:
    """The line chronyc would print; what does not matter here is zero."""
    return ",".join(
        [
            tracking.ref,
            "simulated",
            str(tracking.stratum),
            f"{tracking.ref_time_s:.9f}",
            f"{tracking.offset_s:.9f}",
            "0.0,0.0,0.0,0.0,0.0",
            f"{tracking.root_delay_s:.9f}",
            f"{tracking.root_dispersion_s:.9f}",
            "16.0",
            tracking.leap.value,
        ]
    )
