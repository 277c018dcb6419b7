"""Which panels this centre knows, and which certificates speak for them.

One JSON file, replaced as a whole under a lock; a running collector sees a change by the file's
identity (inode, size, time). A panel is one or more certificates: a re-issue revokes the older ones
unless an overlap is asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from collector import CollectorError
from collector.adapters.durable_file import locked, replace_file
from collector.intake.accounts import ACCOUNT, PSEUDO, Account, AccountBook
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


class Role(StrEnum):
    """What a certificate's bearer is: a panel at a site, or a phone receiver at the centre."""

    PANEL = "panel"
    RECEIVER = "receiver"


class RegistryContent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The file. `revision` grows with each change; `own` are the collector's certificates."""

    revision: int = 0
    panels: tuple[RegisteredPanel, ...] = ()
    own: tuple[Certificate, ...] = ()
    receivers: tuple[RegisteredPanel, ...] = ()
    accounts: tuple[Account, ...] = ()

    def of(self, role: Role) -> tuple[RegisteredPanel, ...]:
        """Everyone of that role."""
        return self.receivers if role is Role.RECEIVER else self.panels


def check_panel_id(panel: str) -> None:
    """Raises RegistryError, saying how to mend it, for a name no panel may have."""
    if not PANEL_ID.fullmatch(panel):
        raise RegistryError(
            f"{panel!r} is no panel id: use 1 to 32 lower-case letters, digits and '-', "
            "not starting or ending with '-', for instance shop-1"
        )
    if panel.startswith(PSEUDO):
        raise RegistryError(
            f"{panel!r}: names that begin with {PSEUDO!r} stand for phone accounts without a "
            "panel; choose another panel id"
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
        self._receivers: frozenset[str] = frozenset()
        self._book = AccountBook()
        self._next_look = 0.0
        with self._guard:
            self._look()

    def is_registered(self, panel: str) -> bool:
        """True when the panel is known and not revoked. Cheap: looks at the file 5 times a second.

        A file that became unreadable leaves the last good answer in force.
        """
        self._glance()
        return panel in self._active

    def is_receiver(self, name: str) -> bool:
        """True when the phone receiver is known and not revoked. Cheap, as `is_registered`."""
        self._glance()
        return name in self._receivers

    def book(self) -> AccountBook:
        """Which account is which panel's. Cheap; the same object until an account changes."""
        self._glance()
        return self._book

    def _glance(self) -> None:
        if time.monotonic() >= self._next_look:
            with self._guard:
                try:
                    self._look()
                except RegistryError:
                    self._next_look = time.monotonic() + LOOK_EVERY_S

    def content(self) -> RegistryContent:
        """The file as it stands now. Raises RegistryError when it cannot be read."""
        with self._guard:
            self._look()
            return self._content

    def find(self, panel: str, role: Role = Role.PANEL) -> RegisteredPanel | None:
        """The panel, or receiver, of that name, revoked or not."""
        return next((known for known in self.content().of(role) if known.id == panel), None)

    def set_account(self, account: Account) -> None:
        """Give `account` to a panel, in place of the same account on the same receiver and line.

        Raises RegistryError for an account out of form or an unknown panel.
        """
        if not ACCOUNT.fullmatch(account.account):
            raise RegistryError(
                f"{account.account!r} is no account: use 4 or 10 of the digits 0-9, A-F, "
                "for instance 1234"
            )

        def change(content: RegistryContent) -> RegistryContent:
            if all(known.id != account.panel for known in content.panels):
                raise RegistryError(
                    f"no panel {account.panel!r} is registered: `panel add {account.panel} "
                    "--out DIR` adds it"
                )
            kept = [one for one in content.accounts if _place(one) != _place(account)]
            return msgspec.structs.replace(
                content, accounts=tuple(sorted((*kept, account), key=_place))
            )

        self._write(change)

    def remove_account(self, account: str) -> int:
        """Take the account away wherever it stands; how many entries. RegistryError: none."""
        gone = 0

        def change(content: RegistryContent) -> RegistryContent:
            nonlocal gone
            kept = tuple(one for one in content.accounts if one.account != account)
            gone = len(content.accounts) - len(kept)
            if not gone:
                raise RegistryError(f"no account {account!r} is set: see `account list`")
            return msgspec.structs.replace(content, accounts=kept)

        self._write(change)
        return gone

    def add_certificate(
        self,
        panel: str,
        certificate: Certificate,
        now: UtcTime,
        *,
        note: str = "",
        keep_old: bool,
        role: Role = Role.PANEL,
    ) -> RegisteredPanel:
        """Register a certificate for a new, known or revoked panel or receiver; older ones are
        revoked. With `keep_old` certificates still valid stay so. Raises RegistryError for a bad id
        or a name that stands for somebody of another role.
        """
        check_panel_id(panel)
        stored = RegisteredPanel(id=panel, created=now, note=note, certificates=(certificate,))

        def change(content: RegistryContent) -> RegistryContent:
            nonlocal stored
            other = Role.PANEL if role is Role.RECEIVER else Role.RECEIVER
            if any(known.id == panel for known in content.of(other)):
                raise RegistryError(f"{panel!r} is a {other.value} already; choose another name")
            others = tuple(known for known in content.of(role) if known.id != panel)
            before = next((known for known in content.of(role) if known.id == panel), None)
            if before is not None:
                older = before.certificates if keep_old else _revoked(before.certificates, now)
                stored = msgspec.structs.replace(
                    before,
                    note=note or before.note,
                    revoked=None,
                    certificates=(*older, certificate),
                )
            return _with(content, role, sorted((*others, stored), key=lambda known: known.id))

        self._write(change)
        return stored

    def revoke(
        self, panel: str, now: UtcTime, serial: str | None = None, role: Role = Role.PANEL
    ) -> RegisteredPanel:
        """Revoke the panel or receiver with all its certificates, or only the one of `serial`.

        Raises RegistryError when there is no such panel, receiver or certificate.
        """
        stored: RegisteredPanel | None = None

        def change(content: RegistryContent) -> RegistryContent:
            nonlocal stored
            before = next((known for known in content.of(role) if known.id == panel), None)
            if before is None:
                raise RegistryError(
                    f"no {role.value} {panel!r} is registered: see `{role.value} list`"
                )
            if serial is not None and all(c.serial != serial for c in before.certificates):
                raise RegistryError(
                    f"{role.value} {panel!r} has no certificate with serial {serial}"
                )
            stored = msgspec.structs.replace(
                before,
                revoked=now if serial is None else before.revoked,
                certificates=_revoked(before.certificates, now, serial),
            )
            after = [stored if known.id == panel else known for known in content.of(role)]
            return _with(content, role, after)

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
                self._receivers = frozenset(k.id for k in content.receivers if k.active)
                if self._book.accounts != content.accounts:
                    self._book = AccountBook(content.accounts)
        except FileNotFoundError:
            if self._seen is not None:
                raise RegistryError(f"{self._path} is gone: restore it from a backup") from None
        except (OSError, msgspec.MsgspecError) as error:
            raise RegistryError(f"cannot read {self._path}: {error}") from error
        self._next_look = time.monotonic() + LOOK_EVERY_S


def _with(
    content: RegistryContent, role: Role, everyone: Iterable[RegisteredPanel]
) -> RegistryContent:
    if role is Role.RECEIVER:
        return msgspec.structs.replace(content, receivers=tuple(everyone))
    return msgspec.structs.replace(content, panels=tuple(everyone))


def _place(account: Account) -> tuple[str, str, str, str]:
    return account.account, account.receiver, account.line, account.caller


def _revoked(
    certificates: tuple[Certificate, ...], now: UtcTime, serial: str | None = None
) -> tuple[Certificate, ...]:
    return tuple(
        msgspec.structs.replace(known, revoked=now)
        if known.revoked is None and serial in {None, known.serial}
        else known
        for known in certificates
    )
