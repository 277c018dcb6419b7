"""Case and Handover: the operator's work on what happened, with its evidence and decisions.

Stored in the ledger as they are; a later version of a Case replaces an earlier one of the same id.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from protocols.instants import UtcTime
from protocols.panel_event import PanelEvent


class Kind(StrEnum):
    """What sort of case it is; it never changes."""

    BURGLARY = "burglary"
    HOLDUP = "holdup"
    FIRE = "fire"
    TAMPER = "tamper"
    TROUBLE = "trouble"
    MEDICAL = "medical"
    ENVIRONMENT = "environment"


class State(StrEnum):
    """Where a case stands. HANDED_OVER and CLOSED are acts and are not undone by late evidence."""

    UNCONFIRMED = "unconfirmed"
    CONFIRMED = "confirmed"
    HANDED_OVER = "handed_over"
    CANCELLED = "cancelled"
    CLOSED = "closed"


class Outcome(StrEnum):
    """How a case ended. RESTORED: a trouble went away by itself; MERGED: see `merged_into`."""

    OPEN = ""
    REAL = "real"
    FALSE = "false"
    TEST = "test"
    UNKNOWN = "unknown"
    RESTORED = "restored"
    MERGED = "merged"


class Destination(StrEnum):
    """Who must be told (R51, R127)."""

    POLICE = "110"
    FIRE_SERVICE = "119"
    AMBULANCE = "120"
    GUARDS = "guards"


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """One Occurrence as it stands in a case. `occurrence` is its id.

    `late`: it arrived after later ones of its panel. `test`: the account was on test (H6).
    `restored_at`: its own restore (F7). `counted` False: trips of a runaway detector beyond the
    limit, which are kept but prove nothing.
    """

    occurrence: int
    event: PanelEvent
    at: UtcTime
    err_us: int
    received: UtcTime
    paths: tuple[str, ...] = ()
    epoch: int = 0
    seq: int = 0
    boot: str = ""
    mono: int | None = None
    recorded: bool = True
    late: bool = False
    test: bool = False
    counted: bool = True
    restored_at: UtcTime | None = None


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a rule made of the evidence. `rules` is the rule file's version, `sha256` its digest.

    `outcome` is the state reached, or `noted` / `doubt` when the rule left the state alone;
    `why` is a token the sentence turns into words.
    """

    rule: str
    outcome: str
    why: str
    at: UtcTime
    evidence: tuple[int, ...]
    rules: str
    sha256: str


class Context(msgspec.Struct, frozen=True, omit_defaults=True):
    """What else is known of the area, for the sentence. None: not known or did not happen."""

    armed: bool | None = None
    armed_since: UtcTime | None = None
    armed_by: int = 0
    mode: str = ""
    entry_door_at: UtcTime | None = None
    disarmed_at: UtcTime | None = None
    disarmed_by: int = 0
    cancelled_at: UtcTime | None = None
    cancelled_by: int = 0
    path_lost_at: UtcTime | None = None
    recent_close: bool = False
    """Armed less than two minutes before (CP-01)."""
    exit_error: bool = False


class Case(msgspec.Struct, frozen=True, omit_defaults=True):
    """The operator's work on one or more Occurrences of one panel.

    `id` is the lowest Occurrence id in it, that is the first that arrived. `verdict` is what the
    rules say of the evidence alone; `state` adds what was done (handed over, closed). `more` counts
    evidence not kept in full, `runaway` the zones that tripped too often.
    """

    id: int
    panel: str
    areas: tuple[int, ...]
    kind: Kind
    state: State
    verdict: State
    opened_at: UtcTime
    updated_at: UtcTime
    occurrences: tuple[Evidence, ...]
    decisions: tuple[Decision, ...] = ()
    handed_to: tuple[Destination, ...] = ()
    test: bool = False
    grade: str = ""
    """`confirmed_holdup`: SIA HV / Contact ID 129 (standards 3.3)."""
    outcome: Outcome = Outcome.OPEN
    taken_by: str = ""
    closed_by: str = ""
    closed_at: UtcTime | None = None
    note: str = ""
    window_until: UtcTime | None = None
    window_over: bool = False
    more: int = 0
    runaway: tuple[int, ...] = ()
    unknown_code: bool = False
    merged_into: int = 0
    context: Context = Context()


class Handover(msgspec.Struct, frozen=True, omit_defaults=True):
    """A case that must be told to `to`. State `due`: nothing is sent; the operator tells them."""

    case: int
    panel: str
    kind: Kind
    at: UtcTime
    to: Destination
    reason: str
    rules: str
    sha256: str
    evidence: tuple[int, ...] = ()
    state: str = "due"


class OperatorAct(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an operator did to a case: `act` is take or close; a close has an outcome."""

    case: int
    act: str
    operator: str
    outcome: Outcome = Outcome.OPEN
    note: str = ""
