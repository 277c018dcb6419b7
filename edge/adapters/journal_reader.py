"""Reading a journal beside the running panel or without it: no lock, nothing written.

Reads in short pieces, so that the panel's log can be checkpointed meanwhile (users.md S1).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.adapters.journal_database import SEQ_MASK, Database, GarbledError, Row
from edge.adapters.journal_files import JournalFiles, newest_generation
from edge.journal.chain import ChainCheck
from edge.journal.record_types import Loss

PIECE: Final = 1000


class NoJournalError(Exception):
    """There is no journal, or it cannot be read at all."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Result of checking everything. `flaws` empty: the chain holds."""

    database: str
    panel: str
    records: int
    epochs: int
    newest_epoch: int
    newest_seq: int
    newest_digest: str
    flaws: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    """Reported when they happened (JOURNAL_FAULT, EPOCH_OPENED): incomplete, not broken."""


@contextmanager
def reading(directory: Path) -> Iterator[Database]:
    """The newest generation, read-only; raises NoJournalError."""
    generation = newest_generation(directory)
    if not generation:
        raise NoJournalError(f"no journal in {directory}")
    path = JournalFiles(directory, "").database(generation)
    try:
        database = Database(path, read_only=True)
        try:
            database.panel()
            database.load_epochs()
            yield database
        finally:
            database.close()
    except (sqlite3.Error, GarbledError) as error:
        raise NoJournalError(f"{path.name} does not read: {error}") from error


def rows_down(database: Database) -> Iterator[Row]:
    """All rows, newest first, no transaction held open between pieces."""
    below: int | None = None
    while True:
        piece = list(database.rows_down(below, PIECE))
        yield from piece
        if len(piece) < PIECE:
            return
        below = piece[-1].id


def rows_up(database: Database) -> Iterator[Row]:
    """All rows, oldest first."""
    at = 0
    while True:
        piece = list(database.rows_up(at, PIECE))
        yield from piece
        if len(piece) < PIECE:
            return
        at = piece[-1].id


def verify(directory: Path) -> VerifyReport:
    """Check every Record, link, gap and acknowledgement; raises NoJournalError."""
    # Read before the database, which by then has this Record or a newer one.
    with reading(directory) as database:
        panel = database.panel()
        note, note_existed = JournalFiles(directory, panel).read_head()
        flaws: list[str] = []
        try:
            database.quick_check(None)
        except GarbledError:
            flaws.append("the database's trees are damaged")
        losses = database.losses()
        floor = database.rotated_upto()
        check = ChainCheck(panel, losses)
        newest = (0, 0, "")
        for row in rows_down(database):
            database.load_epochs()
            epoch, seq = database.epochs.place(row.id)
            newest = newest if newest[0] else (epoch, seq, row.digest.hex())
            flaws += map(str, check.feed(epoch, seq, row.digest.hex(), row.raw))
        flaws += map(str, check.finish(floor & SEQ_MASK if floor else None))
        if note is not None and note.head.seq:
            row_id = database.epochs.row_id(note.head.epoch, note.head.seq)
            row_found = None if row_id is None else database.row(row_id)
            if note.recorded and (row_found is None or row_found.digest.hex() != note.head.digest):
                flaws.append(f"newest known Record {note.head.epoch}:{note.head.seq} is not here")
        elif note is None and (note_existed or newest[0]):
            flaws.append("journal.head is missing or garbled")
        flaws += database.stray_acknowledgements()
        return VerifyReport(
            database.path.name,
            panel,
            check.checked,
            len(database.epochs.by_ordinal),
            *newest,
            flaws=flaws,
            losses=losses,
        )
