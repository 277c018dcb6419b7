"""A voice stream: bytes in which <DLE> (0x10) announces an event or an order (V.253).

<DLE><DLE> is one byte 0x10 of audio, <DLE><SUB> two; <DLE>X ... <DLE>. is a message in words.
"""

from __future__ import annotations

from typing import Final

DLE: Final = 0x10
ETX: Final = 0x03
_TWO: Final = 0x1A
_MESSAGE, _MESSAGE_OVER = ord("X"), ord(".")
MESSAGE_BYTES: Final = 512
"""A message that goes on for longer has lost its end: what comes is audio again."""

END: Final = bytes((DLE, ETX))
"""To the modem: no more to play, finish what is buffered. From it: the stream has ended."""
CANCEL: Final = bytes((DLE, 0x18))
"""To the modem: forget what is buffered."""
STOP_HEARING: Final = bytes((DLE, ord("!")))
"""Ends +VRX."""
STOP_DUPLEX: Final = bytes((DLE, ord("^")))
"""Ends +VTR."""
LEAVE_HEARING: Final = (STOP_HEARING, b"\x10\x1b", b"\r")
"""Ways out of +VRX: <DLE>! (V.253), <DLE><ESC>, any character (older modems)."""
LEAVE_DUPLEX: Final = (CANCEL + STOP_DUPLEX, CANCEL + END)
LEAVE_ANY: Final = CANCEL + END + STOP_HEARING + STOP_DUPLEX + b"\r"
"""Out of whatever voice stream it was left in."""


def shield(data: bytes) -> bytes:
    """Audio bytes as they may stand in the stream."""
    return data.replace(b"\x10", b"\x10\x10")


class Unshield:
    """Bytes of a voice stream in any pieces -> audio bytes and shielded codes."""

    def __init__(self) -> None:
        self._escaped = False
        self._message_left = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes, bytes | None]:
        """(audio, codes, rest): codes without their <DLE>, in order; `rest` is what stood behind
        <DLE><ETX>, the end of the stream, and None while the stream lasts.
        """
        audio = bytearray()
        codes = bytearray()
        at = 0
        while at < len(data):
            if self._escaped:
                self._escaped = False
                code = data[at]
                at += 1
                if code == DLE:
                    self._heard(audio, b"\x10")
                elif code == _TWO:
                    self._heard(audio, b"\x10\x10")
                else:
                    codes.append(code)
                    if code == ETX:
                        return bytes(audio), bytes(codes), data[at:]
                    if code == _MESSAGE:
                        self._message_left = MESSAGE_BYTES
                    elif code == _MESSAGE_OVER:
                        self._message_left = 0
                continue
            end = data.find(DLE, at)
            if end < 0:
                self._heard(audio, data[at:])
                break
            self._heard(audio, data[at:end])
            self._escaped = True
            at = end + 1
        return bytes(audio), bytes(codes), None

    def _heard(self, audio: bytearray, data: bytes) -> None:
        """Audio, but for what belongs to a message."""
        words = min(len(data), self._message_left)
        self._message_left -= words
        audio += data[words:]
