"""Signal, Occurrence: what the collector's stages hand on."""

from __future__ import annotations

import msgspec

from protocols.instants import Instant, UtcTime
from protocols.panel_event import PanelEvent

PATH_MQTT = "mqtt"
PATH_PHONE = "phone"
PATH_CENTRE = "centre"
"""Noticed by the collector itself: panel lost, sequence gap, identity conflict."""


class PhoneCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a report came by phone. `index` counts the messages of call `call` from 0.

    `taken`: the receiver's clock when it was complete. `mark`: the number of a sequence mark, which
    is no event of its own (protocols.phone_batch). `account` as on the wire; `candidates`: panels
    it may mean when that is not exactly one.
    """

    receiver: str
    line: str
    call: str
    index: int
    account: str
    format: str
    taken: UtcTime
    caller: str = ""
    mark: int | None = None
    candidates: tuple[str, ...] = ()


class Signal(msgspec.Struct, frozen=True, omit_defaults=True):
    """A report as it reached the collector on one path, with its receipt.

    `id` is the ledger's row, ascending in commit order. `at` is the collector's best estimate of
    when it happened, true within ±`err_us`; `received` is the collector's own clock. Signals with
    `epoch` 0 carry no identity (phone, centre).
    """

    id: int
    panel: str
    path: str
    received: UtcTime
    event: PanelEvent
    at: UtcTime
    err_us: int
    epoch: int = 0
    seq: int = 0
    digest: str = ""
    boot: str = ""
    mono: Instant | None = None
    recorded: bool = True
    conflict: bool = False
    """Another Signal of this panel holds the same (epoch, seq) with another digest."""
    phone: PhoneCall | None = None


class Occurrence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What really happened once: one or more Signals joined. `id` is its first Signal's id."""

    id: int
    panel: str
    event: PanelEvent
    at: UtcTime
    err_us: int
    received: UtcTime
    signals: tuple[int, ...]
    paths: tuple[str, ...]
    epoch: int = 0
    seq: int = 0
    recorded: bool = True
    boot: str = ""
    mono: Instant | None = None
    """As in its first identified Signal: two Occurrences of one boot are apart by exactly the
    difference of their `mono`, whatever the wall clock did."""
    same_as: tuple[int, ...] = ()
    """Not empty: it is no event of its own but tells of these (one, or one of several). It was
    shown until that was known, or never."""
