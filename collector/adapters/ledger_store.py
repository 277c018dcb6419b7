"""The ledger's writer: one thread, one connection, one transaction per Draft.

SQLite: WAL with synchronous=FULL, so a commit is on disk; checkpoints are made by
`ledger_checkpoint` on its own connection, off this path.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from collector import CollectorError
from collector.adapters.ledger_rows import SignalRow, covered, signal_of
from collector.adapters.ledger_statements import Statement, statements
from collector.intake import PhonePath, ReceiverVerdict, RunState, SpoolState, Verdict
from collector.records import chain
from collector.records.case import Case
from collector.records.ledger_entry import EntryKind, SignalsBody
from collector.records.placement import Anchor
from collector.records.signal import Occurrence, Signal
from protocols.instants import UtcTime
from protocols.mqtt.payloads import SiteCard
from protocols.mqtt.reception import SPOOL_LINE, Reception

BUSY_MS: Final = 10_000
_encode = msgspec.json.Encoder().encode


class StoreError(CollectorError):
    """The ledger cannot be written or read now: disk full, I/O error. Nothing was stored."""


@dataclass(slots=True)
class Draft:
    """What one transaction writes, in order of first use. `at` dates its LedgerEntries."""

    at: UtcTime
    rows: dict[Statement, list[tuple[object, ...]]] = field(default_factory=dict)
    entries: list[tuple[EntryKind, str, bytes]] = field(default_factory=list)
    signals: list[SignalRow] = field(default_factory=list)

    def add(self, statement: Statement, row: tuple[object, ...]) -> None:
        """Write this row."""
        self.rows.setdefault(statement, []).append(row)

    def enter(self, kind: EntryKind, ref: str, body: bytes) -> None:
        """Append a LedgerEntry."""
        self.entries.append((kind, ref, body))

    @property
    def empty(self) -> bool:
        """Nothing to write."""
        return not (self.rows or self.entries or self.signals)


def connect_engine(url: str) -> sqlalchemy.Engine:
    """The engine, with SQLite set up for durable commits and explicit transactions."""
    sqlite = url.startswith("sqlite")
    engine = sqlalchemy.create_engine(
        url,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": BUSY_MS / 1000} if sqlite else {},
    )
    if sqlite:
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0"):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _begin_sqlite(connection: sqlalchemy.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class LedgerStore:
    """Owned by one thread at a time. Every method raises StoreError when the store fails."""

    def __init__(self, url: str) -> None:
        self._engine = connect_engine(url)
        self._sql = statements("?" if self._engine.dialect.paramstyle == "qmark" else "%s")
        self._connection: sqlalchemy.Connection | None = None
        self._next: dict[str, int] = {}
        self._head = (0, chain.GENESIS)
        self._run_in = msgspec.msgpack.Decoder(RunState).decode
        self._run_out = msgspec.msgpack.Encoder().encode

    @property
    def path(self) -> Path | None:
        """The database file, for SQLite."""
        url = self._engine.url
        return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None

    def open(self) -> None:
        """Connect, bring the schema up to date, read where numbering stands."""
        try:
            self._connection = self._engine.connect()
            migrate(self._connection)
            self.reload()
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StoreError(f"cannot open the ledger: {error}") from error

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()

    def reload(self) -> None:
        """Numbering as it is stored; after a failed commit."""
        for table in ("signals", "refused", "site_cards", "handovers"):
            found = self._all(f"SELECT coalesce(max(id), 0) FROM {table}")  # noqa: S608 - our names
            self._next[table] = int(found[0][0]) + 1
        last = self._all("SELECT id, digest FROM ledger ORDER BY id DESC LIMIT 1")
        self._head = (int(last[0][0]), str(last[0][1])) if last else (0, chain.GENESIS)

    @property
    def last_signal(self) -> int:
        """Id of the newest Signal stored."""
        return self._next["signals"] - 1

    def allot(self, table: str) -> int:
        """The next id of `table`; lost when the Draft is not committed."""
        id_ = self._next[table]
        self._next[table] = id_ + 1
        return id_

    def commit(self, draft: Draft) -> None:
        """Write all of it durably or nothing; after StoreError numbering is as before."""
        if draft.empty:
            return
        connection = self._live()
        head = self._head
        if draft.signals:
            first, last = draft.signals[0][0], draft.signals[-1][0]
            rows = chain.rows_digest(map(covered, draft.signals))
            draft.entries.insert(
                0, (EntryKind.SIGNALS, str(first), _encode(SignalsBody(first, last, rows)))
            )
        chained: list[tuple[object, ...]] = []
        number, prev = head
        for kind, ref, body in draft.entries:
            number += 1
            entry = chain.link(number, draft.at, kind, ref, body, prev)
            prev = entry.digest
            chained.append((number, draft.at, kind.value, ref, body, entry.prev, prev))
        try:
            with connection.begin():
                if draft.signals:
                    self._many(connection, Statement.SIGNAL, [*draft.signals])
                for statement, written in draft.rows.items():
                    self._many(connection, statement, written)
                if chained:
                    self._many(connection, Statement.LEDGER, chained)
        except (SQLAlchemyError, sqlite3.Error, OverflowError) as error:
            self._recover()
            raise StoreError(_said(error)) from error
        self._head = (number, prev)

    # What the stages need to know

    def run(self, panel: str, epoch: int) -> RunState:
        """The run as stored, or a new one."""
        found = self._all(
            "SELECT state FROM runs WHERE panel = :p AND epoch = :e", p=panel, e=epoch
        )
        return self._run_in(found[0][0]) if found else RunState(panel=panel, epoch=epoch)

    def run_row(self, state: RunState) -> tuple[object, ...]:
        """Row of `runs`."""
        return (state.panel, state.epoch, state.upto, state.head, self._run_out(state))

    def digests(
        self, panel: str, epoch: int, seqs: Iterable[int]
    ) -> list[tuple[str, int, int, str]]:
        """(panel, epoch, seq, digest) stored for these seqs."""
        wanted = sorted(seqs)
        found: list[tuple[str, int, int, str]] = []
        while wanted:
            # One range query as long as the seqs lie close together.
            width = len(wanted)
            while width > 1 and wanted[width - 1] - wanted[0] > 4 * width + 64:
                width //= 2
            part, wanted = wanted[:width], wanted[width:]
            rows = self._all(
                "SELECT seq, digest FROM signals WHERE panel = :p AND epoch = :e AND epoch > 0 "
                "AND seq BETWEEN :a AND :b",
                p=panel,
                e=epoch,
                a=part[0],
                b=part[-1],
            )
            found += [(panel, epoch, seq, digest) for seq, digest in rows]
        return found

    def verdicts(self) -> list[Verdict]:
        """Supervision as stored."""
        return [
            Verdict(panel, boot, float(period_s), lost=bool(lost))
            for panel, boot, period_s, lost in self._all(
                "SELECT panel, boot, period_s, lost FROM panels"
            )
        ]

    def spool(self, receiver: str, epoch: int) -> SpoolState:
        """How far a receiver's spool was taken, or a new one."""
        found = self._all(
            "SELECT upto FROM spools WHERE receiver = :r AND epoch = :e", r=receiver, e=epoch
        )
        return SpoolState(receiver, epoch, int(found[0][0]) if found else 0)

    def receptions(
        self, receiver: str, epoch: int, first: int, last: int
    ) -> list[tuple[str, int, int, str]]:
        """(receiver, epoch, seq, digest) stored for the seqs `first` to `last`."""
        rows = self._all(
            "SELECT seq, digest FROM receptions WHERE receiver = :r AND epoch = :e "
            "AND seq BETWEEN :a AND :b",
            r=receiver,
            e=epoch,
            a=first,
            b=last,
        )
        return [(receiver, epoch, int(seq), str(digest)) for seq, digest in rows]

    def receivers(self) -> list[ReceiverVerdict]:
        """Supervision of receivers as stored."""
        rows = self._all("SELECT receiver, period_s, lost, state FROM receivers")
        return [
            ReceiverVerdict(name, float(s), lost=bool(lost), spool=_spool_fault(body))
            for name, s, lost, body in rows
        ]

    def phone_paths(self) -> list[PhonePath]:
        """Panels that phone, as stored."""
        rows = self._all("SELECT panel, heard, lost, since FROM phone_paths")
        return [PhonePath(p, UtcTime(h), bool(lost), UtcTime(s)) for p, h, lost, s in rows]

    def card_digest(self, panel: str) -> str:
        """Digest of the panel's newest site card, or empty."""
        found = self._all(
            "SELECT digest FROM site_cards WHERE panel = :p ORDER BY id DESC LIMIT 1", p=panel
        )
        return str(found[0][0]) if found else ""

    def card(self, panel: str, digest: str) -> SiteCard | None:
        """A version of the panel's site card."""
        found = self._all(
            "SELECT body FROM site_cards WHERE panel = :p AND digest = :d LIMIT 1",
            p=panel,
            d=digest,
        )
        return msgspec.json.decode(found[0][0], type=SiteCard) if found else None

    def signals_after(self, cursor: int, limit: int) -> list[tuple[Signal, bool]]:
        """The next Signals in ledger order, each with whether it has a wall time of its own."""
        rows: list[SignalRow] = self._all(
            "SELECT * FROM signals WHERE id > :c ORDER BY id LIMIT :n", c=cursor, n=limit
        )
        return [(signal_of(row), bool(row[11])) for row in rows]

    def newest_signal(self) -> tuple[int, UtcTime]:
        """(id, received) of the last Signal, or zeros."""
        found = self._all("SELECT id, received FROM signals ORDER BY id DESC LIMIT 1")
        return (int(found[0][0]), UtcTime(found[0][1])) if found else (0, UtcTime(0))

    def cursor(self, name: str) -> tuple[int, UtcTime]:
        """(last Signal taken, time up to which timers were fired)."""
        found = self._all("SELECT signal, horizon FROM cursors WHERE name = :n", n=name)
        return (int(found[0][0]), UtcTime(found[0][1])) if found else (0, UtcTime(0))

    def machine(self, name: str, panel: str) -> bytes | None:
        """Stored state of one machine."""
        found = self._all(
            "SELECT body FROM machine_state WHERE name = :n AND panel = :p", n=name, p=panel
        )
        return bytes(found[0][0]) if found else None

    def machine_deadlines(self) -> list[tuple[str, str, int]]:
        """(panel, name, deadline) of machines with a timer running."""
        return [
            (panel, name, int(at))
            for panel, name, at in self._all(
                "SELECT panel, name, deadline FROM machine_state WHERE deadline IS NOT NULL"
            )
        ]

    def occurrence(self, id_: int) -> Occurrence | None:
        """One Occurrence as stored."""
        found = self._all("SELECT body FROM occurrences WHERE id = :i", i=id_)
        return msgspec.json.decode(found[0][0], type=Occurrence) if found else None

    def case_panel(self, case: int) -> str | None:
        """The panel a case is about."""
        found = self._all("SELECT panel FROM cases WHERE id = :i", i=case)
        return str(found[0][0]) if found else None

    def case(self, id_: int) -> Case | None:
        """One Case as stored."""
        found = self._all("SELECT body FROM cases WHERE id = :i", i=id_)
        return msgspec.json.decode(found[0][0], type=Case) if found else None

    def anchor(self, panel: str, boot: str) -> Anchor | None:
        """How this boot's monotonic time lies on the UTC line, when known."""
        found = self._all(
            "SELECT body FROM anchors WHERE panel = :p AND boot = :b", p=panel, b=boot
        )
        return msgspec.json.decode(found[0][0], type=Anchor) if found else None

    def untimed(self, panel: str, boot: str, below: int) -> list[tuple[int, int]]:
        """(id, mono) of the boot's Signals without a wall time, up to Signal `below`."""
        rows = self._all(
            "SELECT id, mono FROM signals WHERE timed = 0 AND panel = :p AND boot = :b "
            "AND id < :i AND mono IS NOT NULL ORDER BY id",
            p=panel,
            b=boot,
            i=below,
        )
        return [(int(id_), int(mono)) for id_, mono in rows]

    def _all(self, sql: str, **values: object) -> list[Any]:
        connection = self._live()
        try:
            with connection.begin():
                return list(connection.execute(sqlalchemy.text(sql), values))
        except (SQLAlchemyError, sqlite3.Error) as error:
            self._recover()
            raise StoreError(_said(error)) from error

    def _many(
        self,
        connection: sqlalchemy.Connection,
        statement: Statement,
        rows: list[tuple[object, ...]],
    ) -> None:
        connection.exec_driver_sql(self._sql[statement], rows)

    def _live(self) -> sqlalchemy.Connection:
        if self._connection is None:
            try:
                self._connection = self._engine.connect()
            except (SQLAlchemyError, sqlite3.Error) as error:
                raise StoreError(f"cannot open the ledger: {error}") from error
        return self._connection

    def _recover(self) -> None:
        """After an error the connection may be unusable: the next call takes a new one."""
        connection, self._connection = self._connection, None
        with contextlib.suppress(SQLAlchemyError, sqlite3.Error):
            if connection is not None:
                connection.invalidate()
                connection.close()


def _spool_fault(header: bytes) -> str:
    """What a receiver's last message said of its own store."""
    try:
        return msgspec.json.decode(header, type=Reception).lines.get(SPOOL_LINE, "")
    except msgspec.DecodeError:
        return ""


def _said(error: Exception) -> str:
    """The driver's own words, without the rows: those are customers' affairs."""
    return str(getattr(error, "orig", None) or error)


def migrate(connection: sqlalchemy.Connection) -> None:
    """Run the migrations that are packaged beside this module."""
    # a third of a second to load, and only who opens the ledger for writing needs it
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()
