"""What goes into the Dialler and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from edge.journal.record_types import OwedKey
from edge.reporting.phone.call_types import Ended, Note
from edge.reporting.phone.line import LineInput, LineOrder
from edge.reporting.reporter_types import PathState
from protocols.instants import Instant
from protocols.panel_event import PanelEvent
from protocols.phone_batch import Sent as SentRecord


@dataclass(frozen=True, slots=True)
class Reportable:
    """A Record owed on the phone path, with what it tells."""

    key: OwedKey
    event: PanelEvent


@dataclass(frozen=True, slots=True)
class OwePhone:
    """Records committed and not acknowledged on the phone path: after each commit; at start, all.

    The answer to JournalBatch or JournalEvent comes this way too: it is known by its `detail`.
    """

    items: tuple[Reportable, ...]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The collector holds these by MQTT."""

    keys: tuple[OwedKey, ...]


@dataclass(frozen=True, slots=True)
class MqttPath:
    """MQTT's end-to-end truth: while it is down nothing waits for it."""

    up: bool


@dataclass(frozen=True, slots=True)
class Forget:
    """Records of `epoch` up to `upto` live on under new numbers, owed apart (roll-back)."""

    epoch: int
    upto: int


@dataclass(frozen=True, slots=True)
class CallAsked:
    """Somebody wants a test call now."""

    by: str = ""


@dataclass(frozen=True, slots=True)
class EndListenIn:
    """Hang up a call that is held for voice. `by`: who says so."""

    by: str = ""


@dataclass(frozen=True, slots=True)
class LineVoltage:
    """What a monitor beside the line says; the line's own word counts as well. A call under way is
    not cut short by it: the line's end is heard on the line.
    """

    present: bool


DiallerInput = (
    OwePhone | Elsewhere | MqttPath | Forget | CallAsked | EndListenIn | LineVoltage | LineInput
)


class Memory(msgspec.Struct, frozen=True):
    """What must outlive a restart: sends no mark has covered yet, and the rhythm of test calls."""

    unmarked: tuple[SentRecord, ...] = ()
    test_at: Instant | None = None
    """Next test call; holds in the kernel boot it was made in only."""


@dataclass(frozen=True, slots=True)
class Settled:
    """No longer owed on the phone path; `kissed`: because the receiver has it (else: not for the
    phone, or acknowledged over MQTT).
    """

    keys: tuple[OwedKey, ...]
    kissed: bool


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """Record this event and report it: a test call's, a batch's, listen-in's."""

    event: PanelEvent


@dataclass(frozen=True, slots=True)
class NotCommunicated:
    """FAILED_TO_COMMUNICATE begins or ends: something is owed and cannot be told by phone."""

    on: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Keep:
    """Store this; what stood there before is replaced."""

    memory: Memory


@dataclass(frozen=True, slots=True)
class Calling:
    """A call begins. `number` is empty when only the dial tone is looked for."""

    number: str
    why: str


DiallerEffect = (
    LineOrder | Settled | JournalEvent | NotCommunicated | Keep | PathState | Calling | Note | Ended
)


@dataclass(frozen=True, slots=True)
class DiallerView:
    """The phone path as people ask for it. Times in seconds from now."""

    up: bool | None
    cause: str
    line_present: bool | None
    owed: int
    step: str
    last: Ended | None
    failed_in_a_row: int
    next_call_s: float | None
    next_test_s: float | None
    listening: bool
    """The line is held for voice."""
    kissed: Instant | None
    """When anything was last kissed off since the start."""
    tested: Instant | None
    """And a test call."""
