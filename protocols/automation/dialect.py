"""What a dialect has to know: how frames look, what they tell, how they are answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protocols.automation.effects import Content
from protocols.automation.framing import Framing


@dataclass(frozen=True, slots=True)
class Line:
    """A frame that tells something. `ack` answers it. `sequence`: the receiver numbers its frames,
    so the same bytes again are certainly the same frame.
    """

    what: tuple[Content, ...]
    ack: bytes
    sequence: bool = False


@dataclass(frozen=True, slots=True)
class Beat:
    """The receiver's heartbeat or link test."""

    ack: bytes


@dataclass(frozen=True, slots=True)
class Bad:
    """A frame that breaks the dialect: asked for again. Noise does not repeat itself, so when the
    very same bytes come again they are `else_`, where the dialect allows that. `nak`: asks for it
    again, where the dialect's own would not do.
    """

    reason: str
    clause: str
    else_: Line | None = None
    nak: bytes = b""


Reading = Line | Beat | Bad


class Dialect(Protocol):
    """One receiver-to-automation format; pure and without state."""

    @property
    def name(self) -> str:
        """As it stands in configuration."""
        ...

    @property
    def framing(self) -> Framing:
        """How its frames begin and end."""
        ...

    def read(self, frame: bytes) -> Reading:
        """What the frame is; never raises."""
        ...

    @property
    def nak(self) -> bytes:
        """Asks for the last frame again."""
        ...

    @property
    def ack_s(self) -> float:
        """How long after a frame an answer surely still finds its receiver waiting: half a second
        less than it waits.
        """
        ...
