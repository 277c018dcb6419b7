"""Walks the ledger's chain and compares every row it vouches for (R17, R70)."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from collector.adapters.ledger_rows import SignalRow, covered, entry_of
from collector.adapters.ledger_store import StoreError
from collector.records import chain
from collector.records.ledger_entry import EntryKind, LedgerEntry, SignalsBody
from collector.records.placement import Placement

CHUNK: Final = 1000
MAX_FLAWS: Final = 100
_TABLES: Final = {
    EntryKind.OCCURRENCE: ("occurrences", "SELECT id, body FROM occurrences ORDER BY id"),
    EntryKind.CASE: ("cases", "SELECT id, body FROM cases ORDER BY id"),
    EntryKind.HANDOVER: ("handovers", "SELECT id, verdict, body FROM handovers ORDER BY id"),
    EntryKind.PLACEMENT: (
        "placements",
        "SELECT signal, panel, at, err_us, placed_by FROM placements ORDER BY signal",
    ),
    EntryKind.REFUSAL: ("refused", "SELECT * FROM refused ORDER BY id"),
    EntryKind.SITE_CARD: ("site_cards", "SELECT id, digest, body FROM site_cards ORDER BY id"),
}


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """`flaws` empty: every row is as it was written. `head` is the digest to compare elsewhere."""

    entries: int
    signals: int
    head: str
    flaws: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.flaws


def verify(
    connection: sqlalchemy.Connection, progress: Callable[[int, int], None] | None = None
) -> VerifyReport:
    """Check all of it in one consistent view; `progress(done, of)` in entries."""
    try:
        with connection.begin():
            return _Walk(connection, progress).run()
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise StoreError(f"cannot read the ledger: {error}") from error


class _Walk:
    def __init__(
        self, connection: sqlalchemy.Connection, progress: Callable[[int, int], None] | None
    ) -> None:
        self._connection = connection
        self._progress = progress
        self._flaws: list[str] = []
        self._vouched: dict[tuple[EntryKind, str], bytes] = {}
        self._signals = 0

    def run(self) -> VerifyReport:
        total = int(self._all("SELECT count(*) FROM ledger")[0][0])
        prev, done = chain.GENESIS, 0
        for entry in self._entries():
            flaw = chain.flaw(entry, done + 1, prev)
            if flaw is not None:
                self._flaw(flaw)
                if entry.id != done + 1:
                    done = entry.id - 1
            prev = entry.digest
            done += 1
            if entry.kind is EntryKind.SIGNALS:
                self._check_signals(entry)
            elif entry.kind in _TABLES:
                self._vouched[entry.kind, entry.ref] = _short(entry.body)
            if self._progress is not None and done % CHUNK == 0:
                self._progress(done, total)
        beyond = self._all("SELECT count(*) FROM signals WHERE id > :i", i=self._signals)[0][0]
        if beyond:
            self._flaw(f"{beyond} signals after {self._signals} stand outside the ledger")
        for kind in _TABLES:
            self._check_table(kind)
        if self._progress is not None:
            self._progress(total, total)
        return VerifyReport(total, self._signals, prev, tuple(self._flaws))

    def _entries(self) -> Iterator[LedgerEntry]:
        after = 0
        while True:
            rows = self._all(
                "SELECT * FROM ledger WHERE id > :a ORDER BY id LIMIT :n", a=after, n=CHUNK
            )
            if not rows:
                return
            for row in rows:
                try:
                    yield entry_of(row)
                except (TypeError, ValueError):
                    self._flaw(f"entry {row[0]} is not readable")
            after = rows[-1][0]

    def _check_signals(self, entry: LedgerEntry) -> None:
        try:
            body = msgspec.json.decode(entry.body, type=SignalsBody)
        except msgspec.MsgspecError:
            self._flaw(f"entry {entry.id} is not readable")
            return
        if body.first != self._signals + 1:
            self._flaw(f"signals {self._signals + 1} to {body.first - 1} stand in no entry")
        self._signals = body.last
        rows: list[SignalRow] = self._all(
            "SELECT * FROM signals WHERE id BETWEEN :a AND :b ORDER BY id",
            a=body.first,
            b=body.last,
        )
        for row in rows:
            if row[6] and (
                not isinstance(row[15], bytes) or hashlib.sha256(row[15]).hexdigest() != row[6]
            ):
                self._flaw(f"signal {row[0]} was changed: its record is not the one received")
        if len(rows) != body.last - body.first + 1:
            self._flaw(f"of signals {body.first} to {body.last} only {len(rows)} are left")
        elif chain.rows_digest(map(covered, rows)) != body.rows:
            self._flaw(f"of signals {body.first} to {body.last} one was changed")

    def _check_table(self, kind: EntryKind) -> None:
        table, sql = _TABLES[kind]
        for row in self._all(sql):
            ref = str(row[0])
            expected = self._vouched.pop((kind, ref), None)
            if expected is None:
                self._flaw(f"{table} {ref} stands in no entry")
                continue
            try:
                same = self._matches(kind, row, expected)
            except (TypeError, ValueError):
                same = False
            if not same:
                self._flaw(f"{table} {ref} was changed")
        for known, ref in self._vouched:
            if known is kind:
                self._flaw(f"{table} {ref} is missing")

    def _matches(self, kind: EntryKind, row: tuple[Any, ...], expected: bytes) -> bool:
        match kind:
            case EntryKind.HANDOVER:
                said = str(row[1]).encode() + b"\n" + bytes(row[2])
            case EntryKind.PLACEMENT:
                signal, panel, at, err_us, by = row
                said = msgspec.json.encode(Placement(signal, panel, at, err_us, by))
            case EntryKind.REFUSAL:
                said = chain.rows_digest([row]).encode()
            case EntryKind.SITE_CARD:
                said = hashlib.sha256(row[2]).hexdigest().encode()
                if said.decode() != row[1]:
                    return False
            case _:
                said = bytes(row[1])
        return _short(said) == expected

    def _flaw(self, text: str) -> None:
        if len(self._flaws) < MAX_FLAWS:
            self._flaws.append(text)

    def _all(self, sql: str, **values: object) -> list[Any]:
        return [tuple(row) for row in self._connection.execute(sqlalchemy.text(sql), values)]


def _short(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
