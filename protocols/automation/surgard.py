"""Sur-Gard MLR2, MLR2000, System family (protocols.md 3.1): ASCII, a frame ends in DC4 (14 hex).

    5RRL 18AAAAQXYZGGCCC          Contact ID, Q = E R P       (3-digit head: RR receiver, L line)
    5RRLLL 18AAAAQXYZGGCCC        the same with a 5-digit head
    1RRL      AAAA X  YY          pulse formats: event X, zone or user YY; O and C with a user
    3RRL    AAAAAACCnnnn          SIA code and number
    SRRL[#AAAA|Nri1/BA5]          SIA text
    8RRLAAAA CCCC CCCC C          High Speed channels 1-4, 5-8, 9
    6RRL      AAAAXXYYYY          BFSK
    1011           @              heartbeat (11 and 4 spaces); 1RR000 with a 5-digit head

ACK 06 within 4 s, NAK 15; a frame without ACK comes three times more, then with a heartbeat's ACK.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from protocols.automation import reports
from protocols.automation.dialect import Bad, Beat, Line, Reading
from protocols.automation.effects import Content
from protocols.automation.framing import Framing
from protocols.automation.reports import Accounts
from protocols.contact_id.sia_text import read_data

DC4: Final = 0x14
ACK: Final = b"\x06"
NAK: Final = b"\x15"
CLAUSE: Final = "Sur-Gard line"

Fields = Mapping[str, str]
Make = Callable[[str, Fields, Accounts], tuple[Content, ...]]


def _contact_id(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    return (reports.contact_id(line, fields, accounts),)


def _basic(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    event = fields["event"]
    one = reports.letter(line, fields["account"], event, fields["number"], accounts)
    return (one,)


def _sia(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    text = f"#{fields['account'].strip()}|N{fields['code']}{fields['number']}"
    return reports.sia(line, read_data(text, accounts.sia_codes))


def _sia_text(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    return reports.sia(line, read_data(fields["text"], accounts.sia_codes))


def _high_speed(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    status = fields["channels"].replace(" ", "")
    return reports.channels(line, fields["account"], status, fields["x"], accounts)


def _bfsk(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    event = fields["event"].strip()
    one = reports.letter(line, fields["account"], event, fields["number"].strip(), accounts, "bfsk")
    return (one,)


_SHORT: Final = "(?P<account>[0-9A-F]{2,6})"
_FIELDS: Final = "(?P<q>[ERP0-9])(?P<code>[0-9B-F]{3})(?P<area>[0-9B-F]{2})(?P<number>[0-9B-F]{3})"
_FORMS: Final[tuple[tuple[str, str, Make], ...]] = (
    ("5", " (?P<mt>18|98|58)(?P<account>[0-9A-F]{10}|[0-9A-F]{4})" + _FIELDS, _contact_id),
    ("5", "(?P<account>[0-9A-F]{4})(?P<mt>18|98)" + _FIELDS, _contact_id),
    (
        "1",
        f" {{2,8}}{_SHORT} (?P<event>[0-9A-Z])[0-9A-F ] {{0,2}}(?P<number>[0-9A-F]{{0,4}}) *",
        _basic,
    ),
    ("1", f" {{2,8}}{_SHORT} (?P<event>[0-9A-Z])(?P<number>) *", _basic),
    (
        "3",
        " {4}(?P<account>[ 0-9A-F]{5}[0-9A-F])(?P<code>[A-Z]{2})(?P<number>[0-9A-F]{0,4}) *",
        _sia,
    ),
    ("3", f" *{_SHORT}(?P<code>[A-Z]{{2}})(?P<number>[0-9A-F]{{0,4}}) *", _sia),
    ("S", r"\[?(?P<text>#[^\]]*(?:\][^\]]+)*)\]?", _sia_text),
    ("8", f" *{_SHORT} (?P<channels>(?:[0-9B-F]{{4}} ){{2,4}})(?P<x>[0-9B-F])", _high_speed),
    (
        "6",
        " {6}(?P<account>[ 0-9A-F]{3}[0-9A-F])(?P<event>[0-9A-Za-z ]{2})(?P<number>[0-9A-F ]{0,4})",
        _bfsk,
    ),
)
_HEADS: Final = {3: "[0-9A-F]{2}[0-9A-Z]", 5: "[0-9A-F]{2}[0-9A-F]{3}"}
_READERS: Final = {
    digits: tuple((re.compile(kind + head + form), make) for kind, form, make in _FORMS)
    for digits, head in _HEADS.items()
}
_BEAT: Final = re.compile("1[0-9A-F]{2}(?:[0-9A-Z]|[0-9A-F]{3}) +@ *")


@dataclass(frozen=True, slots=True)
class SurGard:
    """`head_digits` 3 (MLR2) or 5 (MLR2000, System family): tried first; a line that only the other
    reads is taken by that, for a wrong setting must not cost an alarm.
    """

    head_digits: int = 3
    accounts: Accounts = field(default_factory=Accounts)

    @property
    def name(self) -> str:
        """`sur-gard-3` or `sur-gard-5`."""
        return f"sur-gard-{self.head_digits}"

    @property
    def framing(self) -> Framing:
        """Up to DC4."""
        return Framing(None, DC4)

    @property
    def nak(self) -> bytes:
        """15 hex."""
        return NAK

    def read(self, frame: bytes) -> Reading:
        """Known types strictly; others when they come twice."""
        line = reports.text_of(frame)
        if _BEAT.fullmatch(line):
            return Beat(ACK)
        for digits in (self.head_digits, 8 - self.head_digits):
            for form, make in _READERS[digits]:
                found = form.fullmatch(line)
                if found is not None:
                    return Line(make(line, found.groupdict(), self.accounts), ACK)
        other = Line((reports.unrecognised(line, self.name, "unknown kind of line"),), ACK)
        return Bad("not a line of this receiver", CLAUSE, other)
