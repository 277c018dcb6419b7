"""Payloads on MQTT: JSON, versioned by topic (`v1`). Unknown fields are ignored on reading.

A Record travels as the exact bytes that stand in the panel's journal. `digest` = SHA-256 of those
bytes, and each Record carries its predecessor's digest, so one digest vouches for all before it.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

import msgspec

from protocols.instants import Instant, UtcTime
from protocols.panel_event import PanelEvent

MAX_PAYLOAD_BYTES: Final = 65_536
MAX_RECORDS: Final = 64
DIGEST_HEX: Final = 64

Seq = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Epoch = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
PanelId = Annotated[str, msgspec.Meta(pattern="^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")]
ShortText = Annotated[str, msgspec.Meta(max_length=512)]


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """A PanelEvent as kept in the journal.

    (epoch, seq) orders one panel's Records; `mono` is ns since boot `boot`; `utc` µs with the true
    time within ±`err_us`, absent before the first synchronisation (D16). `recorded` is False when
    the panel's disk refused it and it was reported from memory (rule 2).
    """

    panel: PanelId
    epoch: Epoch
    seq: Seq
    boot: Annotated[str, msgspec.Meta(max_length=36)]
    mono: Instant
    event: PanelEvent
    prev: Digest
    utc: UtcTime | None = None
    err_us: Annotated[int, msgspec.Meta(ge=0)] | None = None
    recorded: bool = True


class Report(msgspec.Struct, frozen=True):
    """Panel -> collector on `ev`: up to MAX_RECORDS Records as raw journal bytes, in send order."""

    records: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=MAX_RECORDS)]


class PhoneState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The panel's phone path as the panel sees it. Only a kiss-off proves it.

    `up` absent: not proven since the panel's program began. `line` absent: the line does not tell.
    `kissed_s`, `tested_s`: seconds since anything, and a test call, was last kissed off; absent:
    not since the program began. `failed`: calls in a row that delivered nothing. `owed` 0: nothing
    up to the heartbeat's `seq` is still to be told by phone; Records just made count until known.
    """

    up: bool | None = None
    cause: ShortText = ""
    line: bool | None = None
    owed: Annotated[int, msgspec.Meta(ge=0)] = 0
    failed: Annotated[int, msgspec.Meta(ge=0)] = 0
    kissed_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    tested_s: Annotated[float, msgspec.Meta(ge=0)] | None = None


class Heartbeat(msgspec.Struct, frozen=True, omit_defaults=True):
    """Panel -> collector on `hb`, at connect and every `period_s`.

    `seq`/`digest` name the newest Record of `epoch` (seq 0: none yet); `floor` is the oldest seq
    the panel can still resend. `areas`: arm mode by area number. Absent `utc`: never synced.
    Absent `phone`: no phone path, or it is just starting, or a version that does not tell.
    """

    panel: PanelId
    boot: Annotated[str, msgspec.Meta(max_length=36)]
    epoch: Epoch
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    digest: Digest
    floor: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    owed: Annotated[int, msgspec.Meta(ge=0)]
    period_s: Annotated[float, msgspec.Meta(gt=0, le=3600)]
    uptime_s: Annotated[float, msgspec.Meta(ge=0)]
    version: ShortText
    session: Annotated[str, msgspec.Meta(max_length=64)] = ""
    clock: ShortText = "unsynchronised"
    utc: UtcTime | None = None
    err_us: int | None = None
    areas: dict[str, ShortText] = {}
    faults: Annotated[list[ShortText], msgspec.Meta(max_length=64)] = []
    bypassed: Annotated[list[int], msgspec.Meta(max_length=1024)] = []
    phone: PhoneState | None = None


class Will(msgspec.Struct, frozen=True, omit_defaults=True):
    """Last will on `will`: the broker lost the connection `session` of this boot.

    A half-open connection's will comes long after its successor is up: the heartbeat's `session`
    tells them apart.
    """

    panel: PanelId
    boot: Annotated[str, msgspec.Meta(max_length=36)]
    session: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Unavailable(msgspec.Struct, frozen=True):
    """Panel -> collector on `gone`: answer to a Resend the panel cannot fill."""

    panel: PanelId
    epoch: Epoch
    first: Seq
    last: Seq
    reason: ShortText


class CardZone(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the centre must know of a zone to judge and to speak of it."""

    zone: Annotated[int, msgspec.Meta(ge=1, le=999)]
    area: int
    name: ShortText
    type: ShortText
    name_zh: ShortText = ""
    technology: ShortText = ""
    """pir, microwave, dual, contact, glass, seismic, smoke, button, ... Same-technology detectors
    in each other's `overlaps` do not confirm each other (BS 8243)."""
    detector: ShortText = ""
    """Identity of the physical detector: two zones on one detector do not confirm each other."""
    overlaps: tuple[int, ...] = ()
    outside: bool = False


class SiteCard(msgspec.Struct, frozen=True, omit_defaults=True):
    """Panel -> collector on `site`, at each connect: names and layout, no secrets."""

    panel: PanelId
    name: ShortText
    areas: dict[str, ShortText]
    zones: Annotated[list[CardZone], msgspec.Meta(max_length=999)]
    name_zh: ShortText = ""
    areas_zh: dict[str, ShortText] = {}
    users: dict[str, ShortText] = {}
    site_class: ShortText = "other"
    timezone: ShortText = "UTC"
    account: Annotated[str, msgspec.Meta(max_length=16)] = ""
    """Phone account the panel reports by: a claim; the centre's registry decides."""
    phone_marks: bool = False
    """Calls end with a sequence mark (phone_batch), so both paths join exactly (D12)."""
    phone_always: bool = False
    """Whatever can be told by phone is, also when MQTT has told it (policy `dual`)."""


class Held(msgspec.Struct, frozen=True, array_like=True):
    """One Record the collector holds beyond the unbroken run: [seq, digest]."""

    seq: Seq
    digest: Digest


class Ack(msgspec.Struct, frozen=True, omit_defaults=True):
    """Collector -> panel on `ack`, sent only after commit (rule 2).

    All Records of `epoch` up to `upto`, whose digest is `head`, are durable, and those in `also`.
    The panel drops an Owed only when the digest is that of its own Record. `upto` 0: none.
    """

    epoch: Epoch
    upto: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    head: str = ""
    also: Annotated[list[Held], msgspec.Meta(max_length=1024)] = []


class Resend(msgspec.Struct, frozen=True, tag="resend"):
    """Collector -> panel on `cmd`: these are missing here."""

    epoch: Epoch
    first: Seq
    last: Seq


class StandDown(msgspec.Struct, frozen=True, tag="stand_down"):
    """Collector -> panel on `cmd`: alarm memory of the area may be reset (R72). 0 = all areas."""

    area: int
    operator: ShortText
    case: int = 0


class SendTest(msgspec.Struct, frozen=True, tag="test"):
    """Collector -> panel on `cmd`: report a manual test."""

    operator: ShortText


Command = Resend | StandDown | SendTest


def digest_of(raw: bytes) -> str:
    """Digest of one Record's journal bytes, lower-case hex."""
    return hashlib.sha256(raw).hexdigest()


def genesis(panel: str, epoch: int) -> str:
    """`prev` of the first Record of an epoch."""
    return hashlib.sha256(f"tocsin {panel} {epoch}".encode()).hexdigest()


def encode_record(record: Record) -> bytes:
    """The journal bytes of a Record: JSON, fields in declared order, defaults left out."""
    return msgspec.json.encode(record)
