"""One SQLite database of the journal: schema, guards and statements. WAL, synchronous=FULL.

A row id is `ordinal << 40 | seq`, the ordinal numbering the epochs kept here: one B-tree, appended
at its end, in the order of (epoch, seq). Records are append-only: triggers refuse UPDATE, and
DELETE beyond what rotation declared (R17, R70).
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from edge.adapters.journal_schema import SCHEMA
from edge.journal.chain import MAX_EPOCH, ChainHead, start_of
from edge.journal.owed import PathDebt
from edge.journal.record_types import Loss
from edge.journal.recovery import KeptState
from protocols.panel_event import PanelEvent

SEQ_BITS: Final = 40
SEQ_MASK: Final = (1 << SEQ_BITS) - 1
BUSY_S: Final = 0.25
"""Waiting longer for a lock than this holds up alarms: memory takes over (C4)."""
TAG_BYTES: Final = 8


class GarbledError(Exception):
    """The database's content cannot be what was written there."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kept Record."""

    id: int
    digest: bytes
    raw: bytes


@dataclass(slots=True)
class EpochMap:
    """Which ordinal stands for which epoch."""

    by_ordinal: dict[int, int] = field(default_factory=dict)
    recorded: dict[int, bool] = field(default_factory=dict)
    """By epoch."""

    def add(self, ordinal: int, epoch: int, recorded: bool) -> None:
        """Note one more."""
        self.by_ordinal[ordinal] = epoch
        self.recorded[epoch] = recorded

    def row_id(self, epoch: int, seq: int) -> int | None:
        """Row id of a Record, None for an epoch not kept here."""
        for ordinal in reversed(self.by_ordinal):
            if self.by_ordinal[ordinal] == epoch:
                return ordinal << SEQ_BITS | seq
        return None

    def place(self, row_id: int) -> tuple[int, int]:
        """(epoch, seq) of a row id, (0, 0) of row 0; raises GarbledError for an unknown ordinal."""
        if row_id == 0:
            return 0, 0
        epoch = self.by_ordinal.get(row_id >> SEQ_BITS)
        if epoch is None:
            raise GarbledError(f"row {row_id} of no epoch")
        return epoch, row_id & SEQ_MASK

    def newest(self) -> tuple[int, int] | None:
        """(ordinal, epoch) opened last."""
        if not self.by_ordinal:
            return None
        ordinal = max(self.by_ordinal)
        return ordinal, self.by_ordinal[ordinal]


def state_crc(upto: int, boot: str, snapshot: bytes) -> int:
    """Check of a state row: pages of a database carry none."""
    return zlib.crc32(f"{upto} {boot} ".encode() + snapshot)


class Database:
    """Connection and statements; raises sqlite3.Error, OSError and GarbledError."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        mode = "ro" if read_only else "rw"
        self.connection = sqlite3.connect(
            f"file:{_quoted(path)}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=BUSY_S,
            check_same_thread=False,
        )
        self.epochs = EpochMap()

    @staticmethod
    def create(path: Path, panel: str) -> None:
        """Write an empty journal into the file `path`, durably."""
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.executescript("BEGIN;" + SCHEMA)
            connection.execute("INSERT INTO about VALUES (?, 1)", (panel,))
            connection.execute("COMMIT")
        finally:
            connection.close()

    def prepare(self) -> None:
        """Settings of a writer."""
        execute = self.connection.execute
        execute("PRAGMA journal_mode=WAL").fetchall()
        execute("PRAGMA synchronous=FULL")
        execute("PRAGMA wal_autocheckpoint=0")
        execute("PRAGMA cache_size=-2048")
        execute("PRAGMA journal_size_limit=16777216")

    def close(self) -> None:
        """Close; the last connection checkpoints."""
        self.connection.close()

    @contextmanager
    def transaction(self, *, lazy: bool = False) -> Iterator[None]:
        """One commit; `lazy` leaves it to the next one to reach the disk."""
        execute = self.connection.execute
        if lazy:
            execute("PRAGMA synchronous=NORMAL")
        try:
            execute("BEGIN IMMEDIATE")
            try:
                yield
                execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    execute("ROLLBACK")
                raise
        finally:
            if lazy:
                execute("PRAGMA synchronous=FULL")

    # Reading

    def quick_check(self, deadline_s: float | None) -> None:
        """Raises GarbledError for broken trees; given up silently at `deadline_s` (monotonic)."""
        if deadline_s is not None:
            self.connection.set_progress_handler(lambda: time.monotonic() > deadline_s, 20_000)
        try:
            verdict = self.connection.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                return
            raise
        finally:
            self.connection.set_progress_handler(None, 0)
        if verdict != [("ok",)]:
            raise GarbledError("tree")

    def head_of(self, ordinal: int, panel: str) -> ChainHead:
        """The newest Record of an epoch."""
        epoch = self.epochs.by_ordinal[ordinal]
        first, last = ordinal << SEQ_BITS, ordinal << SEQ_BITS | SEQ_MASK
        newest = self.edge_id(newest=True, within=(first, last))
        row = None if newest is None else self.row(newest)
        if row is None:
            rotated = self.rotated_upto()
            if first < rotated <= last:
                raise GarbledError("epoch rotated away")
            return start_of(panel, epoch)
        return ChainHead(epoch, row.id & SEQ_MASK, row.digest.hex())

    def panel(self) -> str:
        """Whose journal this is."""
        rows = self.connection.execute("SELECT panel, version FROM about").fetchall()
        if len(rows) != 1 or not isinstance(rows[0][0], str):
            raise GarbledError("about")
        name: str = rows[0][0]
        return name

    def load_epochs(self) -> None:
        """Read the epoch map."""
        loaded = EpochMap()
        rows = self.connection.execute(
            "SELECT ordinal, epoch, recorded FROM epochs ORDER BY ordinal"
        ).fetchall()
        for ordinal, epoch, recorded in rows:
            sound = isinstance(epoch, int) and ordinal > 0 and recorded in (0, 1)
            if not sound or not 0 < epoch <= MAX_EPOCH:
                raise GarbledError("epochs")
            loaded.add(ordinal, epoch, bool(recorded))
        self.epochs = loaded

    def rows_down(self, below: int | None = None, limit: int = -1) -> Iterator[Row]:
        """Rows from the newest (or from under `below`) to the oldest."""
        cursor = self.connection.execute(
            "SELECT id, digest, raw FROM records WHERE id < ? ORDER BY id DESC LIMIT ?",
            (1 << 62 if below is None else below, limit),
        )
        for row_id, digest, raw in cursor:
            if not isinstance(digest, bytes) or not isinstance(raw, bytes):
                yield Row(row_id, b"", b"")
            else:
                yield Row(row_id, digest, raw)

    def row(self, row_id: int) -> Row | None:
        """One row."""
        found = self.connection.execute(
            "SELECT id, digest, raw FROM records WHERE id = ?", (row_id,)
        ).fetchone()
        return None if found is None else Row(*found)

    def rows_up(self, above: int, limit: int) -> Iterator[Row]:
        """Rows from over `above` upwards."""
        for found in self.connection.execute(
            "SELECT id, digest, raw FROM records WHERE id > ? ORDER BY id LIMIT ?", (above, limit)
        ):
            yield Row(*found)

    def rows_between(self, first: int, last: int) -> Iterator[Row]:
        """Rows with first <= id <= last, ascending."""
        for found in self.connection.execute(
            "SELECT id, digest, raw FROM records WHERE id BETWEEN ? AND ? ORDER BY id",
            (first, last),
        ):
            yield Row(*found)

    def edge_id(self, *, newest: bool, within: tuple[int, int] = (0, 1 << 62)) -> int | None:
        """Newest or oldest row id in a range."""
        function = "max" if newest else "min"
        found = self.connection.execute(
            f"SELECT {function}(id) FROM records WHERE id BETWEEN ? AND ?",  # noqa: S608
            within,
        ).fetchone()[0]
        return found if found is None else int(found)

    def oldest_ids(self, limit: int) -> list[int]:
        """The first row ids."""
        return [
            int(each[0])
            for each in self.connection.execute(
                "SELECT id FROM records ORDER BY id LIMIT ?", (limit,)
            )
        ]

    def after(self, row_id: int) -> int | None:
        """The next row id."""
        return self.edge_id(newest=False, within=(row_id + 1, 1 << 62))

    def count(self, above: int = 0) -> int:
        """Number of rows with larger ids. Reads the whole tree."""
        return int(
            self.connection.execute(
                "SELECT count(*) FROM records WHERE id > ?", (above,)
            ).fetchone()[0]
        )

    def rotated_upto(self) -> int:
        """Rotation removed rows up to this id."""
        found = self.connection.execute("SELECT upto FROM rotated").fetchall()
        if len(found) != 1 or not isinstance(found[0][0], int):
            raise GarbledError("rotated")
        upto: int = found[0][0]
        return upto

    def finished(self) -> bool:
        """False while a salvage was cut short before its result was judged."""
        return bool(self.connection.execute("PRAGMA user_version").fetchone()[0] == 1)

    def untold(self) -> list[PanelEvent]:
        """Faults found by an earlier start that died before it could append them."""
        rows = self.connection.execute("SELECT event FROM untold ORDER BY rowid").fetchall()
        try:
            return [msgspec.json.decode(each[0], type=PanelEvent) for each in rows]
        except (msgspec.MsgspecError, TypeError) as error:
            raise GarbledError("untold") from error

    def losses(self) -> list[Loss]:
        """Losses already reported."""
        return [
            Loss(*map(int, each))
            for each in self.connection.execute("SELECT epoch, first, last FROM losses")
        ]

    def state(self) -> KeptState | None:
        """The panel's snapshot; None when there is none, GarbledError when it fails its check."""
        rows = self.connection.execute("SELECT upto, boot, snapshot, crc FROM state").fetchall()
        if not rows:
            return None
        upto, boot, snapshot, crc = rows[0]
        sound = isinstance(upto, int) and isinstance(boot, str) and isinstance(snapshot, bytes)
        if not sound or state_crc(upto, boot, snapshot) != crc:
            raise GarbledError("state")
        epoch, seq = self.epochs.place(upto)
        return KeptState(boot, epoch, seq, snapshot)

    def debt(self, path: str) -> PathDebt | None:
        """What was acknowledged on `path`, believed only where the Record's tag agrees."""
        execute = self.connection.execute
        rows = execute("SELECT id, tag FROM acked_upto WHERE path = ?", (path,)).fetchall()
        if not rows:
            return None
        floor = self.rotated_upto()
        upto, tag = rows[0]
        if not isinstance(upto, int) or not self._tagged(upto, tag, floor):
            raise GarbledError("acked_upto")
        debt = PathDebt(upto)
        for row_id, tag in execute("SELECT id, tag FROM acked_beyond WHERE path = ?", (path,)):
            if row_id > upto and self._tagged(row_id, tag, floor):
                debt.beyond.add(row_id)
        for (row_id,) in execute("SELECT id FROM owed_again WHERE path = ?", (path,)):
            if floor < row_id <= upto:
                debt.again.add(row_id)
        return debt

    def stray_acknowledgements(self) -> list[str]:
        """Acknowledgements of what is not here, in words."""
        floor = self.rotated_upto()
        stray: list[str] = []
        for path, row_id, tag in self.connection.execute(
            "SELECT path, id, tag FROM acked_upto UNION ALL SELECT path, id, tag FROM acked_beyond"
        ).fetchall():
            if not self._tagged(row_id, tag, floor):
                stray.append(f"acknowledgement on {path} of no Record: row {row_id}")
        return stray

    def _tagged(self, row_id: int, tag: object, floor: int) -> bool:
        if row_id <= floor:
            return row_id == floor
        row = self.row(row_id)
        return row is not None and row.digest[:TAG_BYTES] == tag

    # Writing, inside a transaction

    def add_epoch(self, epoch: int, *, recorded: bool, ordinal: int = 0) -> int:
        """Open an epoch; its ordinal. The caller adds it to `epochs` after the commit."""
        newest = self.epochs.newest()
        ordinal = ordinal or (1 if newest is None else newest[0] + 1)
        self.connection.execute(
            "INSERT INTO epochs VALUES (?, ?, ?)", (ordinal, epoch, int(recorded))
        )
        return ordinal

    def add_rows(self, rows: Sequence[tuple[int, bytes, bytes]]) -> None:
        """Append (id, digest, raw)."""
        self.connection.executemany("INSERT INTO records VALUES (?, ?, ?)", rows)

    def add_losses(self, losses: Iterable[Loss]) -> None:
        """Note what is gone, so that it is reported once."""
        self.connection.executemany(
            "INSERT INTO losses VALUES (?, ?, ?)",
            [(each.epoch, each.first, each.last) for each in losses],
        )

    def put_state(self, upto: int, boot: str, snapshot: bytes) -> None:
        """Replace the panel's snapshot."""
        self.connection.execute(
            "INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?)",
            (upto, boot, snapshot, state_crc(upto, boot, snapshot)),
        )

    def put_debt(self, path: str, debt: PathDebt, stored: PathDebt) -> None:
        """Store the acknowledgements of one path, given what is stored now."""
        execute, many = self.connection.execute, self.connection.executemany
        execute(
            "INSERT OR REPLACE INTO acked_upto VALUES (?, ?, ?)",
            (path, debt.upto, self._tag_of(debt.upto)),
        )
        many(
            "INSERT OR REPLACE INTO acked_beyond VALUES (?, ?, ?)",
            [(path, each, self._tag_of(each)) for each in debt.beyond - stored.beyond],
        )
        many(
            "DELETE FROM acked_beyond WHERE path = ? AND id = ?",
            [(path, each) for each in stored.beyond - debt.beyond],
        )
        many(
            "INSERT OR REPLACE INTO owed_again VALUES (?, ?)",
            [(path, each) for each in debt.again - stored.again],
        )
        many(
            "DELETE FROM owed_again WHERE path = ? AND id = ?",
            [(path, each) for each in stored.again - debt.again],
        )

    def forget_paths(self, configured: Iterable[str]) -> None:
        """Drop the acknowledgements of paths that no longer exist: they would stop rotation."""
        keep = tuple(configured)
        marks = ",".join("?" * len(keep))
        for table in ("acked_upto", "acked_beyond", "owed_again"):
            self.connection.execute(
                f"DELETE FROM {table} WHERE path NOT IN ({marks})",  # noqa: S608
                keep,
            )

    def _tag_of(self, row_id: int) -> bytes:
        row = self.row(row_id)
        return b"" if row is None else row.digest[:TAG_BYTES]

    def finish(self, faults: Iterable[PanelEvent]) -> None:
        """This database is complete; `faults` are still to be appended as Records."""
        self.connection.executemany(
            "INSERT INTO untold VALUES (?)", [(msgspec.json.encode(each),) for each in faults]
        )
        self.connection.execute("PRAGMA user_version=1")

    def told(self) -> None:
        """The faults are Records now."""
        self.connection.execute("DELETE FROM untold")

    def rotate(self, upto: int) -> int:
        """Remove rows up to `upto`; how many."""
        execute = self.connection.execute
        execute("UPDATE rotated SET upto = ? WHERE one = 1", (upto,))
        return execute("DELETE FROM records WHERE id <= ?", (upto,)).rowcount


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
