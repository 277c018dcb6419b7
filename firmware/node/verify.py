"""RSA-3072 PKCS#1 v1.5 SHA-256 verification, in steps a node's loop can bear. [both runtimes]

The whole encoded block is compared, never parsed: nothing in a signature is read as a length, which
is what forged signatures with a small exponent live on.
"""

import hashlib

KEY_BITS = 3072
KEY_BYTES = 384
EXPONENT = 65537
_DIGEST_INFO = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
_SQUARINGS = 16
"""65537 = 2**16 + 1: sixteen squarings and one multiplication."""


def read_key(data: bytes) -> int:
    """The modulus of a key file: 384 bytes, then 4 of their SHA-256. 0: no key in it."""
    if len(data) != KEY_BYTES + 4:
        return 0
    raw = bytes(data[:KEY_BYTES])
    if hashlib.sha256(raw).digest()[:4] != bytes(data[KEY_BYTES:]):
        return 0
    modulus = int.from_bytes(raw, "big")
    return modulus if raw[0] & 0x80 and modulus & 1 else 0


def encoded_block(digest: bytes) -> bytes:
    """What a signature of a message with this SHA-256 must open to."""
    tail = b"\x00" + _DIGEST_INFO + digest
    return b"\x00\x01" + b"\xff" * (KEY_BYTES - 2 - len(tail)) + tail


class SignatureCheck:
    """One verification: `step()` until it says True or False. One step is one modular product."""

    def __init__(self, modulus: int, signature: bytes, digest: bytes) -> None:
        self._modulus = modulus
        self._signature = int.from_bytes(signature, "big")
        self._value = self._signature
        self._digest = digest
        self._done = 0
        self.verdict: bool | None = None
        """None while it is not known."""
        if modulus <= 0 or len(signature) != KEY_BYTES or self._signature >= modulus:
            self.verdict = False

    def step(self) -> bool | None:
        """Goes on by one product; the verdict when there is one."""
        if self.verdict is not None:
            return self.verdict
        if self._done < _SQUARINGS:
            self._value = self._value * self._value % self._modulus
            self._done += 1
            return None
        block = (self._value * self._signature % self._modulus).to_bytes(KEY_BYTES, "big")
        self.verdict = block == encoded_block(self._digest)
        self._value = 0
        return self.verdict

    def finish(self) -> bool:
        """The verdict now, whatever it takes (about 17 steps)."""
        while self.verdict is None:
            self.step()
        return self.verdict


def verify(modulus: int, signature: bytes, message: bytes) -> bool:
    """Whether `signature` is the key's own over `message`."""
    return SignatureCheck(modulus, signature, hashlib.sha256(message).digest()).finish()
