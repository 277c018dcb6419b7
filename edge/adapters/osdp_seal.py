"""Whether a reply bears the MAC of its session, judged before libosdp sees it.

libosdp drops a session at one wrong MAC, and takes a handshake-type security block inside a secure
session without any MAC. So the proofs and MACs are followed here too: a forged or replayed frame is
counted and ignored, and the node's own reply behind it is still heard.
"""

from __future__ import annotations

from protocols.osdp import codes
from protocols.osdp.frame import Frame, FrameReader
from protocols.osdp.secure_channel import RANDOM_BYTES, SecureChannel


class Seal:
    """Follows one node's secure channel from its handshake on."""

    def __init__(self) -> None:
        self._opening: SecureChannel | None = None
        self._random = b""
        self._key = b""
        self._channel: SecureChannel | None = None

    @property
    def closed(self) -> bool:
        """A secure session is on: only MACs that fit are good."""
        return self._channel is not None

    def sending(self, frame: bytes, key: bytes) -> None:
        """This command goes out; `key` is the node's. The same bytes again change nothing."""
        heard = FrameReader().feed(frame)
        if len(heard) != 1 or not isinstance(heard[0], Frame):
            return
        command = heard[0]
        code = command.data[0]
        if command.sequence == 0 or code == codes.CHLNG:
            self._channel = None
            self._opening = None
        if code == codes.CHLNG and command.block is not None:
            self._random = command.data[1 : 1 + RANDOM_BYTES]
            self._key = codes.DEFAULT_KEY if command.block[2] == 0 else key
        elif self._channel is not None:
            self._channel.accept_command(command.signed, command.mac)

    def fits(self, reply: Frame) -> bool:
        """Believable as the answer to what was sent last."""
        if self._channel is None:
            return True
        if reply.block is None or reply.block[1] < codes.SCS_15:
            return False
        return self._channel.accept_reply(reply.signed, reply.mac)

    def heard(self, reply: Frame) -> None:
        """This reply is taken: handshakes go on."""
        data = reply.data
        if data[0] == codes.CCRYPT and len(data) == 1 + 8 + RANDOM_BYTES + 16:
            self._opening = SecureChannel(self._key, self._random, data[9 : 9 + RANDOM_BYTES])
        elif data[0] == codes.RMAC_I and len(data) == 1 + 16 and self._opening is not None:
            self._channel, self._opening = self._opening, None
            self._channel.open(data[1:])

    def broken(self) -> None:
        """The session is over."""
        self._channel = None
        self._opening = None
