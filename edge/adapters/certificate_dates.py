"""When a certificate ends. The standard library tells it only of the peer's, so this walks to the
Validity field of a PEM file (RFC 5280 4.1: tbsCertificate { [0] version, serial, signature,
issuer, validity { notBefore, notAfter } … }).
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

_UTC_TIME, _GENERALIZED_TIME, _SEQUENCE, _VERSION = 0x17, 0x18, 0x30, 0xA0


def not_after(pem: Path) -> datetime:
    """End of validity of the first certificate in the file. Raises OSError or ValueError."""
    text = pem.read_text("ascii")
    head, foot = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    if head not in text or foot not in text:
        raise ValueError(f"no certificate in {pem.name}")
    first = text[text.index(head) : text.index(foot) + len(foot)]
    return not_after_der(ssl.PEM_cert_to_DER_cert(first))


def not_after_der(der: bytes) -> datetime:
    """End of validity. Raises ValueError on anything that is not a certificate."""
    try:
        certificate = _inside(der, 0, _SEQUENCE)
        position, end = _inside(der, certificate[0], _SEQUENCE)
        if der[position] == _VERSION:
            position = _after(der, position)
        for _ in range(3):
            position = _after(der, position)
        if position >= end:
            raise ValueError("certificate ends before its validity")
        position, _ = _inside(der, position, _SEQUENCE)
        position = _after(der, position)
        tag = der[position]
        start, stop = _inside(der, position, tag)
        text = der[start:stop].decode("ascii")
    except IndexError:
        raise ValueError("certificate is cut short") from None
    if tag == _UTC_TIME:
        # RFC 5280 4.1.2.5.1: YY >= 50 means 19YY
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("certificate without an end of validity")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _inside(der: bytes, position: int, tag: int) -> tuple[int, int]:
    """(start, end) of the content of the element at `position`."""
    if der[position] != tag:
        raise ValueError(f"expected element {tag:#x}, found {der[position]:#x}")
    length = der[position + 1]
    start = position + 2
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(der[start : start + count], "big")
        start += count
    if start + length > len(der):
        raise ValueError("certificate is cut short")
    return start, start + length


def _after(der: bytes, position: int) -> int:
    return _inside(der, position, der[position])[1]
