"""What goes into the Reporter and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from edge.journal.record_types import OwedKey
from edge.reporting.path_causes import LinkCause
from protocols.mqtt.payloads import Ack, Resend


@dataclass(frozen=True, slots=True)
class Owe:
    """Records committed and not acknowledged on this path: after each commit; at start, all."""

    keys: tuple[OwedKey, ...]


@dataclass(frozen=True, slots=True)
class Newest:
    """The journal's newest Record at start. Lets a rollback be seen before anything is owed."""

    epoch: int
    seq: int
    digest: str


@dataclass(frozen=True, slots=True)
class LinkUp:
    """Connected and subscribed to acknowledgements and commands."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """No connection. What was sent and not acknowledged is sent again after the next LinkUp."""

    cause: LinkCause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AckArrived:
    """The collector says what it holds."""

    ack: Ack


@dataclass(frozen=True, slots=True)
class ResendAsked:
    """The collector misses Records."""

    resend: Resend


@dataclass(frozen=True, slots=True)
class ResendFound:
    """Answer to ReOwe: what the journal still holds of the range."""

    resend: Resend
    keys: tuple[OwedKey, ...]


@dataclass(frozen=True, slots=True)
class DigestFound:
    """Answer to AskDigest. None: no such Record in the journal (never was, or rotated away)."""

    epoch: int
    seq: int
    digest: str | None


@dataclass(frozen=True, slots=True)
class Repeated:
    """After RolledBack: Records of `epoch` up to `upto` live on under new numbers, owed apart."""

    epoch: int
    upto: int


ReporterInput = (
    Owe
    | Newest
    | LinkUp
    | LinkDown
    | AckArrived
    | ResendAsked
    | ResendFound
    | DigestFound
    | Repeated
)


@dataclass(frozen=True, slots=True)
class Send:
    """Publish these Records, in this order, as one Report (`report_batch.pack` bounds its size)."""

    keys: tuple[OwedKey, ...]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The collector holds these, digest for digest: no longer owed on this path."""

    keys: tuple[OwedKey, ...]


@dataclass(frozen=True, slots=True)
class ReOwe:
    """Look the range up in the journal and answer with ResendFound."""

    resend: Resend


@dataclass(frozen=True, slots=True)
class SendUnavailable:
    """Tell the collector (`gone`) that these cannot be sent again."""

    epoch: int
    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class AskDigest:
    """The collector names a Record that is not owed: look up its digest, answer DigestFound.

    Without the answer an acknowledgement naming a Record acknowledged before the last restart
    cannot be believed, and what it covers stays owed.
    """

    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The collector holds Records of our epoch that this journal never had, or other ones.

    The journal was set back (an old card image) or somebody else reports under this identity:
    a new epoch must be opened. Said once an epoch.
    """

    epoch: int
    upto: int
    head: str


@dataclass(frozen=True, slots=True)
class PathState:
    """Whether the path is really up (users.md D1), at each change. `cause`: a LinkCause value."""

    up: bool
    cause: str


@dataclass(frozen=True, slots=True)
class HeartbeatDue:
    """Publish a Heartbeat."""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """The link claims to be up and nothing is acknowledged: force a new connection."""

    cause: LinkCause


ReporterEffect = (
    Send
    | Acknowledged
    | ReOwe
    | SendUnavailable
    | AskDigest
    | RolledBack
    | PathState
    | HeartbeatDue
    | Reconnect
)
