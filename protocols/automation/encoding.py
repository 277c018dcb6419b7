"""What hardware receivers send, for simulators: one encoder for each dialect of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from protocols.automation.bosch import HEADS, TAB, framed, framed_head
from protocols.contact_id.codes import Number, meaning_of
from protocols.contact_id.mapping import number_of_digits
from protocols.contact_id.message import Message

_LETTER_OF_Q: Final = {"1": "E", "3": "R", "6": "P"}


class Answer(Enum):
    """What automation answered to a frame."""

    ACK = "ack"
    NAK = "nak"
    OTHER = "other"


class Encoder(Protocol):
    """One dialect's sending side. `sequence` 1-9999 is used by dialects that number frames."""

    def contact_id(self, message: Message, sequence: int) -> bytes:
        """A whole frame."""
        ...

    def sia(self, account: str, text: str, sequence: int) -> bytes:
        """A whole frame with SIA text; ValueError where the dialect has none."""
        ...

    def channels(self, account: str, status: str, x: str, sequence: int) -> bytes:
        """A whole High Speed frame."""
        ...

    def digits(self, account: str, event: str, sequence: int) -> bytes:
        """A whole frame of a pulse or Express report with one or two event digits."""
        ...

    def beat(self, sequence: int) -> bytes:
        """The heartbeat."""
        ...

    def answer(self, data: bytes, sequence: int) -> Answer:
        """What the bytes that came back are."""
        ...


@dataclass(frozen=True, slots=True)
class SurGardEncoder:
    """MLR2 (`head` `011`: receiver 01, line 1) or System family (`01001`)."""

    head: str = "011"

    def contact_id(self, message: Message, sequence: int) -> bytes:
        """Q as E, R, P."""
        q = _LETTER_OF_Q.get(message.q, message.q)
        tail = message.code + message.area + message.number
        return self._framed(f"5{self.head} {message.mt}{message.account}{q}{tail}")

    def sia(self, account: str, text: str, sequence: int) -> bytes:
        """Type S."""
        return self._framed(f"S{self.head}[#{account}|{text}]")

    def channels(self, account: str, status: str, x: str, sequence: int) -> bytes:
        """Type 8."""
        return self._framed(f"8{self.head}{account} {status[:4]} {status[4:]} {x}")

    def digits(self, account: str, event: str, sequence: int) -> bytes:
        """Type 1."""
        return self._framed(f"1{self.head}      {account} {event[0]}  {event[1:]:>2}".rstrip())

    def beat(self, sequence: int) -> bytes:
        """MLR2 always says 011; the System family its receiver and line 000."""
        head = "011" if len(self.head) == 3 else self.head[:2] + "000"
        return self._framed(f"1{head}           @    ")

    def answer(self, data: bytes, sequence: int) -> Answer:
        """06, 15."""
        return _one_byte(data)

    def _framed(self, line: str) -> bytes:
        return line.encode() + b"\x14"


@dataclass(frozen=True, slots=True)
class Ademco685Encoder:
    """Receiver and group digit."""

    head: str = "11"

    def contact_id(self, message: Message, sequence: int) -> bytes:
        """With C or U before the number."""
        q = _LETTER_OF_Q.get(message.q, message.q)
        user = meaning_of(number_of_digits(message.code)) is Number.USER
        return self._framed(
            f"{message.account} {message.mt} {q}{message.code} {message.area}"
            f" {'U' if user else 'C'}{message.number} "
        )

    def sia(self, account: str, text: str, sequence: int) -> bytes:
        """685 has no SIA codes."""
        raise ValueError("Ademco 685 carries no SIA codes")

    def channels(self, account: str, status: str, x: str, sequence: int) -> bytes:
        """Three blocks."""
        return self._framed(f"{account} {status[:4]} {status[4:]} {x}")

    def digits(self, account: str, event: str, sequence: int) -> bytes:
        """One or two digits."""
        return self._framed(f"{account} {' '.join(event)}")

    def beat(self, sequence: int) -> bytes:
        """OKAY @."""
        return self._framed("OKAY @")

    def answer(self, data: bytes, sequence: int) -> Answer:
        """06, 15."""
        return _one_byte(data)

    def _framed(self, line: str) -> bytes:
        return f"\n{self.head} {line}\r".encode()


@dataclass(frozen=True, slots=True)
class RadionicsEncoder:
    """Receiver and line."""

    head: str = "011"

    def contact_id(self, message: Message, sequence: int) -> bytes:
        """Type a; digits as qualifier, as a D6600 prints them."""
        mt = "58" if len(message.account) > 4 else message.mt
        tail = f"{message.q}{message.code}{message.area}{message.number}"
        return self._framed(f"a{self.head} {message.account}{mt}{tail}")

    def sia(self, account: str, text: str, sequence: int) -> bytes:
        """Type S."""
        return self._framed(f"S{self.head}[#{account}|{text}]")

    def channels(self, account: str, status: str, x: str, sequence: int) -> bytes:
        """Type 9, without the ninth."""
        return self._framed(f"9{self.head}    {account}{status}")

    def digits(self, account: str, event: str, sequence: int) -> bytes:
        """As BFSK."""
        return self._framed(f"1{self.head}      {account}{event[0]} {event[1:]:0>4}")

    def beat(self, sequence: int) -> bytes:
        """@."""
        return self._framed(f"1{self.head}           @    ")

    def answer(self, data: bytes, sequence: int) -> Answer:
        """06, 15."""
        return _one_byte(data)

    def _framed(self, line: str) -> bytes:
        return f" {line}\x14".encode()


@dataclass(frozen=True, slots=True)
class BoschEncoder:
    """Receiver and line, two digits each. `head`: 6 with the length behind the CRC, 4 without."""

    receiver: str = "01"
    line: str = "02"
    head: int = HEADS[0]

    def contact_id(self, message: Message, sequence: int) -> bytes:
        """Type a."""
        mt = "58" if len(message.account) > 4 else message.mt
        tail = f"{mt}{message.q}{message.code}{message.area}{message.number}"
        return self._framed("a", sequence, f"[#{message.account}|{tail}]")

    def sia(self, account: str, text: str, sequence: int) -> bytes:
        """Type TAB."""
        return self._framed(TAB, sequence, f"[#{account}|{text}]")

    def channels(self, account: str, status: str, x: str, sequence: int) -> bytes:
        """Type 9, without the ninth."""
        return self._framed("9", sequence, f"[#{account}|{status}]")

    def digits(self, account: str, event: str, sequence: int) -> bytes:
        """Type 1."""
        return self._framed("1", sequence, f"[#{account}|{event}]")

    def beat(self, sequence: int) -> bytes:
        """Link test: no line."""
        return framed(f"{TAB}{sequence:04d}{self.receiver} []", self.head)

    def answer(self, data: bytes, sequence: int) -> Answer:
        """A frame with a right CRC: our sequence is an ACK, 0000 a NAK."""
        body = data[self.head :]
        if data[: self.head] != framed_head(body, self.head) or body[:1] != TAB.encode():
            return Answer.OTHER
        told = body[1:5].decode("ascii", "replace")
        if told == "0000":
            return Answer.NAK
        return Answer.ACK if told == f"{sequence:04d}" else Answer.OTHER

    def _framed(self, kind: str, sequence: int, data: str) -> bytes:
        return framed(f"{kind}{sequence:04d}{self.receiver}{self.line}{data}", self.head)


def _one_byte(data: bytes) -> Answer:
    return {b"\x06": Answer.ACK, b"\x15": Answer.NAK}.get(data, Answer.OTHER)
