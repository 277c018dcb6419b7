"""Ademco 685, also the MX8000's emulation of it (protocols.md 3.2): LF, line, CR.

    RG AAAA 18 QXYZ GG CNNN       Contact ID, Q = E R; C contact or U user; R receiver, G group
    RG AAAA E                     3+1, 4+1, Express 4+1
    RG AAAA E Z                   4+2, Express 4+2
    RG AAAA NNNN NNNN N           High Speed
    RG LINE NNNN NNNN 7           its telephone lines 1-8: 1 fault, 3 restored, 6 fault still there
    RG RCVA NNNN NNNN N           its own devices; RCVB: its operator, its battery, its clock
    RL OKAY @                     heartbeat

ACK 06 within 2 s, NAK 15; sent twice, then once each until an ACK. The digit 0 stands for ten; A is
never printed. ESC may be set to end a line instead of CR. 685 carries no SIA codes.
Sources: 685 manual (Ademco, 7/87) p. 30-32, 55; MX8000 manual p. 8-13 to 8-20.
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
from protocols.panel_event import PanelEvent, Qualifier

LF: Final = 0x0A
CR: Final = 0x0D
ESC: Final = 0x1B
ACK: Final = b"\x06"
NAK: Final = b"\x15"
CLAUSE: Final = "Ademco 685 line"
_RG: Final = r"[0-9A-F]{1,2}[0-9A-F]{1,2} "
_HEAD: Final = _RG + r"(?P<account>(?:[0-9A-F]{2}){2,5}) "
_FIELDS: Final = (
    r"(?P<mt>18|98|58) (?P<q>[ERP136])(?P<code>[0-9B-F]{3}) (?P<area>[0-9B-F]{2}) (?P<whose>[CU])"
)
_CONTACT_ID: Final = re.compile(_HEAD + _FIELDS + r"(?P<number>[0-9B-F]{3}) ?")
_WEAK: Final = re.compile(_HEAD + _FIELDS + r"(?P<number>[0-9B-F]{2}) ?")
"""Two digits of zone or user, which some senders print. One sign lost on the way must not make
another zone, so these have to come twice.
"""
_BLOCKS: Final = r"(?P<first>[0-9B-F]{4}) (?P<second>[0-9B-F]{4}) (?P<x>[0-9B-F]) ?"
_HIGH_SPEED: Final = re.compile(_HEAD + _BLOCKS)
_OWN: Final = re.compile(_RG + r"(?P<group>LINE|RCVA|RCVB) " + _BLOCKS)
_DIGITS: Final = re.compile(_HEAD + r"(?P<event>[0-9B-F])(?: (?P<second>[0-9B-F]))? ?")
_BEAT: Final = re.compile(r"[0-9A-F]{2,3} OKAY @ ?")
_Q_OF: Final = {"3": Qualifier.RESTORE, "6": Qualifier.STATUS}
_CODE_OF: Final = {"LINE": 351, "RCVA": 330, "RCVB": 300}


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
        """Between LF and CR (or ESC)."""
        return Framing(LF, CR, also=frozenset({ESC}))

    @property
    def nak(self) -> bytes:
        """15 hex."""
        return NAK

    @property
    def ack_s(self) -> float:
        """It waits 2 s, and then may go on to its next message: manual p. 55."""
        return 1.5

    def read(self, frame: bytes) -> Reading:
        """Known forms strictly; others (the receiver's own messages) when they come twice."""
        line = reports.text_of(frame)
        if _BEAT.fullmatch(line):
            return Beat(ACK)
        what = self._what(line)
        if what:
            return Line(what, ACK)
        weak = _WEAK.fullmatch(line)
        if weak is not None:
            return Bad("zone of two digits", CLAUSE, Line((self._contact_id(line, weak),), ACK))
        other = reports.strange(line, self.name, "unknown kind of line", ACK)
        return Bad("not a line of this receiver", CLAUSE, other)

    def _contact_id(self, line: str, found: re.Match[str]) -> Content:
        fields = {**found.groupdict(), "number": found["number"].zfill(3)}
        return reports.contact_id(line, fields, self.accounts, found["whose"] == "U")

    def _what(self, line: str) -> tuple[Content, ...]:
        found = _CONTACT_ID.fullmatch(line)
        if found is not None:
            return (self._contact_id(line, found),)
        found = _HIGH_SPEED.fullmatch(line)
        if found is not None:
            status = found["first"] + found["second"]
            return reports.channels(line, found["account"], status, found["x"], self.accounts)
        found = _OWN.fullmatch(line)
        if found is not None:
            status = found["first"] + found["second"]
            events = _own(found["group"], status, found["x"])
            return reports.several(line, reports.RECEIVER, reports.OWN, events)
        found = _DIGITS.fullmatch(line)
        if found is not None:
            event = found["event"] + (found["second"] or "")
            form = "pulse 4+2" if found["second"] else "pulse 4+1"
            return (reports.digits(line, found["account"], event, form, self.accounts),)
        return ()


def _own(group: str, status: str, x: str) -> tuple[PanelEvent, ...]:
    """What the receiver tells of itself: an event for each position that is not 5 (normal)."""
    detail = f"{group}={status};x={x}"
    events = [
        PanelEvent(_CODE_OF[group], _Q_OF.get(each, Qualifier.NEW), zone=zone, detail=detail)
        for zone, each in enumerate(status, start=1)
        if each != "5"
    ]
    return tuple(events) or (PanelEvent(_CODE_OF[group], Qualifier.STATUS, detail=detail),)
