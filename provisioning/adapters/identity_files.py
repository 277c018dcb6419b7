"""Reads panel.crt, panel.key and ca.crt of a directory into an Identity."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from protocols.instants import US_PER_S, UtcTime
from provisioning.pairing.identity import Identity


class IdentityError(Exception):
    """A file is missing or is not what it should be; the text says which and what was expected."""


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise IdentityError(f"{path}: cannot read the {what} ({error.strerror})") from None


def _certificate(path: Path, what: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_read(path, what))
    except ValueError:
        raise IdentityError(f"{path}: is no PEM certificate; expected the {what}") from None


def _name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def read(directory: Path, certificate: str, key: str, ca: str) -> Identity:
    """The identity in `directory`. Raises IdentityError."""
    leaf = _certificate(directory / certificate, "panel's certificate")
    issuer = _certificate(directory / ca, "centre's CA certificate")
    key_path = directory / key
    try:
        private = load_pem_private_key(_read(key_path, "panel's key"), password=None)
    except (ValueError, TypeError):
        raise IdentityError(f"{key_path}: is no unencrypted PEM private key") from None
    try:
        leaf.verify_directly_issued_by(issuer)
        signed = True
    except (ValueError, TypeError, InvalidSignature):
        signed = False
    return Identity(
        common_name=_name(leaf),
        not_before=UtcTime(round(leaf.not_valid_before_utc.timestamp()) * US_PER_S),
        not_after=UtcTime(round(leaf.not_valid_after_utc.timestamp()) * US_PER_S),
        ca_name=_name(issuer),
        ca_not_after=UtcTime(round(issuer.not_valid_after_utc.timestamp()) * US_PER_S),
        signed_by_ca=signed,
        key_matches=private.public_key() == leaf.public_key(),
        key_private=key_path.stat().st_mode & 0o077 == 0,
    )
