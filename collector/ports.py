"""What the collector needs from outside, and what it tells of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from collector.intake import AccountBook


class Link(Protocol):
    """The way to the panels (`collector.adapters.mqtt_link`)."""

    @property
    def up(self) -> bool:
        """False: nobody can be heard."""
        ...

    def publish(self, panel: str, leaf: str, payload: bytes) -> bool:
        """Send; what is not sent is made good by the panel's resend."""
        ...

    def flush(self) -> None:
        """Let what was published leave, waiting some milliseconds at most."""
        ...


class Registered(Protocol):
    """Who may speak (`collector.adapters.registry`)."""

    def is_registered(self, panel: str) -> bool:
        """True for a known panel that is not revoked."""
        ...

    def is_receiver(self, name: str) -> bool:
        """True for a known phone receiver that is not revoked."""
        ...

    def book(self) -> AccountBook:
        """Which account is which panel's; the same object until it changes."""
        ...


class Settings(Protocol):
    """What the command line gives (`collector.cli.run`)."""

    @property
    def data(self) -> Path:
        """Folder of everything the collector keeps."""
        ...

    @property
    def rules(self) -> Path | None:
        """Rule file; None: the packaged preset."""
        ...


class Status(msgspec.Struct, frozen=True):
    """How the collector is. `store_fault` empty: the ledger takes commits."""

    running: bool
    link_up: bool
    store_fault: str
    waiting_messages: int
    waiting_bytes: int
    not_judged: int
    judging_faults: int
    judging_fault: str
    """Why nothing is judged at the moment; empty: all is well."""
    messages: int
    signals: int
    repeats: int
    refused: int
    wal_bytes: int
    clock_offset_us: int
    clock_stepped: bool
