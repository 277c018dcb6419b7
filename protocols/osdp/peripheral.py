"""The peripheral's side of OSDP v2.2: pure, fed with bytes and milliseconds. [both runtimes]

Sequence, session and queue rules stand in README.md beside this file.
"""

from protocols.osdp.codes import (
    BROADCAST,
    CAP,
    CCRYPT,
    CHLNG,
    DEFAULT_KEY,
    ID,
    INPUT_UNKNOWN,
    ISTATR,
    KEY_HASH,
    KEY_STAR,
    KEYPAD,
    KEYSET,
    LSTATR,
    MFGREP,
    NAK,
    NAK_CHECK,
    NAK_LENGTH,
    NAK_NO_SECURE_CHANNEL,
    NAK_SECURITY_CONDITION,
    NAK_SEQUENCE,
    POLL,
    RAW,
    RMAC_I,
    SCRYPT,
    SCS_11,
    SCS_12,
    SCS_13,
    SCS_14,
    SCS_15,
    SCS_16,
    SCS_17,
    SCS_18,
)
from protocols.osdp.commands import NOTHING_TO_TELL, Answer, Device, carry_out
from protocols.osdp.frame import MAC_BYTES, Frame, FrameReader, build, close, header
from protocols.osdp.identity import Counts, Identity
from protocols.osdp.report_queue import ReportQueue
from protocols.osdp.secure_channel import KEY_BYTES, RANDOM_BYTES, SecureChannel, same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FRAME_GAP_MS", "SILENCE_MS", "Counts", "Identity", "Peripheral"]

SILENCE_MS = 8_000
"""Without a good command for so long the session is over (OSDP: offline)."""
FRAME_GAP_MS = 200
"""A frame begun and not gone on with for so long never comes."""
RESTART_AFTER_MS = 100
VENDOR_BYTES_LIMIT = 64
KEYS_LIMIT = 16

_BEFORE_SECURITY = (ID, CAP, CHLNG, SCRYPT)


class Peripheral:
    """One node on the bus.

    `key` None: as delivered, the default key opens a session for KEYSET, ID and CAP only. With a
    key, clear text gets no further than ID, CAP and the handshake. `clear` True (rigs, never a
    node): all commands work without security, by CRC or checksum.
    """

    def __init__(
        self,
        identity: Identity,
        device: Device,
        address: int,
        key: "bytes | None",
        random_bytes: "Callable[[int], bytes]",
        inputs: int = 8,
        outputs: int = 2,
        readers: int = 0,
        queue_limit: int = 64,
        clear: bool = False,
        baud: int = 38_400,
    ) -> None:
        if key is not None and len(key) != KEY_BYTES:
            raise ValueError("a key has 16 bytes")
        self.identity = identity
        self.device = device
        self.address = address
        self.baud = baud
        self.inputs = inputs
        self.outputs = outputs
        self.readers = readers
        self.clear = clear
        self.counts = Counts()
        self._key = key
        self._random_bytes = random_bytes
        self._reader = FrameReader(address)
        self._queue = ReportQueue(queue_limit, identity.vendor_bytes())
        self._states = bytes([INPUT_UNKNOWN] * inputs)
        self._local = bytes(2)
        self._channel: SecureChannel | None = None
        self._opening: SecureChannel | None = None
        self._by_default_key = False
        self._begun = False
        """Clear operation: the present state was owed to this controller."""
        self._last_raw = b""
        self._last_reply = b""
        self._sequence = -1
        self._now_ms = 0
        self._byte_ms = 0
        self._command_ms = -SILENCE_MS
        self._restart_ms = -1

    @property
    def keyed(self) -> bool:
        """It has a key of its own."""
        return self._key is not None

    @property
    def online(self) -> bool:
        """A controller talks to it."""
        return self._now_ms - self._command_ms < SILENCE_MS

    @property
    def secure(self) -> bool:
        """A session under its own key."""
        return self._channel is not None and not self._by_default_key

    @property
    def queued(self) -> int:
        """Replies owed."""
        return len(self._queue)

    @property
    def lost_changes(self) -> int:
        """Changes that did not fit into the queue."""
        return self._queue.lost

    # What the board tells.

    def report_inputs(self, states: bytes) -> None:
        """States of all inputs (codes.INPUT_*); queued if anything changed."""
        if len(states) != self.inputs:
            raise ValueError("one state for each input")
        if states != self._states:
            self._states = bytes(states)
            self._queue.put(ISTATR, self._states, self._now_ms)

    def report_local(self, tamper: bool, power: bool) -> None:
        """Enclosure and supply, True when wrong; queued if anything changed."""
        local = bytes((1 if tamper else 0, 1 if power else 0))
        if local != self._local:
            self._local = local
            self._queue.put(LSTATR, local, self._now_ms)

    def report_keys(self, keys: str) -> None:
        """Keys pressed at the keypad: "0".."9", "*", "#"; anything else is left out."""
        codes = []
        for key in keys:
            if key == "*":
                codes.append(KEY_STAR)
            elif key == "#":
                codes.append(KEY_HASH)
            elif "0" <= key <= "9":
                codes.append(ord(key))
        for start in range(0, len(codes), KEYS_LIMIT):
            part = codes[start : start + KEYS_LIMIT]
            self._queue.put(KEYPAD, bytes((0, len(part))) + bytes(part), self._now_ms)

    def report_card(self, bits: int, data: bytes) -> None:
        """A card at the reader; the first bit is the highest of the first byte."""
        if 0 < bits <= 8 * len(data) and len(data) <= VENDOR_BYTES_LIMIT:
            payload = bytes((0, 1, bits & 0xFF, bits >> 8)) + bytes(data[: (bits + 7) // 8])
            self._queue.put(RAW, payload, self._now_ms)

    def report_vendor(self, data: bytes) -> None:
        """An MFGREP of our own; at most 64 bytes."""
        if len(data) > VENDOR_BYTES_LIMIT:
            raise ValueError("too long for one reply")
        self._queue.put(MFGREP, self.identity.vendor_bytes() + bytes(data), self._now_ms)

    # What the bus brings.

    def tick(self, now_ms: int) -> None:
        """Time goes on; at least a few times a second."""
        self._now_ms = now_ms
        if (self._channel is not None or self._opening is not None) and not self.online:
            self._end_session()
        if self._begun and not self.online:
            self._begun = False
            self._queue.not_taken()
        if 0 <= self._restart_ms <= now_ms:
            self._restart_ms = -1
            self.device.restart()

    def receive(self, data: bytes, now_ms: int) -> bytes:
        """What came in; what to send now, b"" for nothing."""
        self.tick(now_ms)
        if now_ms - self._byte_ms > FRAME_GAP_MS:
            self._reader.reset()
        self._byte_ms = now_ms
        answer = b""
        found = self._reader.feed(data)
        self.counts.foreign += self._reader.foreign
        self._reader.foreign = 0
        for what in found:
            if not isinstance(what, Frame):
                # Never answered: which byte is wrong is not known, the address least of all.
                self.counts.malformed += 1
                continue
            if what.reply or not self._addressed(what.address):
                self.counts.foreign += 1
                continue
            # Two commands at once: the first one's time is over.
            answer = self._receive_command(what)
        return answer

    def _addressed(self, address: int) -> bool:
        # To everybody is for who does not know our address yet; it may not end a session.
        return address == self.address or (address == BROADCAST and self._channel is None)

    def _receive_command(self, frame: Frame) -> bytes:
        if frame.sequence == 0:
            self._end_session()
            self._sequence = -1
        elif frame.sequence == self._sequence:
            if same(frame.raw, self._last_raw):
                self.counts.repeats += 1
                return self._last_reply
            return self._refuse(frame, NAK_SEQUENCE)
        elif self._sequence < 0 or frame.sequence != self._sequence % 3 + 1:
            return self._refuse(frame, NAK_SEQUENCE)
        if not frame.crc and not self.clear:
            return self._refuse(frame, NAK_CHECK)
        block = frame.block
        if block is None:
            if self._channel is not None or (
                not self.clear and frame.data[0] not in _BEFORE_SECURITY
            ):
                self.counts.refused_clear += 1
                return self._refuse(frame, NAK_SECURITY_CONDITION)
            return self._answer_clear(frame)
        kind = block[1]
        if kind in (SCS_11, SCS_13):
            return self._answer_handshake(frame, block)
        if kind in (SCS_15, SCS_17):
            return self._answer_secure(frame, kind)
        return self._refuse(frame, NAK_NO_SECURE_CHANNEL)

    def _refuse(self, frame: Frame, reason: int) -> bytes:
        """A NAK in clear. The queue does not move, and a session is not disturbed by it.

        Outside a session it is a reply like others, and its number is used up.
        """
        self.counts.naks += 1
        reply = build(
            frame.address,
            frame.sequence,
            bytes((NAK, reason)),
            True,
            crc=frame.crc,
            mark=frame.marked,
        )
        if self._channel is None and reason != NAK_SEQUENCE:
            self._keep(frame, reply)
        return reply

    def _accept(self, frame: Frame) -> None:
        """This command is the next one: the one before it is done with, its reply was heard."""
        self.counts.commands += 1
        self._command_ms = self._now_ms
        self._queue.taken()

    def _keep(self, frame: Frame, reply: bytes) -> bytes:
        self._sequence = frame.sequence
        self._last_raw = frame.raw
        self._last_reply = reply
        return reply

    def _end_session(self) -> None:
        self._channel = None
        self._opening = None
        self._begun = False
        self._queue.not_taken()

    def _answer_clear(self, frame: Frame) -> bytes:
        self._accept(frame)
        if self.clear and not self._begun:
            self._begun = True
            self._queue.owe_state()
        answer = self._carry_out(frame.data)
        data = bytes((answer.code,)) + answer.payload
        reply = build(frame.address, frame.sequence, data, True, crc=frame.crc, mark=frame.marked)
        return self._finish(frame, answer, reply)

    def _finish(self, frame: Frame, answer: Answer, reply: bytes) -> bytes:
        self._keep(frame, reply)
        if answer.code == NAK:
            self.counts.naks += 1
        if answer.address >= 0:
            self.address = self._reader.wanted = answer.address
            self.baud = answer.baud
        if answer.restart:
            self._restart_ms = self._now_ms + RESTART_AFTER_MS
        return reply

    def _carry_out(self, data: bytes) -> Answer:
        code = data[0]
        if code == POLL and len(data) == 1:
            entry = self._queue.head(self._states, self._local, self._now_ms)
            return NOTHING_TO_TELL if entry is None else Answer(entry.code, entry.payload)
        return carry_out(self, code, data[1:])

    # Secure channel.

    def _answer_handshake(self, frame: Frame, block: bytes) -> bytes:
        data = frame.data
        if block[1] == SCS_11 and data[0] == CHLNG:
            # Which key is said here; SCRYPT's byte is left open by some controllers.
            default = len(block) < 3 or block[2] == 0
            if default != (self._key is None):
                self.counts.failed_handshakes += 1
                return self._refuse(frame, NAK_SECURITY_CONDITION)
            if len(data) != 1 + RANDOM_BYTES:
                return self._refuse(frame, NAK_LENGTH)
            return self._challenged(frame, data[1:])
        if block[1] == SCS_13 and data[0] == SCRYPT:
            if len(data) != 1 + KEY_BYTES:
                return self._refuse(frame, NAK_LENGTH)
            return self._proven(frame, data[1:])
        return self._refuse(frame, NAK_NO_SECURE_CHANNEL)

    def _challenged(self, frame: Frame, controller_random: bytes) -> bytes:
        self._end_session()
        own_random = self._random_bytes(RANDOM_BYTES)
        channel = SecureChannel(self._key or DEFAULT_KEY, controller_random, own_random)
        self._opening = channel
        self._accept(frame)
        data = (
            bytes((CCRYPT,)) + self.identity.encode()[:8] + own_random + channel.peripheral_proof()
        )
        return self._shake(frame, SCS_12, 0 if self._key is None else 1, data)

    def _proven(self, frame: Frame, proof: bytes) -> bytes:
        channel = self._opening
        self._opening = None
        if channel is None or not same(proof, channel.controller_proof()):
            self.counts.failed_handshakes += 1
            return self._refuse(frame, NAK_SECURITY_CONDITION)
        self._accept(frame)
        first = channel.first_reply_mac()
        channel.open(first)
        self._channel = channel
        self._by_default_key = self._key is None
        self.counts.sessions += 1
        self._queue.owe_state()
        return self._shake(frame, SCS_14, 1, bytes((RMAC_I,)) + first)

    def _shake(self, frame: Frame, kind: int, value: int, data: bytes) -> bytes:
        block = bytes((3, kind, value))
        return self._keep(
            frame, build(frame.address, frame.sequence, data, True, block, mark=frame.marked)
        )

    def _answer_secure(self, frame: Frame, kind: int) -> bytes:
        channel = self._channel
        if channel is None:
            return self._refuse(frame, NAK_SECURITY_CONDITION)
        if not channel.accept_command(frame.signed, frame.mac):
            self.counts.bad_macs += 1
            self._end_session()
            return self._refuse(frame, NAK_SECURITY_CONDITION)
        data = frame.data
        if kind == SCS_17 and len(data) > 1:
            plain = channel.decrypt_command(data[1:])
            if plain is None:
                self._end_session()
                return self._refuse(frame, NAK_SECURITY_CONDITION)
            data = data[:1] + plain
        self._accept(frame)
        if self._by_default_key and data[0] not in (KEYSET, ID, CAP):
            answer = Answer(NAK, bytes((NAK_SECURITY_CONDITION,)))
        else:
            answer = self._carry_out(data)
        payload = channel.encrypt_reply(answer.payload) if answer.payload else b""
        block = bytes((2, SCS_18 if payload else SCS_16))
        length = 5 + 2 + 1 + len(payload) + MAC_BYTES + 2
        body = header(frame.address, frame.sequence, length, True, True, block)
        body = body + bytes((answer.code,)) + payload
        reply = close(body + channel.reply_mac(body), True, frame.marked)
        return self._finish(frame, answer, reply)

    def set_key(self, key: bytes) -> bool:
        """Of KEYSET: durable before it counts. The session goes on until the next is opened."""
        if key == DEFAULT_KEY or not self.device.store_key(key):
            return False
        self._key = key
        return True

    def keep_active(self, more_ms: int) -> None:
        """Of KEEPACTIVE: silence is borne for so much longer, once."""
        self._command_ms = self._now_ms + more_ms

    def may_set_key(self) -> bool:
        """Only inside a session."""
        return self._channel is not None

    def inputs_to_tell(self) -> bytes:
        """Of ISTAT: the oldest states still owed, else the present: nothing is overtaken."""
        return self._queue.oldest(ISTATR) or self._states

    def local_to_tell(self) -> bytes:
        """Of LSTAT, likewise."""
        return self._queue.oldest(LSTATR) or self._local
