"""Records as a panel's journal would hold them, for tests of the collector."""

from __future__ import annotations

import msgspec

from protocols.instants import Instant, UtcTime
from protocols.mqtt.payloads import (
    Heartbeat,
    Record,
    Report,
    digest_of,
    encode_record,
    genesis,
)
from protocols.panel_event import Code, PanelEvent, Qualifier

START_US = 1_700_000_000_000_000


def chain_of(
    panel: str, length: int, *, epoch: int = 1, boot: str = "boot-1", salt: str = ""
) -> list[bytes]:
    """Journal bytes of Records 1..length, properly chained."""
    prev = genesis(panel, epoch)
    made: list[bytes] = []
    for seq in range(1, length + 1):
        q = Qualifier.NEW if seq % 2 else Qualifier.RESTORE
        zone = 1 + (seq // 2) % 16
        record = Record(
            panel=panel,
            epoch=epoch,
            seq=seq,
            boot=boot,
            mono=Instant(seq * 1_000_000_000),
            event=PanelEvent(code=Code.ZONE_STATE, q=q, area=1, zone=zone, detail=salt),
            prev=prev,
            utc=UtcTime(START_US + seq * 1_000_000),
            err_us=1000,
        )
        raw = encode_record(record)
        prev = digest_of(raw)
        made.append(raw)
    return made


def report_of(*raws: bytes) -> bytes:
    """A Report carrying these journal bytes."""
    return msgspec.json.encode(Report([msgspec.Raw(raw) for raw in raws]))


def record_bytes(panel: str, seq: int, prev: str, event: PanelEvent, **fields: object) -> bytes:
    """One Record's journal bytes, with any field set."""
    values: dict[str, object] = {
        "panel": panel,
        "epoch": 1,
        "seq": seq,
        "boot": "boot-1",
        "mono": Instant(seq * 1_000_000_000),
        "event": event,
        "prev": prev,
        "utc": UtcTime(START_US + seq * 1_000_000),
        "err_us": 1000,
    }
    return encode_record(Record(**(values | fields)))  # type: ignore[arg-type]


def heartbeat(panel: str, seq: int, digest: str = "0" * 64, **fields: object) -> bytes:
    """A Heartbeat naming the newest Record."""
    values: dict[str, object] = {
        "panel": panel,
        "boot": "boot-1",
        "epoch": 1,
        "seq": seq,
        "digest": digest,
        "floor": min(1, seq),
        "owed": 0,
        "period_s": 60.0,
        "uptime_s": 1.0,
        "version": "test",
    }
    return msgspec.json.encode(Heartbeat(**(values | fields)))  # type: ignore[arg-type]
