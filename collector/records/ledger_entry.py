"""LedgerEntry: one line of the collector's append-only, hash-chained ledger (R17, R70)."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from protocols.instants import UtcTime


class EntryKind(StrEnum):
    """What an entry vouches for. `ref` of the entry names the row."""

    SIGNALS = "signals"
    """Rows `first`..`last` of one commit; body `SignalsBody`."""
    OCCURRENCE = "occurrence"
    CASE = "case"
    HANDOVER = "handover"
    PLACEMENT = "placement"
    REFUSAL = "refusal"
    SITE_CARD = "site_card"
    OPERATOR = "operator"
    RECEPTION = "reception"
    """An entry of a receiver's spool that is no report: a call nothing was made of, a line."""
    FAULT = "fault"
    """A stage failed on an input; the input is kept."""


class LedgerEntry(msgspec.Struct, frozen=True):
    """`digest` is SHA-256 over `prev` and every other field; `at` is the collector's clock."""

    id: int
    at: UtcTime
    kind: EntryKind
    ref: str
    body: bytes
    prev: str
    digest: str


class SignalsBody(msgspec.Struct, frozen=True):
    """`rows` is the digest over all columns of the Signals `first`..`last`, in order."""

    first: int
    last: int
    rows: str


class FaultBody(msgspec.Struct, frozen=True):
    """What a stage could not take, and why."""

    stage: str
    panel: str
    error: str
