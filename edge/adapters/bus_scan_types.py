"""What a scan of a bus asks and finds; no I/O.

A scan is a generator: it yields a Question, is sent the bytes heard, and returns what it found. So
plan and verdict are tested without a port (`bus_scan` has the port).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import Final

GARBLED_MUCH: Final = 0.3
GARBLED_LITTLE: Final = 0.1


@dataclass(frozen=True, slots=True, order=True)
class Setting:
    """Of the port."""

    baud: int
    parity: str = "N"

    def __str__(self) -> str:
        return f"{self.baud} 8{self.parity}1"

    @property
    def character_s(self) -> float:
        """One character on the wire."""
        return (10 + (self.parity != "N")) / self.baud


class Stage(Enum):
    """What a question is for."""

    LISTEN = "listen"
    """Nothing is sent: does another controller talk here?"""
    CALL = "call"
    """To everybody at once: is this the speed?"""
    SWEEP = "sweep"
    CONFIRM = "confirm"


@dataclass(frozen=True, slots=True)
class Question:
    """Send `data`, wait `wait_s` after its last character for a first byte, then for silence."""

    setting: Setting
    stage: Stage
    address: int
    data: bytes
    wait_s: float
    quiet_s: float = 0.03
    """No byte for so long: the answer is over. Longer than the 16 ms a USB adapter may batch."""

    @property
    def longest_s(self) -> float:
        """When nobody answers."""
        return len(self.data) * self.setting.character_s + self.wait_s


class Security(Enum):
    """What CAP says of a peripheral's secure channel."""

    UNKNOWN = "unknown"
    NONE = "none"
    FACTORY = "factory"
    """It has the well-known default key: pair it."""
    KEYED = "keyed"
    """Of Tocsin nodes, which say so."""
    CAPABLE = "capable"
    """Others: which key they have is not told reliably."""


class Doubt(Enum):
    """Whether one node answers there."""

    NO = "no"
    DUPLICATE = "duplicate"
    """Two answers to one question, or two identities in turn."""
    DUPLICATE_LIKELY = "duplicate_likely"
    """Its answers are garbled and those of others are not."""
    GARBLED = "garbled"
    """Its answers are garbled: the line, or two nodes; no other node to tell by."""


class Note(Enum):
    """What else is to be known of a node."""

    SLOW = "slow"
    """It answers later than OSDP allows, or than this scan waits."""
    SOME_SILENT = "some_silent"
    REFUSES = "refuses"
    """It refuses to tell who it is."""
    UNREADABLE = "unreadable"
    """Modbus: it answers, but lets nothing be read from item 0."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Somebody answers at this address. Empty: not told."""

    address: int
    setting: Setting
    vendor: str = ""
    model: str = ""
    serials: tuple[str, ...] = ()
    """More than one: of two nodes."""
    firmware: str = ""
    security: Security = Security.UNKNOWN
    inputs: int | None = None
    readers: int | None = None
    tables: tuple[str, ...] = ()
    """Modbus: tables that can be read, as the panel file names them."""
    doubt: Doubt = Doubt.NO
    notes: tuple[Note, ...] = ()
    clean: bool = True
    """At least one good answer; without any, the setting may be the wrong one."""


@dataclass(frozen=True, slots=True)
class Result:
    """Of a whole scan."""

    findings: tuple[Finding, ...] = ()
    foreign: Setting | None = None
    """Another controller was heard with this setting: nothing was asked."""
    unasked_bytes: int = 0
    """Heard before anybody was asked: noise, or a station that babbles."""
    unplaced: tuple[Setting, ...] = ()
    """Somebody answered a call to all here, but at none of the addresses asked."""
    asked: int = 0


Scan = Generator[Question, bytes, Result]


def listen(
    settings: tuple[Setting, ...], stay_s: float, controls: Callable[[bytes], bool]
) -> Generator[Question, bytes, tuple[Setting | None, int]]:
    """The setting at which a controller is heard, and how much is said unasked.

    Where nothing is said with the first setting, nothing is said with others.
    """
    unasked_bytes = 0
    for setting in settings:
        heard = yield Question(setting, Stage.LISTEN, -1, b"", stay_s, stay_s)
        if controls(heard):
            return setting, len(heard)
        unasked_bytes = max(unasked_bytes, len(heard))
        if not unasked_bytes:
            break
    return None, unasked_bytes


def doubt_by_garbling(garbled: dict[int, float]) -> dict[int, Doubt]:
    """From the share of garbled answers of each address: noise garbles all, a duplicate its own."""
    doubts = {}
    for address, share in garbled.items():
        others = [other for each, other in garbled.items() if each != address]
        if share < GARBLED_MUCH:
            doubts[address] = Doubt.NO
        elif any(other < GARBLED_LITTLE for other in others):
            doubts[address] = Doubt.DUPLICATE_LIKELY
        else:
            doubts[address] = Doubt.GARBLED
    return doubts


def settled(findings: list[Finding]) -> bool:
    """This is the setting: somebody is understood."""
    return any(finding.clean for finding in findings)


def believed(findings: list[Finding]) -> tuple[Finding, ...]:
    """Where somebody is understood at all, settings with nothing but garbled answers are wrong."""
    right = {finding.setting for finding in findings if finding.clean}
    return tuple(each for each in findings if not right or each.setting in right)
