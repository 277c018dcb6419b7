"""Contact ID on the wire: ACCT MT Q XYZ GG CCC S (protocols.md 1.2, 1.3; SIA DC-05).

16 digits with a 4-digit account, 22 with a 10-digit one. Digits are 0-9 and B-F; 0 counts 10 in the
checksum; A never appears. Fields are kept as digits, so what nobody knows survives a round trip.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

HEX_BASE: Final = 10_000
"""Added to the value of a field that has a digit B-F: above every decimal field (three digits) and
above Tocsin's own codes (from 1000)."""
SHORT_DIGITS: Final = 16
LONG_DIGITS: Final = 22
SHORT_ACCOUNT: Final = 4
MESSAGE_TYPES: Final = ("18", "98")
"""18 is preferred, 98 the older one; both are accepted."""
LONG_TYPES: Final = (*MESSAGE_TYPES, "58")
"""With a 10-digit account some receivers print 58 (Bosch D6600, siadc09): accepted there only."""
_HEX: Final = "0123456789BCDEF"
_KEYS: Final = "0123456789*#ABC"
_TO_KEYS: Final = str.maketrans(_HEX, _KEYS)
_TO_HEX: Final = str.maketrans(_KEYS + "D", _HEX + "A")
_WHOLE: Final = re.compile(r"(?:[0-9B-F]{4}(?:18|98)|[0-9B-F]{10}(?:18|98|58))[0-9B-F]{10}")


@dataclass(frozen=True, slots=True)
class Message:
    """One Contact ID message, its fields as digits: `account` 4 or 10, `q` 1, `code` 3, `area` 2
    (00 = none), `number` 3 (zone or user by the code; 000 = none), `mt` 18 or 98 (LONG_TYPES).
    """

    account: str
    q: str
    code: str
    area: str = "00"
    number: str = "000"
    mt: str = "18"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why digits are no Contact ID message, with the clause they break."""

    reason: str
    clause: str


def check_digit(digits: str) -> str:
    """The digit that makes the sum of all divisible by 15. `digits`: 0-9, B-F."""
    total = sum(_value(digit) for digit in digits)
    value = 15 - total % 15
    return "0" if value == 10 else f"{value:X}"


def encode(message: Message) -> str:
    """16 or 22 hex digits with the check digit. Raises ValueError for fields out of form."""
    body = "".join(
        (message.account, message.mt, message.q, message.code, message.area, message.number)
    )
    if not _WHOLE.fullmatch(body + "0"):
        raise ValueError(f"not the fields of a Contact ID message: {message}")
    return body + check_digit(body)


def decode(digits: str) -> Message | Refusal:
    """Read 16 or 22 hex digits; whatever else it is, the answer says why not."""
    if len(digits) not in (SHORT_DIGITS, LONG_DIGITS):
        return Refusal(f"{len(digits)} digits, wanted 16 or 22", "DC-05 layout")
    if any(digit not in _HEX for digit in digits):
        return Refusal("a digit outside 0-9, B-F", "DC-05 digits")
    account, rest = digits[:-12], digits[-12:]
    types = MESSAGE_TYPES if len(account) == SHORT_ACCOUNT else LONG_TYPES
    if rest[:2] not in types:
        wanted = " or ".join(types)
        return Refusal(f"message type {rest[:2]}, wanted {wanted}", "DC-05 message type")
    if sum(_value(digit) for digit in digits) % 15:
        return Refusal("checksum", "DC-05 checksum")
    return Message(account, rest[2], rest[3:6], rest[6:8], rest[8:11], rest[:2])


def keys_of(digits: str) -> str:
    """Hex digits as DTMF keys: B-F are `* # A B C`."""
    return digits.translate(_TO_KEYS)


def digits_of(keys: str) -> str:
    """DTMF keys as hex digits; key D, unused in Contact ID, becomes A."""
    return keys.translate(_TO_HEX)


def _value(digit: str) -> int:
    return 10 if digit == "0" else int(digit, 16)
