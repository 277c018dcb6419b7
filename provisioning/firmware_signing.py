"""The maker's firmware key, and signatures over node images. RSA-3072, PKCS#1 v1.5, SHA-256.

A node image begins with "TOCSINFW"; its header's length stands at byte 10 (16 bits, little-endian),
and 384 bytes of signature over the header follow the header. The header holds each file's hash.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

KEY_BITS = 3072
SIGNATURE_BYTES = 384
PRIVATE_NAME = "firmware.key"
PUBLIC_NAME = "firmware.pub"
NODE_NAME = "update.key"
"""As the node reads it, from the root of its flash: modulus, and 4 bytes of its SHA-256."""
_MAGIC = b"TOCSINFW"
_FIXED = "<8sBBHI3sI16s32sB"


class SigningError(Exception):
    """A key or image that is not what it must be; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class SignedImage:
    """What was signed."""

    board: str
    version: str
    security: int
    files: int
    image_bytes: int


def make_key(directory: Path, passphrase: bytes | None = None) -> list[Path]:
    """Writes private key (0600), public key and node file. Never over a key that is there."""
    key = generate_private_key(65537, KEY_BITS)
    lock = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / PRIVATE_NAME
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(private)
        (directory / PUBLIC_NAME).write_bytes(public)
        (directory / NODE_NAME).write_bytes(node_file(key.public_key()))
    except FileExistsError:
        raise SigningError(
            f"{directory / PRIVATE_NAME}: there is a key already; nodes in the field trust it"
        ) from None
    except OSError as error:
        raise SigningError(f"{directory}: cannot write the keys ({error.strerror})") from None
    return [path, directory / PUBLIC_NAME, directory / NODE_NAME]


def node_file(key: RSAPublicKey) -> bytes:
    """The public key as nodes keep it."""
    raw = key.public_numbers().n.to_bytes(SIGNATURE_BYTES, "big")
    return raw + hashlib.sha256(raw).digest()[:4]


def read_key(path: Path, passphrase: bytes | None = None) -> RSAPrivateKey:
    """The private key in a file. Raises SigningError."""
    try:
        key = load_pem_private_key(path.read_bytes(), passphrase)
    except OSError as error:
        raise SigningError(f"{path}: cannot read the key ({error.strerror})") from None
    except TypeError:
        want = "is not encrypted, give no passphrase" if passphrase else "needs its passphrase"
        raise SigningError(f"{path}: {want}") from None
    except ValueError:
        raise SigningError(f"{path}: no PEM private key, or the wrong passphrase") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size != KEY_BITS:
        raise SigningError(f"{path}: expected an RSA key of {KEY_BITS} bits")
    if key.public_key().public_numbers().e != 65537:
        raise SigningError(f"{path}: expected the public exponent 65537")
    return key


def sign(path: Path, key: RSAPrivateKey) -> SignedImage:
    """Signs the image file in place. Raises SigningError for a file that is no whole image."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SigningError(f"{path}: cannot read the image ({error.strerror})") from None
    if len(data) < struct.calcsize(_FIXED) or data[:8] != _MAGIC:
        raise SigningError(f"{path}: is no node image; build one with python -m firmware.build")
    _, _, _, size, total, version, security, board, body, files = struct.unpack_from(_FIXED, data)
    if total != len(data) or size + SIGNATURE_BYTES > total:
        raise SigningError(f"{path}: {len(data)} bytes, but its header says {total}")
    if hashlib.sha256(data[size + SIGNATURE_BYTES :]).digest() != body:
        raise SigningError(f"{path}: contents do not fit the header")
    signature = key.sign(data[:size], PKCS1v15(), SHA256())
    try:
        key.public_key().verify(signature, data[:size], PKCS1v15(), SHA256())
    except InvalidSignature:
        # A fault in the computation would give the key away.
        raise SigningError("the signature just made does not verify; nothing was written") from None
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.write_bytes(data[:size] + signature + data[size + SIGNATURE_BYTES :])
        fresh.replace(path)
    except OSError as error:
        raise SigningError(f"{path}: cannot write the image ({error.strerror})") from None
    return SignedImage(
        board=board.rstrip(b"\0").decode("ascii", "replace"),
        version=".".join(str(part) for part in version),
        security=security,
        files=files,
        image_bytes=total,
    )
