"""PanelEvent <-> Contact ID message, with nothing lost on the way there and back.

Numbers: decimal digits are their number; digits with B-F, which no standard code has, become
HEX_BASE + their hexadecimal value, so that any field can be told from any other and written again.
A qualifier outside 1, 3, 6 is taken as NEW (an unknown alarm is an alarm) and kept in `detail`.
"""

from __future__ import annotations

from typing import Final

from protocols import phone_batch
from protocols.contact_id.codes import Number, meaning_of
from protocols.contact_id.message import HEX_BASE, Message
from protocols.panel_event import Code, PanelEvent, Qualifier

OWN_CODES: Final = 1000
_Q_MARK: Final = "cid_q="
_QUALIFIERS: Final = {"1": Qualifier.NEW, "3": Qualifier.RESTORE, "6": Qualifier.STATUS}
_Q_DIGITS: Final = "0123456789BCDEF"

STANDARD_CODES: Final[dict[int, int]] = {
    Code.ABORT: Code.ALARM_CANCEL,
    Code.CODE_LOCKOUT: Code.WRONG_CODE,
    Code.PANEL_ON_TEST: Code.WALK_TEST,
    Code.PATHS_TAMPERED: Code.PATH_IP_FAULT,
    Code.BOOT: Code.PANEL_RESET,
    Code.STATE_LOST: Code.PANEL_RESET,
    Code.TASK_RESTARTED: 307,
    Code.JOURNAL_FAULT: 300,
    Code.CERTIFICATE_FAULT: 300,
    Code.EPOCH_OPENED: 621,
    Code.RECORDS_UNAVAILABLE: 624,
    Code.CLOCK_STEPPED: Code.CLOCK_SET,
    Code.OUTPUT_FAULT: Code.SOUNDER_FAULT,
    Code.NODE_FORGED: Code.NODE_TAMPER,
    Code.NODE_DUPLICATE: Code.NODE_TAMPER,
    Code.NODE_OVERFLOW: Code.NODE_LOST,
    Code.BUS_NOISE: Code.BUS_FAULT,
    Code.SABOTAGE: Code.PANEL_TAMPER,
}
"""Tocsin's own codes that have a standard neighbour. The rest goes by MQTT only: a door opened with
no alarm, delays, alarm memory, arming refused, entry route, siren silenced, a node's restart or
update, the centre's own."""


def phone_code_of(code: int) -> int | None:
    """The code that `code` bears on the phone line; None: it cannot be told there."""
    if 0 <= code < OWN_CODES or HEX_BASE <= code < HEX_BASE + 0x1000:
        return code
    return STANDARD_CODES.get(code)


def message_of(event: PanelEvent, account: str, mt: str = "18") -> Message | None:
    """The event as sent by `account` (4 or 10 digits 0-9, B-F); None when it has no Contact ID
    code. An area over 99 or a zone or user over 999, which no digits hold, is sent as "none".
    """
    code = phone_code_of(event.code)
    digits = None if code is None else digits_of_number(code, 3)
    if code is None or digits is None:
        return None
    by_user = meaning_of(code) is Number.USER
    return Message(
        account=account,
        mt=mt,
        q=_q_of(event),
        code=digits,
        area=digits_of_number(event.area, 2) or "00",
        number=digits_of_number(event.user if by_user else event.zone, 3) or "000",
    )


def event_of(message: Message) -> PanelEvent:
    """What the message tells: any digits give an event, and `message_of` gives them back."""
    code = number_of_digits(message.code)
    number = number_of_digits(message.number)
    by_user = meaning_of(code) is Number.USER
    known = _QUALIFIERS.get(message.q)
    return PanelEvent(
        code=code,
        q=Qualifier.NEW if known is None else known,
        area=number_of_digits(message.area),
        zone=0 if by_user else number,
        user=number if by_user else 0,
        detail="" if known is not None else f"{_Q_MARK}{message.q}",
    )


def number_of_digits(digits: str) -> int:
    """Wire digits (0-9, B-F) as a number: decimal, or HEX_BASE + value when one is B-F."""
    return int(digits) if digits.isdecimal() else HEX_BASE + int(digits, 16)


def digits_of_number(number: int, width: int) -> str | None:
    """The inverse of `number_of_digits`; None for a number that `width` digits cannot hold."""
    if 0 <= number < 10**width:
        return f"{number:0{width}d}"
    text = f"{number - HEX_BASE:0{width}X}" if number >= HEX_BASE else ""
    hexadecimal = len(text) == width and "A" not in text and not text.isdecimal()
    return text if hexadecimal else None


def mark_message(
    seq: int, account: str, code: int = phone_batch.MARK_CODE, mt: str = "18"
) -> Message:
    """The mark that joins a call to the PHONE_BATCH Record `seq` (phone_batch, D12)."""
    area, zone = phone_batch.mark_of(seq)
    return Message(account, "1", f"{code:03d}", f"{area:02d}", f"{zone:03d}", mt)


def mark_in(message: Message, code: int = phone_batch.MARK_CODE) -> int | None:
    """Number (seq mod MARK_MODULUS) of a mark; None when the message is none, or one that its own
    check digit denies: then it is an event like any other.
    """
    digits = message.area + message.number
    if message.q != "1" or message.code != f"{code:03d}" or not digits.isdecimal():
        return None
    return phone_batch.number_of(int(message.area), int(message.number))


def _q_of(event: PanelEvent) -> str:
    token = event.detail.removeprefix(_Q_MARK)
    if len(token) == 1 and token in _Q_DIGITS and event.detail != token:
        return token
    return f"{event.q:d}"
