"""Sur-Gard MLR2, MLR2000, System family (protocols.md 3.1): ASCII, a frame ends in DC4 (14 hex).

    5RRL 18AAAAQXYZGGCCC          Contact ID, Q = E R P       (3-digit head: RR receiver, L line)
    5RRLLL 18AAAAQXYZGGCCC        the same with a 5-digit head; Q... 58 with ten account digits
    1RRL    AAAAAA XGYYY          pulse formats: event X, area G or blank, zone or user YYY
    3RRL    AAAAAACCnnnn          SIA code and number
    SRRL[#AAAA|Nri1/BA5]          SIA text; 0RRL[#0000|Nxxyy] the receiver's own
    8RRLAAAA CCCC CCCC C          High Speed channels 1-4, 5-8, 9; 16 and 1; also CCCCCCCC C
    9RRL    AAAACCCCCCCC          Super Fast
    6RRL      AAAAXXYYYY          BFSK, Modem II; accounts of up to ten digits; also as type 1
    TRRLAAAAAA E  ZZ              Telenot
    1011           @              heartbeat (11 and 4 spaces); 1RR000 with a 5-digit head

A receiver can be set to print its clock behind each, HH:MM:SS-dd/mm, and over TCP to begin each
packet with 00 00 and the BCD length of the whole packet ("B32"); it is then answered so.
ACK 06 within 4 s, NAK 15; a frame without ACK comes three times more, then with a heartbeat's ACK.
Sources: MLR2-E automation output (sg-security-communications.manymanuals mlr2-e 26972) p. 4-41,
MLR2-DG manual p. 38-43.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from protocols.automation import reports
from protocols.automation.dialect import Bad, Beat, Line, Reading
from protocols.automation.effects import Content
from protocols.automation.framing import Framing
from protocols.automation.reports import Accounts
from protocols.contact_id.profile import EventRule
from protocols.contact_id.sia_text import read_data
from protocols.panel_event import PanelEvent, Qualifier

DC4: Final = 0x14
ACK: Final = b"\x06"
NAK: Final = b"\x15"
CLAUSE: Final = "Sur-Gard line"
B32_BYTES: Final = 4
TELENOT: Final = {
    "A": EventRule(140),
    "F": EventRule(380),
    "H": EventRule(380, Qualifier.RESTORE),
    "K": EventRule(140, Qualifier.RESTORE),
    "L": EventRule(380),
    "N": EventRule(120),
    "R": EventRule(602, number=0),
    "T": EventRule(401, Qualifier.RESTORE, by_user=True),
    "U": EventRule(401, Qualifier.NEW, by_user=True),
}
"""MLR2-DG manual p. 38; what it names otherwise (call, remote programming) surfaces as an alarm."""
KINDS: Final = {
    "4": "telephone number of a caller",
    "7": "ITI line",
    "A": "telephone number of a caller",
    "C": "Silent Knight FSK2 line",
    "D": "ADT line",
    "J": "FBI line",
    "L": "Outel line",
    "N": "Stratel line",
    "P": "DMP line",
    "U": "telephone number of a caller",
    "V": "VONK line",
    "W": "Westec line",
    "Y": "Surtec line",
    "e": "ADT pulse line",
    "s": "SIM number of a caller",
    "u": "name of a caller",
}
"""First signs of lines whose fields are not read: kept whole and shown."""

Fields = Mapping[str, str]
Make = Callable[[str, Fields, Accounts], tuple[Content, ...]]


def _contact_id(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    return (reports.contact_id(line, fields, accounts),)


def _basic(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    """X G YYY by columns; what is shorter has no room for the area."""
    event, tail = fields["event"], fields["tail"]
    area, number = (tail[0], tail[1:]) if len(tail) == len("GYYY") else ("", tail)
    if event == "P" and fields["account"].strip() == reports.RECEIVER:  # two-way audio on line YYY
        told = PanelEvent(606, zone=int(number.strip() or "0", 16), detail="event=P")
        return (reports.report(line, reports.RECEIVER, reports.OWN, told),)
    group = int(area, 16) if area.strip() else 0
    one = reports.letter(
        line, fields["account"], event.strip(), number.strip(), accounts, area=group
    )
    return (one,)


def _sia(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    text = f"#{fields['account'].strip()}|N{fields['code']}{fields['number'].strip()}"
    return reports.sia(line, read_data(text, accounts.sia_codes))


def _sia_text(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    return reports.sia(line, read_data(fields["text"], accounts.sia_codes))


def _own(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    blocks = read_data(fields["text"], accounts.sia_codes)
    return reports.sia(line, blocks, reports.RECEIVER, reports.OWN)


def _channels(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    status = fields["channels"].replace(" ", "")
    return reports.channels(line, fields["account"], status, fields.get("x", "7"), accounts)


def _bfsk(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    event, number = fields["event"].strip(), fields["number"].strip()
    rules = reports.RADIONICS
    one = reports.letter(line, fields["account"], event, number, accounts, "bfsk", rules=rules)
    return (one,)


def _telenot(line: str, fields: Fields, accounts: Accounts) -> tuple[Content, ...]:
    account, event, number = fields["account"], fields["event"], fields["number"].strip()
    return (reports.letter(line, account, event, number, accounts, "telenot", rules=TELENOT),)


_SHORT: Final = "(?P<account>[0-9A-F]{2,6})"
_FIELDS: Final = "(?P<q>[ERP0-9])(?P<code>[0-9B-F]{3})(?P<area>[0-9B-F]{2})(?P<number>[0-9B-F]{3})"
_TEXT: Final = r"\[?(?P<text>#[^\]]*(?:\][^\]]+)*)\]?"
_TAIL: Final = "(?P<tail>[0-9A-F ](?= {0,3}[0-9A-F]{0,3} *$).{3}| {0,3}[0-9A-F]{0,3}) *"
_BASIC: Final = reports.columns(10, 2) + " (?P<event>[0-9A-Z ])" + _TAIL
_LOOSE: Final = f" {{2,8}}{_SHORT} (?P<event>[0-9A-Z])" + _TAIL
"""Of senders that do not keep the columns."""
_SIA: Final = f"(?P<code>[A-Z]{{2}})(?P<number>{reports.NUMBER}) *"
_JOINED: Final = "[0-9B-F]{8}(?:[0-9B-F]{8})?|[0-9B-F]{8} [0-9B-F]{8}"
_BFSK: Final = f"(?P<event>[0-9A-Za-z ]{{2}})(?P<number>{reports.NUMBER})"
_TELENOT: Final = " (?P<event>[A-Z])  (?P<number>[ 0-9A-F][0-9A-F])"
_FORMS: Final[tuple[tuple[str, str, Make], ...]] = (
    ("[5Q]", " (?P<mt>18|98|58)(?P<account>(?:[0-9A-F]{2}){2,5})" + _FIELDS, _contact_id),
    ("5", "(?P<account>[0-9A-F]{4})(?P<mt>18|98)" + _FIELDS, _contact_id),
    ("1", _BASIC, _basic),
    ("1", reports.columns(10, 3) + _BFSK, _bfsk),
    ("1", _LOOSE, _basic),
    ("3", " {4}" + reports.columns(6, 1) + _SIA, _sia),
    ("3", f" *{_SHORT}{_SIA}", _sia),
    ("S", _TEXT, _sia_text),
    ("0", _TEXT, _own),
    ("8", f" *{_SHORT} (?P<channels>(?:[0-9B-F]{{4}} ){{2,4}})(?P<x>[0-9B-F])", _channels),
    ("8", f" *{_SHORT} (?P<channels>{_JOINED}) ?(?P<x>[0-9B-F])", _channels),
    ("9", " *(?P<account>[0-9A-F]{4})(?P<channels>[0-9B-F]{8})", _channels),
    ("6", reports.columns(10, 3) + _BFSK, _bfsk),
    ("T", reports.columns(6, 1) + _TELENOT, _telenot),
)
_WEAK: Final = re.compile("[5Q][0-9A-Z]{3,5} (?P<mt>18|98|58)(?P<account>[0-9A-F]{3,9})" + _FIELDS)
"""Accounts of an odd length, else of an even one: one sign lost on the way must not make another
account, so these have to come twice.
"""
_HEADS: Final = {3: "[0-9A-F]{2}[0-9A-Z]", 5: "[0-9A-F]{2}[0-9A-F]{3}"}
_READERS: Final = {
    digits: tuple((re.compile(kind + head + form), make) for kind, form, make in _FORMS)
    for digits, head in _HEADS.items()
}
_BEAT: Final = re.compile("1[0-9A-F]{2}(?:[0-9A-Z]|[0-9A-F]{3}) +@ *")
_CLOCK: Final = re.compile(r"(?<=.{15})[0-2][0-9]:[0-5][0-9]:[0-5][0-9]-[0-3][0-9]/[01][0-9]$")


@dataclass(frozen=True, slots=True)
class SurGard:
    """`head_digits` 3 (MLR2) or 5 (MLR2000, System family): tried first; a line that only the other
    reads is taken by that, for a wrong setting must not cost an alarm. A packet with its length
    before it (B32) is known by that length.
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

    @property
    def ack_s(self) -> float:
        """It waits 4 s (it can be set to more)."""
        return 3.5

    def read(self, frame: bytes) -> Reading:
        """Known types strictly; others when they come twice."""
        reading = self._read(reports.text_of(frame), ACK)
        body = unpacked(frame) if isinstance(reading, Bad) else None
        if body is None:
            return reading
        inner = self._read(reports.text_of(body), packed(ACK))
        return replace(inner, nak=packed(NAK)) if isinstance(inner, Bad) else inner

    def _read(self, line: str, ack: bytes) -> Reading:
        if _BEAT.fullmatch(line):
            return Beat(ack)
        told = _CLOCK.sub("", line)
        for digits in (self.head_digits, 8 - self.head_digits):
            for form, make in _READERS[digits]:
                found = form.fullmatch(told)
                if found is not None:
                    return Line(make(line, found.groupdict(), self.accounts), ack)
        weak = _WEAK.fullmatch(told)
        if weak is not None:
            twice = Line(_contact_id(line, weak.groupdict(), self.accounts), ack)
            return Bad("account of an odd length", CLAUSE, twice)
        kind = KINDS.get(line[:1], "unknown kind of line")
        other = reports.strange(line, self.name, kind, ack)
        return Bad("not a line of this receiver", CLAUSE, other)


def packed(data: bytes) -> bytes:
    """With the four bytes of B32 before it: 00 00 and the length of all in BCD."""
    return bytes.fromhex(f"{len(data) + B32_BYTES:08d}") + data


def unpacked(frame: bytes) -> bytes | None:
    """A frame (without its DC4, and mostly without leading NULs) behind its B32 length; None: what
    stands first is not its length.
    """
    for size in (1, 2):
        body = frame[size:]
        if frame[:size] == packed(body + b"\x14")[:B32_BYTES].lstrip(b"\x00"):
            return body
    return None
