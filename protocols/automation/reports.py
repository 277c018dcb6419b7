"""Fields of a receiver's line -> Reports, alike for all dialects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from protocols import phone_batch
from protocols.automation.dialect import Line
from protocols.contact_id.channels import channel_events
from protocols.contact_id.mapping import event_of, mark_in, number_of_digits
from protocols.contact_id.message import Message
from protocols.contact_id.profile import (
    UNKNOWN_ALARM,
    EventRule,
    Profile,
    event_by,
    event_of_digits,
    value_of,
)
from protocols.contact_id.sia_codes import SIA_CODES, SiaCode
from protocols.contact_id.sia_text import SiaBlocks
from protocols.mqtt.reception import Report, Unrecognised
from protocols.panel_event import PanelEvent, Qualifier

MAX_RAW: Final = 500
MIN_LINE: Final = 6
BY_USER: Final = frozenset("24")
OF_ZONES: Final = frozenset("357")
"""Ninth digits of High Speed (protocols.md 4.2) that speak of a user, and of each zone."""
MAX_ACCOUNT: Final = 16
_Q_OF: Final = {"E": "1", "R": "3", "P": "6"}


@dataclass(frozen=True, slots=True)
class Accounts:
    """What must be known beyond the line. `profiles`: by account, for one-digit events and
    channels; `profile` for the others. `mark_code`: the sequence mark's code (phone_batch).
    """

    profiles: Mapping[str, Profile] = field(default_factory=dict)
    profile: Profile = field(default_factory=Profile)
    mark_code: int = phone_batch.MARK_CODE
    sia_codes: Mapping[str, SiaCode] = field(default_factory=lambda: SIA_CODES)

    def of(self, account: str) -> Profile:
        """The profile of an account."""
        return self.profiles.get(account, self.profile)


def text_of(frame: bytes) -> str:
    """A frame as text: UTF-8 where it is that, else byte by byte."""
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return frame.decode("latin-1")


def shown(line: str) -> str:
    """A line as it may stand on a screen and in a Report: control signs in hex, bounded."""
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in line)[:MAX_RAW]


def contact_id(
    line: str, fields: Mapping[str, str], accounts: Accounts, user: bool | None = None
) -> Report:
    """`fields`: account, mt, q (E R P or digit), code, area, number. `user`: the receiver itself
    says whether the number is a user.
    """
    message = Message(
        account=fields["account"],
        q=_Q_OF.get(fields["q"], fields["q"]),
        code=fields["code"],
        area=fields["area"],
        number=fields["number"],
        mt=fields["mt"],
    )
    event = event_of(message)
    number = event.user or event.zone
    if user is not None and number and user != bool(event.user):
        event = replace(event, user=number if user else 0, zone=0 if user else number)
    mark = mark_in(message, accounts.mark_code)
    return report(line, message.account, "contact-id", event, mark=mark)


def digits(line: str, account: str, event: str, form: str, accounts: Accounts) -> Report:
    """A one- or two-digit event (pulse, Express)."""
    return report(line, account, form, event_of_digits(event, accounts.of(account)))


NUMBER: Final = " {0,4}[0-9A-F]{0,4}"
"""Pattern of a zone or user at the right of its columns."""


def columns(width: int, least: int) -> str:
    """Pattern of account digits at the right of `width` columns."""
    some = "|".join(f" {{{width - n}}}[0-9A-F]{{{n}}}" for n in range(width, least - 1, -1))
    return f"(?P<account>{some})"


RECEIVER: Final = "0000"
"""The account of what a receiver tells of itself, as Sur-Gard has it (System 5 manual p. 78)."""
OWN: Final = "receiver"
"""The format of such Reports."""

EVENTS: Final = {
    "A": UNKNOWN_ALARM,
    "C": EventRule(401, Qualifier.RESTORE, by_user=True),
    "O": EventRule(401, Qualifier.NEW, by_user=True),
    "R": EventRule(UNKNOWN_ALARM.code, Qualifier.RESTORE),
    "T": EventRule(380),
}
"""The event letters that Sur-Gard's manual (MLR2-E automation output p. 15) and Bosch's (D6600
computer interface, appendix C) read alike. F is a cancel to one and a fire to the other: such
letters, and all that the receiver's own library says, are the account profile's, else an alarm."""

RADIONICS: Final = {
    **EVENTS,
    "F": EventRule(110),
    "G": EventRule(373),
    "H": EventRule(110, Qualifier.RESTORE),
    "N": EventRule(570),
}
"""The letters of D6500 lines, of Radionics panels' BFSK and Modem formats (the same appendix)."""


def letter(
    line: str,
    account: str,
    event: str,
    number: str,
    accounts: Accounts,
    form: str = "pulse",
    area: int = 0,
    rules: Mapping[str, EventRule] = EVENTS,
) -> Report:
    """An event sign and a zone or user as receivers print them. `rules`: what the signs mean where
    the account's profile does not say.
    """
    account = account.strip()
    events = accounts.of(account).events
    rule = events.get(event + number) or events.get(event) or rules.get(event, UNKNOWN_ALARM)
    value = number_of_digits(number) if number else sign_value(event)
    told = event_by(rule, value, f"event={event}{number}")
    return report(line, account, form, replace(told, area=area) if area else told)


def sign_value(event: str) -> int:
    """A digit's own value where no number follows it; other signs have none."""
    return value_of(event) if len(event) == 1 and event in "0123456789BCDEF" else 0


def channels(
    line: str, account: str, status: str, x: str, accounts: Accounts
) -> tuple[Report, ...]:
    """A channel block, in groups of eight; what `x` says of the whole is told once."""
    profile = accounts.of(account)
    groups = [(first, status[first : first + 8]) for first in range(0, len(status), 8)]
    speaking = [(first, group) for first, group in groups if group.strip("5")] or groups[:1]
    if x in BY_USER:
        speaking = groups[:1]
    events: list[PanelEvent] = []
    for first, group in speaking:
        how = x if not events or x in OF_ZONES else "7"
        told = channel_events(group, how, profile)
        events += [replace(one, zone=one.zone + first) if one.zone else one for one in told]
    return several(line, account, "high-speed", tuple(events))


def sia(line: str, blocks: SiaBlocks, account: str = "", form: str = "sia") -> tuple[Report, ...]:
    """SIA text."""
    return several(line, blocks.account or account, form, blocks.events)


def several(
    line: str, account: str, form: str, events: tuple[PanelEvent, ...]
) -> tuple[Report, ...]:
    """One Report for each event, numbered."""
    return tuple(report(line, account, form, event, index) for index, event in enumerate(events))


def report(
    line: str,
    account: str,
    form: str,
    event: PanelEvent,
    index: int = 0,
    mark: int | None = None,
) -> Report:
    """A Report within the bounds of its fields."""
    return Report(
        account=account.strip().upper()[:MAX_ACCOUNT],
        format=form,
        raw=shown(line),
        event=event,
        index=index,
        mark=mark,
    )


def unrecognised(line: str, dialect: str, reason: str) -> Unrecognised:
    """A line of good form whose meaning nobody knows: kept and shown."""
    return Unrecognised(call="", tried=dialect, heard=shown(line), reason=reason)


def strange(line: str, dialect: str, reason: str, ack: bytes) -> Line | None:
    """The same, should it come again; None for what looks like no line at all."""
    if len(line) < MIN_LINE or not line.isascii() or not line.isprintable():
        return None
    return Line((unrecognised(line, dialect, reason),), ack)
