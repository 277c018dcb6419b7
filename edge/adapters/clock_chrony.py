"""Asks chrony for the state of the clock, and keeps the time floor on disk."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge.clock.tracking import NoTracking, Tracking, parse
from protocols.instants import UtcTime

_FLOOR: Final = "clock.floor"
_MAX_FLOOR: Final = 2**61


def read(command: Sequence[str], timeout_s: float) -> Tracking | NoTracking:
    """Run `chronyc -c tracking` (blocks; call it in a thread). Never raises for what it does."""
    if not command:
        return NoTracking("not_configured")
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return NoTracking("no_answer")
    except (OSError, ValueError):
        return NoTracking("no_chronyc")
    if done.returncode != 0:
        return NoTracking("no_daemon")
    return parse(done.stdout.decode("ascii", "replace"))


def read_floor(directory: Path) -> UtcTime:
    """A time that has certainly passed; 0 when none was kept."""
    try:
        text = (directory / _FLOOR).read_text("ascii").strip()
        floor = int(text)
    except (OSError, ValueError):
        return UtcTime(0)
    return UtcTime(floor) if 0 <= floor < _MAX_FLOOR else UtcTime(0)


def write_floor(directory: Path, utc: UtcTime) -> bool:
    """Keep `utc` unless a later one is kept; about hourly. False when the disk refuses."""
    if utc <= read_floor(directory):
        return True
    fresh = directory / f"{_FLOOR}.new"
    try:
        with fresh.open("w", encoding="ascii") as file:
            file.write(f"{utc}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(directory / _FLOOR)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        return False
    return True
