"""A receiver's spool as it stands, read beside whoever runs it: state, entries, what is wrong."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector import CollectorError
from collector.adapters.spool_rows import SELECT, Row, read_row, wrong_with
from protocols.mqtt.reception import Taken

FILE: Final = "spool.db"


class SpoolError(CollectorError):
    """The spool cannot be opened or did not take a commit; nothing of it is acknowledged."""


@dataclass(frozen=True, slots=True)
class SpoolState:
    """Where the spool stands; `newest` 0: nothing taken in this epoch yet."""

    epoch: int
    newest: int
    acked: int
    kept: int

    @property
    def waiting(self) -> int:
        """Entries that the collector has not acknowledged."""
        return self.newest - self.acked


def peek(folder: Path) -> SpoolState | None:
    """The state of a spool without disturbing who runs it; None when there is none.

    Raises SpoolError when the file cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with contextlib.closing(connect(path, read_only=True)) as connection:
            epoch, acked, newest = head(connection)
            kept = connection.execute("select count(*) from entry").fetchone()[0]
            return SpoolState(epoch, newest, acked, int(kept))
    except (sqlite3.Error, TypeError) as error:
        raise SpoolError(f"the spool {path} cannot be read: {error}") from error


def peek_entries(folder: Path, after: int, most: int) -> list[Taken]:
    """Entries over `after`, without disturbing who runs the spool. Raises SpoolError."""
    path = folder / FILE
    if not path.exists():
        return []
    try:
        with contextlib.closing(connect(path, read_only=True)) as connection:
            return [read_row(row) for row in rows_over(connection, after, most)]
    except sqlite3.Error as error:
        raise SpoolError(f"the spool {path} cannot be read: {error}") from error


def verify(folder: Path) -> list[str]:
    """What is wrong with the spool's file; empty: every entry reads and the numbers run on."""
    path = folder / FILE
    if not path.exists():
        return [f"there is no spool in {folder}"]
    wrong: list[str] = []
    try:
        with contextlib.closing(connect(path, read_only=True)) as connection:
            wrong += [
                str(line)
                for (line,) in connection.execute("pragma integrity_check")
                if line != "ok"
            ]
            epoch, acked, newest = head(connection)
            before: int | None = None
            for row in rows_over(connection, -1, -1):
                seq = row[0]
                if before is not None and seq != before + 1:
                    wrong.append(f"epoch {epoch}: entries {before + 1} to {seq - 1} are missing")
                before = seq
                if why := wrong_with(row):
                    wrong.append(f"epoch {epoch}: entry {seq} {why}")
            if acked > newest:
                wrong.append(f"epoch {epoch}: acknowledged to {acked}, but the newest is {newest}")
    except (sqlite3.Error, TypeError) as error:
        wrong.append(f"{path}: {error}")
    return wrong


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Raises sqlite3.Error."""
    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"file:{path}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=5,
    )
    if not read_only:
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
    return connection


def rows_over(connection: sqlite3.Connection, after: int, most: int) -> Iterator[Row]:
    """Rows with numbers over `after`, ascending; `most` negative: all. Of a spool written by an
    earlier version too.
    """
    checked = any(column[1] == "crc" for column in connection.execute("pragma table_info(entry)"))
    select = SELECT if checked else SELECT.replace("crc", "null")
    yield from connection.execute(f"{select} where seq > ? order by seq limit ?", (after, most))


def head(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """(epoch, acknowledged, newest)."""
    epoch, acked = connection.execute("select epoch, acked from meta").fetchone()
    (newest,) = connection.execute("select max(seq) from entry").fetchone()
    return int(epoch), int(acked), int(newest or 0)
