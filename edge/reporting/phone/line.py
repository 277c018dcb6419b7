"""The port of a telephone line: what the call machine orders, and what a line tells.

An adapter (`edge/adapters/line_*.py`) carries the orders out one after the other and calls
`deliver(input)` in the event loop's thread. What it hears comes as elements of `protocols.tones`;
times in them are ms of this line's audio. A line lives as long as the panel; calls come and go.

One call:  Seize -> Seized | NoLine;  dial tone -> ProgressHeard(DIAL_TONE);  Dial -> Dialled;
  [Connected];  ToneHeard...;  Play -> Played;  ToneHeard...;  Release -> Released.
`Dropped`, `Failed` or `NoLine` may come at any moment of a call and end it: the line is then
on-hook by itself, and a Release that crosses it is answered by `Released` all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protocols.tones.elements import Heard, Playable

# -- orders ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seize:
    """Go off-hook. `force`: cut a person's call that is under way on this line (hold-up); without
    it such a line answers NoLine("in_use").
    """

    force: bool = False


@dataclass(frozen=True, slots=True)
class Dial:
    """Dial `number` (0-9 * # and `,` for a pause of 2 s); by DTMF, or by loop pulses."""

    number: str
    pulse: bool = False


@dataclass(frozen=True, slots=True)
class Play:
    """Play these without a gap between them, then listen. A Play never overtakes another."""

    what: tuple[Playable, ...]


@dataclass(frozen=True, slots=True)
class Voice:
    """Join the line with the microphone of the premises (listen-in after 606), or part it again.
    Meanwhile the keys of who listens are told as DigitHeard. A line without a microphone, or one
    that cannot send while it listens, is silent; the call stays up all the same.
    """

    on: bool


@dataclass(frozen=True, slots=True)
class Release:
    """Hang up, whatever is going on; what is still to be played is dropped. Answered `Released`."""


LineOrder = Seize | Dial | Play | Voice | Release

# -- what the line tells ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LineStatus:
    """The line is there (voltage, registration) or not; at start and at each change, also while no
    call is up. `cause` in a word: "no_voltage", "modem_gone", "unregistered", "no_connection".
    """

    present: bool
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Seized:
    """Off-hook and ours. The dial tone, if there is one, is told as ProgressHeard."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """The last digit is out (or the INVITE is sent)."""


@dataclass(frozen=True, slots=True)
class Connected:
    """Answered, by signalling (SIP 200). Analogue lines never tell this."""


@dataclass(frozen=True, slots=True)
class Played:
    """All of the last Play has gone out; from now on the line only listens."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Busy by signalling (modem `BUSY`, SIP 486). A busy tone that is heard is ProgressHeard."""


@dataclass(frozen=True, slots=True)
class NoLine:
    """Cannot be seized, or died under us: "no_voltage", "in_use", "no_dial_tone", ..."""

    cause: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """The call is over and not by us: far end hung up, exchange released."""

    cause: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The call could not be set up or the adapter broke: "503", "modem_error", "timeout", ..."""

    cause: str


@dataclass(frozen=True, slots=True)
class Released:
    """On-hook: the answer to Release."""


LineInput = (
    LineStatus
    | Seized
    | Dialled
    | Connected
    | Played
    | Busy
    | NoLine
    | Dropped
    | Failed
    | Released
    | Heard
)


class Deliver(Protocol):
    """Takes what a line tells, in the event loop's thread, in order."""

    def __call__(self, given: LineInput) -> None:
        """One thing told."""


class Line(Protocol):
    """An adapter. All methods are called in the event loop's thread and never block."""

    def start(self) -> None:
        """Open the line and tell its LineStatus; a line that cannot be opened is tried again."""

    def order(self, order: LineOrder) -> None:
        """Carry this out after what was ordered before; Release comes at once."""

    def stop(self) -> None:
        """Hang up and let go. Nothing is delivered afterwards."""
