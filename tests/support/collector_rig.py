"""A whole Collector without a broker: a link that notes what was published, a list of panels."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from collector.adapters.ledger_reader import LedgerReader
from collector.adapters.rule_files import preset
from collector.app import Collector
from collector.config import CollectorConfig
from collector.intake import AccountBook
from protocols.mqtt.payloads import Ack, Command
from protocols.mqtt.topics import ACK, COMMAND


class NotedLink:
    """Everything the collector published, in order."""

    def __init__(self) -> None:
        self.up = True
        self.sent: list[tuple[str, str, bytes]] = []

    def flush(self) -> None:
        """Everything has left."""

    def publish(self, panel: str, leaf: str, payload: bytes) -> bool:
        self.sent.append((panel, leaf, payload))
        return self.up

    def acks(self, panel: str) -> list[Ack]:
        return [
            msgspec.json.decode(payload, type=Ack)
            for who, leaf, payload in list(self.sent)
            if (who, leaf) == (panel, ACK)
        ]

    def commands(self, panel: str) -> list[Command]:
        return [
            msgspec.json.decode(payload, type=Command)
            for who, leaf, payload in list(self.sent)
            if (who, leaf) == (panel, COMMAND)
        ]


class Everyone:
    """All panels but those named `stranger...`."""

    accounts: AccountBook = AccountBook()

    def is_registered(self, panel: str) -> bool:
        return not panel.startswith("stranger") and not panel.startswith("rx-")

    def is_receiver(self, name: str) -> bool:
        return name.startswith("rx-")

    def book(self) -> AccountBook:
        return self.accounts


def collector_in(folder: Path, link: NotedLink, **config: object) -> Collector:
    """A Collector on this folder, not started."""
    made = CollectorConfig(data_dir=folder, **config)  # type: ignore[arg-type]
    return Collector(made, Everyone(), link, preset())


def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait for a condition; fails with its source when it does not come."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.005)


def settled(collector: Collector, link: NotedLink, panel: str, upto: int) -> None:
    """Wait until all is acknowledged and judged."""
    until(lambda: any(ack.upto >= upto for ack in link.acks(panel)))
    until(lambda: collector.status().not_judged == 0)


def reader_of(folder: Path) -> LedgerReader:
    """The ledger of this folder, as a second process would read it."""
    return LedgerReader(f"sqlite:///{folder / 'ledger.db'}")


def tamper(folder: Path, *statements: str) -> None:
    """Change the database behind the collector's back, triggers and all."""
    connection = sqlite3.connect(folder / "ledger.db")
    names = [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    ]
    for name in names:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        assert connection.execute(statement).rowcount > 0
    connection.commit()
    connection.close()
