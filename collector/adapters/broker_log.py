"""The broker's log, read for what the collector must know: refusals, readiness, reloads.

Line format of nats-server 2.11 to 2.15 with `logtime_utc`:

    [pid] 2026/11/23 23:51:29.113309 [ERR] 127.0.0.1:35913 - mid:28 - "client id" - text

What the broker does not tell: for a topic violation it names only the address and the client id
that the client chose itself, so `subject` is then a claim, not an identity. A refused certificate
is named by its own subject and fingerprint, a revoked one by panel and serial.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import IO, Final

from protocols.instants import US_PER_S, UtcTime

MAX_LINE_BYTES: Final = 16_384
MAX_SUBJECT: Final = 512
MAX_KINDS: Final = 1024
REPEAT_WINDOW_S: Final = 60


class Refusal(StrEnum):
    """Why the broker turned somebody away."""

    NO_CERTIFICATE = "no_certificate"
    UNKNOWN_AUTHORITY = "unknown_authority"
    EXPIRED = "expired"
    REVOKED = "revoked"
    NOT_REGISTERED = "not_registered"
    TLS_FAILED = "tls_failed"
    PUBLISH_DENIED = "publish_denied"
    SUBSCRIBE_DENIED = "subscribe_denied"
    TOO_LARGE = "too_large"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    IDENTITY_TAKEN = "identity_taken"
    """A second connection with the same client id threw out the first one."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One refusal: who (`peer` is address:port), why, what it showed or wanted, when.

    `again`: it stands for that many more of a kind already told, up to `at`; 0: the first of it.
    """

    peer: str
    reason: Refusal
    subject: str
    at: UtcTime
    again: int = 0


@dataclass(frozen=True, slots=True)
class Ready:
    """The broker accepts connections."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The configuration file as it stood at the last signal is in force."""


@dataclass(frozen=True, slots=True)
class ReloadFailed:
    """The broker kept its old configuration."""

    text: str


@dataclass(frozen=True, slots=True)
class Fault:
    """The broker cannot start or go on."""

    text: str


Notice = Refused | Ready | Reloaded | ReloadFailed | Fault

_LINE: Final = re.compile(
    r"\[\d{1,10}\] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6}) \[(INF|WRN|ERR|FTL|DBG|TRC)\] (.*)",
    re.DOTALL,
)
_CLIENT: Final = re.compile(
    r'(\S{1,80}:\d{1,5}) - (?:mid|cid|wid|lid):\d{1,20}(?: - ("(?:[^"\\]|\\.)*"))? - (.*)',
    re.DOTALL,
)
_USER: Final = re.compile(r'authentication error - User "((?:[^"\\]|\\.)*)"')
_DENIED: Final = re.compile(r'(Publish|Subscription) Violation - Subject "((?:[^"\\]|\\.)*)"')
_SHOWN: Final = re.compile(r" \((.*)\)$", re.DOTALL)

_CANDIDATE: Final = " while trying to verify candidate authority certificate "
_HANDSHAKE: Final = "TLS handshake error: "
_HANDSHAKE_REASONS: Final = (
    ("client didn't provide a certificate", Refusal.NO_CERTIFICATE),
    ("signed by unknown authority", Refusal.UNKNOWN_AUTHORITY),
    ("certificate has expired or is not yet valid", Refusal.EXPIRED),
)


def read_line(line: bytes) -> Notice | None:
    """What one line says, or None. Never raises, whatever the bytes."""
    found = _LINE.fullmatch(line[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip("\r\n"))
    if found is None:
        return None
    stamp, level, text = found.groups()
    at = _time(stamp)
    if at is None:
        return None
    match level:
        case "INF":
            if text == "Server is ready":
                return Ready()
            return Reloaded() if text.startswith("Reloaded server configuration") else None
        case "FTL":
            return Fault(text[:MAX_SUBJECT])
        case "ERR" if text.startswith("Failed to reload server configuration"):
            return ReloadFailed(text[:MAX_SUBJECT])
        case "ERR" | "WRN":
            client = _CLIENT.fullmatch(text)
            return None if client is None else _refusal(client[1], client[2] or "", client[3], at)
        case _:
            return None


def _refusal(peer: str, client_id: str, text: str, at: UtcTime) -> Refused | None:
    def refused(reason: Refusal, subject: str) -> Refused:
        return Refused(peer, reason, subject[:MAX_SUBJECT], at)

    if text.startswith(_HANDSHAKE):
        # Go's own words may hold brackets too; the shown certificates come last.
        said, candidate, rest = text.partition(_CANDIDATE)
        shown = _SHOWN.search(rest if candidate else text)
        said = said if candidate or shown is None else text[: shown.start()]
        reason = next(
            (reason for words, reason in _HANDSHAKE_REASONS if words in said), Refusal.TLS_FAILED
        )
        if reason is Refusal.TLS_FAILED:
            return refused(reason, text.removeprefix(_HANDSHAKE))
        return refused(reason, shown[1] if shown else "")
    if text.startswith("authentication error"):
        user = _USER.fullmatch(text)
        return (
            refused(Refusal.REVOKED, user[1])
            if user
            else refused(Refusal.NOT_REGISTERED, client_id)
        )
    if denied := _DENIED.match(text):
        reason = Refusal.PUBLISH_DENIED if denied[1] == "Publish" else Refusal.SUBSCRIBE_DENIED
        return refused(reason, f"{denied[2]} by {client_id}")
    if text.startswith("maximum payload exceeded"):
        return refused(Refusal.TOO_LARGE, f"{text} by {client_id}")
    if text.startswith(("maximum connections exceeded", "maximum account")):
        return refused(Refusal.TOO_MANY_CONNECTIONS, client_id)
    if text.startswith("Replacing old client"):
        return refused(Refusal.IDENTITY_TAKEN, client_id)
    return None


def _time(stamp: str) -> UtcTime | None:
    try:
        when = datetime.datetime.strptime(stamp + "Z", "%Y/%m/%d %H:%M:%S.%f%z")
        return UtcTime(round(when.timestamp() * US_PER_S))
    except (ValueError, OverflowError):
        return None


class RepeatFilter:
    """Lets the first refusal of a kind through and counts the rest of a window, so that nobody can
    fill the ledger by knocking. A kind is host, reason and subject; beyond MAX_KINDS in a window
    only the reason is told apart.
    """

    def __init__(self, window_s: float = REPEAT_WINDOW_S) -> None:
        self._window_us = round(window_s * US_PER_S)
        self._open: dict[tuple[str, Refusal, str], tuple[UtcTime, Refused | None]] = {}

    def receive(self, refused: Refused) -> list[Refused]:
        """What to record now: `refused` itself or nothing."""
        kind = (refused.peer.rpartition(":")[0], refused.reason, refused.subject)
        if kind not in self._open and len(self._open) >= MAX_KINDS:
            kind = ("", refused.reason, "")
        entry = self._open.get(kind)
        if entry is None:
            self._open[kind] = (refused.at, None)
            return [refused]
        began, more = entry
        counted = replace(refused, again=more.again + 1 if more else 1)
        self._open[kind] = (began, counted)
        return []

    def tick(self, now: UtcTime) -> list[Refused]:
        """Counts of the windows that are over; also of those a clock step left in the future."""
        over = [
            kind
            for kind, (began, _) in self._open.items()
            if not -self._window_us < now - began < self._window_us
        ]
        return [refused for kind in over for refused in self._close(kind)]

    def flush(self) -> list[Refused]:
        """All counts still open, at the end."""
        return [refused for kind in list(self._open) for refused in self._close(kind)]

    def _close(self, kind: tuple[str, Refusal, str]) -> list[Refused]:
        _, more = self._open.pop(kind)
        return [] if more is None else [more]


class LogFollower:
    """Reads what is appended to `path`, across rotation, from its present end onwards."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: IO[bytes] | None = None
        self._rest = b""
        if (stream := self._open()) is not None:
            stream.seek(0, os.SEEK_END)

    def notices(self) -> Iterable[Notice]:
        """Every notice since the last call. An unreadable log yields nothing."""
        while (stream := self._stream or self._open()) is not None:
            # Asked before reading: after a rotation nobody writes to the old file any more.
            rotated = self._rotated(stream)
            while chunk := stream.read(65_536):
                yield from self._lines(chunk)
            if not rotated:
                return
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._stream is not None:
            self._stream.close()
        self._stream, self._rest = None, b""

    def _lines(self, chunk: bytes) -> Iterable[Notice]:
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[:MAX_LINE_BYTES]
        for line in lines:
            notice = read_line(line)
            if notice is not None:
                yield notice

    def _open(self) -> IO[bytes] | None:
        try:
            self._stream = self._path.open("rb")
        except OSError:
            return None
        return self._stream

    def _rotated(self, stream: IO[bytes]) -> bool:
        try:
            return self._path.stat().st_ino != os.fstat(stream.fileno()).st_ino
        except OSError:
            return False
