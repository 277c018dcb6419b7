"""A phone receiver as the collector sees it: a spool, sent in order until acknowledged."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from protocols.instants import UtcTime
from protocols.mqtt.reception import (
    LineState,
    Reception,
    ReceptionAck,
    Report,
    Taken,
    Unrecognised,
)
from protocols.mqtt.topics import RECEPTION, RECEPTION_ACK, topic
from protocols.panel_event import PanelEvent

Offer = Callable[[str, bytes], None]


class PhoneReceiver:
    """Writes entries as a spool would and offers them; `at` counts up by a second each."""

    def __init__(self, offer: Offer, start: int, name: str = "rx-1", epoch: int = 7) -> None:
        self.offer = offer
        self.name = name
        self.epoch = epoch
        self.start = start
        self.entries: list[Taken] = []

    def report(self, account: str, event: PanelEvent, at_s: float = 0, **more: object) -> Taken:
        """One message of a call, not yet sent."""
        raw = f"{account}18{event.q:d}{event.code:03d}"
        fields: dict[str, object] = {"call": "c1", "format": "contact_id", **more}
        return self.take(Report(account, raw=raw, event=event, **fields), at_s)  # type: ignore[arg-type]

    def take(self, what: Report | Unrecognised | LineState, at_s: float = 0) -> Taken:
        """Any entry, not yet sent."""
        at = UtcTime(self.start + round(at_s * 1e6))
        entry = Taken(len(self.entries) + 1, at, "line-1", what)
        self.entries.append(entry)
        return entry

    def send(self, *entries: Taken, **header: object) -> None:
        """These entries; none: a heartbeat."""
        sent = Reception(self.name, self.epoch, list(entries), **header)  # type: ignore[arg-type]
        self.offer(topic(self.name, RECEPTION), msgspec.json.encode(sent))

    def upto(self, sent: list[tuple[str, str, bytes]]) -> int:
        """How far the collector acknowledged."""
        acks = [
            msgspec.json.decode(payload, type=ReceptionAck)
            for who, leaf, payload in list(sent)
            if (who, leaf) == (self.name, RECEPTION_ACK)
        ]
        return max((ack.upto for ack in acks if ack.epoch == self.epoch), default=0)
