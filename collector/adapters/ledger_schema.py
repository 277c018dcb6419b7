"""The ledger's tables: one SQLAlchemy Core schema for SQLite and PostgreSQL (D5).

`signals` and `ledger` are append-only; triggers made by the migration refuse anything else (R17,
R70). Everything that can change has a LedgerEntry for each of its values.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

metadata: Final = MetaData()
Id = BigInteger().with_variant(Integer, "sqlite")


def _int(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _blob(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


signals: Final = Table(
    "signals",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    _text("panel"),
    _text("path"),
    _int("received"),
    _int("epoch"),
    _int("seq"),
    _text("digest"),
    _int("at"),
    _int("err_us"),
    _text("boot"),
    Column("mono", BigInteger),
    _int("timed"),
    _int("recorded"),
    _int("conflict"),
    _int("code"),
    _blob("body"),
)
Index(
    "signals_identity",
    signals.c.panel,
    signals.c.epoch,
    signals.c.seq,
    signals.c.digest,
    unique=True,
    sqlite_where=text("epoch > 0"),
    postgresql_where=text("epoch > 0"),
)
Index(
    "signals_untimed",
    signals.c.panel,
    signals.c.boot,
    sqlite_where=text("timed = 0"),
    postgresql_where=text("timed = 0"),
)

runs: Final = Table(
    "runs",
    metadata,
    _text("panel"),
    _int("epoch"),
    _int("upto"),
    _text("head"),
    _blob("state"),
    PrimaryKeyConstraint("panel", "epoch"),
)
refused: Final = Table(
    "refused",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    _int("at"),
    _text("panel"),
    _text("reason"),
    _text("clause"),
    _text("topic"),
    _int("size_bytes"),
    _int("left_out"),
    _blob("raw"),
)
panels: Final = Table(
    "panels",
    metadata,
    Column("panel", Text, primary_key=True),
    _int("received"),
    _text("boot"),
    Column("period_s", Float, nullable=False),
    _int("lost"),
    _int("since"),
    _blob("heartbeat"),
)
site_cards: Final = Table(
    "site_cards",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    _text("panel"),
    _text("digest"),
    _int("received"),
    _blob("body"),
)
Index("site_cards_panel", site_cards.c.panel, site_cards.c.digest)
occurrences: Final = Table(
    "occurrences",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    _text("panel"),
    _int("code"),
    _int("at"),
    _int("received"),
    _blob("body"),
)
Index("occurrences_panel", occurrences.c.panel, occurrences.c.id)
cases: Final = Table(
    "cases",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    _text("panel"),
    _text("state"),
    _text("kind"),
    _int("opened_at"),
    _int("updated_at"),
    _blob("body"),
)
Index("cases_panel", cases.c.panel, cases.c.id)
handovers: Final = Table(
    "handovers",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    _int("case_id"),
    _text("panel"),
    _text("destination"),
    _int("at"),
    _text("verdict"),
    _blob("body"),
)
placements: Final = Table(
    "placements",
    metadata,
    Column("signal", Id, primary_key=True, autoincrement=False),
    _text("panel"),
    _int("at"),
    _int("err_us"),
    _int("placed_by"),
)
anchors: Final = Table(
    "anchors",
    metadata,
    _text("panel"),
    _text("boot"),
    _blob("body"),
    PrimaryKeyConstraint("panel", "boot"),
)
machine_state: Final = Table(
    "machine_state",
    metadata,
    _text("name"),
    _text("panel"),
    Column("deadline", BigInteger),
    _blob("body"),
    PrimaryKeyConstraint("name", "panel"),
)
cursors: Final = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    _int("signal"),
    _int("horizon"),
)
receptions: Final = Table(
    "receptions",
    metadata,
    _text("receiver"),
    _int("epoch"),
    _int("seq"),
    _text("digest"),
    _int("signal"),
    PrimaryKeyConstraint("receiver", "epoch", "seq", "digest"),
)
spools: Final = Table(
    "spools",
    metadata,
    _text("receiver"),
    _int("epoch"),
    _int("upto"),
    PrimaryKeyConstraint("receiver", "epoch"),
)
receivers: Final = Table(
    "receivers",
    metadata,
    Column("receiver", Text, primary_key=True),
    _int("received"),
    Column("period_s", Float, nullable=False),
    _int("lost"),
    _int("since"),
    _blob("state"),
)
phone_paths: Final = Table(
    "phone_paths",
    metadata,
    Column("panel", Text, primary_key=True),
    _int("heard"),
    _int("lost"),
    _int("since"),
)
ledger: Final = Table(
    "ledger",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    _int("at"),
    _text("kind"),
    _text("ref"),
    _blob("body"),
    _text("prev"),
    _text("digest"),
)
