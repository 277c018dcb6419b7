"""Bytes in any pieces -> frames of a dialect. Memory: one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

IDLE: Final = frozenset(b"\x00\r\n")
"""Between frames these mean nothing: line ends of terminal servers, idle NULs."""
MAX_SHOWN: Final = 256


@dataclass(frozen=True, slots=True)
class Framing:
    """`start` None: a frame is all that stands before `end`. `also`: other bytes that end one."""

    start: int | None
    end: int
    max_bytes: int = 1024
    also: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that belong to no frame. `answer`: a frame was spoilt, its sender waits for a NAK.
    `whole`: they ended like a frame, whose first byte alone may be missing.
    """

    reason: str
    raw: bytes
    answer: bool
    whole: bytes = b""


class Splitter:
    """One link's bytes."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._ends = framing.also | {framing.end}
        self._buffer = bytearray()
        self._inside = framing.start is None
        self._skipping = False

    @property
    def unfinished(self) -> bool:
        """A frame has begun and not ended."""
        return bool(self._buffer) or self._skipping

    def feed(self, data: bytes) -> list[bytes | Noise]:
        """Frames without their start and end bytes, and what is none."""
        out: list[bytes | Noise] = []
        for byte in data:
            self._take(byte, out)
        return out

    def drop(self, reason: str, answer: bool = False) -> list[Noise]:
        """Give up what is unfinished."""
        raw, inside = bytes(self._buffer), self._inside
        self._begin(self._framing.start is None)
        return [Noise(reason, raw[:MAX_SHOWN], answer and inside)] if raw else []

    def _begin(self, inside: bool) -> None:
        self._buffer.clear()
        self._inside = inside
        self._skipping = False

    def _take(self, byte: int, out: list[bytes | Noise]) -> None:
        start = self._framing.start
        if start is not None and byte == start:
            out += self.drop("cut off by another frame" if self._inside else "between frames")
            self._begin(inside=True)
        elif byte in self._ends and (self._inside or self._skipping):
            self._finish(out)
        elif byte in self._ends and self._buffer:
            frame = bytes(self._buffer)
            self._begin(inside=False)
            out.append(Noise("no start", frame[:MAX_SHOWN], False, frame))
        elif self._skipping or (not self._buffer and byte in IDLE):
            return
        else:
            self._buffer.append(byte)
            if len(self._buffer) > self._framing.max_bytes:
                out += self.drop(f"longer than {self._framing.max_bytes} bytes")
                self._skipping = True

    def _finish(self, out: list[bytes | Noise]) -> None:
        frame, skipped = bytes(self._buffer), self._skipping
        self._begin(self._framing.start is None)
        if not skipped and frame:
            out.append(frame)
