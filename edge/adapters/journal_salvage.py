"""Reading a damaged journal and building a new generation from what reads.

Records are carved out of the file's bytes, not asked of SQLite: a Record lies whole in one page
behind its SHA-256, so each is proved by itself whatever the trees around it look like, and Records
in a write-ahead log that SQLite gave up are found too.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from edge.adapters.journal_database import SEQ_BITS, Database, GarbledError
from edge.journal.chain import ChainHead, read_record
from edge.journal.owed import PathDebt
from edge.journal.record_types import Loss
from edge.journal.recovery import HeadNote, KeptState
from protocols.mqtt.payloads import Record

CARVE_S: Final = 5.0
"""Time for carving, of the 10 s a start may take (C2); the rest stays in the file set aside."""
_DIGEST_BYTES: Final = 32
_Key = tuple[int, int]
_T = TypeVar("_T")


@dataclass(slots=True)
class Salvage:
    """What could be read of a damaged database."""

    rows: dict[_Key, tuple[bytes, bytes]] = field(default_factory=dict)
    """(digest, raw) by (epoch, seq), each linked to its successor."""
    state: KeptState | None = None
    debts: dict[str, tuple[_Key, set[_Key], set[_Key]]] = field(default_factory=dict)
    rotated: _Key | None = None
    """Rotation had removed up to here; None: not readable."""
    known: list[Loss] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    """New ones, not in `known`."""
    unsure_before: _Key | None = None
    """What stood before this Record was rotated or is lost: nothing is left to tell."""
    complete: bool = True
    """False: time ran out before all bytes were searched."""


def salvage(path: Path, panel: str, paths: Iterable[str], note: HeadNote | None) -> Salvage:
    """Read what reads. Never raises for bad content; OSError when the file cannot be read."""
    found = Salvage()
    candidates, found.complete = _carve(path, panel)
    _ask_sqlite(path, paths, found)
    if found.rotated is None and note is not None:
        found.rotated = note.rotated
    _choose(candidates, note, found)
    return found


def _carve(path: Path, panel: str) -> tuple[dict[_Key, dict[bytes, bytes]], bool]:
    pattern = re.compile(rb'\{"panel":"' + re.escape(panel.encode()) + rb'","epoch":')
    candidates: dict[_Key, dict[bytes, bytes]] = {}
    deadline = time.monotonic() + CARVE_S
    for file in (path.with_name(path.name + "-wal"), path):
        if not file.is_file() or file.stat().st_size == 0:
            continue
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as data:
            for match in pattern.finditer(data):
                if time.monotonic() > deadline:
                    return candidates, False
                _take(data, match.start(), panel, candidates)
    return candidates, True


def _take(
    data: mmap.mmap, start: int, panel: str, candidates: dict[_Key, dict[bytes, bytes]]
) -> None:
    """One Record at `start`: before it its digest, before that its length (serial type)."""
    if start < _DIGEST_BYTES + 2:
        return
    high, low = data[start - _DIGEST_BYTES - 2], data[start - _DIGEST_BYTES - 1]
    length = (((high & 0x7F) << 7 | low) - 12) // 2
    if length <= 0:
        return
    digest = data[start - _DIGEST_BYTES : start]
    raw = data[start : start + length]
    if hashlib.sha256(raw).digest() != digest:
        return
    record = read_record(raw, panel)
    if record is not None:
        candidates.setdefault((record.epoch, record.seq), {})[digest] = raw


def _ask_sqlite(path: Path, paths: Iterable[str], found: Salvage) -> None:
    """The small tables, each believed by its own check, each lost alone."""
    try:
        database = Database(path, read_only=True)
    except sqlite3.Error:
        return
    deadline = time.monotonic() + 1.0
    database.connection.set_progress_handler(lambda: time.monotonic() > deadline, 5000)
    with contextlib.closing(database.connection), contextlib.suppress(*_UNREADABLE):
        database.load_epochs()
        place = database.epochs.place
        found.known = _tried(database.losses, [])
        found.state = _tried(database.state, None)
        found.rotated = _tried(lambda: place(database.rotated_upto()), None)
        for name in paths:
            debt = database.debt(name)
            if debt is not None:
                found.debts[name] = _placed(debt, place)


_UNREADABLE: Final = (sqlite3.Error, GarbledError, ValueError, TypeError, OverflowError)


def _tried(read: Callable[[], _T], otherwise: _T) -> _T:
    try:
        return read()
    except _UNREADABLE:
        return otherwise


def _placed(debt: PathDebt, place: Callable[[int], _Key]) -> tuple[_Key, set[_Key], set[_Key]]:
    return place(debt.upto), {place(x) for x in debt.beyond}, {place(x) for x in debt.again}


def _choose(
    candidates: Mapping[_Key, Mapping[bytes, bytes]], note: HeadNote | None, found: Salvage
) -> None:
    """From the newest down, keep what its successor vouches for; list what is missing."""
    ends: dict[int, ChainHead] = {}
    for epoch, seq in candidates:
        if epoch not in ends or ends[epoch].seq < seq:
            ends[epoch] = ChainHead(epoch, seq, "")
    if note is not None and note.head.seq and note.head.epoch >= max(ends, default=0):
        end = ends.get(note.head.epoch)
        if end is None or end.seq <= note.head.seq:
            ends[note.head.epoch] = note.head
    for epoch in sorted(ends):
        _choose_in_epoch(ends[epoch], candidates, found)


def _choose_in_epoch(
    end: ChainHead, candidates: Mapping[_Key, Mapping[bytes, bytes]], found: Salvage
) -> None:
    expected = bytes.fromhex(end.digest) or None
    rotated = found.rotated or (0, 0)
    lowest = rotated[1] + 1 if end.epoch == rotated[0] else 1
    if end.epoch < rotated[0]:
        return
    missing: list[int] = []
    for seq in range(end.seq, lowest - 1, -1):
        choice = candidates.get((end.epoch, seq), {})
        digest = expected if expected in choice else None
        if expected is None and choice:
            digest = next(iter(choice))
        if digest is None:
            missing.append(seq)
            expected = None
            continue
        raw = choice[digest]
        found.rows[end.epoch, seq] = (digest, raw)
        record = read_record(raw)
        assert isinstance(record, Record)
        expected = bytes.fromhex(record.prev)
    oldest = min(found.rows, default=None)
    if found.rotated is None and oldest is not None and oldest[0] == end.epoch:
        # Rotation's mark is lost with the rest: what is missing in front may have been rotated.
        found.unsure_before = oldest if missing and missing[-1] < oldest[1] else None
        missing = [each for each in missing if each > oldest[1]]
    for loss in _runs(end.epoch, missing):
        if loss not in found.known:
            found.losses.append(loss)


def _runs(epoch: int, descending: list[int]) -> list[Loss]:
    runs: list[Loss] = []
    for seq in reversed(descending):
        if runs and runs[-1].last == seq - 1:
            runs[-1] = Loss(epoch, runs[-1].first, seq)
        else:
            runs.append(Loss(epoch, seq, seq))
    return runs


def rebuild(found: Salvage, target: Path, panel: str, paths: Iterable[str]) -> None:
    """Write what was salvaged into the empty file `target`, durably, in one commit.

    The result is not `finished`: the start that judges it does that, or the next one.
    """
    Database.create(target, panel)
    database = Database(target)
    try:
        with database.transaction():
            ordinals = _add_all(database, found)
            database.add_losses([*found.known, *found.losses])
            for name in paths:
                database.put_debt(name, _translated(name, found, ordinals, database), PathDebt(0))
            state = found.state
            if state is not None:
                ordinal = ordinals.get(state.epoch, 0)
                upto = ordinal << SEQ_BITS | state.seq if ordinal else 0
                database.put_state(upto, state.boot, state.snapshot)
    finally:
        database.close()


def _add_all(database: Database, found: Salvage) -> dict[int, int]:
    ordinals: dict[int, int] = {}
    rows: list[tuple[int, bytes, bytes]] = []
    floor = 0
    for epoch, seq in sorted(found.rows):
        digest, raw = found.rows[epoch, seq]
        if epoch not in ordinals:
            record = read_record(raw)
            assert record is not None
            ordinals[epoch] = database.add_epoch(epoch, recorded=record.recorded)
            database.epochs.add(ordinals[epoch], epoch, record.recorded)
            if (
                not rows
                and seq > 1
                and all(loss.epoch != epoch or loss.first > 1 for loss in found.losses)
            ):
                floor = ordinals[epoch] << SEQ_BITS | seq - 1
        rows.append((ordinals[epoch] << SEQ_BITS | seq, digest, raw))
    if floor:
        database.rotate(floor)
    database.add_rows(rows)
    return ordinals


def _translated(
    name: str, found: Salvage, ordinals: Mapping[int, int], database: Database
) -> PathDebt:
    floor = database.rotated_upto()
    if name not in found.debts:
        return PathDebt(floor)
    upto, beyond, again = found.debts[name]

    def kept(keys: set[_Key]) -> set[int]:
        return {ordinals[k[0]] << SEQ_BITS | k[1] for k in keys if k in found.rows}

    mark = max((k for k in found.rows if k <= upto), default=None)
    if mark is None:
        return PathDebt(floor, kept(beyond))
    return PathDebt(ordinals[mark[0]] << SEQ_BITS | mark[1], kept(beyond), kept(again))
