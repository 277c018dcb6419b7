"""Which panel a phone report is from: accounts are the registry's, panels only claim them.

A receiver that keeps four digits only makes several ten-digit accounts look alike (standards S22):
then the caller's number may tell, else nobody is chosen and all candidates are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

ACCOUNT: Final = re.compile(r"[0-9A-F]{4}|[0-9A-F]{10}")
SHORT: Final = 4
CALLER_DIGITS: Final = 7
"""Two numbers are one line's when this many last digits agree: prefixes come and go."""
PSEUDO: Final = "acct-"
"""Panel name of an account nobody has, or more than one: no registered panel may begin so."""
_MAX_PSEUDO: Final = 26


class Account(msgspec.Struct, frozen=True, omit_defaults=True):
    """One account of one panel; what is empty holds for all.

    `account`: 4 or 10 hex digits, upper case. `receiver`, `line`: only there. `caller`: the line's
    number. `format`: pinned format. `test_h`: hours within which the panel must have phoned.
    """

    account: str
    panel: str
    receiver: str = ""
    line: str = ""
    caller: str = ""
    format: str = ""
    test_h: float = 25.0


class Resolved(msgspec.Struct, frozen=True):
    """`panel` is the pseudo panel unless exactly one candidate is left."""

    panel: str
    candidates: tuple[str, ...]

    @property
    def unknown(self) -> bool:
        """No panel has this account."""
        return not self.candidates

    @property
    def collision(self) -> bool:
        """More than one panel may be meant."""
        return len(self.candidates) > 1


def normal(account: str) -> str:
    """Hex digits, upper case; more than ten digits, or five to nine, lose leading zeros."""
    digits = "".join(ch for ch in account.upper() if ch in "0123456789ABCDEF")
    if len(digits) in {SHORT, 10}:
        return digits
    short = digits.lstrip("0")
    return short.rjust(SHORT if len(short) <= SHORT else 10, "0") if len(short) <= 10 else digits


def pseudo(account: str) -> str:
    """The pseudo panel of an account as it was on the wire."""
    kept = re.sub(r"[^0-9a-z]", "", account.lower())[:_MAX_PSEUDO]
    return PSEUDO + (kept or "none")


class AccountBook:
    """The accounts of a centre, by their last four digits and by caller."""

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self.accounts = tuple(accounts)
        self._near: dict[str, list[Account]] = {}
        self._callers: dict[str, list[Account]] = {}
        for one in self.accounts:
            self._near.setdefault(one.account[-SHORT:], []).append(one)
            if one.caller:
                self._callers.setdefault(_tail(one.caller), []).append(one)

    def resolve(self, wire: str, receiver: str, line: str, caller: str) -> Resolved:
        """Whose report it is. `wire`: the account as received.

        A four-digit account may be what is left of a ten-digit one, so all that end so are meant.
        """
        wanted = normal(wire)
        found = [
            one
            for one in self._near.get(wanted[-SHORT:], ())
            if (not one.receiver or one.receiver == receiver)
            and (not one.line or one.line == line)
            and (one.account == wanted or len(wanted) == SHORT)
        ]
        panels = sorted({one.panel for one in found})
        if len(panels) > 1 and caller:
            called = sorted({one.panel for one in found if same_line(one.caller, caller)})
            if len(called) == 1:
                panels = called
        if len(panels) == 1:
            return Resolved(panels[0], tuple(panels))
        return Resolved(pseudo(wanted or wire), tuple(panels))

    def panel_of_caller(self, caller: str) -> str:
        """The only panel whose line that number is, or none."""
        near = self._callers.get(_tail(caller), ())
        panels = {one.panel for one in near if same_line(one.caller, caller)}
        return panels.pop() if len(panels) == 1 else ""

    def of(self, panel: str) -> list[Account]:
        """The accounts of a panel."""
        return [one for one in self.accounts if one.panel == panel]

    def tests(self) -> dict[str, float]:
        """Within how many hours each panel must have phoned."""
        made: dict[str, float] = {}
        for one in self.accounts:
            if one.test_h > 0:
                made[one.panel] = min(made.get(one.panel, one.test_h), one.test_h)
        return made


def colliding(accounts: Iterable[Account], new: Account) -> list[Account]:
    """Accounts of other panels that a receiver keeping four digits cannot tell from `new`."""
    return [
        one
        for one in accounts
        if one.panel != new.panel
        and one.account[-SHORT:] == new.account[-SHORT:]
        and (not one.receiver or not new.receiver or one.receiver == new.receiver)
        and (not one.line or not new.line or one.line == new.line)
    ]


def same_line(one: str, other: str) -> bool:
    """Whether two telephone numbers are one line's, with or without prefixes."""
    a, b = (_digits(number) for number in (one, other))
    if not a or not b:
        return False
    return a == b or (min(len(a), len(b)) >= CALLER_DIGITS and (a.endswith(b) or b.endswith(a)))


def _tail(number: str) -> str:
    return _digits(number)[-CALLER_DIGITS:]


def _digits(number: str) -> str:
    """Without the trunk's 0 or 00, which stands where a country's prefix may not."""
    return "".join(ch for ch in number if ch.isdecimal()).lstrip("0")
