"""Records as a panel's journal would hold them, in memory."""

from __future__ import annotations

from edge.journal.record_types import OwedKey
from protocols.instants import Instant
from protocols.mqtt.payloads import Record, digest_of, encode_record, genesis
from protocols.panel_event import PanelEvent, priority_of


class RecordSource:
    """One epoch of panel `panel`."""

    def __init__(self, panel: str = "p", epoch: int = 1) -> None:
        self.panel = panel
        self.epoch = epoch
        self.raw: dict[tuple[int, int], bytes] = {}
        self.keys: dict[tuple[int, int], OwedKey] = {}
        self.seq = 0
        self.head = genesis(panel, epoch)

    def append(self, code: int, zone: int = 0) -> OwedKey:
        """The next Record."""
        self.seq += 1
        event = PanelEvent(code, zone=zone)
        record = Record(
            self.panel, self.epoch, self.seq, "boot", Instant(self.seq), event, self.head
        )
        raw = encode_record(record)
        self.head = digest_of(raw)
        key = OwedKey(self.epoch, self.seq, self.head, int(priority_of(code)), zone)
        self.raw[self.epoch, self.seq] = raw
        self.keys[self.epoch, self.seq] = key
        return key
