"""Contact ID event codes of DC-05-1999.09 and DC-05-2016, named in English and Chinese.

What the three-digit number of a message means, a zone or a user, is a property of the code.
Codes that are not in the table are private to a maker: shown as they came, never dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from protocols.contact_id import codes_access, codes_alarm, codes_service, codes_trouble
from protocols.contact_id.message import HEX_BASE
from protocols.panel_event import Qualifier


class Number(Enum):
    """Whose the number CCC of a message is; 000 is always none. UNKNOWN: not in the table."""

    ZONE = "zone"
    USER = "user"
    UNKNOWN = "unknown"


class Edition(Enum):
    """The editions of DC-05 in which codes stand."""

    E1999 = 1999
    E2016 = 2016


@dataclass(frozen=True, slots=True)
class EventCode:
    """One code. `en`, `zh` name it as a new event; `en_restore`, `zh_restore` as a restore or
    closing. STATUS (6) is the new event, still present.
    """

    code: int
    en: str
    zh: str
    en_restore: str
    zh_restore: str
    number: Number
    editions: frozenset[Edition]


USER_CODES: Final = frozenset(
    {121, 126, 313, *range(400, 410), *range(411, 416), 421, 422, 424, 425, *range(429, 432)}
    | {435, 436, *range(441, 445), *range(450, 460), 462, 463, 464, 466, 574, 604, 607, 625, 642}
    | {652, 653, 655, *range(913, 917), 920, 921, 928, 929}
)
"""protocols.md 1.3."""
_ONLY_2016: Final = frozenset(
    {103, 126, 129, 168, 169, *range(314, 318), 345, 358, 394, 435, 436, 443, 444, 554, 555, 578}
    | {579, 643, 645, 646, 647, 655}
)
"""protocols.md 1.4: in the 2016 list and not in that of 1999, below 700."""
_IN_1999_FROM_700: Final = frozenset({900, 901, 902, 910, 911, 999})
_ONLY_1999: Final = 999
_USER_ASSIGNED: Final = range(750, 790)


def code_of(code: int) -> EventCode | None:
    """The code's entry; None for one that stands in neither edition."""
    return CODES.get(code)


def meaning_of(code: int) -> Number:
    """What the number of a message of this code means."""
    entry = CODES.get(code)
    return Number.UNKNOWN if entry is None else entry.number


def shown(code: int) -> str:
    """The code as the digits that stand for it on the wire."""
    return f"{code:03d}" if code < HEX_BASE else f"{code - HEX_BASE:03X}"


def wording(code: int, q: Qualifier) -> tuple[str, str]:
    """(English, Chinese) for an operator. A code nobody knows is called by its digits."""
    entry = CODES.get(code)
    if entry is None:
        entry = _row((str(code), f"Unknown event {shown(code)}", f"未知事件 {shown(code)}"))
    match q:
        case Qualifier.NEW:
            return entry.en, entry.zh
        case Qualifier.RESTORE:
            return entry.en_restore, entry.zh_restore
        case Qualifier.STATUS:
            return f"{entry.en}, still present", f"{entry.zh}（仍存在）"


def _row(columns: tuple[str, ...]) -> EventCode:
    code, en, zh = int(columns[0]), columns[1], columns[2]
    en_restore, zh_restore = columns[3:] or (f"{en}: restored", f"{zh}：恢复")
    return EventCode(
        code=code,
        en=en,
        zh=zh,
        en_restore=en_restore,
        zh_restore=zh_restore,
        number=Number.USER if code in USER_CODES else Number.ZONE,
        editions=_editions(code),
    )


def _editions(code: int) -> frozenset[Edition]:
    if code == _ONLY_1999:
        return frozenset({Edition.E1999})
    older = code in _IN_1999_FROM_700 if code >= 700 else code not in _ONLY_2016
    return frozenset(Edition) if older else frozenset({Edition.E2016})


def _read(*tables: str) -> dict[int, EventCode]:
    lines = [line for table in tables for line in table.strip().splitlines()]
    rows = [_row(tuple(line.split("|"))) for line in lines]
    rows += [_row((str(n), f"User assigned {n}", f"用户自定义 {n}")) for n in _USER_ASSIGNED]
    return {row.code: row for row in sorted(rows, key=lambda row: row.code)}


CODES: Final = _read(
    codes_alarm.TABLE, codes_trouble.TABLE, codes_access.TABLE, codes_service.TABLE
)
