"""The recognisers: what one block of digits, pulses or bytes may be, format by format (R85).

A recogniser says what it reads in a block, that the block is meant for it but fails its check, or
that it is none of its. Plug-ins add recognisers of the same shape (plugins.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protocols.panel_event import PanelEvent
from protocols.tones.elements import DigitHeard, FskHeard, Heard, Playable, PulseDigitHeard


@dataclass(frozen=True, slots=True)
class Block:
    """What was heard between two silences; all of one kind. `account`: named last by a block of
    FSK that was answered earlier in this call.
    """

    heard: tuple[Heard, ...]
    account: str = ""

    @property
    def digits(self) -> tuple[DigitHeard, ...]:
        """The DTMF digits."""
        return tuple(each for each in self.heard if isinstance(each, DigitHeard))

    @property
    def keys(self) -> str:
        """DTMF keys as heard; empty for other kinds."""
        return "".join(each.key for each in self.digits)

    @property
    def pulses(self) -> tuple[PulseDigitHeard, ...]:
        """The digits of a pulse format."""
        return tuple(each for each in self.heard if isinstance(each, PulseDigitHeard))

    @property
    def fsk(self) -> tuple[FskHeard, ...]:
        """The pieces of an FSK transmission."""
        return tuple(each for each in self.heard if isinstance(each, FskHeard))

    @property
    def text(self) -> str:
        """For logs and people."""
        if self.pulses:
            return "pulses " + ",".join(str(each.count) for each in self.pulses)
        if self.fsk:
            return "fsk " + b"".join(each.data for each in self.fsk).hex(" ")
        return self.keys


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a message; `mark` is set when it is a sequence mark (phone_batch)."""

    event: PanelEvent
    mark: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A message read in a block. `account` as on the wire; one message may carry several events,
    or none: then it is only answered.

    `weak`: so short that it must come twice alike, unless its account is pinned to the format or
    the caller is known for it. `unproven`: without any check of its own (one round of pulses, Super
    Fast, Express without its sum): twice alike whoever sends it.
    `answer`: what acknowledges it in place of the profile's kiss-off; `voice`: listen-in follows.
    """

    format: str
    account: str
    raw: str
    events: tuple[Event, ...]
    weak: bool = False
    unproven: bool = False
    answer: tuple[Playable, ...] | None = None
    voice: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """The block has the form of this format but fails its check."""

    format: str
    reason: str


class Format(Protocol):
    """One recogniser."""

    @property
    def name(self) -> str:
        """As it stands in configuration, pins and reports."""
        ...

    def read(self, block: Block) -> Sequence[Found] | Failed | None:
        """All readings the block allows, best first (several: a pin decides); why it fails; None
        when it is none of this format's.
        """
        ...
