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
import ipaddress
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from collector import CollectorError
from collector.adapters.durable_file import PRIVATE, PUBLIC, locked, replace_file
from collector.adapters.registry import (
    COLLECTOR,
    Certificate,
    RegisteredPanel,
    Registry,
    check_panel_id,
)
from protocols.instants import US_PER_S, UtcTime

CA_DAYS: Final = 3650
CLIENT_DAYS: Final = 730
RENEW_BEFORE_DAYS: Final = 60
CRL_DAYS: Final = 3650
"""Long on purpose: a CRL past its nextUpdate makes OpenSSL refuse everybody, alarms included."""
CLOCK_SLACK = datetime.timedelta(hours=1)
"""Certificates start this much early, for a panel whose clock is behind."""
URN: Final = "urn:tocsin"
_PEM: Final = serialization.Encoding.PEM

Now = Callable[[], datetime.datetime]


class AuthorityError(CollectorError):
    """The CA's files are missing, unreadable or do not belong together."""


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
            self._write_crl_if_absent()
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
    ) -> Issued:
        """Make a certificate for `panel` in `out_dir` (panel.crt, panel.key, ca.crt); register it.

        Older certificates of the panel are revoked at once unless `keep_old`. The files are written
        before the registry, so a crash between leaves an unknown certificate, which nobody admits.
        Raises RegistryError for a bad id.
        """
        check_panel_id(panel)
        out_dir.mkdir(parents=True, exist_ok=True)
        with self._lock():
            key = ec.generate_private_key(ec.SECP256R1())
            made = self._client_certificate(panel, key, days)
            files = out_dir / "panel.crt", out_dir / "panel.key", out_dir / "ca.crt"
            replace_file(files[1], _key_pem(key), PRIVATE)
            replace_file(files[0], made.public_bytes(_PEM), PUBLIC)
            replace_file(files[2], self.ca_file.read_bytes(), PUBLIC)
            entry = describe(made)
            registered = self._registry.add_certificate(
                panel, entry, self._utc(), note=note, keep_old=keep_old
            )
            self._write_crl()
        return Issued(registered, entry, files[2], files[0], files[1])

    def revoke(self, panel: str, serial: str | None = None) -> RegisteredPanel:
        """Revoke the panel, or one of its certificates. Raises RegistryError when unknown."""
        with self._lock():
            registered = self._registry.revoke(panel, self._utc(), serial)
            self._write_crl()
        return registered

    def issue_server(self, out_dir: Path, names: Sequence[str]) -> KeyPair:
        """A server certificate for a broker elsewhere (server.crt, server.key in `out_dir`)."""
        out_dir.mkdir(parents=True, exist_ok=True)
        with self._lock():
            pair = KeyPair(self.ca_file, out_dir / "server.crt", out_dir / "server.key")
            self._make_server(pair, [*_local_names(), *names])
        return pair

    def _lock(self) -> AbstractContextManager[None]:
        return locked(self._folder / ".lock")

    def _utc(self) -> UtcTime:
        return UtcTime(round(self._now().timestamp() * US_PER_S))

    def _open_ca(self) -> None:
        key_file = self._folder / "ca.key"
        present = self.ca_file.exists(), key_file.exists()
        if present == (False, False):
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = self._ca_certificate(key)
            replace_file(key_file, _key_pem(key), PRIVATE)
            replace_file(self.ca_file, certificate.public_bytes(_PEM), PUBLIC)
        elif present == (False, True):
            # Cut short between the two files: the same key makes a certificate just as good.
            certificate = self._ca_certificate(self._ca_key())
            replace_file(self.ca_file, certificate.public_bytes(_PEM), PUBLIC)
        elif present == (True, False):
            raise AuthorityError(f"{key_file} is missing: restore it, or no panel can be added")
        key = self._ca_key()
        if self._ca().public_key() != key.public_key():
            raise AuthorityError(f"{self.ca_file} and {key_file} do not belong together")

    def _ca_certificate(self, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        name = _name("Tocsin CA " + x509.random_serial_number().to_bytes(20, "big").hex()[:8])
        builder = self._builder(name, name, key.public_key(), key.public_key(), CA_DAYS)
        return (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )

    def _ca(self) -> x509.Certificate:
        return _load(self.ca_file)

    def _ca_key(self) -> ec.EllipticCurvePrivateKey:
        key_file = self._folder / "ca.key"
        try:
            key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        except (OSError, ValueError):
            raise AuthorityError(f"cannot read {key_file}: restore it from a backup") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AuthorityError(f"{key_file} holds no elliptic-curve key")
        return key

    def _builder(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        public: ec.EllipticCurvePublicKey,
        issuer_public: ec.EllipticCurvePublicKey,
        days: int,
        serial: int | None = None,
    ) -> x509.CertificateBuilder:
        now = self._now()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(now - CLOCK_SLACK)
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public), critical=False
            )
        )

    def _leaf(
        self,
        common_name: str,
        key: ec.EllipticCurvePrivateKey,
        purpose: x509.ObjectIdentifier,
        names: Sequence[x509.GeneralName],
        days: int,
        serial: int,
    ) -> x509.Certificate:
        ca, ca_key = self._ca(), self._ca_key()
        builder = self._builder(
            _name(common_name), ca.subject, key.public_key(), ca_key.public_key(), days, serial
        )
        return (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(ca_key, hashes.SHA256())
        )

    def _client_certificate(
        self, name: str, key: ec.EllipticCurvePrivateKey, days: int
    ) -> x509.Certificate:
        serial = x509.random_serial_number()
        urn = x509.UniformResourceIdentifier(identity(name, f"{serial:x}"))
        return self._leaf(name, key, ExtendedKeyUsageOID.CLIENT_AUTH, [urn], days, serial)

    def _renew_collector(self) -> bool:
        pair = self.collector
        known = {entry.serial for entry in self._registry.content().own if entry.revoked is None}
        if (
            pair.key.exists()
            and self._lasts(pair.cert)
            and describe(_load(pair.cert)).serial in known
        ):
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._client_certificate(COLLECTOR, key, CLIENT_DAYS)
        replace_file(pair.key, _key_pem(key), PRIVATE)
        replace_file(pair.cert, made.public_bytes(_PEM), PUBLIC)
        self._registry.add_own(describe(made), self._utc())
        self._write_crl()
        return True

    def _renew_server(self, extra: Sequence[str]) -> bool:
        pair = self.server
        wanted = [*_local_names(), *extra]
        if pair.key.exists() and self._lasts(pair.cert):
            borne = _names_of(_load(pair.cert))
            if {_general_name(name) for name in wanted} <= borne:
                return False
            wanted = [*wanted, *(str(name.value) for name in borne)]
        self._make_server(pair, wanted)
        return True

    def _make_server(self, pair: KeyPair, names: Sequence[str]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._leaf(
            "tocsin-broker",
            key,
            ExtendedKeyUsageOID.SERVER_AUTH,
            list(dict.fromkeys(_general_name(name) for name in names)),
            CLIENT_DAYS,
            x509.random_serial_number(),
        )
        replace_file(pair.key, _key_pem(key), PRIVATE)
        replace_file(pair.cert, made.public_bytes(_PEM), PUBLIC)

    def _lasts(self, cert_file: Path) -> bool:
        """True when the certificate is ours and not yet due for renewal."""
        if not cert_file.exists():
            return False
        certificate = _load(cert_file)
        due = certificate.not_valid_after_utc - datetime.timedelta(days=RENEW_BEFORE_DAYS)
        return certificate.issuer == self._ca().subject and self._now() < due

    def _write_crl_if_absent(self) -> None:
        if not self.crl_file.exists():
            self._write_crl()

    def _write_crl(self) -> None:
        content = self._registry.content()
        everyone = [entry for panel in content.panels for entry in panel.certificates]
        now = self._now()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._ca().subject)
            .last_update(now - CLOCK_SLACK)
            .next_update(now + datetime.timedelta(days=CRL_DAYS))
            .add_extension(x509.CRLNumber(content.revision), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key().public_key()),
                critical=False,
            )
        )
        for entry in (*everyone, *content.own):
            if entry.revoked is not None and entry.not_after > self._utc():
                builder = builder.add_revoked_certificate(
                    x509.RevokedCertificateBuilder()
                    .serial_number(int(entry.serial, 16))
                    .revocation_date(
                        datetime.datetime.fromtimestamp(entry.revoked / US_PER_S, datetime.UTC)
                    )
                    .build()
                )
        crl = builder.sign(self._ca_key(), hashes.SHA256())
        replace_file(self.crl_file, crl.public_bytes(_PEM), PUBLIC)


def describe(certificate: x509.Certificate) -> Certificate:
    """What the registry keeps of a certificate."""
    return Certificate(
        serial=f"{certificate.serial_number:x}",
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        not_before=UtcTime(round(certificate.not_valid_before_utc.timestamp() * US_PER_S)),
        not_after=UtcTime(round(certificate.not_valid_after_utc.timestamp() * US_PER_S)),
    )


def _load(cert_file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(cert_file.read_bytes())
    except (OSError, ValueError):
        raise AuthorityError(f"cannot read {cert_file}: restore it from a backup") from None


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError:
        raise AuthorityError(
            f"{name!r} is no host name: write it in ASCII (xn--…) or as an IP address"
        ) from None


def _names_of(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        return set(
            certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        )
    except x509.ExtensionNotFound:
        return set()


def _local_names() -> list[str]:
    """Names a panel on this machine or this network may call us by."""
    host = socket.gethostname()
    return ["localhost", "127.0.0.1", "::1", *([host] if host.isascii() and host else [])]
