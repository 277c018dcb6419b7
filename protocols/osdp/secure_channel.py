"""Secure channel of OSDP v2.2: keys, proofs, MACs and encryption of one session. [both runtimes]

Every MAC and every encryption starts from the MAC that went the other way before it, so no frame
fits twice or out of order.
"""

from protocols.osdp.aes import ZERO_IV, decrypt, encrypt

KEY_BYTES = 16
RANDOM_BYTES = 8
_PADDING = b"\x80" + bytes(15)


def same(left: bytes, right: bytes) -> bool:
    """Equal, in a time that does not tell where they differ."""
    if len(left) != len(right):
        return False
    difference = 0
    for place in range(len(left)):
        difference |= left[place] ^ right[place]
    return difference == 0


def complement(data: bytes) -> bytes:
    """Every bit turned."""
    return bytes([byte ^ 0xFF for byte in data])


class SecureChannel:
    """One session, for either side. Until `open` it can only make and check the proofs."""

    def __init__(self, key: bytes, controller_random: bytes, peripheral_random: bytes) -> None:
        self._controller_random = controller_random
        self._peripheral_random = peripheral_random
        fill = controller_random[:6] + bytes(8)
        self._encryption_key = encrypt(key, ZERO_IV, b"\x01\x82" + fill)
        self._mac_key_1 = encrypt(key, ZERO_IV, b"\x01\x01" + fill)
        self._mac_key_2 = encrypt(key, ZERO_IV, b"\x01\x02" + fill)
        self._command_mac = ZERO_IV
        self._reply_mac = ZERO_IV

    def peripheral_proof(self) -> bytes:
        """What CCRYPT carries."""
        return encrypt(
            self._encryption_key, ZERO_IV, self._controller_random + self._peripheral_random
        )

    def controller_proof(self) -> bytes:
        """What SCRYPT carries."""
        return encrypt(
            self._encryption_key, ZERO_IV, self._peripheral_random + self._controller_random
        )

    def first_reply_mac(self) -> bytes:
        """What RMAC_I carries; both sides start the chain from it."""
        once = encrypt(self._mac_key_1, ZERO_IV, self.controller_proof())
        return encrypt(self._mac_key_2, ZERO_IV, once)

    def open(self, first_reply_mac: bytes) -> None:
        """Start the chain."""
        self._reply_mac = first_reply_mac

    def _mac(self, iv: bytes, data: bytes) -> bytes:
        over = len(data) % 16
        if over:
            data = data + _PADDING[: 16 - over]
        last = len(data) - 16
        if last:
            iv = encrypt(self._mac_key_1, iv, data[:last])[-16:]
            data = data[last:]
        return encrypt(self._mac_key_2, iv, data)

    def command_mac(self, signed: bytes) -> bytes:
        """Make the four bytes of a command and move the chain on."""
        self._command_mac = self._mac(self._reply_mac, signed)
        return self._command_mac[:4]

    def reply_mac(self, signed: bytes) -> bytes:
        """Make the four bytes of a reply and move the chain on."""
        self._reply_mac = self._mac(self._command_mac, signed)
        return self._reply_mac[:4]

    def accept_command(self, signed: bytes, mac: bytes) -> bool:
        """True, and the chain moved on, if this is the command that fits now."""
        full = self._mac(self._reply_mac, signed)
        if not same(full[:4], mac):
            return False
        self._command_mac = full
        return True

    def accept_reply(self, signed: bytes, mac: bytes) -> bool:
        """True, and the chain moved on, if this is the reply that fits now."""
        full = self._mac(self._command_mac, signed)
        if not same(full[:4], mac):
            return False
        self._reply_mac = full
        return True

    def encrypt_command(self, payload: bytes) -> bytes:
        """To be called before the frame's `command_mac`."""
        return encrypt(self._encryption_key, complement(self._reply_mac), padded(payload))

    def encrypt_reply(self, payload: bytes) -> bytes:
        """To be called before the frame's `reply_mac`."""
        return encrypt(self._encryption_key, complement(self._command_mac), padded(payload))

    def decrypt_command(self, data: bytes) -> "bytes | None":
        """None: not what our peer encrypted. After `accept_command`, whose start it needs."""
        return self._decrypt(self._reply_mac, data)

    def decrypt_reply(self, data: bytes) -> "bytes | None":
        """None: not what our peer encrypted. After `accept_reply`."""
        return self._decrypt(self._command_mac, data)

    def _decrypt(self, mac: bytes, data: bytes) -> "bytes | None":
        if not data or len(data) % 16:
            return None
        plain = decrypt(self._encryption_key, complement(mac), data)
        end = len(plain) - 1
        while end > 0 and plain[end] == 0:
            end -= 1
        return plain[:end] if plain[end] == 0x80 else None


def padded(payload: bytes) -> bytes:
    """80 and zeros up to a whole block; always at least the 80."""
    return payload + _PADDING[: 16 - len(payload) % 16]
