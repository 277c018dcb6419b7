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

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from protocols.contact_id.channels import channel_events
from protocols.contact_id.mapping import event_of
from protocols.contact_id.message import (
    LONG_TYPES,
    MESSAGE_TYPES,
    Refusal,
    check_digit,
    decode,
)
from protocols.contact_id.profile import Profile, event_of_digits
from protocols.panel_event import PanelEvent

QUIET_MS: Final = 200
"""Silence that ends a block of full length: longer than a gap and a digit of the slowest sender."""
QUIET_SHORT_MS: Final = 950
"""Silence that ends any other: the rest of a 16-digit block would have come within it, and the
panel still waits (1.25 s, protocols.md 1.1)."""
_DIGITS: Final = frozenset("0123456789BCDEF")


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


class _Shape(NamedTuple):
    length: int
    account: int
    types: tuple[str, ...]
    checked: bool


_SHAPES: Final = {
    Format.CONTACT_ID: _Shape(16, 4, MESSAGE_TYPES, True),
    Format.CONTACT_ID_10: _Shape(22, 10, LONG_TYPES, True),
    Format.EXPRESS_4_1: _Shape(8, 4, ("17",), True),
    Format.EXPRESS_4_2: _Shape(9, 4, ("27",), True),
    Format.EXPRESS_4_1_PLAIN: _Shape(7, 4, ("17",), False),
    Format.EXPRESS_4_2_PLAIN: _Shape(8, 4, ("27",), False),
    Format.HIGH_SPEED: _Shape(16, 4, ("55",), True),
    Format.SUPER_FAST: _Shape(15, 4, ("56",), False),
}
_STRONG: Final = frozenset({Format.CONTACT_ID, Format.CONTACT_ID_10, Format.HIGH_SPEED})


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


def recognise(digits: str, *, allowed: frozenset[Format], ended: bool = False) -> Verdict:
    """Judge the digits (0-9, B-F; key D as A) heard since the block began.

    Until it `ended` the answer is NeedMore, whatever the digits are.
    """
    if not ended:
        longest = max((_SHAPES[one].length for one in allowed), default=0)
        return NeedMore(QUIET_MS if len(digits) >= longest else QUIET_SHORT_MS)
    if not _DIGITS.issuperset(digits):
        return Refusal("a digit outside 0-9, B-F", "DC-05 digits")
    typed = [one for one in allowed if _has_type(digits, _SHAPES[one])]
    whole = [one for one in typed if len(digits) == _SHAPES[one].length]
    if not whole:
        return _wrong_form(digits, typed)
    found = whole[0]  # no two formats share both type and length
    shape = _SHAPES[found]
    if shape.checked and digits[-1] != check_digit(digits[:-1]):
        return Refusal(f"checksum of {found.value}", "DC-05 checksum")
    return Recognised(found, digits[: shape.account], digits, found not in _STRONG)


def events_of(block: Recognised, profile: Profile) -> tuple[PanelEvent, ...]:
    """What the block tells: one event, or one for each channel that is not normal."""
    data = data_of(block)
    match block.format:
        case Format.CONTACT_ID | Format.CONTACT_ID_10:
            message = decode(block.digits)
            return () if isinstance(message, Refusal) else (event_of(message),)
        case Format.HIGH_SPEED | Format.SUPER_FAST:
            return channel_events(data[:8], data[8], profile)
        case _:
            return (event_of_digits(data, profile),)


def data_of(block: Recognised) -> str:
    """The digits between the type and the checksum."""
    shape = _SHAPES[block.format]
    end = shape.length - 1 if shape.checked else shape.length
    return block.digits[shape.account + 2 : end]


def encode(format: Format, account: str, data: str, mt: str | None = None) -> str:  # noqa: A002
    """The whole block with its checksum, for senders and tests. Raises ValueError for fields out of
    form.
    """
    shape = _SHAPES[format]
    body = account + (shape.types[0] if mt is None else mt) + data
    digits = body + check_digit(body) if shape.checked and _DIGITS.issuperset(body) else body
    block = recognise(digits, allowed=frozenset({format}), ended=True)
    if not isinstance(block, Recognised) or len(account) != shape.account:
        raise ValueError(f"not the fields of a {format.value} block: {account} {mt} {data}")
    return digits


def _has_type(digits: str, shape: _Shape) -> bool:
    return digits[shape.account : shape.account + 2] in shape.types


def _wrong_form(digits: str, typed: list[Format]) -> Refusal:
    if not typed:
        return Refusal(
            f"{len(digits)} digits, type {digits[4:6] or 'missing'}: none of the allowed formats",
            "protocols.md 4.2 digits 5-6",
        )
    wanted = " or ".join(sorted(f"{_SHAPES[one].length} ({one.value})" for one in typed))
    return Refusal(f"{len(digits)} digits, wanted {wanted}", "protocols.md 4.2 length")
