"""A whole collector on a scratch folder, without a broker: a panel's messages are offered to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from collector.adapters.ledger_reader import LedgerReader
from collector.adapters.rule_files import preset
from collector.app import Collector
from collector.config import CollectorConfig
from collector.intake import AccountBook
from collector.verification import Rules
from protocols.instants import Instant, UtcTime
from protocols.mqtt.payloads import (
    Heartbeat,
    Record,
    Report,
    SiteCard,
    digest_of,
    encode_record,
    genesis,
)
from protocols.mqtt.topics import HEARTBEAT, REPORT, SITE_CARD, topic
from protocols.panel_event import PanelEvent, Qualifier
from tests.support.case_story import CARD, PANEL, START, S
from tests.support.mqtt_probe import until

_encode = msgspec.json.encode


class Everybody:
    """Every panel is registered."""

    accounts: AccountBook = AccountBook()

    def is_registered(self, panel: str) -> bool:
        return bool(panel) and not panel.startswith("rx-")

    def is_receiver(self, name: str) -> bool:
        return name.startswith("rx-")

    def book(self) -> AccountBook:
        return self.accounts


@dataclass
class Wire:
    """The link: what the collector publishes to the panels ends here."""

    up: bool = True
    sent: list[tuple[str, str, bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def flush(self) -> None:
        """Everything has left."""

    def publish(self, panel: str, leaf: str, payload: bytes) -> bool:
        with self.lock:
            self.sent.append((panel, leaf, payload))
        return self.up

    def orders(self, leaf: str) -> list[bytes]:
        with self.lock:
            return [payload for _, name, payload in self.sent if name == leaf]


class Panel:
    """Writes Records as a panel's journal would and offers them."""

    def __init__(self, collector: Collector, panel: str = PANEL, start: UtcTime = START) -> None:
        self.collector = collector
        self.panel = panel
        self.start = start
        self.seq = 0
        self.prev = genesis(panel, 1)
        self.kept: list[bytes] = []

    def card(self, card: SiteCard = CARD) -> None:
        mine = msgspec.structs.replace(card, panel=self.panel)
        self.collector.offer(topic(self.panel, SITE_CARD), _encode(mine))

    def beat(self, **more: object) -> None:
        beat = Heartbeat(
            panel=self.panel,
            boot="b1",
            epoch=1,
            seq=self.seq,
            digest=self.prev,
            floor=1 if self.seq else 0,
            owed=0,
            period_s=60,
            uptime_s=10,
            version="0.1.0",
            **more,  # type: ignore[arg-type]
        )
        self.collector.offer(topic(self.panel, HEARTBEAT), _encode(beat))

    def write(
        self,
        code: int,
        at_s: float,
        q: Qualifier = Qualifier.NEW,
        *,
        zone: int = 0,
        area: int = 1,
        user: int = 0,
        detail: str = "",
    ) -> bytes:
        """The next Record's journal bytes, not yet sent."""
        self.seq += 1
        record = Record(
            panel=self.panel,
            epoch=1,
            seq=self.seq,
            boot="b1",
            mono=Instant(round(at_s * 1e9) + 10**12),
            event=PanelEvent(code, q, area, zone, user, detail=detail),
            prev=self.prev,
            utc=UtcTime(self.start + round(at_s * S)),
            err_us=1_000,
        )
        raw = encode_record(record)
        self.prev = digest_of(raw)
        self.kept.append(raw)
        return raw

    def send(self, *raws: bytes) -> None:
        report = Report([msgspec.Raw(raw) for raw in raws])
        self.collector.offer(topic(self.panel, REPORT), _encode(report))

    def tell(self, code: int, at_s: float, q: Qualifier = Qualifier.NEW, **more: object) -> None:
        self.send(self.write(code, at_s, q, **more))  # type: ignore[arg-type]


@contextmanager
def centre(folder: Path, rules: Rules | None = None) -> Iterator[tuple[Collector, Wire]]:
    """A running collector; stopped at the end, its ledger left for reading."""
    wire = Wire()
    collector = Collector(
        CollectorConfig(data_dir=folder), Everybody(), wire, rules or preset("bs8243")
    )
    collector.start()
    try:
        yield collector, wire
    finally:
        collector.stop()


def judged(folder: Path, signals: int) -> None:
    """Wait until so many Signals are stored and every one of them is judged."""
    reader = LedgerReader(CollectorConfig(data_dir=folder).url)
    try:
        until(
            f"{signals} signals judged",
            lambda: reader.newest()[0] >= signals and reader.judged() >= reader.newest()[0],
        )
    finally:
        reader.close()
