"""A small controller's side of OSDP over `protocols.osdp`; runs on both runtimes, draws nothing."""

from protocols.osdp import codes
from protocols.osdp.frame import Frame, FrameReader, build, close, header
from protocols.osdp.secure_channel import SecureChannel

CONTROLLER_RANDOM = bytes(range(0xA0, 0xA8))


class Controller:
    """Makes commands, checks replies; the caller carries the bytes and decides what is lost.

    A command stays the current one until `hear` accepts its reply or `restart`.
    """

    def __init__(
        self,
        address: int,
        key: bytes = codes.DEFAULT_KEY,
        crc: bool = True,
        mark: bool = False,
        random: bytes = CONTROLLER_RANDOM,
    ) -> None:
        self.address = address
        self.key = key
        self.crc = crc
        self.mark = mark
        self.random = random
        self.sequence = -1
        self.channel: SecureChannel | None = None
        self.opening: SecureChannel | None = None
        self.asked = b""
        self.reader = FrameReader()

    def restart(self) -> None:
        """The next command bears number 0."""
        self.sequence = -1
        self.channel = None
        self.opening = None
        self.reader.reset()

    def next_sequence(self) -> int:
        return 0 if self.sequence < 0 else self.sequence % 3 + 1

    def ask(self, code: int, payload: bytes = b"") -> bytes:
        """The bytes of a command, secure when a session is open."""
        number = self.next_sequence()
        channel = self.channel
        if channel is None:
            data = bytes((code,)) + payload
            self.asked = build(self.address, number, data, crc=self.crc, mark=self.mark)
            return self.asked
        sealed = channel.encrypt_command(payload) if payload else b""
        block = bytes((2, codes.SCS_17 if payload else codes.SCS_15))
        head = header(self.address, number, 14 + len(sealed), False, True, block)
        body = head + bytes((code,)) + sealed
        self.asked = close(body + channel.command_mac(body), True, self.mark)
        return self.asked

    def ask_block(self, kind: int, data: bytes) -> bytes:
        """The bytes of a handshake command."""
        value = 0 if self.key == codes.DEFAULT_KEY else 1
        block = bytes((3, kind, value))
        number = self.next_sequence()
        self.asked = build(self.address, number, data, block=block, mark=self.mark)
        return self.asked

    def hear(self, data: bytes) -> "tuple[int, bytes] | None":
        """Code and payload of the reply to the current command; None: there is none that fits."""
        for frame in self.reader.feed(data):
            if isinstance(frame, Frame) and frame.reply and frame.address == self.address & 0x7F:
                told = self._opened(frame)
                if told is not None:
                    return told
        return None

    def _opened(self, frame: Frame) -> "tuple[int, bytes] | None":
        if frame.sequence != self.next_sequence():
            return None
        data = frame.data
        if self.channel is not None:
            if frame.block is None:
                # A refusal in clear: the session is not usable, but the number is not used up.
                return (data[0], data[1:]) if data[0] == codes.NAK else None
            if not self.channel.accept_reply(frame.signed, frame.mac):
                return None
            if frame.block[1] == codes.SCS_18:
                plain = self.channel.decrypt_reply(data[1:])
                if plain is None:
                    return None
                data = data[:1] + plain
        elif data[0] == codes.NAK and data[1] == codes.NAK_SEQUENCE:
            return data[0], data[1:]
        self.sequence = frame.sequence
        return data[0], data[1:]

    # The handshake, step by step.

    def challenge(self) -> bytes:
        self.channel = None
        return self.ask_block(codes.SCS_11, bytes((codes.CHLNG,)) + self.random)

    def prove(self, answer: "tuple[int, bytes] | None") -> bytes:
        """From CCRYPT to SCRYPT; b"": the node does not know our key."""
        if answer is None or answer[0] != codes.CCRYPT or len(answer[1]) != 32:
            return b""
        channel = SecureChannel(self.key, self.random, answer[1][8:16])
        if answer[1][16:] != channel.peripheral_proof():
            return b""
        self.opening = channel
        return self.ask_block(codes.SCS_13, bytes((codes.SCRYPT,)) + channel.controller_proof())

    def settle(self, answer: "tuple[int, bytes] | None") -> bool:
        """From RMAC_I to the open session."""
        channel = self.opening
        self.opening = None
        if channel is None or answer is None or answer[0] != codes.RMAC_I:
            return False
        if answer[1] != channel.first_reply_mac():
            return False
        channel.open(answer[1])
        self.channel = channel
        return True
