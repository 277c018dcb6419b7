"""`status.json`: how the receiver is, written every two seconds for whoever asks (R92).

A file, so that asking disturbs nobody and needs neither collector nor receiver. Whether one runs
is told by its lock.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import msgspec

from collector.adapters.durable_file import AlreadyHeldError, locked
from protocols.instants import UtcTime

FILE: Final = "status.json"
LOCK: Final = "receiver.lock"
EVERY_S: Final = 2.0
STALE_S: Final = 10.0
MOST_PINS: Final = 200
"""Pins shown, at most."""


class LineStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line, modem or hardware receiver. `counts`: what was taken and refused, by reason."""

    name: str
    kind: str
    state: str
    listen: str = ""
    counts: dict[str, int] = {}


class PinStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """An account pinned to a format, by `source`. `format` empty: to none on that `line`."""

    account: str
    format: str
    line: str
    source: str
    unused: str = ""
    """Why it is not obeyed; empty: it is."""


class ReceiverStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """`store_fault`, `link_why` empty: all is well."""

    receiver: str
    pid: int
    at: UtcTime
    started: UtcTime
    epoch: int
    newest: int
    acked: int
    waiting: int
    lines: tuple[LineStatus, ...]
    counts: dict[str, int]
    store_fault: str = ""
    link_up: bool | None = None
    """None: no collector is configured."""
    link_why: str = ""
    acknowledged_s_ago: float | None = None
    plugins: tuple[str, ...] = ()
    pins: tuple[PinStatus, ...] = ()
    pins_in_all: int = 0
    problems: tuple[str, ...] = ()
    """The newest problems, oldest first."""


def write_status(folder: Path, status: ReceiverStatus) -> None:
    """Replace the file, or overwrite it on a full disk. One that refuses costs the status, not the
    reception.
    """
    scratch, told = folder / f".{FILE}", msgspec.json.encode(status)
    try:
        scratch.write_bytes(told)
        scratch.replace(folder / FILE)
    except OSError:  # a full disk: what the old one takes up is still ours
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
        with contextlib.suppress(OSError), (folder / FILE).open("r+b") as file:
            file.write(told)
            file.truncate()


def read_status(folder: Path) -> ReceiverStatus | None:
    """The last status written; None when there is none that can be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=ReceiverStatus)
    except (OSError, msgspec.DecodeError):
        return None


def runs(folder: Path) -> bool:
    """A receiver holds the lock of this folder: it runs, however old its status."""
    try:
        with locked(folder / LOCK, wait_s=0):
            return False
    except AlreadyHeldError:
        return True
    except OSError:
        return False
