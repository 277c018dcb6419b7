"""What an automation machine tells its shell to do, in order."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.mqtt.reception import Report, Unrecognised

Content = Report | Unrecognised


@dataclass(frozen=True, slots=True)
class Arrived:
    """A frame whose ACK waits until `Automation.stored(token, now)`. `what` has an entry for each
    thing the frame tells (several channels of one block), at least one.

    `repeat`: the same bytes came just before and were acknowledged: an ACK lost on the way, or the
    same thing twice. It is stored all the same; doubt leaves two.
    """

    token: int
    what: tuple[Content, ...]
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes to the receiver."""

    data: bytes


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
