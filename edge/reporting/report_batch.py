"""Records as one or more Report payloads."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from protocols.mqtt.payloads import MAX_PAYLOAD_BYTES, MAX_RECORDS, Report

_FRAME_BYTES = len(b'{"records":[]}')


def pack(records: Iterable[bytes], limit_bytes: int = MAX_PAYLOAD_BYTES) -> list[bytes]:
    """Report payloads holding these journal bytes unchanged and in order.

    Each has at most MAX_RECORDS Records and `limit_bytes` bytes; a Record too large for that goes
    alone, for the collector to refuse and count.
    """
    payloads: list[bytes] = []
    batch: list[msgspec.Raw] = []
    size = _FRAME_BYTES
    for raw in records:
        if batch and (len(batch) == MAX_RECORDS or size + len(raw) + 1 > limit_bytes):
            payloads.append(msgspec.json.encode(Report(batch)))
            batch, size = [], _FRAME_BYTES
        batch.append(msgspec.Raw(raw))
        size += len(raw) + 1
    if batch:
        payloads.append(msgspec.json.encode(Report(batch)))
    return payloads
