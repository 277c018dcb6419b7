"""The first ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
APPEND_ONLY = ("signals", "ledger")


def _id(name: str = "id") -> "sa.Column[int]":
    return sa.Column(name, Id, primary_key=True, autoincrement=False)


def _int(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False)


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _blob(name: str) -> "sa.Column[bytes]":
    return sa.Column(name, sa.LargeBinary, nullable=False)


def upgrade() -> None:
    _evidence()
    _judgement()
    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            for act in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only (R17, R70)'); END"
                )
        return
    op.execute(
        "CREATE FUNCTION tocsin_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only (R17, R70)', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION tocsin_append_only()"
        )


def _evidence() -> None:
    op.create_table(
        "signals",
        _id(),
        _text("panel"),
        _text("path"),
        _int("received"),
        _int("epoch"),
        _int("seq"),
        _text("digest"),
        _int("at"),
        _int("err_us"),
        _text("boot"),
        sa.Column("mono", sa.BigInteger),
        _int("timed"),
        _int("recorded"),
        _int("conflict"),
        _int("code"),
        _blob("body"),
    )
    identified, untimed = sa.text("epoch > 0"), sa.text("timed = 0")
    op.create_index(
        "signals_identity",
        "signals",
        ["panel", "epoch", "seq", "digest"],
        unique=True,
        sqlite_where=identified,
        postgresql_where=identified,
    )
    op.create_index(
        "signals_untimed",
        "signals",
        ["panel", "boot"],
        sqlite_where=untimed,
        postgresql_where=untimed,
    )
    op.create_table(
        "runs",
        _text("panel"),
        _int("epoch"),
        _int("upto"),
        _text("head"),
        _blob("state"),
        sa.PrimaryKeyConstraint("panel", "epoch"),
    )
    op.create_table(
        "refused",
        _id(),
        _int("at"),
        _text("panel"),
        _text("reason"),
        _text("clause"),
        _text("topic"),
        _int("size_bytes"),
        _int("left_out"),
        _blob("raw"),
    )
    op.create_table(
        "panels",
        sa.Column("panel", sa.Text, primary_key=True),
        _int("received"),
        _text("boot"),
        sa.Column("period_s", sa.Float, nullable=False),
        _int("lost"),
        _int("since"),
        _blob("heartbeat"),
    )
    op.create_table(
        "site_cards", _id(), _text("panel"), _text("digest"), _int("received"), _blob("body")
    )
    op.create_index("site_cards_panel", "site_cards", ["panel", "digest"])
    op.create_table(
        "ledger",
        _id(),
        _int("at"),
        _text("kind"),
        _text("ref"),
        _blob("body"),
        _text("prev"),
        _text("digest"),
    )


def _judgement() -> None:
    op.create_table(
        "occurrences",
        _id(),
        _text("panel"),
        _int("code"),
        _int("at"),
        _int("received"),
        _blob("body"),
    )
    op.create_index("occurrences_panel", "occurrences", ["panel", "id"])
    op.create_table(
        "cases",
        _id(),
        _text("panel"),
        _text("state"),
        _text("kind"),
        _int("opened_at"),
        _int("updated_at"),
        _blob("body"),
    )
    op.create_index("cases_panel", "cases", ["panel", "id"])
    op.create_table(
        "handovers",
        _id(),
        _int("case_id"),
        _text("panel"),
        _text("destination"),
        _int("at"),
        _text("verdict"),
        _blob("body"),
    )
    op.create_table(
        "placements",
        _id("signal"),
        _text("panel"),
        _int("at"),
        _int("err_us"),
        _int("placed_by"),
    )
    op.create_table(
        "anchors",
        _text("panel"),
        _text("boot"),
        _blob("body"),
        sa.PrimaryKeyConstraint("panel", "boot"),
    )
    op.create_table(
        "machine_state",
        _text("name"),
        _text("panel"),
        sa.Column("deadline", sa.BigInteger),
        _blob("body"),
        sa.PrimaryKeyConstraint("name", "panel"),
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text, primary_key=True),
        _int("signal"),
        _int("horizon"),
    )
