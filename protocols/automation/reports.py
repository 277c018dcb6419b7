"""Fields of a receiver's line -> Reports, alike for all dialects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from protocols import phone_batch
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


OPENING: Final = {
    "O": EventRule(401, Qualifier.NEW, by_user=True),
    "C": EventRule(401, Qualifier.RESTORE, by_user=True),
}
"""The event letters of receivers' lines that their manuals give a meaning (Sur-Gard MLR2-DG p. 39);
the others are what the receiver's library was set to: see the account's profile."""


def letter(
    line: str, account: str, event: str, number: str, accounts: Accounts, form: str = "pulse"
) -> Report:
    """An event sign and a zone or user as receivers print them."""
    account = account.strip()
    events = accounts.of(account).events
    rule = events.get(event + number) or events.get(event) or OPENING.get(event, UNKNOWN_ALARM)
    value = number_of_digits(number) if number else sign_value(event)
    return report(line, account, form, event_by(rule, value, f"event={event}{number}"))


def sign_value(event: str) -> int:
    """A digit's own value where no number follows it; other signs have none."""
    return value_of(event) if len(event) == 1 and event in "0123456789BCDEF" else 0


def channels(
    line: str, account: str, status: str, x: str, accounts: Accounts
) -> tuple[Report, ...]:
    """A channel block, in groups of eight."""
    profile = accounts.of(account)
    events = [
        replace(event, zone=event.zone + first) if event.zone else event
        for first in range(0, len(status), 8)
        for event in channel_events(status[first : first + 8], x, profile)
    ]
    return several(line, account, "high-speed", tuple(events))


def sia(line: str, blocks: SiaBlocks, account: str = "") -> tuple[Report, ...]:
    """SIA text."""
    return several(line, blocks.account or account, "sia", blocks.events)


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
