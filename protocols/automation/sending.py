"""A hardware receiver's sending side (protocols.md 3.1), sans-IO: for simulators and tests.

One frame at a time. Without an ACK in `ack_s`, or after a NAK, it comes `repeats` times more; then
all is kept until a heartbeat is acknowledged. `skip_naks`: a Bosch skips a message after that many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocols.automation.encoding import Answer, Encoder
from protocols.instants import Instant, later

LF: Final = 0x0A
CR: Final = 0x0D
MAX_QUEUE: Final = 1000
Frame = Callable[[int], bytes]
"""Makes the bytes for a sequence number."""


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A frame that was sent at least once keeps its bytes and number."""

    data: bytes
    sequence: int


@dataclass(frozen=True, slots=True)
class _Flying:
    """What waits for its answer since `at`; `beat`: a heartbeat, which nobody repeats."""

    frame: _Numbered
    beat: bool
    at: Instant


@dataclass(frozen=True, slots=True)
class Habits:
    """How this make of receiver behaves. Seconds."""

    ack_s: float = 4.0
    repeats: int = 3
    beat_s: float = 30.0
    skip_naks: int = 0
    max_queue: int = MAX_QUEUE


class Sender:
    """`put` queues; `receive` and `tick` give bytes to write. `done` counts acknowledged frames,
    `skipped` those given up for NAKs, `dropped` those the full queue did not take; `acks` and
    `naks` count
    all answers.
    """

    def __init__(self, encoder: Encoder, habits: Habits | None = None) -> None:
        self._encoder = encoder
        self._habits = Habits() if habits is None else habits
        self._queue: deque[Frame | _Numbered] = deque()
        self._sequence = 0
        self._flying: _Flying | None = None
        self._tries = 0
        self._naks = 0
        self._parked = False
        self._beat_at = Instant(0)
        self._answer = bytearray()
        self.acks = 0
        self.naks = 0
        self.done = 0
        self.skipped = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Frames not acknowledged yet."""
        return len(self._queue)

    @property
    def parked(self) -> bool:
        """Automation does not answer: a hardware receiver would beep at its operator."""
        return self._parked

    def put(self, frame: Frame, now: Instant) -> list[bytes]:
        """Queue a frame: `lambda n: encoder.contact_id(message, n)`."""
        if len(self._queue) >= self._habits.max_queue:
            self.dropped += 1
            return []
        self._queue.append(frame)
        return self._go_on(now)

    def receive(self, data: bytes, now: Instant) -> list[bytes]:
        """Answers from automation."""
        out: list[bytes] = []
        for byte in data:
            for answer in self._answers(byte):
                out += self._answered(answer, now)
        return out

    def tick(self, now: Instant) -> list[bytes]:
        """The deadline has come."""
        out: list[bytes] = []
        if self._flying is not None and now >= later(self._flying.at, self._habits.ack_s):
            out += self._again(now)
        if self._flying is None and now >= self._beat_at:
            out += self._fly(self._number(self._encoder.beat), now, beat=True)
        return out + self._go_on(now)

    def deadline(self) -> Instant:
        """When to call `tick`."""
        if self._flying is not None:
            return later(self._flying.at, self._habits.ack_s)
        return self._beat_at

    def reconnected(self, now: Instant) -> list[bytes]:
        """The connection is new: what flew is sent again, a parked receiver beats at once."""
        self._flying = None
        self._tries = 0
        self._beat_at = now
        self._answer.clear()
        return self.tick(now)

    def _answers(self, byte: int) -> list[bytes]:
        """Single control bytes, or frames between LF and CR."""
        if not self._answer and byte != LF:
            return [bytes((byte,))]
        if byte == CR and self._answer:
            frame = bytes(self._answer[1:])
            self._answer.clear()
            return [frame]
        self._answer.append(byte)
        del self._answer[256:]
        return []

    def _answered(self, data: bytes, now: Instant) -> list[bytes]:
        flying = self._flying
        if flying is None:
            return []
        match self._encoder.answer(data, flying.frame.sequence):
            case Answer.ACK:
                self.acks += 1
                self._flying = None
                self._tries = self._naks = 0
                self._parked = False
                if not flying.beat:
                    self._queue.popleft()
                    self.done += 1
                return self._go_on(now)
            case Answer.NAK:
                self.naks += 1
                self._naks += 1
                if not flying.beat and self._naks == self._habits.skip_naks:
                    self._queue.popleft()
                    self._flying = None
                    self._tries = self._naks = 0
                    self.skipped += 1
                    return self._go_on(now)
                return self._again(now)
            case Answer.OTHER:
                return []

    def _again(self, now: Instant) -> list[bytes]:
        assert self._flying is not None
        flying, self._flying = self._flying, None
        if flying.beat or self._tries >= self._habits.repeats:
            self._tries = 0
            self._parked = True
            return []
        self._tries += 1
        return self._fly(flying.frame, now)

    def _go_on(self, now: Instant) -> list[bytes]:
        if self._flying is not None or self._parked or not self._queue:
            return []
        first = self._queue[0]
        if not isinstance(first, _Numbered):
            first = self._queue[0] = self._number(first)
        return self._fly(first, now)

    def _number(self, make: Frame) -> _Numbered:
        self._sequence = self._sequence % 9999 + 1
        return _Numbered(make(self._sequence), self._sequence)

    def _fly(self, frame: _Numbered, now: Instant, beat: bool = False) -> list[bytes]:
        self._flying = _Flying(frame, beat, now)
        self._beat_at = later(now, self._habits.beat_s)
        return [frame.data]
