"""A line for the receiver's call machine: time in ms, what is heard put in, what it wants noted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from collector.reception.call import Call
from collector.reception.call_types import (
    Answered,
    Effect,
    HangUp,
    HungUp,
    Play,
    Preferred,
    Refused,
    Reported,
    Store,
    Stored,
    StoreFailed,
    Unrecognised,
)
from collector.reception.formats import Format
from collector.reception.formats_dtmf import DtmfFamily
from collector.reception.formats_fsk import SiaLevel
from collector.reception.formats_pulse import PulseFamily
from collector.reception.profile import Profile
from protocols.contact_id import message
from protocols.instants import NS_PER_MS, Instant
from protocols.tones.elements import DigitHeard, FskHeard, FskKind, Heard, PulseDigitHeard, Tone

LAG_MS = 40
"""A digit is told so long after its end."""


def formats(pins: dict[str, str] | None = None) -> list[Format]:
    return [DtmfFamily(pins=pins), PulseFamily(pins=pins), SiaLevel()]


def block_of(
    account: str = "1234", code: str = "131", number: str = "015", q: str = "1", area: str = "01"
) -> str:
    """A Contact ID block as hex digits."""
    return message.encode(message.Message(account, q, code, area, number))


@dataclass
class Line:
    """`store(reports)`: "" it takes them, or why not; None: it never answers."""

    profile: Profile = field(default_factory=Profile)
    pins: dict[str, str] = field(default_factory=dict)
    caller: str = "02155512345"
    preferred: Preferred | None = None
    store: Callable[[Sequence[Reported]], str | None] = lambda _reports: ""
    more: Sequence[Format] = ()

    def __post_init__(self) -> None:
        self.now_ms = 0
        self.effects: list[tuple[int, Effect]] = []
        self.stored: list[Reported] = []
        self.kissed: list[tuple[int, Reported]] = []
        self._last_stored: tuple[Reported, ...] = ()
        self.call = Call(
            self.profile,
            [*formats(self.pins), *self.more],
            caller=self.caller,
            preferred=self.preferred,
            pins=self.pins,
        )

    @property
    def now(self) -> Instant:
        return Instant(self.now_ms * NS_PER_MS)

    def answered(self) -> Line:
        self._note(self.call.receive(Answered(), self.now))
        return self

    def hang_up(self) -> None:
        self._note(self.call.receive(HungUp(), self.now))

    def wait(self, ms: int) -> None:
        """Let time pass, ticking at each deadline as a shell does: every 20 ms."""
        end = self.now_ms + ms
        while self.now_ms < end:
            self.now_ms = min(end, self.now_ms + 20)
            deadline = self.call.deadline()
            if deadline is not None and deadline <= self.now:
                self._note(self.call.tick(self.now))

    def until(self, what: Callable[[Effect], bool], most_ms: int = 60_000) -> Effect:
        """Wait for an effect that is not there yet."""
        seen = len(self.effects)
        end = self.now_ms + most_ms
        while self.now_ms < end:
            self.wait(20)
            for _, effect in self.effects[seen:]:
                if what(effect):
                    return effect
        raise AssertionError(f"not within {most_ms} ms; last: {self.effects[-5:]}")

    def hear(self, heard: Heard) -> None:
        self._note(self.call.receive(heard, self.now))

    def digits(
        self,
        hexadecimal: str,
        on_ms: int = 50,
        off_ms: int = 50,
        lose: frozenset[int] = frozenset(),
    ) -> None:
        """These are sent now; those at the places `lose` are not heard. Ends with the last told."""
        period_ms = on_ms + off_ms
        begins = [self.now_ms + place * period_ms for place in range(len(hexadecimal))]
        self.digits_at(hexadecimal, begins, on_ms, lose)

    def digits_at(
        self,
        hexadecimal: str,
        begins: Sequence[int],
        on_ms: int = 50,
        lose: frozenset[int] = frozenset(),
    ) -> None:
        """Each begins at its own ms."""
        for place, (key, begin) in enumerate(
            zip(message.keys_of(hexadecimal), begins, strict=True)
        ):
            self.wait(begin + on_ms + LAG_MS - self.now_ms)
            if place not in lose:
                self.hear(DigitHeard(key, begin, begin + on_ms, -9.0))

    def pulses(
        self, digits: str, hz: int = 1900, per_s: int = 10, pauses_ms: Sequence[int] = ()
    ) -> None:
        """A digit is told LAG_MS after its end; 600 ms from one to the next, or `pauses_ms`."""
        for place, digit in enumerate(digits):
            count = 10 if digit == "0" else int(digit, 16)
            begin = self.now_ms
            self.wait(count * 1000 // per_s + LAG_MS)
            self.hear(PulseDigitHeard(count, hz, begin, self.now_ms - LAG_MS))
            self.wait((pauses_ms[place] if place < len(pauses_ms) else 600) - LAG_MS)

    def bytes_heard(self, data: bytes, kind: FskKind = FskKind.BELL103_ORIGINATE) -> None:
        """FSK at 300 baud, a byte at a time as the ear tells it."""
        for at in range(len(data)):
            self.wait(20 if at % 3 else 60)
            self.hear(FskHeard(data[at : at + 1], kind, 300, 0, self.now_ms))

    # what it did

    def kinds(self, kind: type) -> list[Effect]:
        return [each for _, each in self.effects if isinstance(each, kind)]

    @property
    def refused(self) -> list[str]:
        return [each.reason for _, each in self.effects if isinstance(each, Refused)]

    @property
    def unrecognised(self) -> list[Unrecognised]:
        return [each for _, each in self.effects if isinstance(each, Unrecognised)]

    @property
    def played(self) -> list[tuple[int, tuple[object, ...]]]:
        return [(at, each.sound) for at, each in self.effects if isinstance(each, Play)]

    @property
    def over(self) -> bool:
        return any(isinstance(each, HangUp) for _, each in self.effects) or self.call.over

    def _note(self, effects: Sequence[Effect]) -> None:
        for each in effects:
            self.effects.append((self.now_ms, each))
            if isinstance(each, Store):
                self._store(each)
            if isinstance(each, Play) and is_kiss_off(each):
                self.kissed += [(self.now_ms, one) for one in self._last_stored]

    def _store(self, asked: Store) -> None:
        answer = self.store(asked.reports)
        if answer is None:
            return
        if answer:
            self._note(self.call.receive(StoreFailed(asked.token, answer), self.now))
            return
        self.stored += asked.reports
        self._last_stored = asked.reports
        self._note(self.call.receive(Stored(asked.token), self.now))


def is_kiss_off(effect: Effect) -> bool:
    """A long single tone."""
    return (
        isinstance(effect, Play)
        and len(effect.sound) == 1
        and isinstance(effect.sound[0], Tone)
        and effect.sound[0].ms >= 700
    )
