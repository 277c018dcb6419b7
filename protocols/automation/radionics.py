"""Radionics 6500 / D6500 mode, also of Bosch D6600 and VisorAlarm (protocols.md 3.3): space, DC4.

    aRRL AAAA18QXYZGGCCC          Contact ID, Q = 1 3 6 or E R P; 58: 10-digit account
    9RRL    AAAACCCCCCCC          Super Fast channels 1-8
    SRRL[#AAAA|Nri1/BA5]          SIA text
    fRRLAAAAAA CCCC CCCC C        High Speed
    1RRL      AAAAXXYYYY          others: event XX, number YYYY; accounts of up to ten digits
    b c                           Express, laid out as 1
    1RRL           @              heartbeat

What stands before a line (a space, LF, nothing) and what ends it (DC4, CR) is set in the receiver.
ACK 06, NAK 15; at the third NAK a D6600 skips the message.
Sources: D6600/D6100 computer interface manual (4998122703) p. 8-29, appendix C; D6500 manual p. 9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from protocols.automation import reports
from protocols.automation.dialect import Bad, Beat, Line, Reading
from protocols.automation.effects import Content
from protocols.automation.framing import Framing
from protocols.automation.reports import Accounts
from protocols.contact_id.sia_text import read_data

DC4: Final = 0x14
CR: Final = 0x0D
ACK: Final = b"\x06"
NAK: Final = b"\x15"
CLAUSE: Final = "Radionics 6500 line"
_HEAD: Final = r"[0-9A-F]{2}[0-9A-Z]"
_CONTACT_ID: Final = re.compile(
    rf"[ab]{_HEAD} (?P<account>[0-9A-F]{{10}}|[0-9A-F]{{4}})(?P<mt>18|98|58)"
    r"(?P<q>[ERP0-9])(?P<code>[0-9B-F]{3})(?P<area>[0-9B-F]{2})(?P<number>[0-9B-F]{3})"
)
_CHANNELS: Final = re.compile(rf"9{_HEAD} +(?P<account>[0-9A-F]{{4}})(?P<status>[0-9B-F]{{8}})")
_SIA: Final = re.compile(rf"S{_HEAD}\[(?P<text>#.*)\]", re.DOTALL)
_OTHERS: Final = re.compile(
    rf"[1bc]{_HEAD}{reports.columns(10, 3)}(?P<event>[0-9A-Za-z \\]{{2}})"
    rf"(?P<number>{reports.NUMBER}) *"
)
_HIGH_SPEED: Final = re.compile(
    rf"f{_HEAD}{reports.columns(6, 2)} (?P<first>[0-9B-F]{{4}}) (?P<second>[0-9B-F]{{4}})"
    r" (?P<x>[0-9B-F])"
)
_BEAT: Final = re.compile(rf"1{_HEAD} +@ *")
KINDS: Final = {
    "3": "text of the receiver",
    "N": "telephone number of a caller",
    "e": "telephone number of a caller",
    "i": "CFSK line",
}
"""Message types whose fields are not read: kept whole and shown."""


@dataclass(frozen=True, slots=True)
class Radionics6500:
    """The dialect."""

    accounts: Accounts = field(default_factory=Accounts)

    @property
    def name(self) -> str:
        """In configuration."""
        return "radionics-6500"

    @property
    def framing(self) -> Framing:
        """Up to DC4 or CR; what stands before the line is stripped with it."""
        return Framing(None, DC4, also=frozenset({CR}))

    @property
    def nak(self) -> bytes:
        """15 hex."""
        return NAK

    @property
    def ack_s(self) -> float:
        """As Sur-Gard [U]."""
        return 3.5

    def read(self, frame: bytes) -> Reading:
        """Known types strictly; others when they come twice."""
        line = reports.text_of(frame).removeprefix(" ")
        if _BEAT.fullmatch(line):
            return Beat(ACK)
        what = self._what(line)
        if what:
            return Line(what, ACK)
        kind = KINDS.get(line[:1], "unknown kind of line")
        other = reports.strange(line, self.name, kind, ACK)
        return Bad("not a line of this receiver", CLAUSE, other)

    def _what(self, line: str) -> tuple[Content, ...]:
        found = _CONTACT_ID.fullmatch(line)
        if found is not None:
            return (reports.contact_id(line, found.groupdict(), self.accounts),)
        found = _CHANNELS.fullmatch(line)
        if found is not None:
            return reports.channels(line, found["account"], found["status"], "7", self.accounts)
        found = _SIA.fullmatch(line)
        if found is not None:
            return reports.sia(line, read_data(found["text"], self.accounts.sia_codes))
        found = _HIGH_SPEED.fullmatch(line)
        if found is not None:
            status, account = found["first"] + found["second"], found["account"]
            return reports.channels(line, account, status, found["x"], self.accounts)
        found = _OTHERS.fullmatch(line)
        return () if found is None else (self._other(line, found),)

    def _other(self, line: str, found: re.Match[str]) -> Content:
        event, number = found["event"].strip(), found["number"].strip()
        form, rules = "bfsk", reports.RADIONICS
        account = found["account"]
        return reports.letter(line, account, event, number, self.accounts, form, rules=rules)
