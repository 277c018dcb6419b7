"""The pair of copper itself: characters in time, and what two at once make of each other.

No thread, no clock, no pty: `bus_wire` feeds it. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

UNPACED_BAUD: Final = 10_000_000
"""What baud 0 stands for: a character a microsecond."""
NOISE: Final = "~noise"
"""The talker nobody attached."""


@dataclass(frozen=True, slots=True)
class LineFaults:
    """What is wrong with the cable. Probabilities are per character."""

    noise_per_s: float = 0.0
    """Bursts of 1 to `noise_bytes` random characters; they collide with what is being said."""
    noise_bytes: int = 3
    lose: float = 0.0
    double: float = 0.0
    flip: float = 0.0
    """One bit of it turned over."""
    short: bool = False
    """A against B: nobody hears anything."""
    cut_after: int | None = None
    """The cable is cut behind this drop (the first attached is drop 0): those beyond hear and say
    nothing."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Characters whose stop bits are over, as they stand on the line."""

    sender: str
    pieces: tuple[bytes, ...] | bytes
    """What became of each character: b"" lost, two bytes doubled. Plain bytes: all
    as sent, and nothing overlapped."""
    until_s: float
    over: bool
    """The sender has nothing more to say."""
    overlaps: tuple[tuple[str, int, int], ...] = ()
    """(other talker, first, end): characters it could not hear, for it was talking itself."""

    def data(self, listener: str = "") -> bytes:
        """What this listener hears of it."""
        if isinstance(self.pieces, bytes):
            return self.pieces
        for talker, first, end in self.overlaps:
            if talker == listener:
                return b"".join(self.pieces[:first] + self.pieces[end:])
        return b"".join(self.pieces)


@dataclass(slots=True)
class Said:
    """One uninterrupted speech, for the log: what was meant, and whether it got through whole."""

    sender: str
    from_s: float
    until_s: float
    data: bytes
    garbled: bool


@dataclass(slots=True)
class _Talker:
    """One transmitter: characters from `first_s` on, back to back."""

    char_s: float
    began_s: float = 0.0
    first_s: float = 0.0
    queue: bytearray = field(default_factory=bytearray)
    said: bytearray = field(default_factory=bytearray)
    garbled: bool = False

    @property
    def until_s(self) -> float:
        """When its last character is over."""
        return self.first_s + len(self.queue) * self.char_s


class Line:
    """Who talks when. `bits`: of a character, start and stop included. `fifo`: so many characters
    at most are handed over together, the last of a speech never late.
    """

    def __init__(self, baud: int, bits: int = 10, fifo: int = 16, seed: int = 0) -> None:
        self.char_s: Final = bits / (baud or UNPACED_BAUD)
        self.faults = LineFaults()
        self.collisions = 0
        self.characters = 0
        self.noise_characters = 0
        self.log: list[Said] = []
        """Speeches that ended since somebody last took them away."""
        self._bits = bits
        self._fifo = fifo
        self._dice = random.Random(seed)  # noqa: S311 - noise, the same each time
        self._talkers: dict[str, _Talker] = {}
        self._past: list[tuple[str, float, float]] = []
        """Speeches over, as long as characters under way may still overlap them."""
        self._noise_s: float | None = None

    def set_faults(self, faults: LineFaults, now_s: float) -> None:
        """From now on."""
        self.faults = faults
        self._noise_s = self._next_noise(now_s)

    def speak(self, name: str, data: bytes, at_s: float, char_s: float = 0.0) -> None:
        """Begin at `at_s`, or when this talker's shift register is free. Call in order of time,
        after `advance(at_s)`. `char_s`: of this talker, when it differs from the line's.
        """
        if not data:
            return
        talker = self._talkers.get(name)
        if talker is None:
            talker = self._talkers[name] = _Talker(char_s or self.char_s, at_s, at_s)
        talker.queue += data

    def hush(self, name: str) -> None:
        """What it has not begun to send is not sent."""
        talker = self._talkers.get(name)
        if talker is not None:
            del talker.queue[1:]

    def talking(self, name: str) -> bool:
        """Characters of it are on the line or wait."""
        return name in self._talkers

    def deadline_s(self) -> float | None:
        """When `advance` is to be called next."""
        due = self._noise_s
        for talker in self._talkers.values():
            at = talker.first_s + min(len(talker.queue), self._fifo) * talker.char_s
            if due is None or at < due:
                due = at
        return due

    def advance(self, now_s: float) -> list[Heard]:
        """What has been said in full by now, in order of time."""
        heard: list[Heard] = []
        while self._noise_s is not None and self._noise_s <= now_s:
            at_s = self._noise_s
            heard += self._pass(at_s)
            size = self._dice.randint(1, self.faults.noise_bytes)
            self.noise_characters += size
            self.speak(NOISE, self._dice.randbytes(size), at_s)
            self._noise_s = self._next_noise(at_s)
        return heard + self._pass(now_s)

    def _next_noise(self, now_s: float) -> float | None:
        rate = self.faults.noise_per_s
        return now_s + self._dice.expovariate(rate) if rate > 0 else None

    def _pass(self, now_s: float) -> list[Heard]:
        if not self._talkers:
            return []
        heard: list[Heard] = []
        crowd = [(name, t.began_s, t.until_s) for name, t in self._talkers.items()]
        around = crowd + self._past
        for name, talker in list(self._talkers.items()):
            # A hundredth of a character for what floating point makes of sums.
            count = int((now_s - talker.first_s) / talker.char_s + 0.01)
            count = min(count, len(talker.queue))
            over = count == len(talker.queue)
            if count <= 0 or not (over or count >= self._fifo):
                continue
            heard.append(self._take(name, talker, count, over, around))
            if over:
                self.log.append(
                    Said(name, talker.began_s, talker.first_s, bytes(talker.said), talker.garbled)
                )
                del self._talkers[name]
                self._past.append((name, talker.began_s, talker.first_s))
        if self._past:
            began = min((t.first_s for t in self._talkers.values()), default=now_s)
            self._past = [past for past in self._past if past[2] > began]
        heard.sort(key=lambda item: item.until_s)
        return heard

    def _take(
        self,
        name: str,
        talker: _Talker,
        count: int,
        over: bool,
        around: list[tuple[str, float, float]],
    ) -> Heard:
        data = bytes(talker.queue[:count])
        from_s = talker.first_s
        del talker.queue[:count]
        talker.said += data
        talker.first_s += count * talker.char_s
        self.characters += count
        overlaps: list[tuple[str, int, int]] = []
        for other, began_s, until_s in around:
            if other == name or began_s >= talker.first_s or until_s <= from_s:
                continue
            first = max(0, int((began_s - from_s) / talker.char_s + 0.01))
            end = min(count, -int(-((until_s - from_s) / talker.char_s - 0.01) // 1))
            if first < end:
                overlaps.append((other, first, end))
        if not overlaps and not self._impaired:
            return Heard(name, data, talker.first_s, over)
        pieces = [bytes((byte,)) for byte in data]
        for _, first, end in overlaps:
            talker.garbled = True
            self.collisions += 1
            for at in range(first, end):
                # Two drivers against each other: any level, and the framing may go with it.
                pieces[at] = self._dice.randbytes(1) if self._dice.random() < 0.7 else b""
        self._impair(pieces, talker)
        return Heard(name, tuple(pieces), talker.first_s, over, tuple(overlaps))

    @property
    def _impaired(self) -> bool:
        return bool(self.faults.lose or self.faults.double or self.faults.flip)

    def _impair(self, pieces: list[bytes], talker: _Talker) -> None:
        faults, dice = self.faults, self._dice
        total = faults.lose + faults.double + faults.flip
        if not total:
            return
        for at, piece in enumerate(pieces):
            chance = dice.random()
            if chance >= total:
                continue
            talker.garbled = True
            if chance < faults.lose:
                pieces[at] = b""
            elif chance < faults.lose + faults.double:
                pieces[at] = piece * 2
            elif piece:
                pieces[at] = bytes((piece[0] ^ 1 << dice.randrange(8),))
