"""A bounded queue of audio between two clocks: bytes in any pieces in, 20 ms frames out. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

FRAME_BYTES: Final = 320
"""20 ms at 8 kHz, 16 bit."""
PRIME: Final = 4
PRIME_AT_MOST: Final = 8
SILENCE: Final = bytes(FRAME_BYTES)


class Playout:
    """Begins to give when `prime` frames are there, and again after it ran dry: silence meanwhile.

    Each time it runs dry `prime` grows by a frame, to `PRIME_AT_MOST`: who was late once will be
    again, and a hole in a tone costs a whole repetition, delay nearly nothing. Never holds more
    than `limit` frames; then the oldest go, counted in `discarded`.
    """

    def __init__(self, prime: int = PRIME, limit: int = 50) -> None:
        self.discarded = 0
        self.taken = 0
        self.starved = 0
        """How often it ran dry after it had begun."""
        self.prime = prime
        self._limit = limit
        self._rest = b""
        self._frames: deque[bytes] = deque()
        self._giving = False

    def next_prime(self) -> int:
        """What the next playout by the same clocks had best begin with: one frame less when this
        one never ran dry.
        """
        return self.prime if self.starved else max(PRIME, self.prime - 1)

    def put(self, audio: bytes) -> None:
        """Audio as it came."""
        audio = self._rest + audio if self._rest else audio
        whole = len(audio) - len(audio) % FRAME_BYTES
        self._rest = audio[whole:]
        for at in range(0, whole, FRAME_BYTES):
            self._frames.append(audio[at : at + FRAME_BYTES])
        while len(self._frames) > self._limit:
            self._frames.popleft()
            self.discarded += 1
        if len(self._frames) >= self.prime:
            self._giving = True

    def take(self) -> bytes:
        """The next frame, or silence."""
        if not self._giving:
            return SILENCE
        if not self._frames:
            self._giving = False
            self.starved += 1
            self.prime = min(self.prime + 1, max(self.prime, PRIME_AT_MOST))
            return SILENCE
        self.taken += 1
        return self._frames.popleft()

    def clear(self) -> None:
        """Forget what is queued, and count anew."""
        self.discarded = self.taken = self.starved = 0
        self._frames.clear()
        self._rest = b""
        self._giving = False
