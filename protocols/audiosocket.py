"""AudioSocket: Asterisk's TCP protocol for the audio of one call (one connection = one call).

A frame is kind (1 byte), length of payload (2 bytes, big endian), payload. Audio (kind 0x10) is
8 kHz signed 16 bit mono, little endian, normally 320 bytes = 20 ms. The first frame of a call
bears its id (kind 0x01, 16 bytes, a UUID). Kind 0x20 is our own extension, JSON, spoken only
between a panel and the program that holds its line (`control` below); Asterisk never sends it.

Caller number: AudioSocket has none, so it rides in the UUID: version nibble 8 (RFC 9562 "custom"),
the last 15 hex digits are the caller's number, right-aligned and padded on the left with `f`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from uuid import UUID

HEADER_BYTES: Final = 3
MAX_PAYLOAD_BYTES: Final = 65_535


class Kind(IntEnum):
    """Kind of a frame. Others are passed over (a later Asterisk may add some)."""

    HANGUP = 0x00
    ID = 0x01
    DTMF = 0x03
    AUDIO = 0x10
    CONTROL = 0x20
    ERROR = 0xFF


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as received; `kind` may be none of Kind."""

    kind: int
    payload: bytes


def encode(kind: int, payload: bytes = b"") -> bytes:
    """One frame. Raises ValueError for a payload over 65,535 bytes."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"payload of {len(payload)} bytes: at most {MAX_PAYLOAD_BYTES}")
    return bytes((kind,)) + len(payload).to_bytes(2, "big") + payload


class Reader:
    """Bytes in any pieces -> frames. Any byte stream is a stream of frames: nothing is malformed,
    but memory is bounded by one frame.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Frames completed by `data`. Iterate to the end before the next call."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= HEADER_BYTES:
            end = at + HEADER_BYTES + int.from_bytes(buffer[at + 1 : at + 3], "big")
            if len(buffer) < end:
                break
            yield Frame(buffer[at], bytes(buffer[at + HEADER_BYTES : end]))
            at = end
        del buffer[:at]


_CALLER: Final = re.compile(r"[0-9]{1,15}")


def call_id(caller: str, drawn: bytes) -> UUID:
    """A call's id that bears its caller; `drawn` are 8 random bytes. Other callers: left out."""
    if not _CALLER.fullmatch(caller):
        caller = ""
    digits = caller.rjust(15, "f")
    return UUID(hex=drawn[:6].hex() + "8" + drawn[6:8].hex()[:3] + "8" + digits)


def caller_of(call: UUID) -> str:
    """The caller's number in a call id made by `call_id`; empty when there is none."""
    text = call.hex
    if text[12] != "8" or text[16] != "8":
        return ""
    digits = text[17:].lstrip("f")
    return digits if _CALLER.fullmatch(digits) else ""
