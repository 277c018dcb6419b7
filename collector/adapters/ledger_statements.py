"""SQL of the hot path, made once from the schema for the dialect in use."""

from __future__ import annotations

from enum import Enum, auto

from sqlalchemy import Table

from collector.adapters import ledger_schema as schema


class Statement(Enum):
    """What a Draft can write. Rows are tuples of all columns in order unless said otherwise."""

    SIGNAL = auto()
    LEDGER = auto()
    REFUSED = auto()
    SITE_CARD = auto()
    HANDOVER = auto()
    PLACEMENT = auto()
    RUN = auto()
    PANEL = auto()
    """All columns; of a panel already known `lost` and `since` stay."""
    PANEL_PATH = auto()
    """(lost, since, panel)."""
    OCCURRENCE = auto()
    CASE = auto()
    ANCHOR = auto()
    MACHINE = auto()
    CURSOR = auto()
    RECEPTION = auto()
    SPOOL = auto()
    RECEIVER = auto()
    """All columns; of a receiver already known `lost` and `since` stay."""
    RECEIVER_PATH = auto()
    """(lost, since, receiver)."""
    PHONE_PATH = auto()


_INSERTS = {
    Statement.SIGNAL: schema.signals,
    Statement.LEDGER: schema.ledger,
    Statement.REFUSED: schema.refused,
    Statement.SITE_CARD: schema.site_cards,
    Statement.HANDOVER: schema.handovers,
    Statement.PLACEMENT: schema.placements,
    Statement.RECEPTION: schema.receptions,
}
_UPSERTS = {
    Statement.RUN: schema.runs,
    Statement.PANEL: schema.panels,
    Statement.OCCURRENCE: schema.occurrences,
    Statement.CASE: schema.cases,
    Statement.ANCHOR: schema.anchors,
    Statement.MACHINE: schema.machine_state,
    Statement.CURSOR: schema.cursors,
    Statement.SPOOL: schema.spools,
    Statement.RECEIVER: schema.receivers,
    Statement.PHONE_PATH: schema.phone_paths,
}
_KEPT = {Statement.PANEL: {"lost", "since"}, Statement.RECEIVER: {"lost", "since"}}


def statements(placeholder: str) -> dict[Statement, str]:
    """SQL by statement; `placeholder` is the driver's (`?` or `%s`)."""
    made = {name: _insert(table, placeholder) for name, table in _INSERTS.items()}
    for name, table in _UPSERTS.items():
        keys = [column.name for column in table.primary_key.columns]
        rest = [
            column.name
            for column in table.columns
            if column.name not in keys and column.name not in _KEPT.get(name, ())
        ]
        sets = ", ".join(f"{column} = excluded.{column}" for column in rest)
        made[name] = (
            f"{_insert(table, placeholder)} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sets}"
        )
    p = placeholder
    made[Statement.PANEL_PATH] = f"UPDATE panels SET lost = {p}, since = {p} WHERE panel = {p}"  # noqa: S608
    made[Statement.RECEIVER_PATH] = (
        f"UPDATE receivers SET lost = {p}, since = {p} WHERE receiver = {p}"  # noqa: S608
    )
    return made


def _insert(table: Table, placeholder: str) -> str:
    names = ", ".join(column.name for column in table.columns)
    marks = ", ".join(placeholder for _ in table.columns)
    return f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
