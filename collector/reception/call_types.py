"""What the receiver's call machine is told and what it wants done."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.panel_event import PanelEvent
from protocols.tones.elements import Heard, Playable


@dataclass(frozen=True, slots=True)
class Answered:
    """The line is through: audio flows both ways from now on."""


@dataclass(frozen=True, slots=True)
class HungUp:
    """The far end, or the line itself, ended the call."""

    cause: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What `Store(token)` asked for is durable."""

    token: int


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """What `Store(token)` asked for could not be kept: no kiss-off, the panel repeats."""

    token: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Behind:
    """What is heard from now on was played `ms` ago (the shell was held up). 0: live again.

    A kiss-off for old audio could be taken for that of a later block, so none is given.
    """

    ms: int


Input = Heard | Answered | HungUp | Stored | StoreFailed | Behind


@dataclass(frozen=True, slots=True)
class Play:
    """Play this now, in order, in place of whatever is playing; empty: be silent."""

    sound: tuple[Playable, ...]


@dataclass(frozen=True, slots=True)
class Reported:
    """One event of a message. `index` counts the events of this call from 0, repeats included."""

    index: int
    account: str
    format: str
    raw: str
    event: PanelEvent
    mark: int | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """Keep these durably in one step, then answer Stored or StoreFailed with the token."""

    token: int
    reports: tuple[Reported, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A block that was not kissed off, and why; for the call's log."""

    reason: str
    raw: str
    format: str = ""


@dataclass(frozen=True, slots=True)
class Preferred:
    """What worked for a caller before: handshake to begin with, format it led to, and how many
    DTMF digits its blocks had (0: not DTMF); a shorter block must then come twice alike.
    """

    handshake: str
    format: str
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Learned:
    """Remember this for the caller's next call."""

    caller: str
    preferred: Preferred


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """The call is over and (at its end) nothing could be made of it (D10)."""

    reason: str
    tried: tuple[str, ...]
    """Handshakes in the order they were sounded."""
    heard: str
    """Digits and tones heard, as text, at most HEARD_CHARS."""
    caller: str


@dataclass(frozen=True, slots=True)
class LeaveToVoice:
    """Listen-in follows (code 606): the machine sounds nothing more; a person may speak."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call. The machine is over; HungUp need not be told."""

    cause: str


Effect = Play | Store | Refused | Learned | Unrecognised | LeaveToVoice | HangUp
