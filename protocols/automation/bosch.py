"""Bosch D6600 / D6100 and Radionics D6500 "SIA mode" (protocols.md 3.3): LF, head, body, CR.

    head  CCCCLL                             CRC and length of the body in hex; some send CCCC only
    body  a 0001 01 02 [#AAAA|18QXYZGGCCC]   Contact ID, Q = 1 3 6 (58: 10-digit account)
          TAB 0001 01 02 [#AAAA|Nri1/BA5]    SIA text; also from types of FSK formats (E, v)
          b 0001 01 02 [#AAAA|E]             Express 4+1, c: 4+2 (written here with spaces)
          9 0001 01 02 [#AAAA|CCCCCCCC]      Super Fast channels 1-8
          f 0001 01 02 [#AAAA|CCCC CCCC C]   High Speed
          x 0001 01 02 [#AAAA|...]           other formats by type letter
          TAB 0001 01 02 [NJT]               the receiver's own messages
          TAB 0001 01 []                     link test
    ACK   TAB 0001 01 02 []                  with the sequence, receiver and line it answers
    NAK   TAB 0000 RR 00 []                  at the third NAK the receiver skips the message

CRC-16 (reflected A001, initial 0) over the body. The examples on page 155 of the computer interface
manual (4998122703-05) bear this CRC and the length behind it.
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
from protocols.panel_event import PanelEvent

LF: Final = 0x0A
CR: Final = 0x0D
TAB: Final = "\t"
CLAUSE: Final = "Bosch SIA mode"
HEADS: Final = (6, 4)
"""Characters before the body: CRC and length, or CRC alone."""
_BODY: Final = re.compile(
    r"(?P<type>.)(?P<sequence>[0-9]{4})(?P<receiver>[0-9A-F]{2})(?P<line>[0-9A-Fa-f ]{0,2})"
    r" ?\[(?P<data>.*)\]",
    re.DOTALL,
)
_ACCOUNT: Final = re.compile(
    r"#(?P<account>[0-9A-Za-z ]{0,15}[0-9A-Za-z])(?:\|(?P<data>.*))?", re.DOTALL
)
_CONTACT_ID: Final = re.compile(
    r"(?P<mt>18|98|58)(?P<q>[ERP0-9])(?P<code>[0-9B-F]{3})(?P<area>[0-9B-F]{2})(?P<number>[0-9B-F]{3})"
)
_CHANNELS: Final = re.compile("[0-9B-F]{8}")
_HIGH_SPEED: Final = re.compile("(?P<status>[0-9B-F]{8})(?P<x>[0-9B-F])")
_DIGITS: Final = {"b": ("express-4-1", 1), "c": ("express-4-2", 2)}


def _crc_of_byte(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


_CRC: Final = tuple(map(_crc_of_byte, range(256)))


def crc16(data: bytes) -> int:
    """Reflected A001, initial 0 (DC-07, DC-09)."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def framed(body: str, head: int = HEADS[0]) -> bytes:
    """A whole frame around `type sequence receiver line [data]`."""
    data = body.encode()
    length = f"{len(data):02X}" if head == HEADS[0] else ""
    return b"\n" + f"{crc16(data):04X}{length}".encode() + data + b"\r"


def head_of(frame: bytes) -> int | None:
    """Characters before the body of a frame whose head is right for what follows."""
    for head in HEADS:
        if len(frame) > head and framed_head(frame[head:], head) == frame[:head].upper():
            return head
    return None


def framed_head(body: bytes, head: int) -> bytes:
    """The head that belongs before these bytes."""
    return f"{crc16(body):04X}{len(body):02X}"[:head].encode()


@dataclass(frozen=True, slots=True)
class BoschSia:
    """`check`: refuse frames whose CRC is not ours. `receiver`: its number, for NAKs."""

    check: bool = True
    receiver: str = "01"
    accounts: Accounts = field(default_factory=Accounts)

    @property
    def name(self) -> str:
        """In configuration."""
        return "bosch-sia" if self.check else "bosch-sia-unchecked"

    @property
    def framing(self) -> Framing:
        """Between LF and CR."""
        return Framing(LF, CR)

    @property
    def nak(self) -> bytes:
        """Sequence 0000, line 00."""
        return self._nak(HEADS[0])

    @property
    def ack_s(self) -> float:
        """After it heartbeats go unanswered; a later ACK is harmless, for it is numbered."""
        return 3.5

    def read(self, frame: bytes) -> Reading:
        """What the frame tells; its ACK names the sequence and has the frame's form of head."""
        head = head_of(frame)
        if head is None and self.check:
            told = reports.shown(reports.text_of(frame[:4]))
            return Bad(f"CRC {told}, computed {crc16(frame[HEADS[0] :]):04X}", CLAUSE)
        for each in HEADS[::-1] if head is None else (head,):
            found = _BODY.fullmatch(reports.text_of(frame[each:]))
            if found is not None:
                return self._read(reports.text_of(frame), found, each)
        return Bad("not a line of this receiver", CLAUSE, nak=self._nak(head or HEADS[0]))

    def _nak(self, head: int) -> bytes:
        return framed(f"{TAB}0000{self.receiver}00[]", head)

    def _read(self, text: str, found: re.Match[str], head: int) -> Reading:
        line = found["line"].strip() or "00"
        ack = framed(f"{TAB}{found['sequence']}{found['receiver']}{line}[]", head)
        if not found["data"]:
            return Beat(ack)
        return Line(self._what(text, found["type"], found["data"]), ack, True)

    def _what(self, text: str, kind: str, told: str) -> tuple[Content, ...]:
        found = _ACCOUNT.fullmatch(told)
        if found is None:
            if told[:1] in {"N", "O"}:  # of the receiver itself
                blocks = read_data(told, self.accounts.sia_codes)
                return reports.sia(text, blocks, reports.RECEIVER, reports.OWN)
            return (reports.unrecognised(text, self.name, "the receiver's own message"),)
        account, data = found["account"].strip(), found["data"] or ""
        fields = _CONTACT_ID.fullmatch(data)
        if fields is not None:
            given = {**fields.groupdict(), "account": account}
            return (reports.contact_id(text, given, self.accounts),)
        if kind in "89" and _CHANNELS.fullmatch(data):
            return reports.channels(text, account, data, "7", self.accounts)
        high_speed = _HIGH_SPEED.fullmatch(data.replace(" ", "")) if kind == "f" else None
        if high_speed is not None:
            status, x = high_speed["status"], high_speed["x"]
            return reports.channels(text, account, status, x, self.accounts)
        form, length = _DIGITS.get(kind, ("", 0))
        if form and re.fullmatch(f"[0-9B-F]{{{length}}}", data):
            return (reports.digits(text, account, data, form, self.accounts),)
        if data[:1] in {"N", "O"}:
            return reports.sia(text, read_data(f"#{account}|{data}", self.accounts.sia_codes))
        detail = f"type={kind.strip() or 'TAB'};data={reports.shown(data).replace(';', ' ')[:80]}"
        return (reports.report(text, account, "bosch-other", PanelEvent(140, detail=detail)),)
