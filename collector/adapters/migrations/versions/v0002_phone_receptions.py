"""What phone receivers sent, how far each spool is taken, and who is there."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _int(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False)


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    op.create_table(
        "receptions",
        _text("receiver"),
        _int("epoch"),
        _int("seq"),
        _text("digest"),
        _int("signal"),
        sa.PrimaryKeyConstraint("receiver", "epoch", "seq", "digest"),
    )
    op.create_table(
        "spools",
        _text("receiver"),
        _int("epoch"),
        _int("upto"),
        sa.PrimaryKeyConstraint("receiver", "epoch"),
    )
    op.create_table(
        "receivers",
        sa.Column("receiver", sa.Text, primary_key=True),
        _int("received"),
        sa.Column("period_s", sa.Float, nullable=False),
        _int("lost"),
        _int("since"),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "phone_paths",
        sa.Column("panel", sa.Text, primary_key=True),
        _int("heard"),
        _int("lost"),
        _int("since"),
    )
