"""What happened at the premises: one numbered kind with its area, zone or user.

Numbers up to 999 are SIA DC-05 (Contact ID) event codes, so that the phone path maps one to one;
numbers from 1000 are Tocsin's own and exist only on MQTT and in the journal.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Qualifier(IntEnum):
    """Contact ID qualifier. NEW is also opening (disarm), RESTORE is also closing (arm)."""

    NEW = 1
    RESTORE = 3
    STATUS = 6


class Code(IntEnum):
    """The kinds of PanelEvent this panel makes. A receiver accepts any other number too."""

    MEDICAL = 100
    FIRE = 110
    PANIC = 120
    DURESS = 121
    HOLDUP_SILENT = 122
    HOLDUP_AUDIBLE = 123
    BURGLARY = 130
    PERIMETER = 131
    INTERIOR = 132
    TWENTY_FOUR_HOUR = 133
    ENTRY_EXIT = 134
    PANEL_TAMPER = 137
    ZONE_TAMPER = 144
    GAS = 151
    WATER = 154
    MAINS_FAIL = 301
    BATTERY_LOW = 302
    PANEL_RESET = 305
    CONFIG_CHANGED = 306
    PANEL_SHUTDOWN = 308
    BATTERY_MISSING = 311
    SOUNDER_FAULT = 320
    BUS_FAULT = 331
    """A whole detector bus cannot be used: adapter gone, cable cut or shorted."""
    NODE_LOST = 333
    """A bus node does not answer as itself. `zone` is its address, as of all NODE_ codes."""
    NODE_POWER = 337
    NODE_TAMPER = 341
    PATH_IP_FAULT = 350
    PATH_PHONE_FAULT = 351
    FAILED_TO_COMMUNICATE = 354
    ZONE_TROUBLE = 380
    EXIT_ERROR = 374
    SWINGER_SHUTDOWN = 377
    CROSS_ZONE_TROUBLE = 378
    SENSOR_BATTERY_LOW = 384
    SENSOR_MASKED = 394
    OPEN_CLOSE = 401
    OPEN_CLOSE_AUTOMATIC = 403
    OPEN_CLOSE_LATE = 404
    ALARM_CANCEL = 406
    OPEN_CLOSE_REMOTE = 407
    OPEN_CLOSE_KEYSWITCH = 409
    ARMED_STAY = 441
    ARMED_NIGHT = 444
    EARLY_OPEN_CLOSE = 451
    LATE_OPEN_CLOSE = 452
    FAILED_TO_OPEN = 453
    FAILED_TO_CLOSE = 454
    RECENT_CLOSE = 459
    WRONG_CODE = 461
    ZONE_BYPASS = 570
    MANUAL_TEST = 601
    PERIODIC_TEST = 602
    WALK_TEST = 607
    JOURNAL_90_FULL = 623
    CLOCK_SET = 625
    CLOCK_INACCURATE = 626

    # Tocsin's own
    ZONE_STATE = 1001
    """Zone opened (NEW) or closed (RESTORE) with no alarm: kept as evidence."""
    ENTRY_DELAY = 1002
    EXIT_DELAY = 1003
    ABORT = 1004
    """An alarm disarmed inside the abort window, before the siren time was over (CP-01)."""
    ALARM_MEMORY = 1005
    """Latched until the stand-down order (R72). NEW latched, RESTORE stood down."""
    ARMING_REFUSED = 1006
    """`detail` lists the open zones (R137, R139)."""
    CODE_LOCKOUT = 1007
    PANEL_ON_TEST = 1008
    ENTRY_DOOR_OPENED = 1009
    """The set entry route was opened while armed: disables confirmation (BS 8243)."""
    PATHS_TAMPERED = 1010
    SIREN_SILENCED = 1011
    BOOT = 1020
    """First Record of each boot. `detail` tells the reset cause as far as known."""
    JOURNAL_FAULT = 1021
    EPOCH_OPENED = 1022
    """First Record of an epoch that follows a damaged one. `detail` says what was lost."""
    CLOCK_STEPPED = 1023
    CERTIFICATE_FAULT = 1024
    TASK_RESTARTED = 1025
    STATE_LOST = 1026
    """Arm state could not be restored; the panel armed itself rather than guess disarmed."""
    RECORDS_UNAVAILABLE = 1027
    OUTPUT_FAULT = 1028
    NODE_FORGED = 1031
    """Frames of a node that its key did not make, in clear text, replayed, or a wrong key (R99)."""
    NODE_OVERFLOW = 1032
    """A node had to drop changes; what its inputs are now was told."""
    NODE_DUPLICATE = 1033
    """Two nodes answer at one address."""
    BUS_NOISE = 1034
    """So many bad frames that the bus is not sound, or a node that never stops talking."""
    NODE_RESTARTED = 1035
    """A node came up anew; `detail` tells its reset cause."""
    NODE_UPDATED = 1036
    """A node runs another firmware (NEW), or went back to its last good one (RESTORE)."""
    SABOTAGE = 1037
    """Several nodes, or nodes and paths, vanished together; `detail` lists the parts."""
    PHONE_BATCH = 1030
    """Lists the Records a phone call carried (`phone_batch`): for joining, no Occurrence."""

    # Made at the centre, never by a panel
    PANEL_LOST = 1100
    """Heartbeat missing (NEW) or back (RESTORE)."""
    SEQUENCE_GAP = 1101
    IDENTITY_CONFLICT = 1102
    SITE_CHANGED = 1103
    UNRECOGNISED_CALL = 1105
    """A phone call nothing could be made of; `detail` names caller, handshakes and recording."""
    ACCOUNT_UNKNOWN = 1106
    ACCOUNT_COLLISION = 1107
    """A phone account that more than one panel may mean (only four digits are kept)."""
    LINE_FAULT = 1108
    """A phone line or hardware receiver at the centre lost (NEW) or back (RESTORE)."""
    RECEIVER_LOST = 1109
    PATH_PROVEN = 1110
    """A heartbeat came after a report by phone: its network path is up, and its newest Record is
    that of `detail` ("epoch=1;seq=7"). For joining, no Occurrence."""
    OPERATOR_ACT = 1104
    """What an operator did to a case; `detail` is the OperatorAct as JSON. Stored, so that a replay
    sees it, but no Occurrence."""


NODE_CODES: frozenset[int] = frozenset(
    {
        Code.NODE_LOST,
        Code.NODE_POWER,
        Code.NODE_TAMPER,
        Code.NODE_FORGED,
        Code.NODE_OVERFLOW,
        Code.NODE_DUPLICATE,
        Code.NODE_RESTARTED,
        Code.NODE_UPDATED,
    }
)
"""Here `zone` is the address of a bus node."""


class PanelEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened. `code` is a `Code` or any other number a receiver may meet.

    0 for area, zone or user means none. `detail` is a short machine-readable token list.
    """

    code: int
    q: Qualifier = Qualifier.NEW
    area: int = 0
    zone: int = 0
    user: int = 0
    test: bool = False
    detail: str = ""


class Priority(IntEnum):
    """Reporting order, first goes first (DESIGN: hold-up, fire, burglary, tamper, ...)."""

    HOLDUP = 0
    FIRE = 1
    BURGLARY = 2
    TAMPER = 3
    TROUBLE = 4
    OPEN_CLOSE = 5
    TEST = 6
    LOG = 7


_EXACT: dict[int, Priority] = {
    Code.PHONE_BATCH: Priority.HOLDUP,  # ahead of the Records it lists, which then join at once
    Code.PANEL_TAMPER: Priority.TAMPER,
    Code.ZONE_TAMPER: Priority.TAMPER,
    Code.SENSOR_MASKED: Priority.TAMPER,
    Code.PATHS_TAMPERED: Priority.TAMPER,
    Code.NODE_TAMPER: Priority.TAMPER,
    Code.NODE_FORGED: Priority.TAMPER,
    Code.NODE_DUPLICATE: Priority.TAMPER,
    Code.SABOTAGE: Priority.TAMPER,
    Code.DURESS: Priority.HOLDUP,
    Code.ALARM_CANCEL: Priority.BURGLARY,
    Code.ABORT: Priority.BURGLARY,
    Code.ENTRY_DOOR_OPENED: Priority.BURGLARY,
    Code.ALARM_MEMORY: Priority.OPEN_CLOSE,
    Code.ZONE_STATE: Priority.LOG,
    Code.ENTRY_DELAY: Priority.LOG,
    Code.EXIT_DELAY: Priority.LOG,
    Code.ARMING_REFUSED: Priority.OPEN_CLOSE,
    Code.SIREN_SILENCED: Priority.OPEN_CLOSE,
    Code.WRONG_CODE: Priority.TROUBLE,
}


def priority_of(code: int) -> Priority:
    """Reporting priority of a numbered kind; unknown numbers go as trouble, never last."""
    exact = _EXACT.get(code)
    if exact is not None:
        return exact
    match code:
        case _ if 120 <= code < 130:
            return Priority.HOLDUP
        case _ if 100 <= code < 120 or 150 <= code < 210:
            return Priority.FIRE
        case _ if 130 <= code < 150:
            return Priority.BURGLARY
        case _ if 400 <= code < 500 or 570 <= code < 580:
            return Priority.OPEN_CLOSE
        case _ if 600 <= code < 700:
            return Priority.TEST
        case _:
            return Priority.TROUBLE
