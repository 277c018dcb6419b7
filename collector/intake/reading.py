"""Bytes from a panel -> Inbound. Nothing here raises for what it is given (rule 7)."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Annotated, Final

import msgspec

from collector.intake.reception_reading import Received, read_reception
from protocols.mqtt.payloads import (
    MAX_PAYLOAD_BYTES,
    MAX_RECORDS,
    Heartbeat,
    Record,
    Report,
    SiteCard,
    Unavailable,
    Will,
)
from protocols.mqtt.topics import HEARTBEAT, RECEPTION, REPORT, SITE_CARD, UNAVAILABLE, WILL, split

MAX_RECORD_BYTES: Final = 16_384
MAX_KEPT_BYTES: Final = 1024
"""What is kept of bytes that were refused."""
MAX_NUMBER: Final = 2**31 - 1
MAX_US: Final = 2**60
MAX_NS: Final = 2**62
SALVAGE_TRIES: Final = 4
_RECORD_START: Final = b'{"panel":'


class Malformed(msgspec.Struct, frozen=True):
    """Bytes that are not what they should be. `raw` is their beginning, `size_bytes` all of it."""

    panel: str
    reason: str
    clause: str
    raw: bytes
    size_bytes: int
    topic: str


class Carried(msgspec.Struct, frozen=True, gc=False):
    """One valid Record with the exact bytes it came in."""

    record: Record
    raw: bytes
    digest: str


class Reported(msgspec.Struct, frozen=True):
    """A Report: its good Records in order, and the bad ones beside them."""

    panel: str
    carried: list[Carried]
    malformed: list[Malformed]


class Beat(msgspec.Struct, frozen=True):
    """A Heartbeat with the bytes it came in."""

    panel: str
    heartbeat: Heartbeat
    raw: bytes


class Card(msgspec.Struct, frozen=True):
    """A SiteCard with its bytes and their digest."""

    panel: str
    card: SiteCard
    raw: bytes
    digest: str


class Willed(msgspec.Struct, frozen=True):
    """A last will."""

    panel: str
    will: Will


class Gone(msgspec.Struct, frozen=True):
    """An answer `Unavailable`."""

    panel: str
    unavailable: Unavailable


Inbound = Reported | Beat | Card | Willed | Gone | Received | Malformed


class _Record(Record, frozen=True):
    """A Record read without the two regular expressions, which cost more than all the rest.

    `panel` must equal the topic's, which was checked, and `prev` is checked by `_is_digest`.
    """

    panel: str
    prev: Annotated[str, msgspec.Meta(min_length=64, max_length=64)]


_record = msgspec.json.Decoder(_Record).decode
_report = msgspec.json.Decoder(Report).decode
_heartbeat = msgspec.json.Decoder(Heartbeat).decode
_card = msgspec.json.Decoder(SiteCard).decode
_will = msgspec.json.Decoder(Will).decode
_gone = msgspec.json.Decoder(Unavailable).decode
_sha256 = hashlib.sha256
_BAD: Final = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)


def read(topic: str, payload: bytes) -> Inbound:
    """What one message says, checked against its topic; sizes and fields as payloads.py states."""
    parts = split(topic)
    if parts is None:
        return _malformed("", topic, payload, "not a topic of ours", "topics.py")
    panel, leaf = parts
    if len(payload) > MAX_PAYLOAD_BYTES:
        return _malformed(panel, topic, payload, "payload too long", "payloads.py MAX_PAYLOAD")
    if leaf == REPORT:
        return _reported(panel, topic, payload)
    if leaf == RECEPTION:
        received = read_reception(panel, payload)
        if isinstance(received, Received):
            return received
        return _malformed(panel, topic, payload, *received)
    try:
        return _other(panel, leaf, topic, payload)
    except _BAD as error:
        return _malformed(panel, topic, payload, str(error), f"payloads.py {leaf}")


def _other(panel: str, leaf: str, topic: str, payload: bytes) -> Inbound:
    inbound: Inbound
    match leaf:
        case str() if leaf == HEARTBEAT:
            beat = _heartbeat(payload)
            inbound, named = Beat(panel, beat, payload), beat.panel
        case str() if leaf == SITE_CARD:
            card = _card(payload)
            inbound = Card(panel, card, payload, _sha256(payload).hexdigest())
            named = card.panel
        case str() if leaf == WILL:
            will = _will(payload)
            inbound, named = Willed(panel, will), will.panel
        case str() if leaf == UNAVAILABLE:
            gone = _gone(payload)
            inbound, named = Gone(panel, gone), gone.panel
        case _:
            return _malformed(panel, topic, payload, "not a leaf a panel sends", "topics.py")
    if named != panel:
        return _malformed(panel, topic, payload, f"speaks for panel {named}", "R1")
    return inbound


def _reported(panel: str, topic: str, payload: bytes) -> Inbound:
    try:
        pieces = [bytes(raw) for raw in _report(payload).records]
    except _BAD as error:
        # One record whose bytes went bad on the panel's disk breaks the JSON of all: the good
        # ones beside it are still what their digest says, so they are taken one by one.
        found = _salvage(panel, payload)
        bad = _malformed(panel, topic, payload, str(error), "payloads.py Report")
        return Reported(panel, found, [bad]) if found else bad
    carried: list[Carried] = []
    malformed: list[Malformed] = []
    for raw in pieces:
        what = _carried(panel, raw)
        if isinstance(what, Carried):
            carried.append(what)
        else:
            malformed.append(_malformed(panel, topic, raw, *what))
    return Reported(panel, carried, malformed)


def _carried(panel: str, raw: bytes) -> Carried | tuple[str, str]:
    """The Record in `raw`, or (reason, clause)."""
    record = checked(panel, raw)
    if isinstance(record, Record):
        return Carried(record, raw, _sha256(raw).hexdigest())
    return record


def checked(panel: str, raw: bytes) -> Record | tuple[str, str]:
    """The Record in `raw` when every field is as payloads.py states, else (reason, clause)."""
    if len(raw) > MAX_RECORD_BYTES:
        return "record too long", "payloads.py Record"
    try:
        record = _record(raw)
    except _BAD as error:
        return str(error), "payloads.py Record"
    if record.panel != panel:
        return f"speaks for panel {record.panel}", "R1"
    if not _is_digest(record.prev):
        return "prev is no digest", "payloads.py Record"
    event = record.event
    if not (
        0 <= event.code <= MAX_NUMBER
        and 0 <= event.area <= MAX_NUMBER
        and 0 <= event.zone <= MAX_NUMBER
        and 0 <= event.user <= MAX_NUMBER
    ):
        return "number out of range", "payloads.py PanelEvent"
    if not (
        0 <= record.mono <= MAX_NS
        and 0 <= (record.utc or 0) <= MAX_US
        and (record.err_us or 0) <= MAX_US
    ):
        return "time out of range", "payloads.py Record"
    return record


def _is_digest(text: str) -> bool:
    """64 characters are known; fromhex would also take blanks, which leave fewer bytes."""
    try:
        return len(bytes.fromhex(text)) == 32 and text == text.lower()
    except ValueError:
        return False


def _salvage(panel: str, payload: bytes) -> list[Carried]:
    """The Records that stand whole in a Report whose JSON is broken."""
    starts: list[int] = []
    at = payload.find(_RECORD_START)
    while at >= 0 and len(starts) < MAX_RECORDS:
        starts.append(at)
        at = payload.find(_RECORD_START, at + 1)
    found: list[Carried] = []
    for start, end in pairwise([*starts, len(payload)]):
        piece = payload[start:end]
        for _ in range(SALVAGE_TRIES):
            piece = piece[: piece.rfind(b"}") + 1]
            what = _carried(panel, piece)
            if isinstance(what, Carried):
                found.append(what)
                break
            piece = piece[:-1]
    return found


def _malformed(panel: str, topic: str, raw: bytes, reason: str, clause: str) -> Malformed:
    return Malformed(
        panel=panel,
        reason=reason.encode("utf-8", "replace").decode()[:200],
        clause=clause,
        raw=raw[:MAX_KEPT_BYTES],
        size_bytes=len(raw),
        topic=topic[:256].encode("utf-8", "replace").decode(),
    )
