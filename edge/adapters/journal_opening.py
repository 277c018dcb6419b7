"""Opening a journal directory, whatever state it is in: checks, set-aside, salvage, first epoch."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edge.adapters.journal_database import SEQ_BITS, Database
from edge.adapters.journal_files import JournalFiles, newest_generation, sync_directory
from edge.adapters.journal_inspection import (
    Inspection,
    Inspector,
    UnavailableError,
    reason_of,
)
from edge.adapters.journal_salvage import Salvage, rebuild, salvage
from edge.journal.chain import ChainHead, next_epoch, start_of
from edge.journal.owed import PathDebt
from edge.journal.record_types import Loss
from edge.journal.recovery import (
    LOST,
    HeadNote,
    KeptState,
    Trust,
    epoch_opened,
    fault,
    trusted_state,
)
from protocols.panel_event import PanelEvent


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


def fresh_epoch(known: int) -> int:
    """A new epoch number above `known`, by wall clock and dice."""
    return next_epoch(int(time.time()), secrets.randbits(16), known)


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
        living: int = 0,
    ) -> None:
        self.files = files
        self.panel = panel
        self.paths = paths
        self._inspector = Inspector(panel, paths)
        self.witness = witness
        """The newest Record by this process's own memory: stands in for `journal.head`."""
        self.living = living
        """An epoch this process holds in memory: not lost, though not here."""

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
        seen = Inspection(damage="db=missing" if note_existed or copy_existed else "")
        if generation:
            seen = self._inspector.inspect(self.files.database(generation), note, copy)
        existed = bool(generation) or note_existed or copy_existed
        damage, foreign = seen.damage, seen.foreign
        if foreign:
            note, copy, existed = None, None, False
        if damage or foreign or not generation:
            state = self._replace(
                generation, _newer(note, copy), report, damage=damage, foreign=foreign
            )
            generation += 1
            seen = self._inspector.inspect(self.files.database(generation), note, None)
            if seen.damage:
                raise UnavailableError("salvage_failed")
            seen.state = state
        elif not seen.finished:
            report.tokens.append("salvage=interrupted")
            report.losses += seen.losses
            report.doubt = True
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
        seen: Inspection,
        head: tuple[HeadNote | None, bool],
        copy: tuple[KeptState | None, bool],
    ) -> None:
        note, note_existed = head
        if note is None and (note_existed or seen.head is not None):
            report.tokens.append("head=garbled" if note_existed else "head=missing")
            report.doubt = True
        unrecorded = note is not None and not note.recorded and not seen.holds_note
        if note is not None and unrecorded and note.head.epoch != self.living:
            report.losses.append(Loss(note.head.epoch, 1, max(1, note.head.seq)))
            report.tokens.append(f"unrecorded_lost={note.head.seq}")
            report.doubt = True
        if copy[0] is None and copy[1]:
            report.tokens.append("bak=garbled")

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
            if found.unsure_before is not None:
                epoch, seq = found.unsure_before
                report.tokens.append(f"lost_or_rotated_before={epoch}:{seq}")
        report.losses += found.losses
        return found.state

    def _open(
        self, generation: int, seen: Inspection, known: int, report: _Report, trust: Trust
    ) -> Attached:
        database = Database(self.files.database(generation))
        try:
            database.prepare()
            database.load_epochs()
            faults = [fault(*report.tokens)] if report.tokens else []
            if report.doubt:
                faults.append(epoch_opened(seen.head, report.losses))
            head = seen.head
            if head is None or report.doubt or not seen.recorded:
                head = self._new_epoch(database, known, report, trust, faults)
            elif faults:
                with database.transaction():
                    database.finish(faults)
            debts = self._debts(database)
        except BaseException:
            database.close()
            raise
        rotated = database.epochs.place(database.rotated_upto())
        self.files.write_head(HeadNote(self.panel, head, rotated=rotated))
        return Attached(
            database,
            generation,
            head,
            debts,
            trust.state,
            trust.lost,
            seen.unchecked_below,
            [*seen.untold, *faults],
        )

    def _new_epoch(
        self,
        database: Database,
        known: int,
        report: _Report,
        trust: Trust,
        faults: Sequence[PanelEvent],
    ) -> ChainHead:
        """One transaction: what was judged is what the next start finds."""
        stored = set(database.losses())
        epoch = fresh_epoch(known)
        with database.transaction():
            ordinal = database.add_epoch(epoch, recorded=True)
            database.add_losses(each for each in report.losses if each not in stored)
            state = LOST if trust.lost else trust.state
            if state is not None:
                database.put_state(ordinal << SEQ_BITS, state.boot, state.snapshot)
            database.finish(faults)
        database.epochs.add(ordinal, epoch, recorded=True)
        return start_of(self.panel, epoch)

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


def _newer(note: HeadNote | None, copy: KeptState | None) -> HeadNote | None:
    """The head note, or what `state.bak` knows beyond it."""
    if note is None or copy is None or (note.head.epoch, note.head.seq) >= (copy.epoch, copy.seq):
        return note
    return replace(note, head=ChainHead(copy.epoch, copy.seq, ""), recorded=True)
