"""What an automation machine tells its shell to do, in order."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocols.mqtt.reception import Report, Unrecognised

Content = Report | Unrecognised


@dataclass(frozen=True, slots=True)
class Kept:
    """A frame as it is stored, for `Automation.remember` after a restart. Without a `sequence` it
    is kept until an acknowledgement settles it. `age_s`: since it was stored.
    """

    frame: bytes
    sequence: bool
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A frame whose ACK waits until `Automation.stored(token, now)`. `what` has an entry for each
    thing the frame tells (several channels of one block), at least one.

    `repeat`: the same bytes came just before and were acknowledged: an ACK lost on the way, or the
    same thing twice. It is stored all the same; doubt leaves two. `kept`: what to store with it, so
    that the frame is known after a restart too.
    """

    token: int
    what: tuple[Content, ...]
    repeat: bool
    kept: Kept


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes to the receiver. `settles`: they acknowledge a frame without a number. Then
    all frames kept so far are to be forgotten before, so that a kill of the program cannot undo it:
    else, after a restart, the same thing happening twice would pass for a repeat.
    """

    data: bytes
    settles: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing came from the receiver for too long, or its connection went. Once until Back."""

    cause: str


@dataclass(frozen=True, slots=True)
class Back:
    """The receiver is heard again (also the first time)."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no frame of the dialect, at most 256 of them in `raw`."""

    reason: str
    clause: str
    raw: bytes


Effect = Arrived | Send | Lost | Back | Malformed
