"""Which modules are on a Modbus RTU bus: one item read from each id, settings in turn.

Frame: id, function, data, CRC16 (LE). An exception (function with bit 7) is an answer too. Asked
are functions 02, 03, 01, 04, reading only; then device identification (43/14).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final

from edge.adapters.bus_scan_types import (
    Doubt,
    Finding,
    Note,
    Question,
    Result,
    Scan,
    Setting,
    Stage,
    believed,
    doubt_by_garbling,
    listen,
    settled,
)

SPEEDS: Final = (9_600, 19_200, 38_400)
ALSO_HEARD: Final = (*SPEEDS, 4_800, 57_600, 115_200)
"""Speeds at which another master may be talking."""
ADDRESSES: Final = range(1, 248)
REPLY_S: Final = 0.1
ADAPTER_S: Final = 0.02
LATE_S: Final = 1.0
LISTEN_S: Final = 0.5
ASKS: Final = 3
"""More questions of each kind a module answers."""
ODD_BYTES: Final = 3
SHORTEST_BYTES: Final = 5
TABLES: Final = {
    0x02: "discrete_inputs",
    0x03: "holding_registers",
    0x01: "coils",
    0x04: "input_registers",
}
IDENTIFY: Final = bytes((0x2B, 0x0E, 0x01, 0x00))
EXCEPTION: Final = 0x80
REQUEST_BYTES: Final = 8


def crc16(data: bytes) -> int:
    """CRC16 of Modbus (polynomial A001 reflected, start FFFF)."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value


def build(address: int, pdu: bytes) -> bytes:
    """A whole frame."""
    body = bytes((address,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def read_request(function: int, count: int = 1) -> bytes:
    """PDU: `count` items from the first on."""
    return bytes((function, 0, 0, 0, count))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one question. `pdus`: good answers of this id, function and data."""

    pdus: tuple[bytes, ...] = ()
    others: tuple[int, ...] = ()
    odd_bytes: int = 0

    @property
    def garbled(self) -> bool:
        """Somebody said something, and not only a good answer."""
        return self.odd_bytes > ODD_BYTES

    @property
    def somebody(self) -> bool:
        """Not silence."""
        return bool(self.pdus) or self.garbled

    @property
    def granted(self) -> bool:
        """At least one answer that is no exception."""
        return any(not pdu[0] & EXCEPTION for pdu in self.pdus)


def length_at(heard: bytes, at: int) -> int:
    """Of the answer that begins there; 0: none does."""
    if len(heard) - at < SHORTEST_BYTES:
        return 0
    function = heard[at + 1]
    if function & EXCEPTION:
        return SHORTEST_BYTES
    if function in TABLES:
        return 5 + heard[at + 2]
    if function == IDENTIFY[0]:
        return _identification_length(heard, at)
    return 0


def _identification_length(heard: bytes, at: int) -> int:
    place = at + 8
    if len(heard) < place:
        return 0
    for _ in range(heard[at + 7]):
        if len(heard) < place + 2:
            return 0
        place += 2 + heard[place + 1]
    return place - at + 2


def read_answer(heard: bytes, address: int, function: int) -> Answer:
    """Sorted out; never raises. Frames are found by length and CRC, wherever they begin."""
    pdus, others, odd, at = [], [], 0, 0
    while at < len(heard):
        length = length_at(heard, at)
        frame = heard[at : at + length]
        good = length and len(frame) == length
        if good and crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little"):
            if frame[0] == address and frame[1] & ~EXCEPTION == function:
                pdus.append(frame[1:-2])
            else:
                others.append(frame[0])
            at += length
        else:
            odd += 1
            at += 1
    return Answer(tuple(pdus), tuple(others), odd)


def mastered(heard: bytes) -> bool:
    """A master's question is in it: 8 bytes with a good CRC (an answer of 8 counts too)."""
    for at in range(len(heard) - REQUEST_BYTES + 1):
        frame = heard[at : at + REQUEST_BYTES]
        if frame[1] in (*TABLES, 5, 6) and crc16(frame[:-2]) == int.from_bytes(
            frame[-2:], "little"
        ):
            return True
    return False


def identification(pdu: bytes) -> dict[int, str]:
    """Objects of device identification: 0 vendor, 1 product, 2 version."""
    told: dict[int, str] = {}
    place = 7
    while place + 2 <= len(pdu):
        number, size = pdu[place], pdu[place + 1]
        text = pdu[place + 2 : place + 2 + size].decode("ascii", "replace")
        told[number] = "".join(char if char.isprintable() else "?" for char in text)[:32]
        place += 2 + size
    return told


@dataclass(slots=True)
class Asked:
    """One id with one setting."""

    answers: list[Answer] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    told: dict[int, str] = field(default_factory=dict)
    inputs: int | None = None
    slow: bool = False

    @property
    def garbled(self) -> float:
        """Share of the answers that were, silence left out."""
        spoken = [answer for answer in self.answers if answer.somebody]
        return sum(answer.garbled for answer in spoken) / len(spoken) if spoken else 0.0

    def finding(self, address: int, setting: Setting, doubt: Doubt) -> Finding:
        """The verdict; `doubt` by garbling."""
        before = True
        for answer in self.answers:
            if len(answer.pdus) > 1 and before:
                doubt = Doubt.DUPLICATE
            before = answer.somebody
        silent = any(not answer.somebody for answer in self.answers)
        clean = any(answer.pdus for answer in self.answers)
        marks = (
            (Note.SLOW, self.slow),
            (Note.SOME_SILENT, silent),
            (Note.UNREADABLE, clean and not self.tables),
        )
        return Finding(
            address,
            setting,
            vendor=self.told.get(0, ""),
            model=self.told.get(1, ""),
            firmware=self.told.get(2, ""),
            inputs=self.inputs,
            tables=tuple(self.tables),
            doubt=doubt,
            clean=clean,
            notes=tuple(note for note, holds in marks if holds),
        )


class ModbusScan:
    """The plan. Ids silent to function 02 are asked with 03; with `everything` 01 and 04 too, and
    all settings are tried, though somebody answers with one. Speeds none, wait 0: the usual ones.
    """

    def __init__(
        self,
        speeds: tuple[int, ...] = (),
        addresses: tuple[int, ...] = tuple(ADDRESSES),
        wait_s: float = 0,
        everything: bool = False,
        parities: tuple[str, ...] = ("N", "E"),
    ) -> None:
        self.settings = tuple(
            Setting(baud, parity) for baud in speeds or SPEEDS for parity in parities
        )
        self.addresses = addresses
        self._functions = tuple(TABLES) if everything else tuple(TABLES)[:2]
        self._wait_s = (wait_s or REPLY_S) + ADAPTER_S
        self._everything = everything
        self._asked = 0

    @property
    def steps(self) -> int:
        """SWEEP questions at most."""
        return len(self.settings) * len(self.addresses) * len(self._functions)

    @property
    def longest_s(self) -> float:
        """When nobody is there."""
        asked = (self._ask(each, Stage.SWEEP, 1, read_request(2)) for each in self.settings)
        each_s = sum(question.longest_s for question in asked)
        return LISTEN_S + each_s * len(self.addresses) * len(self._functions)

    def run(self) -> Scan:
        """Questions, then the Result."""
        also = (Setting(baud, parity) for baud in ALSO_HEARD for parity in "NE")
        ears = tuple(dict.fromkeys((*self.settings, *also)))
        foreign, unasked_bytes = yield from listen(ears, LISTEN_S, mastered)
        if foreign is not None:
            return Result(foreign=foreign, unasked_bytes=unasked_bytes)
        findings: list[Finding] = []
        for setting in self.settings:
            found = yield from self._sweep(setting)
            findings += found
            if settled(found) and not self._everything:
                break
        return Result(believed(findings), unasked_bytes=unasked_bytes, asked=self._asked)

    def _ask(
        self, setting: Setting, stage: Stage, address: int, pdu: bytes, wait_s: float = 0
    ) -> Question:
        return Question(setting, stage, address, build(address, pdu), wait_s or self._wait_s)

    def _sweep(self, setting: Setting) -> Generator[Question, bytes, list[Finding]]:
        found: dict[int, Asked] = {}
        late: set[int] = set()
        for function in self._functions:
            for address in self.addresses:
                if address in found:
                    continue
                self._asked += 1
                question = self._ask(setting, Stage.SWEEP, address, read_request(function))
                answer = read_answer((yield question), address, function)
                late.update(answer.others)
                if answer.somebody:
                    found[address] = Asked()
        for address in sorted(late.intersection(self.addresses) - found.keys()):
            found[address] = Asked(slow=True)
        for address, asked in found.items():
            yield from self._confirm(setting, address, asked)
        found = {
            address: asked
            for address, asked in found.items()
            if any(answer.somebody for answer in asked.answers)
        }
        doubts = doubt_by_garbling({address: asked.garbled for address, asked in found.items()})
        return [
            asked.finding(address, setting, doubts[address])
            for address, asked in sorted(found.items())
        ]

    def _confirm(
        self, setting: Setting, address: int, asked: Asked
    ) -> Generator[Question, bytes, None]:
        wait_s = LATE_S if asked.slow else 0
        for function, table in TABLES.items():
            pdu = read_request(function)
            heard = yield self._ask(setting, Stage.CONFIRM, address, pdu, wait_s)
            answer = read_answer(heard, address, function)
            if not answer.somebody:
                continue  # a function it does not know; some keep silent instead of refusing
            asked.answers.append(answer)
            for _ in range(ASKS):
                heard = yield self._ask(setting, Stage.CONFIRM, address, pdu, wait_s)
                asked.answers.append(read_answer(heard, address, function))
            if any(answer.granted for answer in asked.answers[-1 - ASKS :]):
                asked.tables.append(table)
        if TABLES[0x02] in asked.tables:
            yield from self._count(setting, address, asked, wait_s)
        heard = yield self._ask(setting, Stage.CONFIRM, address, IDENTIFY, wait_s)
        for pdu in read_answer(heard, address, IDENTIFY[0]).pdus:
            asked.told = identification(pdu)

    def _count(
        self, setting: Setting, address: int, asked: Asked, wait_s: float
    ) -> Generator[Question, bytes, None]:
        """Of its discrete inputs: 32, 16 or 8 can be read at once."""
        for count in (32, 16, 8):
            pdu = read_request(0x02, count)
            heard = yield self._ask(setting, Stage.CONFIRM, address, pdu, wait_s)
            if read_answer(heard, address, 0x02).granted:
                asked.inputs = count
                return
