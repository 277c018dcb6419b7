"""The log of calls and what worked for each caller: for people, and to shorten later calls.

A file of its own beside the spool: losing it costs no report, so it is not synced at each commit
and a damaged one is simply begun anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import msgspec

from collector import CollectorError
from collector.adapters.reception_call import CallRecord
from collector.reception.call_types import Preferred
from protocols.instants import UtcTime

FILE: Final = "calls.db"
KEEP_CALLS: Final = 20_000
KEEP_CALLERS: Final = 50_000
_DROP_EVERY: Final = 200
_SCHEMA: Final = """
create table if not exists call(id text primary key, began integer not null, body blob not null);
create table if not exists caller(number text primary key, handshake text not null,
  format text not null, digits integer not null, used integer not null);
"""


class CallsLogError(CollectorError):
    """The log of calls cannot be read."""


class CallsLog:
    """Calls and callers under `folder`. Any thread may call; a failing disk costs log lines only.

    `damaged`: what was wrong with the file found, and what became of it; empty: nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()
        self._since_drop = 0
        self.damaged = ""
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _open(self._path)
        except sqlite3.DatabaseError as error:
            self.damaged = f"set aside, damaged: {error}"
            self._db = self._open_anew()
        rows = self._db.execute("select * from caller order by rowid").fetchall()
        self._known = {row[0]: Preferred(*row[1:4]) for row in rows}

    def _open_anew(self) -> sqlite3.Connection:
        try:
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    old = self._path.with_name(FILE + suffix)
                    old.replace(old.with_name(old.name + ".damaged"))
            return _open(self._path)
        except (sqlite3.Error, OSError) as error:  # no log is worth a call
            self.damaged = f"not kept on disk: {error}"
            return _open(Path(":memory:"))

    def add(self, record: CallRecord) -> None:
        """One call that ended."""
        body = msgspec.json.encode(asdict(record))
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._db.execute(
                "insert or replace into call values (?, ?, ?)", (record.call, record.began, body)
            )
            self._since_drop += 1
            if self._since_drop >= _DROP_EVERY:
                self._since_drop = 0
                self._drop_old()

    def _drop_old(self) -> None:
        # By the order of writing: the clock may have gone back, and the newest must not go first.
        for table, keep in (("call", KEEP_CALLS), ("caller", KEEP_CALLERS)):
            self._db.execute(
                f"delete from {table} where rowid in (select rowid from {table}"  # noqa: S608
                " order by rowid desc limit -1 offset ?)",
                (keep,),
            )

    def preferred(self, caller: str) -> Preferred | None:
        """What worked for this caller last time. From memory: calls are being answered."""
        return self._known.get(caller) if caller else None

    def remember(self, caller: str, preferred: Preferred, now: UtcTime) -> None:
        """This worked."""
        if len(self._known) >= KEEP_CALLERS and caller not in self._known:
            self._known.pop(next(iter(self._known)), None)
        self._known[caller] = preferred
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._db.execute(
                "insert or replace into caller values (?, ?, ?, ?, ?)",
                (caller, preferred.handshake, preferred.format, preferred.digits, now),
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def read_calls(folder: Path, most: int, call: str = "") -> list[CallRecord]:
    """The newest calls, newest first; or those whose id begins with `call`. Works while the
    receiver runs and while it does not. Raises CallsLogError.
    """
    path = folder / FILE
    if not path.exists():
        return []
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        ) as database:
            rows = database.execute(
                "select body from call where substr(id, 1, ?) = ? order by rowid desc limit ?",
                (len(call), call, most),
            ).fetchall()
        return _records([body for (body,) in rows])
    except (sqlite3.Error, msgspec.DecodeError) as error:
        raise CallsLogError(f"the log of calls {path} cannot be read: {error}") from error


def _records(bodies: Sequence[bytes]) -> list[CallRecord]:
    return [msgspec.json.decode(body, type=CallRecord) for body in bodies]


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=normal")
    (answer,) = database.execute("pragma quick_check(1)").fetchone()
    if answer != "ok":
        database.close()
        raise sqlite3.DatabaseError(str(answer))
    database.executescript(_SCHEMA)
    return database
