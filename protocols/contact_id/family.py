"""The Ademco DTMF family: one handshake, one checksum, told apart by digits 5-6 (protocols.md 4.2).

    Contact ID       ACCT 18 Q XYZ GG CCC S      16 digits (98: older; 22 with a 10-digit account)
    Express 4+1      ACCT 17 C S                  8
    Express 4+2      ACCT 27 C Z S                9
    High Speed       ACCT 55 PPPPPPPP X S        16
    Super Fast       ACCT 56 PPPPPPPP X          15, no checksum

Only silence ends a block. A garbled or cut Contact ID block must never pass for a shorter format:
the panel would get its kiss-off and the alarm would be lost for good. So `recognise` judges a block
only when it `ended`, digits 5-6 decide the format, any other length is refused, and what has no
checksum or is short is `weak`: unless the account is pinned to the format, let it come twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from protocols.contact_id.message import Refusal
from protocols.panel_event import PanelEvent, Qualifier

QUIET_MS: Final = 250
"""Silence that ends a block of full length (a digit and a gap of the slowest senders)."""
QUIET_SHORT_MS: Final = 950
"""Silence that ends any other: a 16-digit block's rest would have come within it, and the panel
still waits (1.25 s, protocols.md 1.1)."""


class Format(Enum):
    """A format of the family. `_PLAIN`: without checksum, only where the account is set so."""

    CONTACT_ID = "contact-id"
    CONTACT_ID_10 = "contact-id-10"
    EXPRESS_4_1 = "express-4-1"
    EXPRESS_4_2 = "express-4-2"
    EXPRESS_4_1_PLAIN = "express-4-1-plain"
    EXPRESS_4_2_PLAIN = "express-4-2-plain"
    HIGH_SPEED = "high-speed"
    SUPER_FAST = "super-fast"


AUTOMATIC: Final = frozenset(
    {
        Format.CONTACT_ID,
        Format.EXPRESS_4_1,
        Format.EXPRESS_4_2,
        Format.HIGH_SPEED,
        Format.SUPER_FAST,
    }
)
"""What is tried for an account or line that is pinned to nothing."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """One whole block. `weak`: not by itself proof enough (see the module's head)."""

    format: Format
    account: str
    digits: str
    weak: bool


@dataclass(frozen=True, slots=True)
class NeedMore:
    """The block may go on. When `quiet_ms` of silence have followed its last digit, ask again with
    `ended`.
    """

    quiet_ms: int


Verdict = Recognised | Refusal | NeedMore


@dataclass(frozen=True, slots=True)
class EventRule:
    """What an event digit of an account means. `by_user`: the second digit is a user."""

    code: int
    q: Qualifier = Qualifier.NEW
    by_user: bool = False


UNKNOWN_ALARM: Final = EventRule(140)
"""An alarm of a kind nobody told us (general alarm): shown, never dropped."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How an account's one-digit event codes are to be read; digits absent here are UNKNOWN_ALARM.

    Keys are a digit (`"3"`), or two for one digit and zone together (`"31"`, looked up first).
    """

    events: Mapping[str, EventRule] = field(default_factory=dict)
    channel: EventRule = UNKNOWN_ALARM
    """What an alarm on a channel of High Speed or Super Fast is."""


def recognise(digits: str, *, allowed: frozenset[Format], ended: bool = False) -> Verdict:
    """Judge the digits (0-9, B-F; key D as A) heard since the block began."""
    raise NotImplementedError


def events_of(block: Recognised, profile: Profile) -> tuple[PanelEvent, ...]:
    """What the block tells: one event, or one for each channel that is not normal."""
    raise NotImplementedError


def encode(format: Format, account: str, data: str) -> str:  # noqa: A002
    """The whole block with its checksum; for senders and tests."""
    raise NotImplementedError
