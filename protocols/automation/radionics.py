"""Radionics 6500 / D6500 mode, also of Bosch D6600 and VisorAlarm (protocols.md 3.3): space, DC4.

    aRRL AAAA18QXYZGGCCC          Contact ID, Q = 1 3 6 or E R P; type b and 58: 10-digit account
    9RRL    AAAACCCCCCCC          Super Fast channels 1-8
    SRRL[#AAAA|Nri1/BA5]          SIA text
    1RRL      AAAAXXYYYY          BFSK: event XX, number YYYY
    1RRL           @              heartbeat

The leading space is optional. ACK 06, NAK 15; at the third NAK a D6600 skips the message.
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
_BFSK: Final = re.compile(
    rf"1{_HEAD} {{6}}(?P<account>[ 0-9A-F]{{3}}[0-9A-F])(?P<event>[0-9A-Za-z ]{{2}})"
    r"(?P<number>[0-9A-F ]{0,4})"
)
_BEAT: Final = re.compile(rf"1{_HEAD} +@ *")


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
        """Up to DC4; the head's space is stripped with the line."""
        return Framing(None, DC4)

    @property
    def nak(self) -> bytes:
        """15 hex."""
        return NAK

    def read(self, frame: bytes) -> Reading:
        """Known types strictly; others when they come twice."""
        line = reports.text_of(frame).removeprefix(" ")
        if _BEAT.fullmatch(line):
            return Beat(ACK)
        what = self._what(line)
        if what:
            return Line(what, ACK)
        other = Line((reports.unrecognised(line, self.name, "unknown kind of line"),), ACK)
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
        found = _BFSK.fullmatch(line)
        if found is not None:
            number = found["number"].strip()
            event = found["event"].strip()
            one = reports.letter(line, found["account"], event, number, self.accounts, "bfsk")
            return (one,)
        return ()
