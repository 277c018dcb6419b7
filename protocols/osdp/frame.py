"""OSDP frames: building, checking, and finding them in whatever a bus brings. [both runtimes]"""

from array import array

from protocols.osdp.codes import (
    BROADCAST,
    CONTROL_CRC,
    CONTROL_SECURE,
    CONTROL_SEQUENCE,
    MARK,
    REPLY_BIT,
    SCS_15,
    SOM,
)

MAX_FRAME_BYTES = 256
"""Longest frame taken or sent, mark excluded; told to the controller by CAP."""
SHORTEST_BYTES = 7
"""Header, one byte of id, checksum."""
MAC_BYTES = 4


def _table() -> "array[int]":
    words = array("H")
    for high in range(256):
        value = high << 8
        for _ in range(8):
            value = ((value << 1) ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
        words.append(value)
    return words


_CRC = _table()


def crc16_by_table(data: "bytes | bytearray | memoryview") -> int:
    """CRC16 of OSDP (polynomial 1021, start 1D0F), in Python."""
    table = _CRC
    value = 0x1D0F
    for byte in data:
        value = ((value & 0xFF) << 8) ^ table[(value >> 8) ^ byte]
    return value


try:
    from binascii import crc_hqx  # type: ignore[attr-defined,unused-ignore]

    def crc16(data: "bytes | bytearray | memoryview") -> int:
        """CRC16 of OSDP: the library's where there is one."""
        return crc_hqx(data, 0x1D0F)

except ImportError:
    crc16 = crc16_by_table


def checksum(data: "bytes | bytearray | memoryview") -> int:
    """The one byte that makes the sum of all zero."""
    return -sum(data) & 0xFF


class Frame:
    """A frame whose length and check are good; nothing else is vouched for."""

    def __init__(
        self,
        address: int,
        reply: bool,
        sequence: int,
        crc: bool,
        block: "bytes | None",
        data: bytes,
        mac: bytes,
        raw: bytes,
        marked: bool = False,
    ) -> None:
        self.address = address
        self.reply = reply
        self.sequence = sequence
        self.crc = crc
        self.block = block
        """Security block with its length and type bytes."""
        self.data = data
        """Id and payload as on the wire."""
        self.mac = mac
        self.raw = raw
        """From SOM to the check, without mark."""
        self.marked = marked

    @property
    def signed(self) -> bytes:
        """What the MAC is over: from SOM to the last byte of data."""
        return self.raw[: len(self.raw) - len(self.mac) - (2 if self.crc else 1)]


class Malformed:
    """Bytes that are no frame, and why."""

    def __init__(self, reason: str, raw: bytes) -> None:
        self.reason = reason
        self.raw = raw


def header(
    address: int, sequence: int, length: int, reply: bool, crc: bool, block: "bytes | None"
) -> bytes:
    """SOM to the end of the security block; `length` is the frame's, without mark."""
    control = sequence | (CONTROL_CRC if crc else 0) | (CONTROL_SECURE if block else 0)
    if reply:
        address |= REPLY_BIT
    head = bytes((SOM, address, length & 0xFF, length >> 8, control))
    return head + block if block else head


def close(body: bytes, crc: bool = True, mark: bool = False) -> bytes:
    """`body` (SOM to MAC) with its check, and the mark before it if wanted."""
    if crc:
        value = crc16(body)
        body += bytes((value & 0xFF, value >> 8))
    else:
        body += bytes((checksum(body),))
    return bytes((MARK,)) + body if mark else body


def build(
    address: int,
    sequence: int,
    data: bytes,
    reply: bool = False,
    block: "bytes | None" = None,
    mac: bytes = b"",
    crc: bool = True,
    mark: bool = False,
) -> bytes:
    """A whole frame; `data` is the id and what follows it."""
    length = 5 + len(block or b"") + len(data) + len(mac) + (2 if crc else 1)
    return close(header(address, sequence, length, reply, crc, block) + data + mac, crc, mark)


def _open(raw: bytes, marked: bool) -> "Frame | Malformed":
    """A frame from bytes of the right length."""
    control = raw[4]
    crc = bool(control & CONTROL_CRC)
    if crc:
        end = len(raw) - 2
        good = crc16(memoryview(raw)[:end]) == raw[end] | raw[end + 1] << 8
    else:
        end = len(raw) - 1
        good = sum(raw) & 0xFF == 0
    if not good:
        return Malformed("check", raw)
    start = 5
    block = None
    mac = b""
    if control & CONTROL_SECURE:
        size = raw[5]
        if size < 2 or 5 + size >= end:
            return Malformed("security block", raw)
        start = 5 + size
        block = raw[5:start]
        if block[1] >= SCS_15 and end - start > MAC_BYTES:
            # Shorter is no secure frame, but one that must be answered: refused by who reads it.
            end -= MAC_BYTES
            mac = raw[end : end + MAC_BYTES]
    if end <= start:
        return Malformed("no id", raw)
    return Frame(
        raw[1] & 0x7F,
        raw[1] >= REPLY_BIT,
        control & CONTROL_SEQUENCE,
        crc,
        block,
        raw[start:end],
        mac,
        raw,
        marked,
    )


class FrameReader:
    """Finds frames in a byte stream; keeps at most two frames' worth of bytes (users.md J1).

    A start byte in noise announces a frame that never comes. A good frame behind it is not held
    up: every later start byte is tried as well, as soon as its own frame is complete.

    `wanted` is a node's own address: good frames that are no commands to it or to everybody are
    counted in `foreign` and not given out. On a bus of 32 nodes that is nearly all of them, so a
    node spends no memory on them. -1: all frames are given out.
    """

    def __init__(self, wanted: int = -1) -> None:
        self.wanted = wanted
        self.foreign = 0
        self._kept = b""
        self._tried = 0
        """Start bytes before this position, other than the first, were complete and bad."""
        self.noise_bytes = 0

    @property
    def pending(self) -> int:
        """Bytes kept that are no whole frame yet."""
        return len(self._kept)

    def reset(self) -> None:
        """Forget a frame begun."""
        self._kept = b""
        self._tried = 0

    def feed(self, data: bytes) -> "list[Frame | Malformed]":
        """All frames that end in `data`, in order, and what looked like one and was none."""
        found: list[Frame | Malformed] = []
        if len(data) > MAX_FRAME_BYTES:
            for start in range(0, len(data), MAX_FRAME_BYTES):
                found += self.feed(data[start : start + MAX_FRAME_BYTES])
            return found
        self._kept = self._kept + data if self._kept else bytes(data)
        while self._step(found):
            pass
        return found

    def _length_at(self, at: int) -> int:
        """Of the frame announced at `at`; 0 not known yet, -1 impossible."""
        kept = self._kept
        if len(kept) - at < 5:
            return 0
        length = kept[at + 2] | kept[at + 3] << 8
        if SHORTEST_BYTES <= length <= MAX_FRAME_BYTES and not kept[at + 4] & 0xF0:
            return length
        return -1

    def _drop(self, count: int) -> None:
        self._kept = self._kept[count:] if count < len(self._kept) else b""
        self._tried = max(0, self._tried - count)

    def _take(self, at: int, length: int) -> "Frame | Malformed":
        return _open(self._kept[at : at + length], at > 0 and self._kept[at - 1] == MARK)

    def _is_foreign(self, at: int, length: int) -> bool:
        kept = self._kept
        if kept[at + 1] in (self.wanted, BROADCAST):
            return False
        if not kept[at + 4] & CONTROL_CRC:
            return sum(kept[at : at + length]) & 0xFF == 0
        end = at + length - 2
        return crc16(memoryview(kept)[at:end]) == kept[end] | kept[end + 1] << 8

    def _step(self, found: "list[Frame | Malformed]") -> bool:
        """One frame or one refusal; False when only more bytes can help."""
        at = self._kept.find(b"\x53")
        if at < 0:
            # A mark at the end belongs to the frame that may follow.
            keep = 1 if self._kept[-1:] == b"\xff" else 0
            self.noise_bytes += len(self._kept) - keep
            self._drop(len(self._kept) - keep)
            return False
        length = self._length_at(at)
        if length > 0 and len(self._kept) - at >= length:
            if self.wanted >= 0 and self._is_foreign(at, length):
                self.foreign += 1
                self._drop(at + length)
                return True
            what = self._take(at, length)
            found.append(what)
            if isinstance(what, Frame):
                self.noise_bytes += at - what.marked
                self._drop(at + length)
            else:
                self.noise_bytes += at + 1
                self._drop(at + 1)
            return True
        if length < 0:
            self.noise_bytes += at + 1
            self._drop(at + 1)
            return True
        return self._look_behind(at, found)

    def _look_behind(self, at: int, found: "list[Frame | Malformed]") -> bool:
        """A whole good frame behind an unfinished one; with CRC, a checksum is too weak a proof."""
        behind = max(at + 1, self._tried)
        first_open = -1
        while True:
            behind = self._kept.find(b"\x53", behind)
            if behind < 0:
                break
            length = self._length_at(behind)
            if length == 0 or length > len(self._kept) - behind:
                if first_open < 0:
                    first_open = behind
            elif length > 0 and self._kept[behind + 4] & CONTROL_CRC:
                what = self._take(behind, length)
                if isinstance(what, Frame):
                    # Given out whoever it is for: it shows that the unfinished one is none.
                    found.append(Malformed("unfinished", self._kept[at:behind]))
                    found.append(what)
                    self.noise_bytes += behind - what.marked
                    self._drop(behind + length)
                    return True
            behind += 1
        self._tried = len(self._kept) if first_open < 0 else first_open
        return False
