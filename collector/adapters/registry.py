"""Which panels this centre knows, and which certificates speak for them.

One JSON file, replaced as a whole under a lock; a running collector sees a change by the file's
identity (inode, size, time). A panel is one or more certificates: a re-issue revokes the older ones
unless an overlap is asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from collector import CollectorError
from collector.adapters.durable_file import locked, replace_file
from protocols.instants import UtcTime
from protocols.mqtt.topics import PANEL_ID

COLLECTOR: Final = "collector"
"""Common name of the collector's own certificate; no panel may bear it."""
LOOK_EVERY_S: Final = 0.2


class RegistryError(CollectorError):
    """The registry file cannot be read, or the change asked for makes no sense."""


class Certificate(msgspec.Struct, frozen=True, omit_defaults=True):
    """One certificate as issued. `serial` is lower-case hex, `sha256` its fingerprint."""

    serial: str
    sha256: str
    not_before: UtcTime
    not_after: UtcTime
    revoked: UtcTime | None = None


class RegisteredPanel(msgspec.Struct, frozen=True, omit_defaults=True):
    """One panel; `revoked` set: it is refused whatever it shows."""

    id: str
    created: UtcTime
    note: str = ""
    revoked: UtcTime | None = None
    certificates: tuple[Certificate, ...] = ()

    @property
    def active(self) -> bool:
        """True when the panel may speak at all."""
        return self.revoked is None


class RegistryContent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The file. `revision` grows with each change; `own` are the collector's certificates."""

    revision: int = 0
    panels: tuple[RegisteredPanel, ...] = ()
    own: tuple[Certificate, ...] = ()


def check_panel_id(panel: str) -> None:
    """Raises RegistryError, saying how to mend it, for a name no panel may have."""
    if not PANEL_ID.fullmatch(panel):
        raise RegistryError(
            f"{panel!r} is no panel id: use 1 to 32 lower-case letters, digits and '-', "
            "not starting or ending with '-', for instance shop-1"
        )
    if panel == COLLECTOR:
        raise RegistryError(f"{COLLECTOR!r} is the collector's own name; choose another panel id")


class Registry:
    """The registry file at `path`; reads are cached, writes are locked read-change-replace."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._content = RegistryContent()
        self._active: frozenset[str] = frozenset()
        self._next_look = 0.0
        with self._guard:
            self._look()

    def is_registered(self, panel: str) -> bool:
        """True when the panel is known and not revoked. Cheap: looks at the file 5 times a second.

        A file that became unreadable leaves the last good answer in force.
        """
        if time.monotonic() >= self._next_look:
            with self._guard:
                try:
                    self._look()
                except RegistryError:
                    self._next_look = time.monotonic() + LOOK_EVERY_S
        return panel in self._active

    def content(self) -> RegistryContent:
        """The file as it stands now. Raises RegistryError when it cannot be read."""
        with self._guard:
            self._look()
            return self._content

    def find(self, panel: str) -> RegisteredPanel | None:
        """The panel of that name, revoked or not."""
        return next((known for known in self.content().panels if known.id == panel), None)

    def add_certificate(
        self, panel: str, certificate: Certificate, now: UtcTime, *, note: str = "", keep_old: bool
    ) -> RegisteredPanel:
        """Register a certificate for a new, known or revoked panel; older ones are revoked.

        With `keep_old` certificates still valid stay so. Raises RegistryError for a bad id.
        """
        check_panel_id(panel)
        stored = RegisteredPanel(id=panel, created=now, note=note, certificates=(certificate,))

        def change(content: RegistryContent) -> RegistryContent:
            nonlocal stored
            others = tuple(known for known in content.panels if known.id != panel)
            before = next((known for known in content.panels if known.id == panel), None)
            if before is not None:
                older = before.certificates if keep_old else _revoked(before.certificates, now)
                stored = msgspec.structs.replace(
                    before,
                    note=note or before.note,
                    revoked=None,
                    certificates=(*older, certificate),
                )
            return msgspec.structs.replace(
                content, panels=tuple(sorted((*others, stored), key=lambda known: known.id))
            )

        self._write(change)
        return stored

    def revoke(self, panel: str, now: UtcTime, serial: str | None = None) -> RegisteredPanel:
        """Revoke the panel with all its certificates, or only the certificate `serial` of it.

        Raises RegistryError when there is no such panel or certificate.
        """
        stored: RegisteredPanel | None = None

        def change(content: RegistryContent) -> RegistryContent:
            nonlocal stored
            before = next((known for known in content.panels if known.id == panel), None)
            if before is None:
                raise RegistryError(f"no panel {panel!r} is registered: see `panel list`")
            if serial is not None and all(c.serial != serial for c in before.certificates):
                raise RegistryError(f"panel {panel!r} has no certificate with serial {serial}")
            stored = msgspec.structs.replace(
                before,
                revoked=now if serial is None else before.revoked,
                certificates=_revoked(before.certificates, now, serial),
            )
            return msgspec.structs.replace(
                content,
                panels=tuple(stored if known.id == panel else known for known in content.panels),
            )

        self._write(change)
        assert stored is not None
        return stored

    def add_own(self, certificate: Certificate, now: UtcTime) -> None:
        """Make `certificate` the collector's only valid one."""
        self._write(
            lambda content: msgspec.structs.replace(
                content, own=(*_revoked(content.own, now), certificate)
            )
        )

    def _write(self, change: Callable[[RegistryContent], RegistryContent]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path.with_suffix(".lock")), self._guard:
            self._look()
            changed = change(self._content)
            changed = msgspec.structs.replace(changed, revision=self._content.revision + 1)
            replace_file(self._path, msgspec.json.format(msgspec.json.encode(changed), indent=1))
            self._look()

    def _look(self) -> None:
        """Read the file again if it is another one than last time."""
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if seen != self._seen:
                content = msgspec.json.decode(self._path.read_bytes(), type=RegistryContent)
                self._content, self._seen = content, seen
                self._active = frozenset(known.id for known in content.panels if known.active)
        except FileNotFoundError:
            if self._seen is not None:
                raise RegistryError(f"{self._path} is gone: restore it from a backup") from None
        except (OSError, msgspec.MsgspecError) as error:
            raise RegistryError(f"cannot read {self._path}: {error}") from error
        self._next_look = time.monotonic() + LOOK_EVERY_S


def _revoked(
    certificates: tuple[Certificate, ...], now: UtcTime, serial: str | None = None
) -> tuple[Certificate, ...]:
    return tuple(
        msgspec.structs.replace(known, revoked=now)
        if known.revoked is None and serial in {None, known.serial}
        else known
        for known in certificates
    )
