"""The centre's own certificate authority, under `<data>/pki`.

    ca.crt ca.key                 EC P-256, 10 years; the key never leaves this folder (0600)
    server.crt server.key         the broker: localhost, this host, configured names
    collector.crt collector.key   the collector as MQTT client, CN `collector`
    crl.pem                       every revoked certificate that has not expired (RFC 5280 5)

A client certificate bears its name twice: the common name is the MQTT identity (and the user name
at Mosquitto); the URI `urn:tocsin:<name>:<serial>` (RFC 8141) is unique to that one certificate, so
that a broker which maps it can tell a re-issued certificate from the lost one of the same panel.
"""

from __future__ import annotations

import datetime
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from collector.adapters.certificates import (
    CLIENT,
    PEM,
    SERVER,
    AuthorityError,
    Signer,
    Subject,
    describe,
    general_name,
    key_pem,
    leaf,
    load_certificate,
    load_key,
    names_of,
    revocation_list,
    self_signed,
)
from collector.adapters.durable_file import PRIVATE, PUBLIC, locked, replace_file
from collector.adapters.registry import (
    COLLECTOR,
    Certificate,
    RegisteredPanel,
    Registry,
    Role,
    check_panel_id,
)
from protocols.instants import US_PER_S, UtcTime

CLIENT_DAYS: Final = 730
RENEW_BEFORE_DAYS: Final = 60
URN: Final = "urn:tocsin"

Now = Callable[[], datetime.datetime]


@dataclass(frozen=True, slots=True)
class Issued:
    """What a panel needs to connect. `key_file` holds the private key (0600)."""

    panel: RegisteredPanel
    certificate: Certificate
    ca_file: Path
    cert_file: Path
    key_file: Path


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Certificate and key file of one party, with the CA that vouches for the other side."""

    ca: Path
    cert: Path
    key: Path = field(repr=False)


def identity(name: str, serial: str) -> str:
    """The name of one certificate of `name`, unique among all ever issued."""
    return f"{URN}:{name}:{serial}"


def utc_now() -> datetime.datetime:
    """The wall clock."""
    return datetime.datetime.now(datetime.UTC)


class Authority:
    """Issues, renews and revokes. Opening it creates what is missing and renews what is due."""

    def __init__(
        self,
        data_dir: Path,
        registry: Registry,
        *,
        server_names: Sequence[str] | None = None,
        now: Now = utc_now,
    ) -> None:
        """`server_names` adds to the names the server certificate already has; None: no change.

        Raises AuthorityError when the CA is damaged: it is never replaced silently, because every
        panel trusts the old one.
        """
        self._folder = data_dir / "pki"
        self._registry = registry
        self._now = now
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock():
            self._open_ca()
            if not self.crl_file.exists():
                self._write_crl()
        self.renew_own(server_names)

    def __repr__(self) -> str:
        return f"Authority({str(self._folder)!r})"

    @property
    def ca_file(self) -> Path:
        """The CA certificate every party trusts."""
        return self._folder / "ca.crt"

    @property
    def crl_file(self) -> Path:
        """The revocation list, for brokers that read one."""
        return self._folder / "crl.pem"

    @property
    def server(self) -> KeyPair:
        """The broker's own certificate."""
        return KeyPair(self.ca_file, self._folder / "server.crt", self._folder / "server.key")

    @property
    def collector(self) -> KeyPair:
        """The collector's client certificate."""
        return KeyPair(self.ca_file, self._folder / "collector.crt", self._folder / "collector.key")

    def renew_own(self, server_names: Sequence[str] | None = None) -> bool:
        """Renew server and collector certificates when due or when a name is new. True: changed."""
        with self._lock():
            return self._renew_server(server_names or ()) | self._renew_collector()

    def issue(
        self,
        panel: str,
        out_dir: Path,
        *,
        note: str = "",
        keep_old: bool = False,
        days: int = CLIENT_DAYS,
        role: Role = Role.PANEL,
    ) -> Issued:
        """Make a certificate for `panel` in `out_dir` (panel.crt, panel.key, ca.crt); register it.
        For a receiver the files are receiver.crt and receiver.key.

        Older certificates of the panel are revoked at once unless `keep_old`. The files are written
        before the registry, so a crash between leaves an unknown certificate, which nobody admits.
        Raises RegistryError for a bad id.
        """
        check_panel_id(panel)
        out_dir.mkdir(parents=True, exist_ok=True)
        with self._lock():
            key, made = self._make_client(panel, days)
            crt, secret = out_dir / f"{role.value}.crt", out_dir / f"{role.value}.key"
            pair = KeyPair(out_dir / "ca.crt", crt, secret)
            _write_pair(pair, key, made)
            replace_file(pair.ca, self.ca_file.read_bytes(), PUBLIC)
            entry = describe(made)
            registered = self._registry.add_certificate(
                panel, entry, self._utc(), note=note, keep_old=keep_old, role=role
            )
            self._write_crl()
        return Issued(registered, entry, pair.ca, pair.cert, pair.key)

    def revoke(
        self, panel: str, serial: str | None = None, role: Role = Role.PANEL
    ) -> RegisteredPanel:
        """Revoke the bearer, or one of its certificates. Raises RegistryError when unknown."""
        with self._lock():
            registered = self._registry.revoke(panel, self._utc(), serial, role)
            self._write_crl()
        return registered

    def issue_server(self, out_dir: Path, names: Sequence[str]) -> KeyPair:
        """A server certificate for a broker elsewhere (server.crt, server.key in `out_dir`)."""
        out_dir.mkdir(parents=True, exist_ok=True)
        with self._lock():
            pair = KeyPair(self.ca_file, out_dir / "server.crt", out_dir / "server.key")
            self._make_server(pair, [general_name(name) for name in (*_local_names(), *names)])
        return pair

    def _lock(self) -> AbstractContextManager[None]:
        return locked(self._folder / ".lock")

    def _utc(self) -> UtcTime:
        return UtcTime(round(self._now().timestamp() * US_PER_S))

    def _open_ca(self) -> None:
        key_file = self._folder / "ca.key"
        if not key_file.exists():
            if self.ca_file.exists():
                raise AuthorityError(f"{key_file} is missing: restore it, or no panel can be added")
            replace_file(key_file, key_pem(_new_key()), PRIVATE)
        key = load_key(key_file)
        if not self.ca_file.exists():
            # First run, or cut short between the two files: the key makes it just as good.
            replace_file(self.ca_file, self_signed(key, self._now()).public_bytes(PEM), PUBLIC)
        if load_certificate(self.ca_file).public_key() != key.public_key():
            raise AuthorityError(f"{self.ca_file} and {key_file} do not belong together")

    def _signer(self) -> Signer:
        return Signer(load_certificate(self.ca_file), load_key(self._folder / "ca.key"))

    def _make_client(
        self, name: str, days: int
    ) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = _new_key()
        serial = x509.random_serial_number()
        urn = x509.UniformResourceIdentifier(identity(name, f"{serial:x}"))
        subject = Subject(name, key.public_key(), CLIENT, [urn], serial, days)
        return key, leaf(self._signer(), subject, self._now())

    def _renew_collector(self) -> bool:
        pair = self.collector
        known = {entry.serial for entry in self._registry.content().own if entry.revoked is None}
        if self._lasts(pair) and describe(load_certificate(pair.cert)).serial in known:
            return False
        key, made = self._make_client(COLLECTOR, CLIENT_DAYS)
        _write_pair(pair, key, made)
        self._registry.add_own(describe(made), self._utc())
        self._write_crl()
        return True

    def _renew_server(self, extra: Sequence[str]) -> bool:
        pair = self.server
        wanted = [general_name(name) for name in (*_local_names(), *extra)]
        if pair.cert.exists():
            borne = names_of(load_certificate(pair.cert))
            if self._lasts(pair) and set(wanted) <= set(borne):
                return False
            wanted += borne
        self._make_server(pair, wanted)
        return True

    def _make_server(self, pair: KeyPair, names: Sequence[x509.GeneralName]) -> None:
        key = _new_key()
        subject = Subject(
            "tocsin-broker",
            key.public_key(),
            SERVER,
            list(dict.fromkeys(names)),
            x509.random_serial_number(),
            CLIENT_DAYS,
        )
        _write_pair(pair, key, leaf(self._signer(), subject, self._now()))

    def _lasts(self, pair: KeyPair) -> bool:
        """True when the pair is whole, ours and not yet due for renewal."""
        if not (pair.cert.exists() and pair.key.exists()):
            return False
        certificate = load_certificate(pair.cert)
        due = certificate.not_valid_after_utc - datetime.timedelta(days=RENEW_BEFORE_DAYS)
        return (
            certificate.issuer == load_certificate(self.ca_file).subject
            and certificate.public_key() == load_key(pair.key).public_key()
            and self._now() < due
        )

    def _write_crl(self) -> None:
        content = self._registry.content()
        everyone = (*content.panels, *content.receivers)
        known = [entry for bearer in everyone for entry in bearer.certificates]
        revoked = [
            entry
            for entry in (*known, *content.own)
            if entry.revoked is not None and entry.not_after > self._utc()
        ]
        crl = revocation_list(self._signer(), revoked, content.revision, self._now())
        replace_file(self.crl_file, crl, PUBLIC)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _write_pair(
    pair: KeyPair, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    replace_file(pair.key, key_pem(key), PRIVATE)
    replace_file(pair.cert, certificate.public_bytes(PEM), PUBLIC)


def _local_names() -> list[str]:
    """Names a panel on this machine or this network may call us by."""
    host = socket.gethostname()
    return ["localhost", "127.0.0.1", "::1", *([host] if host.isascii() and host else [])]
