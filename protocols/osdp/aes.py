"""AES-128 CBC without padding, by what the runtime has. [both runtimes]"""

ZERO_IV = bytes(16)
"""With it, one block of CBC is ECB."""

try:
    from cryptolib import aes as _aes  # type: ignore[import-not-found,unused-ignore]

    def encrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
        """`data` in whole blocks."""
        return _aes(key, 2, iv).encrypt(data)  # type: ignore[no-any-return]

    def decrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
        """`data` in whole blocks."""
        return _aes(key, 2, iv).decrypt(data)  # type: ignore[no-any-return]

except ImportError:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    def encrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
        """`data` in whole blocks."""
        machine = Cipher(AES(key), CBC(iv)).encryptor()
        return machine.update(data) + machine.finalize()

    def decrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
        """`data` in whole blocks."""
        machine = Cipher(AES(key), CBC(iv)).decryptor()
        return machine.update(data) + machine.finalize()
