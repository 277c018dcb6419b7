"""The hash chain over LedgerEntries: link, and check. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from collector.records.ledger_entry import EntryKind, LedgerEntry
from protocols.instants import UtcTime

GENESIS: Final = hashlib.sha256(b"tocsin ledger").hexdigest()
"""`prev` of entry 1."""

_encode = msgspec.json.Encoder().encode


def link(id_: int, at: UtcTime, kind: EntryKind, ref: str, body: bytes, prev: str) -> LedgerEntry:
    """The entry that follows the one whose digest is `prev`."""
    head = _encode((id_, at, kind, ref, prev))
    digest = hashlib.sha256(head + body).hexdigest()
    return LedgerEntry(id=id_, at=at, kind=kind, ref=ref, body=body, prev=prev, digest=digest)


def flaw(entry: LedgerEntry, id_: int, prev: str) -> str | None:
    """What is wrong with `entry` standing at place `id_` after `prev`, or None."""
    if entry.id != id_:
        return f"entry {id_} is missing"
    if entry.prev != prev:
        return f"entry {id_} does not follow its predecessor"
    if link(entry.id, entry.at, entry.kind, entry.ref, entry.body, prev).digest != entry.digest:
        return f"entry {id_} was changed"
    return None


def rows_digest(rows: Iterable[tuple[object, ...]]) -> str:
    """Digest over rows of plain values (int, str, bytes, bool, None), column by column."""
    return hashlib.sha256(_encode(list(rows))).hexdigest()
