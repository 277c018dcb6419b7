"""MQTT between a phone receiver and the collector: `rx`, `rxack`, `rxpin` (leaves in topics.py).

A receiver is a process of its own with a durable spool (R92). It numbers what it took from 1 within
an `epoch` (drawn when the spool is made) and sends it in order until the collector's cumulative
acknowledgement, which leaves after commit. Sent again it is recognised by (receiver, epoch, seq).
An empty Reception is its heartbeat, due every `period_s`. It says which list of pinned formats the
receiver has; when the collector's is another, that comes on `rxpin`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from protocols.instants import UtcTime
from protocols.mqtt.payloads import Epoch, PanelId, Seq, ShortText
from protocols.panel_event import PanelEvent

MAX_ENTRIES: Final = 64
SPOOL_LINE: Final = "spool"
"""Where a line's name stands, this is the receiver's own store."""
UNKNOWN_AGE: Final = -1.0
MAX_PINS: Final = 200
"""Pins in one message on `rxpin`."""
MAX_PARTS: Final = 500
Version = Annotated[str, msgspec.Meta(max_length=64)]
Age = Annotated[float, msgspec.Meta(ge=UNKNOWN_AGE, le=1e10)]


class Report(msgspec.Struct, frozen=True, omit_defaults=True, tag="report", tag_field="is"):
    """One message as a panel sent it. `account` is what was on the wire (hex digits, upper case).

    `call` names the call, `index` counts the messages in it from 0. `raw` is the whole message as
    text. `event`: as far as the format tells; area, zone and user are as the wire had them.
    `mark`: the number of a sequence mark (phone_batch); such a report is no event of its own.
    """

    account: Annotated[str, msgspec.Meta(max_length=16)]
    format: ShortText
    raw: ShortText
    event: PanelEvent
    call: ShortText = ""
    index: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    caller: Annotated[str, msgspec.Meta(max_length=32)] = ""
    mark: int | None = None


class Unrecognised(
    msgspec.Struct, frozen=True, omit_defaults=True, tag="unrecognised", tag_field="is"
):
    """A call that nothing could be made of (D10). `audio` names the file kept by the receiver."""

    call: ShortText
    tried: ShortText
    """Handshakes tried, in order."""
    caller: Annotated[str, msgspec.Meta(max_length=32)] = ""
    heard: ShortText = ""
    audio: ShortText = ""
    reason: ShortText = ""


class LineState(msgspec.Struct, frozen=True, omit_defaults=True, tag="line", tag_field="is"):
    """A line or hardware receiver went away (`up` False) or came back; `cause` in a word."""

    up: bool
    cause: ShortText = ""


class Taken(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of the spool. `at`: the receiver's wall clock when it was complete."""

    seq: Seq
    at: UtcTime
    line: ShortText
    what: Report | Unrecognised | LineState


class Reception(msgspec.Struct, frozen=True, omit_defaults=True):
    """Receiver -> collector on `rx`, entries ascending by 1. `waiting`: entries still to come.

    `floor`: the oldest seq the spool still holds (0: not told), so that a collector that lost its
    ledger does not wait for what nobody has. `sent`: the receiver's clock at sending (0: not told).
    """

    receiver: PanelId
    epoch: Epoch
    entries: Annotated[list[Taken], msgspec.Meta(max_length=MAX_ENTRIES)] = []
    waiting: Annotated[int, msgspec.Meta(ge=0)] = 0
    period_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0
    floor: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    sent: Annotated[int, msgspec.Meta(ge=0, le=2**60)] = 0
    lines: dict[str, ShortText] = {}
    """State of each line by name: idle, busy, down, ..."""
    pins: Version | None = None
    """Version of the list of pinned formats it has; None: it takes none."""
    ages: Annotated[list[Age], msgspec.Meta(max_length=MAX_ENTRIES)] = []
    """Seconds since each entry was complete, in order, by a clock that nobody sets; UNKNOWN_AGE:
    taken before the receiver was started. Not told: empty.
    """


class ReceptionAck(msgspec.Struct, frozen=True):
    """Collector -> receiver on `rxack`: all of `epoch` up to `upto` is durable."""

    epoch: Epoch
    upto: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Pin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Messages of `account` (as on the wire) are taken in `format` only; empty: in any. `line`: on
    that line of the receiver, and there it goes before what holds for all.
    """

    account: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
    format: Annotated[str, msgspec.Meta(max_length=64)] = ""
    line: Annotated[str, msgspec.Meta(max_length=64)] = ""


class ReceiverPins(msgspec.Struct, frozen=True):
    """Collector -> receiver on `rxpin`: part `part` (from 0) of the `parts` of a list."""

    version: Version
    part: Annotated[int, msgspec.Meta(ge=0, lt=MAX_PARTS)]
    parts: Annotated[int, msgspec.Meta(ge=1, le=MAX_PARTS)]
    pins: Annotated[list[Pin], msgspec.Meta(max_length=MAX_PINS)]


def pins_version(pins: Sequence[Pin]) -> str:
    """Names the content of a whole list; empty for an empty one."""
    return hashlib.sha256(msgspec.json.encode(pins)).hexdigest() if pins else ""
