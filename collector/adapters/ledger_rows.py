"""Rows of the ledger <-> the types of the chain."""

from __future__ import annotations

import msgspec

from collector.intake import Carried
from collector.records.ledger_entry import EntryKind, LedgerEntry
from collector.records.placement import UNTIMED_ERR_US
from collector.records.signal import PATH_CENTRE, PATH_MQTT, PATH_PHONE, PhoneCall, Signal
from protocols.instants import Instant, UtcTime
from protocols.mqtt.payloads import Record
from protocols.mqtt.reception import Report, Taken
from protocols.panel_event import PanelEvent

SignalRow = tuple[
    int, str, str, int, int, int, str, int, int, str, int | None, int, int, int, int, bytes
]
"""Columns of `signals` in order."""
NO_BOUND_US = 60_000_000
"""Error of a wall time whose panel stated none."""

_event_in = msgspec.json.Decoder(PanelEvent).decode
_record_in = msgspec.json.Decoder(Record).decode
_encode = msgspec.json.Encoder().encode


def record_row(id_: int, carried: Carried, received: UtcTime, *, conflict: bool) -> SignalRow:
    """A Record as it came over MQTT; `body` is the panel's own bytes."""
    record = carried.record
    utc, err_us = record.utc, record.err_us
    if utc is None:
        at, err_us = received, UNTIMED_ERR_US
    else:
        at, err_us = utc, NO_BOUND_US if err_us is None else err_us
    return (
        id_,
        record.panel,
        PATH_MQTT,
        received,
        record.epoch,
        record.seq,
        carried.digest,
        at,
        err_us,
        record.boot,
        record.mono,
        utc is not None,
        record.recorded,
        conflict,
        record.event.code,
        carried.raw,
    )


def centre_row(id_: int, panel: str, event: PanelEvent, received: UtcTime) -> SignalRow:
    """Something the centre noticed or did itself; `body` is the PanelEvent."""
    return (
        id_,
        panel,
        PATH_CENTRE,
        received,
        0,
        0,
        "",
        received,
        0,
        "",
        None,
        1,
        1,
        0,
        event.code,
        _encode(event),
    )


class PhoneBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """`body` of a phone Signal: the spool's entry as sent, and whose account it is."""

    receiver: str
    epoch: int
    taken: msgspec.Raw
    candidates: tuple[str, ...] = ()


class _PhoneIn(msgspec.Struct, frozen=True):
    receiver: str
    epoch: int
    taken: Taken
    candidates: tuple[str, ...] = ()


_phone_in = msgspec.json.Decoder(_PhoneIn).decode


def phone_row(
    id_: int, panel: str, code: int, received: UtcTime, at: UtcTime, err_us: int, body: PhoneBody
) -> SignalRow:
    """A report of a phone receiver; it carries no time of its own and no identity."""
    return (
        id_,
        panel,
        PATH_PHONE,
        received,
        0,
        0,
        "",
        at,
        err_us,
        "",
        None,
        1,
        1,
        0,
        code,
        _encode(body),
    )


def _phone_of(body: bytes) -> tuple[PanelEvent, PhoneCall]:
    """The event and the call of a phone Signal's body."""
    found = _phone_in(body)
    report = found.taken.what
    assert isinstance(report, Report)
    event = report.event
    if len(found.candidates) != 1:
        told = "+".join(found.candidates[:8]) or "none"
        detail = f"account={report.account};panels={told};{event.detail}".rstrip(";")
        event = msgspec.structs.replace(event, detail=detail)
    return event, PhoneCall(
        receiver=found.receiver,
        line=found.taken.line,
        call=report.call,
        index=report.index,
        account=report.account,
        format=report.format,
        taken=found.taken.at,
        caller=report.caller,
        mark=report.mark,
        candidates=found.candidates,
    )


def signal_of(row: SignalRow) -> Signal:
    """The Signal a row holds."""
    phone: PhoneCall | None = None
    if row[2] == PATH_PHONE and not row[6]:
        event, phone = _phone_of(row[15])
    else:
        event = _record_in(row[15]).event if row[6] != "" else _event_in(row[15])
    return Signal(
        id=row[0],
        panel=row[1],
        path=row[2],
        received=UtcTime(row[3]),
        event=event,
        at=UtcTime(row[7]),
        err_us=row[8],
        epoch=row[4],
        seq=row[5],
        digest=row[6],
        boot=row[9],
        mono=None if row[10] is None else Instant(row[10]),
        recorded=bool(row[12]),
        conflict=bool(row[13]),
        phone=phone,
    )


def covered(row: SignalRow) -> tuple[object, ...]:
    """The columns a LedgerEntry vouches for. A Record's bytes are vouched for by their digest."""
    plain = (*row[:11], int(row[11]), int(row[12]), int(row[13]), row[14])
    return plain if row[6] else (*plain, row[15])


def entry_of(row: tuple[int, int, str, str, bytes, str, str]) -> LedgerEntry:
    """The LedgerEntry a row holds."""
    id_, at, kind, ref, body, prev, digest = row
    return LedgerEntry(id_, UtcTime(at), EntryKind(kind), ref, bytes(body), prev, digest)
