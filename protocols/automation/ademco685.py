"""Ademco 685, also the MX8000's emulation of it (protocols.md 3.2): LF, line, CR.

    RG AAAA 18 QXYZ GG CNNN       Contact ID, Q = E R; C contact or U user; R receiver, G group
    RG AAAA E                     3+1, 4+1, Express 4+1
    RG AAAA E Z                   4+2, Express 4+2
    RG AAAA NNNN NNNN N           High Speed
    RL OKAY @                     heartbeat

ACK 06, NAK 15. The digit 0 stands for ten; A is never printed. 685 carries no SIA codes.
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

LF: Final = 0x0A
CR: Final = 0x0D
ACK: Final = b"\x06"
NAK: Final = b"\x15"
CLAUSE: Final = "Ademco 685 line"
_HEAD: Final = r"[0-9A-F]{1,2}[0-9A-F]{1,2} (?P<account>[0-9A-F]{4}|[0-9A-F]{10}) "
_CONTACT_ID: Final = re.compile(
    _HEAD + r"(?P<mt>18|98|58) (?P<q>[ERP136])(?P<code>[0-9B-F]{3}) (?P<area>[0-9B-F]{2}) "
    r"(?P<whose>[CU])(?P<number>[0-9B-F]{3}) ?"
)
_HIGH_SPEED: Final = re.compile(
    _HEAD + r"(?P<first>[0-9B-F]{4}) (?P<second>[0-9B-F]{4}) (?P<x>[0-9B-F]) ?"
)
_DIGITS: Final = re.compile(_HEAD + r"(?P<event>[0-9B-F])(?: (?P<second>[0-9B-F]))? ?")
_BEAT: Final = re.compile(r"[0-9A-F]{2,3} OKAY @ ?")


@dataclass(frozen=True, slots=True)
class Ademco685:
    """The dialect."""

    accounts: Accounts = field(default_factory=Accounts)

    @property
    def name(self) -> str:
        """In configuration."""
        return "ademco-685"

    @property
    def framing(self) -> Framing:
        """Between LF and CR."""
        return Framing(LF, CR)

    @property
    def nak(self) -> bytes:
        """15 hex."""
        return NAK

    def read(self, frame: bytes) -> Reading:
        """Known forms strictly; others (the receiver's own messages) when they come twice."""
        line = reports.text_of(frame)
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
            whose = found["whose"] == "U"
            return (reports.contact_id(line, found.groupdict(), self.accounts, whose),)
        found = _HIGH_SPEED.fullmatch(line)
        if found is not None:
            status = found["first"] + found["second"]
            return reports.channels(line, found["account"], status, found["x"], self.accounts)
        found = _DIGITS.fullmatch(line)
        if found is not None:
            event = found["event"] + (found["second"] or "")
            form = "pulse 4+2" if found["second"] else "pulse 4+1"
            return (reports.digits(line, found["account"], event, form, self.accounts),)
        return ()
