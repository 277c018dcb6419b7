"""What a call heard and sounded, as short text for an operator (D10). Bounded."""

from __future__ import annotations

from typing import Final

from collector.reception.formats import Block
from protocols.tones.elements import ProgressHeard, ToneHeard

HEARD_CHARS: Final = 400
TRIED: Final = 40


class Transcript:
    """Grows with the call up to its bounds."""

    def __init__(self) -> None:
        self._tried: list[str] = []
        self._heard: list[str] = []
        self._chars = 0

    @property
    def tried(self) -> tuple[str, ...]:
        """Handshakes in the order sounded."""
        return tuple(self._tried)

    @property
    def text(self) -> str:
        """What was heard, in order."""
        return " | ".join(self._heard)[:HEARD_CHARS]

    def sounded(self, handshake: str) -> None:
        """A handshake was played."""
        if len(self._tried) < TRIED:
            self._tried.append(handshake)

    def block(self, block: Block) -> None:
        """A block came to its end."""
        self._add(block.text)

    def tone(self, tone: ToneHeard) -> None:
        """A single tone ended."""
        if not tone.on:
            self._add(f"{tone.hz} Hz {tone.lasted_ms} ms")

    def progress(self, heard: ProgressHeard) -> None:
        """The exchange or the far end changed state."""
        self._add(heard.progress.value)

    def _add(self, text: str) -> None:
        if self._chars < HEARD_CHARS:
            self._heard.append(text)
            self._chars += len(text) + 3
