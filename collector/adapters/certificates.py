"""X.509 building and reading (RFC 5280), with no state: what authority.py signs and keeps."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from collector import CollectorError
from collector.adapters.registry import Certificate
from protocols.instants import US_PER_S, UtcTime

CA_DAYS: Final = 3650
CRL_DAYS: Final = 3650
"""Long on purpose: a CRL past its nextUpdate makes OpenSSL refuse everybody, alarms included."""
CLOCK_SLACK: Final = datetime.timedelta(hours=1)
"""Certificates start this much early, for a panel whose clock is behind."""
PEM: Final = serialization.Encoding.PEM

CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH


class AuthorityError(CollectorError):
    """The CA's files are missing, unreadable or do not belong together."""


@dataclass(frozen=True, slots=True)
class Signer:
    """The CA's certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate is for, and for how long."""

    common_name: str
    public_key: ec.EllipticCurvePublicKey
    purpose: x509.ObjectIdentifier
    names: Sequence[x509.GeneralName]
    serial: int
    days: int


def self_signed(key: ec.EllipticCurvePrivateKey, now: datetime.datetime) -> x509.Certificate:
    """A CA certificate that may sign leaves only."""
    serial = x509.random_serial_number()
    name = _name(f"Tocsin CA {serial:040x}"[:18])
    builder = _begin(name, name, key.public_key(), key.public_key(), serial, CA_DAYS, now)
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def leaf(signer: Signer, subject: Subject, now: datetime.datetime) -> x509.Certificate:
    """A certificate for one purpose, client or server, never both."""
    builder = _begin(
        _name(subject.common_name),
        signer.certificate.subject,
        subject.public_key,
        signer.key.public_key(),
        subject.serial,
        subject.days,
        now,
    )
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([subject.purpose]), critical=False)
        .add_extension(x509.SubjectAlternativeName(subject.names), critical=False)
        .sign(signer.key, hashes.SHA256())
    )


def revocation_list(
    signer: Signer, revoked: Iterable[Certificate], number: int, now: datetime.datetime
) -> bytes:
    """The CRL in PEM (RFC 5280 5)."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(now - CLOCK_SLACK)
        .next_update(now + datetime.timedelta(days=CRL_DAYS))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()),
            critical=False,
        )
    )
    for entry in revoked:
        when = datetime.datetime.fromtimestamp((entry.revoked or 0) / US_PER_S, datetime.UTC)
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(int(entry.serial, 16))
            .revocation_date(when)
            .build()
        )
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(PEM)


def describe(certificate: x509.Certificate) -> Certificate:
    """What the registry keeps of a certificate."""
    return Certificate(
        serial=f"{certificate.serial_number:x}",
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        not_before=UtcTime(round(certificate.not_valid_before_utc.timestamp() * US_PER_S)),
        not_after=UtcTime(round(certificate.not_valid_after_utc.timestamp() * US_PER_S)),
    )


def load_certificate(cert_file: Path) -> x509.Certificate:
    """Raises AuthorityError when it cannot be read."""
    try:
        return x509.load_pem_x509_certificate(cert_file.read_bytes())
    except (OSError, ValueError):
        raise AuthorityError(f"cannot read {cert_file}: restore it from a backup") from None


def load_key(key_file: Path) -> ec.EllipticCurvePrivateKey:
    """Raises AuthorityError when it cannot be read; the text holds nothing of the file."""
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        raise AuthorityError(f"cannot read {key_file}: restore it from a backup") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AuthorityError(f"{key_file} holds no elliptic-curve key")
    return key


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as PKCS#8 PEM, not encrypted: the file's mode protects it."""
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def general_name(name: str) -> x509.GeneralName:
    """A host name or address as it stands in a server certificate. Raises AuthorityError."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError:
        raise AuthorityError(
            f"{name!r} is no host name: write it in ASCII (xn--...) or as an IP address"
        ) from None


def names_of(certificate: x509.Certificate) -> list[x509.GeneralName]:
    """The names a certificate bears."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return list(found.value)


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer_public: ec.EllipticCurvePublicKey,
    serial: int,
    days: int,
    now: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public), critical=False
        )
    )


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
