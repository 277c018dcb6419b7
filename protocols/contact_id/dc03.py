"""SIA level (DC-03) blocks as far as they are publicly known (protocols.md 4.1).

    header   1 byte   bits 0-5 length of the payload; bits 6-7 flags (40 hex: acknowledge me) [U]
    function 1 byte   # account, N new event, O old event, A text, 0 end of data, ...
    payload  0-63 bytes
    parity   1 byte   FF xor all bytes before it [U]

Fixed by what panels were seen to send over TCP; on a phone line the answering tones, the meaning
of the flags and the acknowledging blocks are [U]: `Setting` holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from protocols.contact_id.message import Refusal
from protocols.contact_id.sia_codes import SIA_CODES, SiaCode
from protocols.contact_id.sia_text import read_events, with_text
from protocols.panel_event import PanelEvent

LENGTH_MASK: Final = 0x3F
FLAG_MASK: Final = 0xC0
ACKNOWLEDGE_ME: Final = 0x40
OVERHEAD: Final = 3
MAX_EVENTS: Final = 2000
"""More than fit into what a caller reads at once (4 kB): nothing is cut off unseen."""
CLAUSE: Final = "SIA DC-03 block"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is not certain. `functions`: letters that begin a block; others are line noise.
    `flags`: accepted flag bits. `parity`: what all bytes of a block come to by exclusive or.
    `accepted`, `rejected`: functions of the receiver's answers.
    """

    functions: str = "#NOAC@?&XLVvIEP0123456789"
    flags: frozenset[int] = frozenset({0x00, 0x40, 0x80, 0xC0})
    parity: int = 0xFF
    accepted: str = "8"
    rejected: str = "9"
    codes: Mapping[str, SiaCode] = field(default_factory=lambda: SIA_CODES)


@dataclass(frozen=True, slots=True)
class Block:
    """One block whose parity is right."""

    function: str
    payload: bytes
    flags: int = ACKNOWLEDGE_ME

    @property
    def text(self) -> str:
        """The payload as a person reads it."""
        return self.payload.decode("latin-1")


def encode(block: Block, whole: int = 0xFF) -> bytes:
    """The bytes; `whole`: Setting.parity. Raises ValueError for a payload over 63 bytes."""
    if len(block.payload) > LENGTH_MASK:
        raise ValueError(f"payload of {len(block.payload)} bytes: at most {LENGTH_MASK}")
    head = bytes((block.flags | len(block.payload), ord(block.function)))
    body = head + block.payload
    return body + bytes((parity(body, whole),))


def parity(data: bytes, whole: int = 0xFF) -> int:
    """Column parity: `whole` xor all bytes."""
    value = whole
    for byte in data:
        value ^= byte
    return value


class Reader:
    """Bytes in any pieces -> Blocks and Refusals. After a Refusal nothing is read until `quiet`:
    inside a broken block any byte looks like a header. Memory: one block.
    """

    def __init__(self, setting: Setting | None = None) -> None:
        self._setting = Setting() if setting is None else setting
        self._buffer = bytearray()
        self._lost = False

    def feed(self, data: bytes) -> list[Block | Refusal]:
        """Blocks completed by `data`."""
        out: list[Block | Refusal] = []
        if self._lost:
            return out
        self._buffer += data
        while len(self._buffer) >= OVERHEAD - 1:
            size = OVERHEAD + (self._buffer[0] & LENGTH_MASK)
            why = self._head_fault()
            if not why and len(self._buffer) < size:
                break
            raw = bytes(self._buffer[:size])
            if not why and raw[-1] != parity(raw[:-1], self._setting.parity):
                why = "parity"
            if why:
                self._lost = True
                self._buffer.clear()
                out.append(Refusal(why, CLAUSE))
                break
            del self._buffer[:size]
            out.append(Block(chr(raw[1]), raw[2:-1], raw[0] & FLAG_MASK))
        return out

    def quiet(self) -> list[Refusal]:
        """The carrier or the bytes paused: what is unfinished is refused, reading begins anew."""
        cut = bool(self._buffer)
        self._buffer.clear()
        self._lost = False
        return [Refusal("cut short", CLAUSE)] if cut else []

    def _head_fault(self) -> str:
        if self._buffer[0] & FLAG_MASK not in self._setting.flags:
            return f"header {self._buffer[0]:02X}"
        if chr(self._buffer[1]) not in self._setting.functions:
            return f"function {self._buffer[1]:02X}"
        return ""


@dataclass(frozen=True, slots=True)
class Told:
    """One account's events as they stand when its data end or another account begins."""

    account: str
    events: tuple[PanelEvent, ...]
    raw: str


@dataclass(slots=True)
class Gathering:
    """Blocks of one call -> Told. Give `receive` each block, `end` at the end of data or call.
    `account`: named last.
    """

    setting: Setting = field(default_factory=Setting)
    account: str = ""
    _events: list[PanelEvent] = field(default_factory=list)
    _raw: list[str] = field(default_factory=list)

    def receive(self, block: Block) -> Told | None:
        """Take a block; Told when it completes what came before."""
        told = None
        if block.function in "#0":
            told = self.end()
        if block.function == "#":
            self.account = block.text.strip().upper()
        elif block.function in "NO":
            old = block.function == "O"
            self._events += read_events(block.text, old=old, table=self.setting.codes)
            del self._events[MAX_EVENTS:]
        elif block.function == "A" and self._events:
            self._events[-1] = with_text(self._events[-1], block.text)
        if block.function != "0" and len(self._raw) < MAX_EVENTS:
            self._raw.append(block.function + block.text)
        return told

    def end(self) -> Told | None:
        """What was told so far; the account stays for what may follow."""
        told = Told(self.account, tuple(self._events), "|".join(self._raw))
        self._events = []
        self._raw = []
        return told if told.events else None


def answer(good: bool, setting: Setting) -> bytes:
    """The receiver's acknowledging or rejecting block [U]."""
    function = setting.accepted if good else setting.rejected
    return encode(Block(function, b"", 0), setting.parity)
