"""Hardware receivers' frames in the spool: what may come again after a restart is known again.

A frame is kept in the commit that stores what it tells. One without a number goes a moment before
its acknowledgement leaves, without waiting for the disk, so that the moment is short: what a kill
leaves here was never acknowledged. After the machine itself was started anew nothing is sure of it,
and doubt leaves two. A numbered one stays; its age is then by the wall clock, and a negative age
knows nothing.
"""

from __future__ import annotations

import functools
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocols.automation.effects import Kept
from protocols.instants import NS_PER_S, US_PER_S, UtcTime

SCHEMA: Final = """
create table if not exists frame(line text not null, data blob not null, sequence integer not null,
  boot text not null, up_ns integer not null, at integer not null, primary key (line, data));
"""
MOST_PER_LINE: Final = 64


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a line. `sequence`: it bears a number of its own."""

    line: str
    data: bytes
    sequence: bool


def keep(database: sqlite3.Connection, frames: Iterable[tuple[UtcTime, Frame]]) -> None:
    """Within the caller's transaction."""
    for at, frame in frames:
        database.execute(
            "insert or replace into frame values (?, ?, ?, ?, ?, ?)",
            (frame.line, frame.data, frame.sequence, _boot(), up_ns(), at),
        )
        database.execute(
            "delete from frame where line = ? and rowid not in"
            " (select rowid from frame where line = ? order by rowid desc limit ?)",
            (frame.line, frame.line, MOST_PER_LINE),
        )


def settle(database: sqlite3.Connection, line: str) -> None:
    """Forget what has no number, within the caller's transaction."""
    database.execute("delete from frame where line = ? and not sequence", (line,))


def kept(database: sqlite3.Connection, line: str, now: UtcTime) -> list[Kept]:
    """The frames of a line, oldest first."""
    found = []
    for data, sequence, boot, then_ns, at in database.execute(
        "select data, sequence, boot, up_ns, at from frame where line = ? order by rowid", (line,)
    ):
        same = boot == _boot()
        if not (same or sequence):
            continue
        age_s = (up_ns() - then_ns) / NS_PER_S if same else (now - at) / US_PER_S
        if age_s >= 0:
            found.append(Kept(data, bool(sequence), age_s))
    return found


@functools.cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def up_ns() -> int:
    """Since the machine was started, sleep included; nobody sets it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
