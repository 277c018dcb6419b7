"""Looking at a database before anything is written to it: is it what it was left as?"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.adapters.journal_database import SEQ_MASK, Database, GarbledError
from edge.journal.chain import ChainCheck, ChainHead
from edge.journal.record_types import Loss
from edge.journal.recovery import HeadNote, KeptState, changes_arming
from protocols.panel_event import PanelEvent

CHECK_S: Final = 3.0
"""Time for checking at start (C2: running within 10 s); the rest is checked when idle."""

_UNAVAILABLE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_AUTH,
    }
)
_IOERR_OF_CONTENT: Final = frozenset({266, 522, 8202, 8458})
"""SQLITE_IOERR_READ, _SHORT_READ, _DATA, _CORRUPTFS: the file is bad, not the moment."""


class UnavailableError(Exception):
    """The disk or directory refuses; the files are not to blame. `reason` is one token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def blames_content(error: sqlite3.Error) -> bool:
    """Whether the error says that the file is damaged (else: full, locked, not permitted)."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return True
    if code & 0xFF == sqlite3.SQLITE_IOERR:
        return code in _IOERR_OF_CONTENT
    return code & 0xFF not in _UNAVAILABLE


def reason_of(error: Exception) -> str:
    """One token for the report."""
    name = getattr(error, "sqlite_errorname", None)
    if name is not None:
        return str(name).removeprefix("SQLITE_").lower()
    if isinstance(error, OSError) and error.errno is not None:
        return f"errno_{error.errno}"
    return type(error).__name__.lower()


@dataclass(slots=True)
class Inspection:
    """What a database says of itself."""

    head: ChainHead | None = None
    recorded: bool = True
    highest_epoch: int = 0
    state: KeptState | None = None
    newest_arming: tuple[int, int] = (0, 0)
    unchecked_below: int | None = None
    holds_note: bool = False
    damage: str = ""
    foreign: bool = False
    finished: bool = True
    untold: list[PanelEvent] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    """Already noted in the database."""


class Inspector:
    """Looks at databases of one panel."""

    def __init__(self, panel: str, paths: Sequence[str]) -> None:
        self.panel = panel
        self.paths = paths

    def inspect(self, path: Path, note: HeadNote | None, copy: KeptState | None) -> Inspection:
        """Look only; content errors become `damage`, others propagate."""
        seen = Inspection()
        try:
            if path.stat().st_size == 0:
                raise GarbledError("empty")
            with closing(Database(path, read_only=True)) as database:
                if database.panel() != self.panel:
                    seen.foreign = True
                    return seen
                self._look(database, seen, note)
                if copy is not None and seen.recorded and _behind(seen.head, copy):
                    raise GarbledError("rolled back")
        except sqlite3.Error as error:
            if not blames_content(error):
                raise
            seen.damage = f"db={reason_of(error)}"
        except GarbledError as error:
            seen.damage = f"db={str(error).replace(' ', '_')}"
        except (ValueError, TypeError, OverflowError) as error:
            seen.damage = f"db={reason_of(error)}"
        return seen

    def _look(self, database: Database, seen: Inspection, note: HeadNote | None) -> None:
        deadline = time.monotonic() + CHECK_S
        database.quick_check(deadline)
        database.load_epochs()
        newest = database.epochs.newest()
        if newest is not None:
            ordinal, epoch = newest
            seen.highest_epoch = max(database.epochs.recorded)
            seen.recorded = database.epochs.recorded[epoch]
            seen.head = database.head_of(ordinal, self.panel)
        seen.losses = database.losses()
        seen.finished = database.finished()
        seen.untold = database.untold()
        check = ChainCheck(self.panel, seen.losses)
        floor = database.rotated_upto()
        for row in database.rows_down():
            epoch, seq = database.epochs.place(row.id)
            findings = check.feed(epoch, seq, row.digest.hex(), row.raw)
            if findings:
                raise GarbledError(str(findings[0]))
            record = check.latest()
            arming = record is not None and changes_arming(record.event)
            if arming and seen.newest_arming == (0, 0):
                seen.newest_arming = (epoch, seq)
            if check.checked % 256 == 0 and time.monotonic() > deadline:
                seen.unchecked_below = row.id
                break
        else:
            findings = check.finish(floor & SEQ_MASK if floor else None)
            if findings:
                raise GarbledError(str(findings[0]))
        seen.state = database.state()
        for path in self.paths:
            database.debt(path)
        if database.stray_acknowledgements():
            raise GarbledError("stray acknowledgements")
        self._compare(database, seen, note, floor)

    def _compare(
        self, database: Database, seen: Inspection, note: HeadNote | None, floor: int
    ) -> None:
        """The newest Record the head note knows must be here: SQLite drops lost ends silently."""
        if note is None or note.head.seq == 0:
            seen.holds_note = True
            return
        at = note.head
        row_id = database.epochs.row_id(at.epoch, at.seq)
        row = None if row_id is None else database.row(row_id)
        rotated = row_id is not None and row_id <= floor
        excused = any(
            each.epoch == at.epoch and each.first <= at.seq <= each.last for each in seen.losses
        )
        seen.holds_note = rotated or excused or (row is not None and row.digest.hex() == at.digest)
        if note.recorded and not seen.holds_note:
            raise GarbledError("rolled back")


def _behind(head: ChainHead | None, copy: KeptState) -> bool:
    """`state.bak` was written after a Record that is not here: a second witness."""
    return head is not None and head.epoch == copy.epoch and head.seq < copy.seq
