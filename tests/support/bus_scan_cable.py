"""A bus without time or port: answers the Questions of a scan, character by character."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pymodbus.framer import FramerRTU

from edge.adapters.bus_scan_types import Question, Result, Scan, Setting, Stage
from protocols.osdp.codes import CAPABILITY_SECURITY, PDCAP
from protocols.osdp.commands import Device
from protocols.osdp.frame import Frame, FrameReader, build
from protocols.osdp.peripheral import Identity, Peripheral


class Station(Protocol):
    """A node or module."""

    def receive(self, data: bytes, now_ms: int) -> bytes:
        """What it answers."""


@dataclass(frozen=True)
class Place:
    """A station on the cable; it begins its answer `after_ms` after the question."""

    station: Station
    setting: Setting
    after_ms: float


class Cable:
    """Answers that overlap garble each other; an answer after the wait is heard in the next one."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.questions: list[Question] = []
        self.spikes: dict[int, bytes] = {}
        """Heard with the first SWEEP question to this address."""
        self.unasked: dict[Setting, bytes] = {}
        self.now_s = 0.0
        self._late = b""

    def put(self, station: Station, setting: Setting, after_ms: float = 3.0) -> None:
        """One more."""
        self.places.append(Place(station, setting, after_ms))

    def run(self, scan: Scan) -> Result:
        """To its end."""
        try:
            question = next(scan)
            while True:
                question = scan.send(self.answer(question))
        except StopIteration as done:
            result: Result = done.value
            return result

    def answer(self, question: Question) -> bytes:
        """What the controller hears."""
        self.questions.append(question)
        self.now_s += question.longest_s
        if question.stage is Stage.LISTEN:
            return self.unasked.get(question.setting, b"")
        heard, self._late = self._late, b""
        if question.stage is Stage.SWEEP:
            heard += self.spikes.pop(question.address, b"")
        line: dict[int, int] = {}
        for place in self.places:
            if place.setting != question.setting:
                continue
            data = place.station.receive(question.data, int(self.now_s * 1000))
            if data and place.after_ms / 1000 > question.wait_s:
                self._late += data
                continue
            first = int(place.after_ms / 1000 / question.setting.character_s)
            for at, byte in enumerate(data, first):
                line[at] = line.get(at, 0) ^ byte
        return heard + bytes(line[at] for at in sorted(line))

    def asked(self, stage: Stage) -> list[Question]:
        """Questions of this stage."""
        return [question for question in self.questions if question.stage is stage]


def clear_peripheral(address: int, vendor: int, *, secure: bool = True) -> Peripheral:
    """Of another maker: works in clear text; `secure` False: cannot encrypt at all."""
    identity = Identity(vendor, 4, 2, 99, (3, 1, 0))
    peripheral = Peripheral(identity, Device(), address, None, lambda n: bytes(n), clear=True)
    if not secure:
        receive = peripheral.receive

        def without(data: bytes, now_ms: int) -> bytes:
            return _without_security(receive(data, now_ms))

        peripheral.receive = without  # type: ignore[method-assign]
    return peripheral


def _without_security(reply: bytes) -> bytes:
    found = FrameReader().feed(reply)
    if len(found) != 1 or not isinstance(found[0], Frame) or found[0].data[0] != PDCAP:
        return reply
    frame = found[0]
    told = frame.data[1:]
    kept = [told[at : at + 3] for at in range(0, len(told), 3) if told[at] != CAPABILITY_SECURITY]
    data = bytes((PDCAP,)) + b"".join(kept)
    return build(frame.address, frame.sequence, data, reply=True, mark=frame.marked)


def rtu(body: bytes) -> bytes:
    """With pymodbus's CRC."""
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


class Module:
    """A Modbus module: `items` of each function it knows; `mute`: silent instead of refusing."""

    def __init__(
        self, address: int, items: dict[int, int], *, mute: bool = False, name: str = ""
    ) -> None:
        self.address = address
        self._items = items
        self._mute = mute
        self._name = name

    def receive(self, data: bytes, now_ms: int) -> bytes:
        """What it answers to a whole request."""
        if data[0] != self.address or rtu(data[:-2]) != data:
            return b""
        function = data[1]
        if function == 0x2B and self._name:
            vendor = self._name.encode()
            told = bytes((0x2B, 0x0E, 1, 1, 0, 0, 1, 0, len(vendor)))
            return rtu(bytes((self.address,)) + told + vendor)
        count = data[5] if function != 0x2B else 0
        if function not in self._items or count > self._items[function]:
            refusal = bytes((self.address, function | 0x80, 2))
            return b"" if self._mute else rtu(refusal)
        size = (count + 7) // 8 if function in (1, 2) else 2 * count
        return rtu(bytes((self.address, function, size)) + bytes(size))
