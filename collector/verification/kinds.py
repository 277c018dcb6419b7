"""What a numbered kind means to verification: which case it makes, or what it says about one."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from collector.records.case import Kind
from protocols.panel_event import Code, PanelEvent


class Role(Enum):
    """The part an Occurrence plays. The first seven make a case, the rest are context."""

    BURGLARY = auto()
    HOLDUP = auto()
    FIRE = auto()
    MEDICAL = auto()
    ENVIRONMENT = auto()
    TAMPER = auto()
    TROUBLE = auto()
    CANCEL = auto()
    ABORT = auto()
    OPEN_CLOSE = auto()
    ENTRY_DOOR = auto()
    ON_TEST = auto()
    RECENT_CLOSE = auto()
    LOG = auto()


KIND_OF: Final[dict[Role, Kind]] = {
    Role.BURGLARY: Kind.BURGLARY,
    Role.HOLDUP: Kind.HOLDUP,
    Role.FIRE: Kind.FIRE,
    Role.MEDICAL: Kind.MEDICAL,
    Role.ENVIRONMENT: Kind.ENVIRONMENT,
    Role.TAMPER: Kind.TAMPER,
    Role.TROUBLE: Kind.TROUBLE,
}

GAS: Final = frozenset({int(Code.GAS), 162})
"""Gas and carbon monoxide (DC-05 162): handed over as a fire is."""

PATH_LOSS: Final = frozenset(
    {int(Code.PATH_IP_FAULT), int(Code.PATH_PHONE_FAULT), int(Code.PANEL_LOST)}
    | {int(Code.PATHS_TAMPERED)}
)

_EXACT: Final[dict[int, Role]] = {
    Code.PANEL_TAMPER: Role.TAMPER,
    Code.ZONE_TAMPER: Role.TAMPER,
    145: Role.TAMPER,
    341: Role.TAMPER,
    383: Role.TAMPER,
    Code.SENSOR_MASKED: Role.TAMPER,
    Code.CODE_LOCKOUT: Role.TAMPER,
    Code.PATHS_TAMPERED: Role.TAMPER,
    Code.SABOTAGE: Role.TAMPER,
    Code.NODE_TAMPER: Role.TAMPER,
    Code.NODE_FORGED: Role.TAMPER,
    Code.NODE_DUPLICATE: Role.TAMPER,
    Code.CROSS_ZONE_TROUBLE: Role.BURGLARY,
    Code.PANEL_RESET: Role.LOG,
    Code.CONFIG_CHANGED: Role.LOG,
    Code.ALARM_CANCEL: Role.CANCEL,
    Code.ABORT: Role.ABORT,
    Code.RECENT_CLOSE: Role.RECENT_CLOSE,
    Code.ENTRY_DOOR_OPENED: Role.ENTRY_DOOR,
    Code.PANEL_ON_TEST: Role.ON_TEST,
    Code.WALK_TEST: Role.ON_TEST,
    Code.FAILED_TO_OPEN: Role.TROUBLE,
    Code.FAILED_TO_CLOSE: Role.TROUBLE,
    Code.WRONG_CODE: Role.LOG,
    Code.JOURNAL_90_FULL: Role.TROUBLE,
    Code.CLOCK_INACCURATE: Role.TROUBLE,
    Code.ZONE_STATE: Role.LOG,
    Code.ENTRY_DELAY: Role.LOG,
    Code.EXIT_DELAY: Role.LOG,
    Code.ALARM_MEMORY: Role.LOG,
    Code.SIREN_SILENCED: Role.LOG,
    Code.BOOT: Role.LOG,
    Code.SITE_CHANGED: Role.LOG,
    Code.OPERATOR_ACT: Role.LOG,
    Code.PHONE_BATCH: Role.LOG,
}
"""145, 341, 383: DC-05 expansion module and sensor tampers that foreign panels send. 378 is how a
panel tells the lone first trip of a cross-zone pair (CP-01): a trip, so a burglary case."""

_OPEN_CLOSE: Final = frozenset({400, 401, 402, 403, 404, 405, 407, 408, 409, 441, 442, 443, 444})


def role_of(code: int) -> Role:
    """The part of a numbered kind; an unknown number makes a trouble case, never nothing (F2)."""
    exact = _EXACT.get(code)
    if exact is not None:
        return exact
    if code in _OPEN_CLOSE:
        return Role.OPEN_CLOSE
    for first, last, role in _RANGES:
        if first <= code <= last:
            return role
    return Role.TROUBLE


_RANGES: Final = (
    (100, 109, Role.MEDICAL),
    (110, 119, Role.FIRE),
    (120, 129, Role.HOLDUP),
    (130, 149, Role.BURGLARY),
    (150, 169, Role.ENVIRONMENT),
    (445, 450, Role.LOG),
    (456, 458, Role.LOG),
    (460, 466, Role.LOG),
    (570, 579, Role.LOG),
    (600, 622, Role.LOG),
    (625, 625, Role.LOG),
    (627, 699, Role.LOG),
)


def says_nothing(code: int) -> bool:
    """Whether no case can be changed by it: kept in the ledger only."""
    return role_of(code) is Role.LOG and code not in BACK


def is_known(code: int) -> bool:
    """Whether the number has a name here or in DC-05's ranges that this table judges."""
    return code in _KNOWN or role_of(code) is not Role.TROUBLE or 300 <= code < 400


_KNOWN: Final = frozenset(int(code) for code in Code)


SCHEDULE: Final = frozenset({int(Code.EARLY_OPEN_CLOSE), int(Code.LATE_OPEN_CLOSE)})
"""NEW is an opening out of hours (R27), a case; RESTORE is a closing, a note."""

BACK: Final = frozenset({int(Code.BOOT), int(Code.PANEL_RESET)})
"""The panel runs again: ends a PANEL_SHUTDOWN."""


def words_of(detail: str) -> set[str]:
    """The tokens of a detail."""
    return set(re.split(r"[\s;,:=]+", detail))


def path_of(code: int, detail: str) -> str:
    """Which path a loss concerns; PANEL_LOST names its path in `detail`, the MQTT one if none."""
    phone = code == Code.PANEL_LOST and "phone" in words_of(detail)
    return "phone" if phone or code == Code.PATH_PHONE_FAULT else "ip"


def subject_of(event: PanelEvent) -> str:
    """What tells apart two faults of one code, area and zone, beyond these."""
    code, detail = event.code, event.detail
    if code == Code.SEQUENCE_GAP:
        return detail.partition(";why=")[0]
    if code in _ONE_PATH:
        return path_of(code, detail)
    if code == Code.LINE_FAULT:
        return detail.partition(";")[0]
    if code == Code.UNRECOGNISED_CALL:
        return detail
    if code in _BY_ROLE and not event.zone:
        return re.split(r"[\s:]", detail, maxsplit=1)[0]
    return ""


_ONE_PATH: Final = frozenset(
    {int(Code.PANEL_LOST), int(Code.PATH_IP_FAULT), int(Code.PATH_PHONE_FAULT)}
)


def fault_of(event: PanelEvent) -> tuple[int, int, int, str]:
    """Reports of equal faults make one trouble case.

    That a path is lost is one fault, whether the centre notices it or the panel tells it (350, 351)
    by the other path.
    """
    if event.code in _ONE_PATH:
        return int(Code.PANEL_LOST), 0, 0, path_of(event.code, event.detail)
    return event.code, event.area, event.zone, subject_of(event)


_BY_ROLE: Final = frozenset({int(Code.PANEL_TAMPER), int(Code.ZONE_TROUBLE)})
