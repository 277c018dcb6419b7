"""Bytes of a phone receiver -> Received. Nothing here raises for what it is given (rule 7).

An entry that cannot be read must not hold up those behind it for ever: where its number can be
read it is taken as Unreadable, which an operator is told of.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

import msgspec

from protocols.instants import UtcTime
from protocols.mqtt.payloads import Epoch, PanelId, Seq, ShortText
from protocols.mqtt.reception import (
    MAX_ENTRIES,
    UNKNOWN_AGE,
    Age,
    Reception,
    Report,
    Taken,
    Version,
)

MAX_ENTRY_BYTES: Final = 16_384
MAX_LINES: Final = 1024
MAX_US: Final = 2**60
MAX_NUMBER: Final = 2**31 - 1
MAX_KEPT_BYTES: Final = 1024
_BAD: Final = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)


class Unreadable(msgspec.Struct, frozen=True):
    """An entry whose number can be read and nothing else."""

    seq: int
    at: UtcTime
    line: str
    reason: str


class Entry(msgspec.Struct, frozen=True):
    """One entry of a receiver's spool with its bytes and their SHA-256."""

    seq: int
    taken: Taken | Unreadable
    raw: bytes
    digest: str
    age_s: float | None = None
    """How long ago it was complete, by the receiver's clock that nobody sets; None: not known."""


class Received(msgspec.Struct, frozen=True):
    """A Reception: `panel` is the receiver's name, `header` everything but the entries."""

    panel: str
    header: Reception
    entries: list[Entry]
    lost: tuple[str, ...] = ()
    """Why entries could not even be numbered; they hold up what follows."""


class _Envelope(msgspec.Struct, frozen=True):
    """A Reception's entries, to be taken one by one."""

    entries: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_ENTRIES)] = msgspec.field(
        default_factory=list
    )


class _Header(msgspec.Struct, frozen=True):
    """The rest of it; fields as in Reception."""

    receiver: PanelId
    epoch: Epoch
    waiting: Annotated[int, msgspec.Meta(ge=0)] = 0
    period_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0
    floor: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    sent: Annotated[int, msgspec.Meta(ge=0, le=MAX_US)] = 0
    lines: dict[str, ShortText] = msgspec.field(default_factory=dict)
    pins: Version | None = None
    ages: Annotated[list[Age], msgspec.Meta(max_length=MAX_ENTRIES)] = msgspec.field(
        default_factory=list
    )


class _Numbered(msgspec.Struct, frozen=True):
    seq: Seq
    at: int = 0
    line: str = ""


_envelope = msgspec.json.Decoder(_Envelope).decode
_header = msgspec.json.Decoder(_Header).decode
_taken = msgspec.json.Decoder(Taken).decode
_numbered = msgspec.json.Decoder(_Numbered).decode


def read_reception(receiver: str, payload: bytes) -> Received | tuple[str, str]:
    """What a message on `rx` says, or (reason, clause)."""
    try:
        pieces, head = _envelope(payload).entries, _header(payload)
    except _BAD as error:
        return str(error), "reception.py Reception"
    if head.receiver != receiver:
        return f"speaks for receiver {head.receiver}", "R1"
    if len(head.lines) > MAX_LINES:
        return "too many lines", "reception.py Reception"
    entries: list[Entry] = []
    lost: list[str] = []
    for place, raw in enumerate(map(bytes, pieces)):
        found = _entry(raw)
        if isinstance(found, str):
            lost.append(found)
        else:
            age_s = head.ages[place] if place < len(head.ages) else UNKNOWN_AGE
            digest = hashlib.sha256(raw).hexdigest()
            entries.append(Entry(found.seq, found, raw, digest, age_s if age_s >= 0 else None))
    header = Reception(
        receiver=head.receiver,
        epoch=head.epoch,
        waiting=head.waiting,
        period_s=head.period_s,
        floor=head.floor,
        sent=head.sent,
        lines=head.lines,
        pins=head.pins,
    )
    return Received(receiver, header, entries, tuple(lost))


def _entry(raw: bytes) -> Taken | Unreadable | str:
    try:
        taken = _taken(raw)
    except _BAD as error:
        return _unreadable(raw, str(error))
    if len(raw) > MAX_ENTRY_BYTES:
        return _unreadable(raw, "entry too long")
    if not 0 <= taken.at <= MAX_US:
        return _unreadable(raw, "time out of range")
    what = taken.what
    if isinstance(what, Report):
        event = what.event
        numbers = (event.code, event.area, event.zone, event.user)
        if any(not 0 <= number <= MAX_NUMBER for number in numbers):
            return _unreadable(raw, "number out of range")
        if what.mark is not None and not 0 <= what.mark <= MAX_NUMBER:
            return _unreadable(raw, "mark out of range")
    return taken


def _unreadable(raw: bytes, reason: str) -> Unreadable | str:
    said = reason.encode("utf-8", "replace").decode()[:200]
    try:
        one = _numbered(raw)
    except _BAD:
        return said
    return Unreadable(one.seq, UtcTime(min(max(one.at, 0), MAX_US)), one.line[:64], said)
