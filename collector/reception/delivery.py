"""From the spool to the collector: a window of entries in flight, sent again until acknowledged.

Go back to the oldest unacknowledged when no acknowledgement moved for `resend_s`: entries must
arrive in order, and a loss is rare on a LAN. An empty Reception is the heartbeat, and the first
thing said after each connect: its acknowledgement shows what the collector holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocols.instants import Instant, later
from protocols.mqtt.reception import MAX_ENTRIES, SPOOL_LINE, ReceptionAck

LINES_BYTES: Final = 16_384
"""Of each message, for the states of the lines; the rest is the entries'."""
STATE_CHARS: Final = 120


def lines_to_tell(lines: Mapping[str, str]) -> dict[str, str]:
    """States of lines as they fit into a message, the spool's own first: a broker hangs up on what
    is too large, and then nothing at all would get through.
    """
    told: dict[str, str] = {}
    room = LINES_BYTES
    for name in sorted(lines, key=lambda each: (each != SPOOL_LINE, each)):
        state = lines[name][:STATE_CHARS]
        room -= len(json.dumps({name: state}))
        if room < 0:
            break
        told[name] = state
    return told


@dataclass(frozen=True, slots=True)
class Policy:
    """Times and sizes."""

    window: int = 512
    batch: int = MAX_ENTRIES
    resend_s: float = 5.0
    resend_most_s: float = 60.0
    heartbeat_s: float = 10.0


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The broker takes what is published."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """It does not."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The spool's newest entry."""

    newest: int


@dataclass(frozen=True, slots=True)
class Floor:
    """Answer to AskFloor: the oldest entry that the spool still has (newest + 1: none)."""

    seq: int


Input = LinkUp | LinkDown | Committed | ReceptionAck | Floor


@dataclass(frozen=True, slots=True)
class Send:
    """Publish up to `most` entries after number `after`."""

    after: int
    most: int


@dataclass(frozen=True, slots=True)
class Beat:
    """Publish an empty Reception."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The collector holds all up to this: tell the spool."""

    upto: int


@dataclass(frozen=True, slots=True)
class Ahead:
    """The collector holds more of this epoch than the spool has: an old copy of the spool is in
    use. Its numbers must not be used again: open a new epoch, then make a new Delivery.
    """

    upto: int


@dataclass(frozen=True, slots=True)
class AskFloor:
    """The collector holds less than it acknowledged before (it lost its ledger): what the spool
    still has is sent again from there.
    """


Effect = Send | Beat | Acknowledged | Ahead | AskFloor


class Delivery:
    """One epoch's way to the collector."""

    def __init__(self, epoch: int, newest: int, acked: int, policy: Policy | None = None) -> None:
        self._policy = policy or Policy()
        self._epoch = epoch
        self._newest = newest
        self._acked = acked
        self._sent = acked
        self._up = False
        self._beat_at = Instant(0)
        self._resend_at: Instant | None = None
        self._resend_s = self._policy.resend_s
        self._rewind_at = Instant(0)
        self._lost_upto = 0

    @property
    def waiting(self) -> int:
        """Entries not yet acknowledged."""
        return self._newest - self._acked

    def receive(self, given: Input, now: Instant) -> list[Effect]:
        """Something came or changed."""
        match given:
            case LinkUp():
                self._up = True
                self._sent = self._acked
                self._resend_s = self._policy.resend_s
                return [self._beat(now), *self._fill(now)]
            case LinkDown():
                self._up = False
                self._resend_at = None
                return []
            case Committed(newest):
                self._newest = max(self._newest, newest)
                return self._fill(now)
            case ReceptionAck():
                return self._acknowledged(given, now)
            case Floor(seq):
                return self._rewind(seq, now)

    def tick(self, now: Instant) -> list[Effect]:
        """Time passed."""
        if not self._up:
            return []
        effects: list[Effect] = []
        if self._resend_at is not None and now >= self._resend_at:
            self._sent = self._acked
            self._resend_s = min(2 * self._resend_s, self._policy.resend_most_s)
            self._resend_at = None
            effects += self._fill(now)
        if now >= self._beat_at:
            effects.append(self._beat(now))
        return effects

    def deadline(self) -> Instant | None:
        """When `tick` has something to do."""
        if not self._up:
            return None
        return self._beat_at if self._resend_at is None else min(self._beat_at, self._resend_at)

    def _beat(self, now: Instant) -> Beat:
        self._beat_at = later(now, self._policy.heartbeat_s)
        return Beat()

    def _fill(self, now: Instant) -> list[Effect]:
        if not self._up:
            return []
        effects: list[Effect] = []
        last = min(self._newest, self._acked + self._policy.window)
        while self._sent < last:
            most = min(self._policy.batch, last - self._sent)
            effects.append(Send(self._sent, most))
            self._sent += most
        if effects:
            self._beat_at = later(now, self._policy.heartbeat_s)
        if self._sent > self._acked and self._resend_at is None:
            self._resend_at = later(now, self._resend_s)
        return effects

    def _rewind(self, floor: int, now: Instant) -> list[Effect]:
        self._acked = min(self._acked, max(self._lost_upto, floor - 1))
        self._sent = self._acked
        self._resend_at = None
        return self._fill(now)

    def _acknowledged(self, ack: ReceptionAck, now: Instant) -> list[Effect]:
        if ack.epoch != self._epoch or ack.upto == self._acked:
            return []
        if ack.upto < self._acked:
            if now < self._rewind_at:
                return []  # on its way before the last rewinding took hold
            self._rewind_at = later(now, self._policy.resend_most_s)
            self._lost_upto = ack.upto
            return [AskFloor()]
        if ack.upto > self._newest:
            self._up = False
            return [Ahead(ack.upto)]
        self._acked = ack.upto
        self._sent = max(self._sent, ack.upto)
        self._resend_s = self._policy.resend_s
        waits = self._sent > self._acked
        self._resend_at = later(now, self._resend_s) if waits else None
        return [Acknowledged(ack.upto), *self._fill(now)]
