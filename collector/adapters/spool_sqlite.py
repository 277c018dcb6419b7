"""The receiver's own durable store: what was taken on the lines, until the collector has it (R92).

One SQLite file, WAL, `synchronous=FULL`. An epoch is drawn when the file is made; numbers ascend by
one within it and are never used twice. A file that does not open is set aside, what can be read and
was not acknowledged is carried over, and a new epoch says so (users.md C2). Any thread may call.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from collector.adapters import spool_frames, spool_rows
from collector.adapters.spool_frames import Frame, up_ns
from collector.adapters.spool_reading import FILE, SpoolError, SpoolState, connect, head, rows_over
from collector.adapters.spool_salvage import AckedNote, read_acked, salvage, write_acked
from protocols.automation.effects import Kept
from protocols.instants import NS_PER_S, US_PER_S, UtcTime
from protocols.mqtt.reception import UNKNOWN_AGE, LineState, Report, Taken, Unrecognised

What = Report | Unrecognised | LineState
Done = TypeVar("Done")

RESERVE: Final = "spool.reserve"
RESERVE_BYTES: Final = 4 * 1024 * 1024
"""Given up when the disk is full, so that the last alarms still find room (C3)."""
KEEP_ACKNOWLEDGED: Final = 10_000
"""Acknowledged entries kept for people to look at; older ones go, some with each commit."""
MOST_TIMED: Final = 100_000
"""Entries whose age is known beyond doubt."""
_DROP_AT_ONCE: Final = 500
_SCHEMA: Final = """
create table meta(one integer primary key check (one = 1), receiver text not null,
  epoch integer not null, created integer not null, acked integer not null);
"""


class OwnerError(ValueError):
    """The spool found is another receiver's; nothing of it is ours to tell."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A file that would not open; `saved` entries of it were carried over."""

    path: Path
    why: str
    saved: int


class Spool:
    """The spool of one receiver in `folder`. Raises SpoolError when it can be neither opened nor
    made anew.
    """

    def __init__(
        self,
        folder: Path,
        receiver: str,
        now: UtcTime,
        *,
        keep: int = KEEP_ACKNOWLEDGED,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._folder = folder
        self._receiver = receiver
        self._keep = keep
        self._reserve_bytes = reserve_bytes
        self._write = threading.Lock()
        self._read = threading.Lock()
        self._up_ns: dict[int, int] = {}
        self.set_aside: SetAside | None = None
        """Set when the file found here was damaged."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = self._open(now)
            self._bring_up_to_date()
            self._reader = connect(self._path)
            self._marker = connect(self._path)
            self._marker.execute("pragma synchronous=off")
            # A checkpoint that waits for no disk could cost the whole file: the writer's do it.
            self._marker.execute("pragma wal_autocheckpoint=0")
            self._epoch, self._acked, self._newest = head(self._reader)
            write_acked(folder, AckedNote(receiver, self._epoch, self._acked))
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(f"the spool {self._path} cannot be opened: {error}") from error
        self.keep_reserve()

    @property
    def folder(self) -> Path:
        """Where it stands."""
        return self._folder

    @property
    def reserve_used(self) -> bool:
        """The disk was full, and what was kept for that is given up."""
        return self._reserve_bytes > 0 and not (self._folder / RESERVE).exists()

    @property
    def _path(self) -> Path:
        return self._folder / FILE

    @property
    def epoch(self) -> int:
        """This file's epoch."""
        return self._epoch

    @property
    def newest(self) -> int:
        """Number of the newest entry; 0: none yet in this epoch."""
        return self._newest

    @property
    def acked(self) -> int:
        """The collector holds all up to this number."""
        return self._acked

    def floor(self) -> int:
        """Number of the oldest entry still here; newest + 1 when there is none."""
        with self._read, contextlib.suppress(sqlite3.Error):
            (oldest,) = self._reader.execute("select min(seq) from entry").fetchone()
            return int(oldest or self._newest + 1)
        return self._newest + 1

    def state(self) -> SpoolState:
        """Numbers for status; waits for no commit."""
        with self._read:
            kept = self._reader.execute("select count(*) from entry").fetchone()[0]
        return SpoolState(self._epoch, self._newest, self._acked, int(kept))

    def append(
        self,
        items: Sequence[tuple[UtcTime, str, What]],
        frames: Sequence[tuple[UtcTime, Frame]] = (),
    ) -> list[Taken]:
        """One durable commit of (time, line, what), and of the hardware receivers' frames that they
        came in. Raises SpoolError: none of it is kept.
        """
        with self._write:
            return self._with_reserve(lambda: self._append(items, frames))

    def settle(self, line: str) -> None:
        """What `line` sent so far is about to be acknowledged (spool_frames). Raises SpoolError."""

        def forget() -> None:
            with _transaction(self._marker):
                spool_frames.settle(self._marker, line)

        with self._write:
            self._with_reserve(forget)

    def frames(self, line: str) -> list[Kept]:
        """What a hardware receiver may send once more. Nothing when it cannot be read: doubt."""
        with self._read, contextlib.suppress(sqlite3.Error):
            return spool_frames.kept(self._reader, line, UtcTime(time.time_ns() // 1000))
        return []

    def _with_reserve(self, act: Callable[[], Done]) -> Done:
        """`act`, and once more with the reserve given up. Raises SpoolError."""
        try:
            return act()
        except sqlite3.Error as error:
            if not self._free_reserve():
                raise SpoolError(f"the spool took no commit: {error}") from error
        try:
            return act()
        except sqlite3.Error as error:
            raise SpoolError(f"the spool took no commit: {error}") from error

    def _append(
        self,
        items: Sequence[tuple[UtcTime, str, What]],
        frames: Sequence[tuple[UtcTime, Frame]],
    ) -> list[Taken]:
        first = self._newest + 1
        taken = [Taken(first + at, *item) for at, item in enumerate(items)]
        with _transaction(self._writer):
            self._writer.executemany(
                spool_rows.INSERT,
                [spool_rows.row_of(each) for each in taken],
            )
            spool_frames.keep(self._writer, frames)
        self._newest += len(taken)
        self._up_ns.update((each.seq, up_ns()) for each in taken)
        self._forget_times()
        return taken

    def ages(self, first: int, count: int) -> list[float]:
        """Seconds since entries were taken, from number `first`; UNKNOWN_AGE before our start."""
        now = up_ns()
        found = (self._up_ns.get(seq) for seq in range(first, first + count))
        return [UNKNOWN_AGE if at is None else (now - at) / NS_PER_S for at in found]

    def _forget_times(self) -> None:
        while self._up_ns:
            oldest = next(iter(self._up_ns))
            if oldest > self._acked and len(self._up_ns) <= MOST_TIMED:
                break
            self._up_ns.pop(oldest, None)

    def read(self, after: int, most: int) -> list[Taken]:
        """Entries with numbers over `after`, ascending. Raises SpoolError."""
        try:
            with self._read:
                rows = list(rows_over(self._reader, after, most))
            return [spool_rows.read_row(row) for row in rows]
        except sqlite3.Error as error:
            raise SpoolError(f"the spool cannot be read: {error}") from error

    def acknowledge(self, epoch: int, upto: int) -> bool:
        """The collector holds all up to `upto`. False: not this epoch, or nothing new.

        Raises SpoolError when it could not be written; then it will be acknowledged once more.
        """
        with self._write:
            if epoch != self._epoch or not self._acked < upto <= self._newest:
                return False
            try:
                with _transaction(self._writer):
                    self._writer.execute("update meta set acked = ?", (upto,))
                    self._writer.execute(
                        "delete from entry where seq in"
                        " (select seq from entry where seq <= ? order by seq limit ?)",
                        (upto - self._keep, _DROP_AT_ONCE),
                    )
            except sqlite3.Error as error:
                raise SpoolError(f"the spool took no acknowledgement: {error}") from error
            self._acked = upto
            self._forget_times()
            write_acked(self._folder, AckedNote(self._receiver, epoch, upto))
            return True

    def renew(self, now: UtcTime) -> None:
        """Open a new epoch in this file: the collector has more of the old one than is here (an old
        copy of the file). What waits is numbered anew from 1. Raises SpoolError.
        """
        with self._write, self._read:
            epoch = max(self._epoch + 1, _drawn(now))
            try:
                with _transaction(self._writer):
                    waits = list(rows_over(self._writer, self._acked, -1))
                    self._writer.execute("delete from entry")
                    entries = [spool_rows.read_row(row) for row in waits]
                    self._writer.executemany(spool_rows.INSERT, _numbered(entries))
                    self._writer.execute(
                        "update meta set epoch = ?, acked = 0, created = ?", (epoch, now)
                    )
            except sqlite3.Error as error:
                raise SpoolError(f"the spool cannot open a new epoch: {error}") from error
            numbers = ((new, self._up_ns.get(row[0])) for new, row in enumerate(waits, 1))
            self._up_ns = {new: at for new, at in numbers if at is not None}
            self._epoch, self._acked, self._newest = epoch, 0, len(waits)
            write_acked(self._folder, AckedNote(self._receiver, epoch, 0))

    def close(self) -> None:
        """Close the files."""
        with self._write, self._read:
            for each in (self._marker, self._writer, self._reader):
                each.close()

    # -- opening -------------------------------------------------------------------------------

    def _open(self, now: UtcTime) -> sqlite3.Connection:
        if not self._path.exists():
            return self._create(now, 0)
        connection: sqlite3.Connection | None = None
        try:
            connection = connect(self._path)
            _check(connection, self._receiver)
            return connection
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            if connection is not None:
                connection.close()
            if _busy(error):
                raise
            return self._start_anew(now, error)

    def _bring_up_to_date(self) -> None:
        """A file of an earlier version gets what it lacks."""
        self._writer.executescript(spool_frames.SCHEMA)
        columns = [each[1] for each in self._writer.execute("pragma table_info(entry)")]
        if "crc" not in columns:
            self._writer.execute("alter table entry add column crc integer")

    def _create(self, now: UtcTime, known: int) -> sqlite3.Connection:
        """A file is made under another name, so that there is never half a spool."""
        scratch = self._folder / f".{FILE}.{secrets.token_hex(6)}"
        epoch = max(known + 1, _drawn(now))
        made = sqlite3.connect(scratch, isolation_level=None)
        try:
            made.executescript(_SCHEMA + spool_rows.SCHEMA)
            made.execute("insert into meta values (1, ?, ?, ?, 0)", (self._receiver, epoch, now))
        finally:
            made.close()
        descriptor = os.open(scratch, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        scratch.replace(self._path)
        _sync_folder(self._folder)
        return connect(self._path)

    def _start_anew(self, now: UtcTime, error: Exception) -> sqlite3.Connection:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now / US_PER_S))
        aside = self._folder / f"{FILE}.damaged-{stamp}-{secrets.token_hex(3)}"
        for suffix in ("-wal", "-shm"):
            side = self._path.with_name(FILE + suffix)
            with contextlib.suppress(FileNotFoundError):
                side.replace(aside.with_name(aside.name + suffix))
        self._path.replace(aside)
        _sync_folder(self._folder)
        note = read_acked(self._folder)
        ours = note is None or note.receiver == self._receiver
        saved = salvage(aside, note) if ours and not isinstance(error, OwnerError) else []
        connection = self._create(now, note.epoch if note is not None else 0)
        with _transaction(connection):
            connection.executemany(
                spool_rows.INSERT,
                _numbered(saved),
            )
        self.set_aside = SetAside(aside, str(error), len(saved))
        return connection

    # -- a full disk ---------------------------------------------------------------------------

    def keep_reserve(self) -> None:
        """Set the reserve aside where there is room for it and as much again."""
        path = self._folder / RESERVE
        with contextlib.suppress(OSError):
            free_bytes = shutil.disk_usage(self._folder).free
            if self._reserve_bytes and not path.exists() and free_bytes > 2 * self._reserve_bytes:
                scratch = path.with_name(f".{RESERVE}")
                with scratch.open("wb") as stream:
                    os.posix_fallocate(stream.fileno(), 0, self._reserve_bytes)
                scratch.replace(path)

    def _free_reserve(self) -> bool:
        try:
            (self._folder / RESERVE).unlink()
        except OSError:
            return False
        return True


def _check(connection: sqlite3.Connection, receiver: str) -> None:
    """Raises ValueError or a database error for a file that is not to be trusted."""
    (answer,) = connection.execute("pragma quick_check(1)").fetchone()
    if answer != "ok":
        raise ValueError(str(answer))
    (owner,) = connection.execute("select receiver from meta").fetchone()
    if owner != receiver:
        raise OwnerError(f"this is the spool of receiver {owner!r}")
    epoch, acked, newest = head(connection)
    if epoch < 1 or acked > newest:
        raise ValueError(f"acknowledged to {acked}, but the newest is {newest}")


def _drawn(now: UtcTime) -> int:
    """A new epoch: seconds, so that they ascend, and chance, so that two never meet."""
    return (now // US_PER_S) << 20 | secrets.randbits(20)


def _numbered(entries: Sequence[Taken]) -> list[spool_rows.Row]:
    return [
        spool_rows.row_of(msgspec.structs.replace(each, seq=seq))
        for seq, each in enumerate(entries, 1)
    ]


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("rollback")
        raise


def _busy(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and any(
        word in str(error) for word in ("locked", "busy", "disk", "full", "permission", "readonly")
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
