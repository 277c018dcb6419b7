"""Pulse formats 3+1, 4+1, 4+2 (protocols.md 4.3): account digits, then one or two event digits.

A digit is 1-15 pulses, ten written 0. The check is two equal rounds, or one round with a parity
digit that makes the sum divisible by 15. 3+1 with parity and 4+1, and 4+1 with parity and 4+2, are
equally long: nothing on the line tells them apart, so a setting per account or line must.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from protocols.contact_id.message import Refusal, check_digit
from protocols.contact_id.profile import Profile, event_of_digits
from protocols.panel_event import PanelEvent

_DIGITS: Final = "0123456789BCDEF"


class Check(Enum):
    """What proves a block."""

    ROUNDS = "rounds"
    """The same round twice."""
    PARITY = "parity"
    """One round with a parity digit at its end."""


@dataclass(frozen=True, slots=True)
class PulseFormat:
    """`account_digits` 3 or 4, `event_digits` 1 or 2."""

    account_digits: int
    event_digits: int
    check: Check = Check.ROUNDS

    @property
    def length(self) -> int:
        """Digits of one round."""
        return self.account_digits + self.event_digits + (self.check is Check.PARITY)

    @property
    def name(self) -> str:
        """As people write it: `3+1`, `4+2 parity`."""
        parity = " parity" if self.check is Check.PARITY else ""
        return f"{self.account_digits}+{self.event_digits}{parity}"


FORMATS: Final = tuple(
    PulseFormat(account, event, check)
    for check in Check
    for account, event in ((3, 1), (4, 1), (4, 2))
)


@dataclass(frozen=True, slots=True)
class PulseBlock:
    """A proven block: `account` and `event` as digits (0 for ten, B-F)."""

    format: PulseFormat
    account: str
    event: str
    digits: str


@dataclass(frozen=True, slots=True)
class NeedRound:
    """Not proven yet: stay silent, the panel sends another round."""


def digit_of(pulses: int) -> str | None:
    """The digit of 1-15 pulses; None for any other number."""
    if not 1 <= pulses <= 15:
        return None
    return "0" if pulses == 10 else f"{pulses:X}"


def recognise(rounds: Sequence[str], setting: PulseFormat) -> PulseBlock | NeedRound | Refusal:
    """Judge the rounds heard in this call since the last kiss-off, the newest last.

    With ROUNDS the last two must be equal; a bad round between two good ones costs one more round.
    """
    if not rounds:
        return NeedRound()
    last = rounds[-1]
    if len(last) != setting.length:
        return Refusal(
            f"{len(last)} digits, wanted {setting.length} ({setting.name})", "protocols.md 4.3"
        )
    if any(digit not in _DIGITS for digit in last):
        return Refusal("a digit outside 0-9, B-F", "protocols.md 4.3")
    if setting.check is Check.PARITY:
        if last[-1] != check_digit(last[:-1]):
            return Refusal(f"parity digit of {setting.name}", "protocols.md 4.3")
    elif len(rounds) < 2 or rounds[-2] != last:
        return NeedRound()
    end = setting.account_digits + setting.event_digits
    return PulseBlock(
        setting, last[: setting.account_digits], last[setting.account_digits : end], last
    )


def may_be(digits: str) -> tuple[PulseFormat, ...]:
    """All formats one round of `digits` could be of: what an operator may choose from."""
    if not set(_DIGITS).issuperset(digits):
        return ()
    fits = (one for one in FORMATS if len(digits) == one.length)
    return tuple(
        one for one in fits if one.check is Check.ROUNDS or digits[-1] == check_digit(digits[:-1])
    )


def event_of_block(block: PulseBlock, profile: Profile) -> PanelEvent:
    """What the block tells, by the account's profile."""
    return event_of_digits(block.event, profile)


def encode(setting: PulseFormat, account: str, event: str) -> tuple[str, ...]:
    """The rounds a panel sends: two equal ones, or one with its parity digit. Raises ValueError for
    fields out of form.
    """
    body = account + event
    lengths = (len(account), len(event))
    if lengths != (setting.account_digits, setting.event_digits) or set(body) - set(_DIGITS):
        raise ValueError(f"not the fields of a {setting.name} block: {account} {event}")
    if setting.check is Check.PARITY:
        return (body + check_digit(body),)
    return (body, body)


def pulses_of(digits: str) -> tuple[int, ...]:
    """How many pulses each digit is."""
    return tuple(10 if digit == "0" else int(digit, 16) for digit in digits)
