"""Bosch D6600 / D6100 "SIA mode" (protocols.md 3.3): LF, CRC, type, sequence, RR, LL, data, CR.

    CCCC a 0001 01 02 [#AAAA|18QXYZGGCCC]    Contact ID, Q = 1 3 6 (58: 10-digit account)
    CCCC TAB 0001 01 02 [#AAAA|Nri1/BA5]     SIA text (written here with spaces for reading)
    CCCC 9 0001 01 02 [#AAAA|CCCCCCCC]       Super Fast channels 1-8
    CCCC x 0001 01 02 [#AAAA|...]            other formats by type letter
    CCCC TAB 0001 01 []                      link test
    ACK  CCCC TAB 0001 01 02 []              with the sequence, receiver and line it answers
    NAK  CCCC TAB 0000 RR 00 []              at the third NAK the receiver skips the message

CRC: the manual says "as in SIA DC-07", whose text was not to be had; DC-09's CRC-16 over all
between it and CR is assumed [U]. `crc_digits` (the older D6500 prints 6) and `check` are settings.
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
_BODY: Final = re.compile(
    r"(?P<type>.)(?P<sequence>[0-9]{4})(?P<receiver>[0-9A-F]{2})(?P<line>[0-9A-F ]{0,2})"
    r" ?\[(?:#(?P<account>[0-9A-F ]{1,16})(?:\|(?P<data>.*))?)?\]",
    re.DOTALL,
)
_CONTACT_ID: Final = re.compile(
    r"(?P<mt>18|98|58)(?P<q>[ERP0-9])(?P<code>[0-9B-F]{3})(?P<area>[0-9B-F]{2})(?P<number>[0-9B-F]{3})"
)
_CHANNELS: Final = re.compile("[0-9B-F]{8}")


def crc16(data: bytes) -> int:
    """Reflected A001, initial 0 (DC-09)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def framed(body: str, crc_digits: int = 4) -> bytes:
    """A whole frame around `type sequence receiver line [data]`."""
    data = body.encode()
    return b"\n" + f"{crc16(data):0{crc_digits}X}".encode() + data + b"\r"


@dataclass(frozen=True, slots=True)
class BoschSia:
    """`check`: refuse frames whose CRC is not ours. `receiver`: its number, for NAKs."""

    crc_digits: int = 4
    check: bool = True
    receiver: str = "01"
    accounts: Accounts = field(default_factory=Accounts)

    @property
    def name(self) -> str:
        """In configuration."""
        return "bosch-sia"

    @property
    def framing(self) -> Framing:
        """Between LF and CR."""
        return Framing(LF, CR)

    @property
    def nak(self) -> bytes:
        """Sequence 0000, line 00."""
        return framed(f"{TAB}0000{self.receiver}00[]", self.crc_digits)

    def read(self, frame: bytes) -> Reading:
        """What the frame tells; its ACK names the sequence."""
        head, body = frame[: self.crc_digits], frame[self.crc_digits :]
        if self.check and head.upper() != f"{crc16(body):0{self.crc_digits}X}".encode():
            told = head.decode("latin-1")
            return Bad(f"CRC {told}, computed {crc16(body):04X}", CLAUSE)
        found = _BODY.fullmatch(reports.text_of(body))
        if found is None:
            return Bad("not a line of this receiver", CLAUSE)
        line = found["line"].strip() or "00"
        ack = framed(f"{TAB}{found['sequence']}{found['receiver']}{line}[]", self.crc_digits)
        account = (found["account"] or "").strip()
        if not account:
            return Beat(ack)
        text = reports.text_of(frame)
        return Line(self._what(text, found["type"], account, found["data"] or ""), ack, True)

    def _what(self, text: str, kind: str, account: str, data: str) -> tuple[Content, ...]:
        found = _CONTACT_ID.fullmatch(data)
        if found is not None:
            fields = {**found.groupdict(), "account": account}
            return (reports.contact_id(text, fields, self.accounts),)
        if kind in "89" and _CHANNELS.fullmatch(data):
            return reports.channels(text, account, data, "7", self.accounts)
        if data[:1] in {"N", "O"}:
            return reports.sia(text, read_data(f"#{account}|{data}", self.accounts.sia_codes))
        told = PanelEvent(140, detail=f"type={kind.strip() or 'TAB'};data={data[:80]}")
        return (reports.report(text, account, "bosch-other", told),)
