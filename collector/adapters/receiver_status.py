"""`status.json`: how the receiver is, written every two seconds for whoever asks (R92).

A file, so that asking disturbs nobody and needs neither collector nor receiver; an old one means
that the receiver does not run.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from protocols.instants import UtcTime

FILE: Final = "status.json"
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
    """Replace the file; a disk that refuses costs the status, not the reception."""
    scratch = folder / f".{FILE}.{secrets.token_hex(4)}"
    try:
        scratch.write_bytes(msgspec.json.encode(status))
        scratch.replace(folder / FILE)
    except OSError:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)


def read_status(folder: Path) -> ReceiverStatus | None:
    """The last status written; None when there is none that can be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=ReceiverStatus)
    except (OSError, msgspec.DecodeError):
        return None


def runs(status: ReceiverStatus, now: UtcTime) -> bool:
    """The process that wrote it is there and wrote it lately."""
    if abs(now - status.at) > STALE_S * 1_000_000:
        return False
    try:
        os.kill(status.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
