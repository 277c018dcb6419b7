"""Opening a journal directory, whatever state it is in: checks, set-aside, salvage, first epoch."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from edge.adapters.journal_database import SEQ_MASK, Database, GarbledError
from edge.adapters.journal_files import JournalFiles, newest_generation, sync_directory
from edge.adapters.journal_salvage import Salvage, rebuild, salvage
from edge.journal.chain import ChainCheck, ChainHead, next_epoch, start_of
from edge.journal.owed import PathDebt
from edge.journal.record_types import Loss
from edge.journal.recovery import (
    HeadNote,
    KeptState,
    Trust,
    changes_arming,
    epoch_opened,
    fault,
    trusted_state,
)
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


@dataclass(slots=True)
class Attached:
    """A database ready for appending, and what was found on the way."""

    database: Database
    generation: int
    head: ChainHead
    debts: dict[str, PathDebt]
    state: KeptState | None
    state_lost: bool
    unchecked_below: int | None
    """Rows under this id are still to be checked; None when all are."""
    faults: list[PanelEvent] = field(default_factory=list)


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


def fresh_epoch(known: int) -> int:
    """A new epoch number above `known`, by wall clock and dice."""
    return next_epoch(int(time.time()), secrets.randbits(16), known)


@dataclass(slots=True)
class _Inspection:
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


@dataclass(slots=True)
class _Report:
    """What there is to tell."""

    tokens: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    doubt: bool = False


class Opening:
    """One attempt to attach to a directory."""

    def __init__(
        self,
        files: JournalFiles,
        panel: str,
        paths: Sequence[str],
        witness: HeadNote | None = None,
    ) -> None:
        self.files = files
        self.panel = panel
        self.paths = paths
        self.witness = witness
        """The newest Record by this process's own memory: stands in for `journal.head`."""

    def attach(self) -> Attached:
        """Raises UnavailableError when nothing can be written here now; never for bad content."""
        try:
            if not self.files.lock():
                raise UnavailableError("locked")
            return self._attach()
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(reason_of(error)) from error

    def _attach(self) -> Attached:
        note, note_existed = self.files.read_head()
        if self.witness is not None:
            note, note_existed = self.witness, True
        copy, copy_existed = self.files.read_state()
        generation = newest_generation(self.files.directory)
        report = _Report()
        seen = _Inspection(damage="db=missing" if note_existed or copy_existed else "")
        if generation:
            seen = self._inspect(generation, note)
        existed = bool(generation) or note_existed or copy_existed
        damage, foreign = seen.damage, seen.foreign
        if foreign:
            note, copy, existed = None, None, False
        if damage or foreign or not generation:
            state = self._replace(generation, note, report, damage=damage, foreign=foreign)
            generation += 1
            seen = self._inspect(generation, note)
            if seen.damage:
                raise UnavailableError("salvage_failed")
            seen.state = state
        if not foreign:
            self._judge_side_files(report, seen, (note, note_existed), (copy, copy_existed))
        report.doubt = report.doubt or bool(damage)
        trust = trusted_state(
            seen.state, copy, note, seen.newest_arming, damaged=report.doubt, existed=existed
        )
        known = max(
            seen.highest_epoch,
            note.head.epoch if note else 0,
            copy.epoch if copy else 0,
            *(each.epoch for each in report.losses),
            0,
        )
        return self._open(generation, seen, known, report, trust)

    def _judge_side_files(
        self,
        report: _Report,
        seen: _Inspection,
        head: tuple[HeadNote | None, bool],
        copy: tuple[KeptState | None, bool],
    ) -> None:
        note, note_existed = head
        if note is None and (note_existed or seen.head is not None):
            report.tokens.append("head=garbled" if note_existed else "head=missing")
            report.doubt = True
        if note is not None and not note.recorded and not seen.holds_note:
            report.losses.append(Loss(note.head.epoch, 1, max(1, note.head.seq)))
            report.tokens.append(f"unrecorded_lost={note.head.seq}")
            report.doubt = True
        if copy[0] is None and copy[1]:
            report.tokens.append("bak=garbled")

    def _inspect(self, generation: int, note: HeadNote | None) -> _Inspection:
        """Look only; content errors become `damage`, others propagate."""
        seen = _Inspection()
        path = self.files.database(generation)
        try:
            if path.stat().st_size == 0:
                raise GarbledError("empty")
            with closing(Database(path, read_only=True)) as database:
                if database.panel() != self.panel:
                    seen.foreign = True
                    return seen
                self._look(database, seen, note)
        except sqlite3.Error as error:
            if not blames_content(error):
                raise
            seen.damage = f"db={reason_of(error)}"
        except GarbledError as error:
            seen.damage = f"db={str(error).replace(' ', '_')}"
        except (ValueError, TypeError, OverflowError) as error:
            seen.damage = f"db={reason_of(error)}"
        return seen

    def _look(self, database: Database, seen: _Inspection, note: HeadNote | None) -> None:
        deadline = time.monotonic() + CHECK_S
        database.quick_check(deadline)
        database.load_epochs()
        newest = database.epochs.newest()
        if newest is not None:
            ordinal, epoch = newest
            seen.highest_epoch = max(database.epochs.recorded)
            seen.recorded = database.epochs.recorded[epoch]
            seen.head = database.head_of(ordinal, self.panel)
        check = ChainCheck(self.panel, database.losses())
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
        self._compare(database, seen, note, floor)

    def _compare(
        self, database: Database, seen: _Inspection, note: HeadNote | None, floor: int
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
            each.epoch == at.epoch and each.first <= at.seq <= each.last
            for each in database.losses()
        )
        seen.holds_note = rotated or excused or (row is not None and row.digest.hex() == at.digest)
        if note.recorded and not seen.holds_note:
            raise GarbledError("rolled back")

    def _replace(
        self,
        generation: int,
        note: HeadNote | None,
        report: _Report,
        *,
        damage: str,
        foreign: bool,
    ) -> KeptState | None:
        """Build generation + 1 beside the old one, switch to it by renaming, set the old aside."""
        found = Salvage()
        target = self.files.attempt(generation + 1)
        if target is None:
            self.files.clear_attempts()
            target = self.files.attempt(generation + 1)
            report.tokens.append("salvage=given_up")
        elif generation and not foreign:
            found = salvage(self.files.database(generation), self.panel, self.paths, note)
        if target is None:
            raise UnavailableError("no_room")
        if not found.rows and note is not None and note.recorded and note.head.seq:
            found.losses = [Loss(note.head.epoch, 1, note.head.seq)]
        rebuild(found, target, self.panel, self.paths)
        target.rename(self.files.database(generation + 1))
        sync_directory(self.files.directory)
        self.files.clear_attempts()
        aside = self.files.set_aside(generation)
        if damage or foreign:
            report.tokens += [damage or "panel=other", f"kept={len(found.rows)}"]
            report.tokens += [f"aside={aside}"] if aside else []
            report.tokens += [] if found.complete else ["search=cut_short"]
        report.losses += found.losses
        return found.state

    def _open(
        self, generation: int, seen: _Inspection, known: int, report: _Report, trust: Trust
    ) -> Attached:
        database = Database(self.files.database(generation))
        try:
            database.prepare()
            database.load_epochs()
            head = seen.head
            if head is None or report.doubt or not seen.recorded:
                stored = set(database.losses())
                epoch = fresh_epoch(known)
                with database.transaction():
                    ordinal = database.add_epoch(epoch, recorded=True)
                    database.add_losses(each for each in report.losses if each not in stored)
                database.epochs.add(ordinal, epoch, recorded=True)
                head = start_of(self.panel, epoch)
            debts = self._debts(database)
        except BaseException:
            database.close()
            raise
        self.files.write_head(HeadNote(self.panel, head))
        faults = [fault(*report.tokens)] if report.tokens else []
        if report.doubt:
            faults.append(epoch_opened(seen.head, report.losses))
        return Attached(
            database, generation, head, debts, trust.state, trust.lost, seen.unchecked_below, faults
        )

    def _debts(self, database: Database) -> dict[str, PathDebt]:
        """A path met for the first time owes only what comes from now on."""
        debts: dict[str, PathDebt] = {}
        newest = database.edge_id(newest=True) or database.rotated_upto()
        with database.transaction(lazy=True):
            database.forget_paths(self.paths)
            for path in self.paths:
                debt = database.debt(path)
                if debt is None:
                    debt = PathDebt(newest)
                    database.put_debt(path, debt, PathDebt(0))
                debts[path] = debt
        return debts
