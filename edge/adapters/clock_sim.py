"""A stand-in for chrony: a file holding the line chronyc would print.

For the panel as a whole, set `clock.chronyc = ["cat", "<that file>"]`.
"""

from __future__ import annotations

from pathlib import Path

from edge.clock.tracking import NoTracking, Tracking, line_of, parse


def read(path: Path, timeout_s: float) -> Tracking | NoTracking:
    """As `clock_chrony.read`."""
    try:
        return parse(path.read_text("ascii", "replace"))
    except OSError:
        return NoTracking("no_daemon")


def write(path: Path, state: Tracking | NoTracking) -> None:
    """Put chrony into this state."""
    if isinstance(state, Tracking):
        line = line_of(state)
    else:
        line = ",,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised"
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(line + "\n", "ascii")
    fresh.replace(path)
