"""Reading the ledger from any process while the collector writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from collector.adapters.ledger_rows import SignalRow, entry_of, signal_of
from collector.adapters.ledger_store import StoreError
from collector.adapters.ledger_verify import VerifyReport, verify
from collector.intake import Malformed, PhonePath
from collector.records.case import Case, Handover
from collector.records.ledger_entry import LedgerEntry
from collector.records.placement import Placement
from collector.records.signal import Occurrence, Signal
from protocols.instants import UtcTime
from protocols.mqtt.payloads import Heartbeat, SiteCard

CHUNK: Final = 500
SAME_AS: Final = b'"same_as"'
"""In the stored bytes of an Occurrence that is no event of its own."""
T = TypeVar("T")


class PanelRow(msgspec.Struct, frozen=True):
    """What is known of one panel's path. `lost`: unknown since `since`, whatever it last said.

    `received` is the last heartbeat's receipt; `since`, when `lost` became what it is.
    """

    panel: str
    received: UtcTime
    lost: bool
    since: UtcTime
    heartbeat: Heartbeat


class HandoverRow(msgspec.Struct, frozen=True):
    """A Handover with the gate's verdict: `released`, or `withheld: ...`."""

    id: int
    verdict: str
    handover: Handover


class RunRow(msgspec.Struct, frozen=True):
    """How far one numbering of a panel is complete."""

    panel: str
    epoch: int
    upto: int
    head: str


class LedgerReader:
    """Read-only. Raises StoreError when the ledger cannot be read (it may not exist yet)."""

    def __init__(self, url: str) -> None:
        self._engine = sqlalchemy.create_engine(url)
        if url.startswith("sqlite"):
            path = Path(self._engine.url.database or "")
            if not path.is_file():
                raise StoreError(f"there is no ledger at {path}: has the collector run yet?")
            event.listen(self._engine, "connect", _read_only)
            event.listen(self._engine, "begin", _begin)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def signals(self, after: int = 0, panel: str | None = None) -> Iterator[Signal]:
        """Signals in ledger order."""
        while True:
            rows: list[SignalRow] = self._all(
                "SELECT * FROM signals WHERE id > :a AND (:p IS NULL OR panel = :p) "
                "ORDER BY id LIMIT :n",
                a=after,
                p=panel,
                n=CHUNK,
            )
            if not rows:
                return
            yield from map(signal_of, rows)
            after = rows[-1][0]

    def occurrences(self, after: int = 0, panel: str | None = None) -> Iterator[Occurrence]:
        """Occurrences by id."""
        return self._bodies("occurrences", after, panel, Occurrence)

    def cases(self, after: int = 0, panel: str | None = None) -> Iterator[Case]:
        """Cases by id, each as it stands now."""
        return self._bodies("cases", after, panel, Case)

    def case(self, id_: int) -> Case | None:
        """One case."""
        rows = self._all("SELECT body FROM cases WHERE id = :i", i=id_)
        return msgspec.json.decode(rows[0][0], type=Case) if rows else None

    def occurrence(self, id_: int) -> Occurrence | None:
        """One Occurrence."""
        rows = self._all("SELECT body FROM occurrences WHERE id = :i", i=id_)
        return msgspec.json.decode(rows[0][0], type=Occurrence) if rows else None

    def arrivals(self, occurrences: Collection[int]) -> dict[int, list[Signal]]:
        """The Signals joined in each of these Occurrences, in order."""
        return {
            id_: [signal for one in found.signals for signal in self._signal(one)]
            for id_ in occurrences
            if (found := self.occurrence(id_)) is not None
        }

    def repeats(self, panel: str, occurrences: Collection[int]) -> list[Occurrence]:
        """What the panel told again of these, alone or as one of several; later ones only."""
        wanted, after = set(occurrences), min(occurrences, default=0)
        found: list[Occurrence] = []
        while wanted:
            rows = self._all(
                "SELECT id, body FROM occurrences WHERE id > :a AND panel = :p "
                "ORDER BY id LIMIT :n",
                a=after,
                p=panel,
                n=CHUNK,
            )
            if not rows:
                break
            some = [
                msgspec.json.decode(body, type=Occurrence) for _, body in rows if SAME_AS in body
            ]
            found += [one for one in some if wanted & set(one.same_as)]
            after = rows[-1][0]
        return found

    def _signal(self, id_: int) -> list[Signal]:
        rows: list[SignalRow] = self._all("SELECT * FROM signals WHERE id = :i", i=id_)
        return [signal_of(row) for row in rows]

    def handovers(self, case: int | None = None) -> list[HandoverRow]:
        """Hand-overs in order, of all cases or one."""
        rows = self._all(
            "SELECT id, verdict, body FROM handovers WHERE :c IS NULL OR case_id = :c ORDER BY id",
            c=case,
        )
        return [
            HandoverRow(id_, said, msgspec.json.decode(body, type=Handover))
            for id_, said, body in rows
        ]

    def panels(self) -> list[PanelRow]:
        """Every panel that ever sent a heartbeat."""
        rows = self._all(
            "SELECT panel, received, lost, since, heartbeat FROM panels ORDER BY panel"
        )
        return [
            PanelRow(p, UtcTime(r), bool(lost), UtcTime(s), msgspec.json.decode(h, type=Heartbeat))
            for p, r, lost, s, h in rows
        ]

    def phone_paths(self) -> list[PhonePath]:
        """Panels that phone, or must: when they last did."""
        rows = self._all("SELECT panel, heard, lost, since FROM phone_paths ORDER BY panel")
        return [PhonePath(p, UtcTime(h), bool(lost), UtcTime(s)) for p, h, lost, s in rows]

    def runs(self, panel: str | None = None) -> list[RunRow]:
        """Numberings and how far each is complete."""
        rows = self._all(
            "SELECT panel, epoch, upto, head FROM runs WHERE :p IS NULL OR panel = :p "
            "ORDER BY panel, epoch",
            p=panel,
        )
        return [RunRow(*row) for row in rows]

    def card(self, panel: str, digest: str | None = None) -> SiteCard | None:
        """The panel's newest site card, or the version of that digest."""
        rows = self._all(
            "SELECT body FROM site_cards WHERE panel = :p AND (:d IS NULL OR digest = :d) "
            "ORDER BY id DESC LIMIT 1",
            p=panel,
            d=digest,
        )
        return msgspec.json.decode(rows[0][0], type=SiteCard) if rows else None

    def placements(self, panel: str | None = None) -> list[Placement]:
        """Where Records without a wall time belong."""
        rows = self._all(
            "SELECT signal, panel, at, err_us, placed_by FROM placements "
            "WHERE :p IS NULL OR panel = :p ORDER BY signal",
            p=panel,
        )
        return [Placement(*row) for row in rows]

    def refused(self) -> list[Malformed]:
        """What was refused and kept, oldest first."""
        rows = self._all(
            "SELECT panel, reason, clause, raw, size_bytes, topic FROM refused ORDER BY id"
        )
        return [Malformed(*row) for row in rows]

    def entries(self, after: int = 0) -> Iterator[LedgerEntry]:
        """LedgerEntries in order."""
        while True:
            rows = self._all(
                "SELECT * FROM ledger WHERE id > :a ORDER BY id LIMIT :n", a=after, n=CHUNK
            )
            if not rows:
                return
            yield from map(entry_of, rows)
            after = rows[-1][0]

    def newest(self) -> tuple[int, int]:
        """(last Signal, last LedgerEntry): changes whenever anything does; for `--follow`."""
        rows = self._all(
            "SELECT coalesce((SELECT max(id) FROM signals), 0), "
            "coalesce((SELECT max(id) FROM ledger), 0)"
        )
        return int(rows[0][0]), int(rows[0][1])

    def judged(self) -> int:
        """Last Signal that went through verification."""
        rows = self._all("SELECT signal FROM cursors WHERE name = 'judging'")
        return int(rows[0][0]) if rows else 0

    def verify(self, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
        """Walk the chain and compare every row."""
        with self._connect() as connection:
            return verify(connection, progress)

    def _bodies(self, table: str, after: int, panel: str | None, type_: type[T]) -> Iterator[T]:
        decode = msgspec.json.Decoder(type_).decode
        while True:
            rows = self._all(
                f"SELECT id, body FROM {table} WHERE id > :a AND (:p IS NULL OR panel = :p) "  # noqa: S608 - our names
                "ORDER BY id LIMIT :n",
                a=after,
                p=panel,
                n=CHUNK,
            )
            if not rows:
                return
            for _, body in rows:
                yield decode(body)
            after = rows[-1][0]

    def _all(self, sql: str, **values: object) -> list[Any]:
        with self._connect() as connection:
            return [tuple(row) for row in connection.execute(sqlalchemy.text(sql), values)]

    @contextmanager
    def _connect(self) -> Iterator[sqlalchemy.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StoreError(f"cannot read the ledger: {error}") from error


def _read_only(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=1")
    connection.execute("PRAGMA busy_timeout=10000")


def _begin(connection: sqlalchemy.Connection) -> None:
    connection.exec_driver_sql("BEGIN")
