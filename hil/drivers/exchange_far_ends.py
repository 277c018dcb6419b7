"""Who can be called: the table of numbers, and the far ends that need no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from hil.drivers.exchange_tones import SILENT_FRAME, Pcm, Played, Quiet, Sound, Voice
from protocols.tones.elements import Playable, Silence, Tone

ENDS: Final = (
    "receiver", "busy", "congestion", "no_answer", "unknown", "voice", "silence", "wrong_handshake",
)  # fmt: skip
"""`receiver` = an AudioSocket server; `unknown` = number not obtainable; `no_answer` rings on."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a number leads to. `address` is host:port or a path (receiver only). Times in ms."""

    number: str
    to: str = "receiver"
    address: str = ""
    ring_ms: int = 1500
    lasts_ms: int = 0
    """The far end hangs up after so long; 0 = never by itself."""

    def __post_init__(self) -> None:
        if self.to not in ENDS:
            raise ValueError(f"a number leads to one of {', '.join(ENDS)}; not to {self.to!r}")
        if self.to == "receiver" and not self.address:
            raise ValueError(f"number {self.number}: the receiver's address (host:port) is missing")


@dataclass(slots=True)
class Routes:
    """The table. Changed at run time by assignment to `by_number`."""

    by_number: dict[str, Route] = field(default_factory=dict)

    def add(self, route: Route) -> None:
        """Put in or replace."""
        self.by_number[route.number] = route

    def find(self, number: str) -> Route | None:
        """The route of exactly this number."""
        return self.by_number.get(number)

    def more_could_come(self, number: str) -> bool:
        """Whether a longer number begins so."""
        return any(len(n) > len(number) and n.startswith(number) for n in self.by_number)


class Stage(Enum):
    """How far a far end is."""

    OPENING = "opening"
    TALKING = "talking"
    FAILED = "failed"
    """It could not be reached; never talked."""
    ENDED = "ended"
    """It hung up, or its connection broke."""


class FarEnd(Protocol):
    """The other side of one call, from the moment it goes off hook."""

    @property
    def stage(self) -> Stage:
        """Where it stands."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it has its next 20 ms; without them it says silence."""
        ...

    def step(self, frame: Pcm) -> Pcm:
        """20 ms: what the caller said -> what it says."""
        ...

    def hang_up(self) -> None:
        """The caller is gone."""
        ...


Connect = Callable[[Route, str], FarEnd]
"""(route to a receiver, caller's number) -> the far end, begun."""


class SoundEnd:
    """Says one thing, hears nothing."""

    ready: Final = True

    def __init__(self, sound: Sound) -> None:
        self.stage = Stage.TALKING
        self._sound = sound

    def step(self, frame: Pcm) -> Pcm:
        """20 ms of it."""
        return self._sound.frame() if self.stage is Stage.TALKING else SILENT_FRAME

    def hang_up(self) -> None:
        """Nothing is left to do."""
        self.stage = Stage.ENDED


WRONG_HANDSHAKE: Final[tuple[Playable, ...]] = (
    Silence(600), Tone(1550, 100), Silence(100), Tone(2500, 100), Silence(1500),
    Tone(2100, 400), Silence(2000),
) * 10  # fmt: skip
"""Both tones more than 5 % off (protocols.md 1.1), then a fax answer tone: nothing to reply to."""


def sound_end(route: Route) -> SoundEnd:
    """The far end of a route that is not a receiver."""
    match route.to:
        case "voice":
            return SoundEnd(Voice(seed=len(route.number)))
        case "wrong_handshake":
            return SoundEnd(Played(WRONG_HANDSHAKE))
        case _:
            return SoundEnd(Quiet())
