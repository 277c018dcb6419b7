"""Who is on an OSDP bus: ID in clear text to each address, with sequence number 0.

Number 0 begins a new session, so a queue of a node does not move: nothing it has to tell is lost by
a scan. POLL is not asked for that reason: in clear text it may take a report from a node's queue.
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
    Security,
    Setting,
    Stage,
    believed,
    doubt_by_garbling,
    listen,
    settled,
)
from protocols.osdp import codes
from protocols.osdp.frame import Frame, FrameReader, build

SPEEDS: Final = (9_600, 19_200, 38_400, 57_600, 115_200)
ALSO_HEARD: Final = (*SPEEDS, 230_400)
"""Speeds at which another controller may be talking."""
ADDRESSES: Final = range(127)
REPLY_S: Final = 0.2
"""OSDP: a peripheral begins its reply within 200 ms."""
ADAPTER_S: Final = 0.02
"""What a USB adapter may hold back."""
LATE_S: Final = 1.0
LISTEN_S: Final = 0.5
ASKS: Final = 6
OURS: Final = "Tocsin"
ODD_BYTES: Final = 3
"""More than a spike at the turn of the line."""
PDID_BYTES: Final = 13
ID_ASKED: Final = bytes((codes.ID, 0))
CAP_ASKED: Final = bytes((codes.CAP, 0))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one question."""

    frames: tuple[Frame, ...] = ()
    """Good replies of the address asked."""
    others: tuple[int, ...] = ()
    """Addresses of good replies that are somebody else's: late."""
    odd_bytes: int = 0
    """In no good frame."""

    @property
    def garbled(self) -> bool:
        """Somebody said something, and not only a good reply."""
        return self.odd_bytes > ODD_BYTES

    @property
    def somebody(self) -> bool:
        """Not silence."""
        return bool(self.frames) or self.garbled


def read_answer(heard: bytes, address: int) -> Answer:
    """Sorted out; never raises."""
    frames, others, good = [], [], 0
    reader = FrameReader()
    for what in reader.feed(heard):
        if isinstance(what, Frame) and what.reply:
            good += len(what.raw) + what.marked
            if what.address == address:
                frames.append(what)
            else:
                others.append(what.address)
    return Answer(tuple(frames), tuple(others), len(heard) - good)


def commanded(heard: bytes) -> bool:
    """A controller's frame is in it."""
    return any(isinstance(what, Frame) and not what.reply for what in FrameReader().feed(heard))


@dataclass(slots=True)
class Asked:
    """One address at one speed."""

    answers: list[Answer] = field(default_factory=list)
    abilities: bytes | None = None
    slow: bool = False

    @property
    def identities(self) -> list[bytes]:
        """Different PDIDs, in order."""
        found = [
            frame.data[1:]
            for answer in self.answers
            for frame in answer.frames
            if frame.data[0] == codes.PDID and len(frame.data) == PDID_BYTES
        ]
        return list(dict.fromkeys(found))

    @property
    def garbled(self) -> float:
        """Share of the answers that were, silence left out."""
        spoken = [answer for answer in self.answers if answer.somebody]
        return sum(answer.garbled for answer in spoken) / len(spoken) if spoken else 0.0

    @property
    def twice(self) -> bool:
        """Two good replies to one question; none of them the late one to the question before."""
        answered = True
        for answer in self.answers:
            if len(answer.frames) > 1 and answered:
                return True
            answered = answer.somebody
        return False

    def finding(self, address: int, setting: Setting, doubt: Doubt) -> Finding:
        """The verdict; `doubt` by garbling."""
        identities = self.identities
        if len(identities) > 1 or self.twice:
            doubt = Doubt.DUPLICATE
        notes = []
        if self.slow:
            notes.append(Note.SLOW)
        if any(not answer.somebody for answer in self.answers):
            notes.append(Note.SOME_SILENT)
        if not identities and any(answer.frames for answer in self.answers):
            notes.append(Note.REFUSES)
        told = abilities(self.abilities)
        first = identities[0] if identities else b""
        vendor = _vendor(first)
        return Finding(
            address,
            setting,
            vendor=vendor,
            model=f"{first[3]}.{first[4]}" if first else "",
            serials=tuple(str(int.from_bytes(each[5:9], "little")) for each in identities),
            firmware=".".join(str(part) for part in first[9:12]),
            security=_security(told, vendor),
            inputs=told[codes.CAPABILITY_INPUTS][1] if codes.CAPABILITY_INPUTS in told else None,
            readers=told[codes.CAPABILITY_READERS][1] if codes.CAPABILITY_READERS in told else None,
            doubt=doubt,
            clean=any(answer.frames for answer in self.answers),
            notes=tuple(notes),
        )


def _vendor(identity: bytes) -> str:
    if not identity:
        return ""
    if int.from_bytes(identity[:3], "little") == codes.VENDOR:
        return OURS
    return identity[:3].hex("-").upper()


def abilities(payload: bytes | None) -> dict[int, tuple[int, int]]:
    """PDCAP: function to (level, count)."""
    told = {}
    for start in range(0, len(payload or b"") // 3 * 3, 3):
        function, level, count = (payload or b"")[start : start + 3]
        told[function] = (level, count)
    return told


def _security(told: dict[int, tuple[int, int]], vendor: str) -> Security:
    if not told:
        return Security.UNKNOWN
    level, default = told.get(codes.CAPABILITY_SECURITY, (0, 0))
    if not level & 1:
        return Security.NONE
    if default & 1:
        return Security.FACTORY
    return Security.KEYED if vendor == OURS else Security.CAPABLE


class OsdpScan:
    """The plan. `everything`: all speeds, though somebody answers at one. Speeds none, wait 0: the
    usual ones.
    """

    def __init__(
        self,
        speeds: tuple[int, ...] = (),
        addresses: tuple[int, ...] = tuple(ADDRESSES),
        wait_s: float = 0,
        everything: bool = False,
    ) -> None:
        self.settings = tuple(Setting(baud) for baud in speeds or SPEEDS)
        self.addresses = addresses
        self._wait_s = (wait_s or REPLY_S) + ADAPTER_S
        self._everything = everything
        self._asked = 0

    @property
    def steps(self) -> int:
        """SWEEP questions at most."""
        return len(self.settings) * len(self.addresses)

    @property
    def longest_s(self) -> float:
        """When nobody is there."""
        calls = len(self.settings) * self._wait_s + LISTEN_S
        sweeps = (self._ask(each, Stage.SWEEP, 0, ID_ASKED).longest_s for each in self.settings)
        return calls + sum(sweeps) * len(self.addresses)

    def run(self) -> Scan:
        """Questions, then the Result."""
        also = (Setting(baud) for baud in ALSO_HEARD)
        ears = tuple(dict.fromkeys((*self.settings, *also)))
        foreign, unasked_bytes = yield from listen(ears, LISTEN_S, commanded)
        if foreign is not None:
            return Result(foreign=foreign, unasked_bytes=unasked_bytes)
        called = yield from self._call()
        first = sorted(self.settings, key=lambda setting: setting not in called)
        findings: list[Finding] = []
        unplaced = []
        for setting in first:
            found = yield from self._sweep(setting)
            findings += found
            if settled(found) and not self._everything:
                break
            if not found and setting in called:
                unplaced.append(setting)
        return Result(
            believed(findings),
            unasked_bytes=unasked_bytes,
            unplaced=tuple(unplaced),
            asked=self._asked,
        )

    def _ask(
        self, setting: Setting, stage: Stage, address: int, data: bytes, wait_s: float = 0
    ) -> Question:
        # With a mark, as libosdp sends it: it gives the line time to turn round.
        frame = build(address, 0, data, mark=True)
        return Question(setting, stage, address, frame, wait_s or self._wait_s)

    def _call(self) -> Generator[Question, bytes, set[Setting]]:
        """Settings at which a call to all is answered, however garbled by many at once."""
        called = set()
        for setting in self.settings:
            heard = yield self._ask(setting, Stage.CALL, codes.BROADCAST, ID_ASKED)
            if read_answer(heard, codes.BROADCAST).somebody:
                called.add(setting)
        return called

    def _sweep(self, setting: Setting) -> Generator[Question, bytes, list[Finding]]:
        found: dict[int, Asked] = {}
        late: set[int] = set()
        for address in self.addresses:
            self._asked += 1
            answer = read_answer(
                (yield self._ask(setting, Stage.SWEEP, address, ID_ASKED)), address
            )
            late.update(answer.others)
            if answer.somebody and not (answer.others and not answer.frames):
                found[address] = Asked([answer])
        for address in sorted(late.intersection(self.addresses) - found.keys()):
            found[address] = Asked(slow=True)
        for address, asked in found.items():
            yield from self._confirm(setting, address, asked)
        # A spike in the sweep is nobody.
        found = {
            address: asked
            for address, asked in found.items()
            if any(answer.somebody for answer in asked.answers[1:])
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
        while len(asked.answers) < ASKS:
            question = self._ask(setting, Stage.CONFIRM, address, ID_ASKED, wait_s)
            asked.answers.append(read_answer((yield question), address))
        for _ in range(3):
            heard = yield self._ask(setting, Stage.CONFIRM, address, CAP_ASKED, wait_s)
            for frame in read_answer(heard, address).frames:
                if frame.data[0] == codes.PDCAP:
                    asked.abilities = frame.data[1:]
                    return
                if frame.data[0] == codes.NAK:
                    return
