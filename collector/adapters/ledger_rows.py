"""Rows of the ledger <-> the types of the chain."""

from __future__ import annotations

import msgspec

from collector.intake import Carried
from collector.records.ledger_entry import EntryKind, LedgerEntry
from collector.records.placement import UNTIMED_ERR_US
from collector.records.signal import PATH_CENTRE, PATH_MQTT, Signal
from protocols.instants import Instant, UtcTime
from protocols.mqtt.payloads import Record
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


def signal_of(row: SignalRow) -> Signal:
    """The Signal a row holds."""
    identified = row[6] != ""
    event = _record_in(row[15]).event if identified else _event_in(row[15])
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
    )


def covered(row: SignalRow) -> tuple[object, ...]:
    """The columns a LedgerEntry vouches for. A Record's bytes are vouched for by their digest."""
    plain = (*row[:11], int(row[11]), int(row[12]), int(row[13]), row[14])
    return plain if row[6] else (*plain, row[15])


def entry_of(row: tuple[int, int, str, str, bytes, str, str]) -> LedgerEntry:
    """The LedgerEntry a row holds."""
    id_, at, kind, ref, body, prev, digest = row
    return LedgerEntry(id_, UtcTime(at), EntryKind(kind), ref, bytes(body), prev, digest)
