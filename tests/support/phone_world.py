"""A telephone line with a Contact ID receiver at its far end, as a model in virtual time.

Independent of the call machine: it knows the published times (SIA DC-05 sequence) and what each
kind of misfortune sounds like. Used by transcripts, the property test and the call-time bench.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.reporting.phone.line import (
    Connected,
    Dial,
    Dialled,
    Dropped,
    Failed,
    LineInput,
    LineOrder,
    LineStatus,
    NoLine,
    Play,
    Played,
    Release,
    Released,
    Seize,
    Seized,
)
from protocols.contact_id.message import Message, Refusal, decode, digits_of
from protocols.instants import NS_PER_MS, Instant
from protocols.tones.elements import Digits, Progress, ProgressHeard, ToneHeard

RECOGNISED_MS = 30
"""How long a tone is there before it is told."""


@dataclass
class FarEnd:
    """What the line and the receiver do. Times in ms. None: it never comes."""

    no_line: str | None = None
    keeps_line: bool = False
    """In use, and whoever cuts in gets no line either."""
    dial_tone_ms: int | None = 400
    talk: bool = False
    """A person is on the phone, and the line cannot tell: no dial tone, a voice."""
    dial_ms: int = 800
    busy: bool = False
    failed: str | None = None
    answer_ms: int | None = 1000
    signalled: bool = False
    voice: bool = False
    handshake: tuple[tuple[int, int], ...] = ((1400, 100), (0, 100), (2300, 100))
    """(hz, ms), hz 0: silence. Begins `off_hook_ms` after the answer."""
    off_hook_ms: int = 500
    kiss: tuple[tuple[int, int], ...] = ((0, 100), (1400, 850))
    drop_in_play_ms: int | None = None
    cut_in_play_ms: int | None = None
    drop_after_kiss_ms: int | None = None
    hears: Callable[[str], str | None] = field(default=lambda digits: digits)
    """Digits as they arrive; None: nothing decodable."""
    kisses: Callable[[int], bool] = field(default=lambda n: True)
    """Whether the kiss-off of the nth accepted block (from 1) reaches the panel."""
    rehandshake_ms: int | None = None
    """After a block it could not read the receiver begins anew, so long after it."""


class ModelLine:
    """Takes LineOrders, gives timed LineInputs; `received` is what the receiver has stored."""

    def __init__(self, far: FarEnd) -> None:
        self.far = far
        self.now = Instant(0)
        self.off_hook = False
        self.received: list[Message] = []
        self.plays: list[tuple[Instant, str]] = []
        self.seizes: list[tuple[Instant, bool]] = []
        self.dialled: list[str] = []
        self.gaps_ms: list[tuple[str, float]] = []
        self.whole: list[str] = []
        """Digits of each block whose end the panel was told of."""
        self._queue: list[tuple[int, int, LineInput]] = []
        self._count = itertools.count()
        self._tone_end: Instant | None = None
        self._playing = ""

    def at(self, ms: float, given: LineInput) -> None:
        when = self.now + round(ms * NS_PER_MS)
        heapq.heappush(self._queue, (when, next(self._count), given))

    def next_at(self) -> Instant | None:
        return Instant(self._queue[0][0]) if self._queue else None

    def take(self) -> LineInput:
        when, _, given = heapq.heappop(self._queue)
        self.now = Instant(when)
        if isinstance(given, (Dropped, NoLine, Failed)):
            self._clear()
        if isinstance(given, ToneHeard) and not given.on:
            self._tone_end = self.now
        if isinstance(given, Played):
            self.whole.append(self._playing)
        return given

    def _clear(self) -> None:
        self.off_hook = False
        self._queue = [one for one in self._queue if isinstance(one[2], LineStatus)]
        heapq.heapify(self._queue)

    def _tones(self, start_ms: float, tones: tuple[tuple[int, int], ...]) -> float:
        base_ms = self.now / NS_PER_MS
        for hz, ms in tones:
            if hz and ms >= RECOGNISED_MS:
                begin = round(base_ms + start_ms)
                on = ToneHeard(hz, True, begin + RECOGNISED_MS, RECOGNISED_MS)
                self.at(start_ms + RECOGNISED_MS, on)
                self.at(start_ms + ms, ToneHeard(hz, False, begin + ms, ms))
            start_ms += ms
        return start_ms

    def order(self, order: LineOrder, now: Instant) -> None:
        self.now = now
        far = self.far
        match order:
            case Seize(force):
                assert not self.off_hook
                self.seizes.append((now, force))
                takes = far.no_line == "in_use" and force and not far.keeps_line
                if far.no_line is not None and not takes:
                    self.at(20, NoLine(far.no_line))
                    return
                self.off_hook = True
                self.at(20, Seized())
                if far.talk:
                    self.at(1500, ProgressHeard(Progress.VOICE, 0))
                elif far.dial_tone_ms is not None:
                    self.at(20 + far.dial_tone_ms, ProgressHeard(Progress.DIAL_TONE, 0))
            case Dial(number):
                self.dialled.append(number)
                self.at(far.dial_ms, Dialled())
                self._answer(far.dial_ms)
            case Play(what):
                assert self.off_hook
                if self._tone_end is not None:
                    self.gaps_ms.append(("before", (now - self._tone_end) / NS_PER_MS))
                self._play(what)
            case Release():
                self._clear()
                self.at(20, Released())
            case _:
                pass

    def _answer(self, at_ms: float) -> None:
        far = self.far
        if far.failed is not None:
            self.at(at_ms + 300, Failed(far.failed))
        elif far.busy:
            self.at(at_ms + 600, ProgressHeard(Progress.BUSY, 0))
        elif far.answer_ms is not None:
            at_ms += far.answer_ms
            if far.signalled:
                self.at(at_ms, Connected())
            if far.voice:
                self.at(at_ms + 1000, ProgressHeard(Progress.VOICE, 0))
            else:
                self._tones(at_ms + far.off_hook_ms, far.handshake)

    def _play(self, what: tuple[object, ...]) -> None:
        (digits,) = what
        assert isinstance(digits, Digits)
        self._playing = digits_of(digits.keys)
        self.plays.append((self.now, self._playing))
        far = self.far
        length_ms = len(digits.keys) * (digits.on_ms + digits.off_ms)
        if far.drop_in_play_ms is not None:
            self.at(far.drop_in_play_ms, Dropped("far_end"))
            return
        if far.cut_in_play_ms is not None:
            self.at(far.cut_in_play_ms, LineStatus(False, "no_voltage"))
            return
        self.at(length_ms, Played())
        heard = far.hears(digits_of(digits.keys))
        message = Refusal("silence", "") if heard is None else decode(heard)
        if isinstance(message, Refusal):
            if far.rehandshake_ms is not None:
                self._tones(length_ms + far.rehandshake_ms, far.handshake)
            return
        self.received.append(message)
        if not far.kisses(len(self.received)):
            return
        end_ms = self._tones(length_ms - digits.off_ms, far.kiss)
        if far.drop_after_kiss_ms is not None:
            self.at(end_ms + far.drop_after_kiss_ms, Dropped("far_end"))


def unlucky(seed: int) -> FarEnd:
    """A far end that is bad in a way of its own, drawn anew for each call by `redraw`."""
    return redraw(FarEnd(), random.Random(seed))


def redraw(far: FarEnd, dice: random.Random) -> FarEnd:
    """What happens in the next call."""
    fate = dice.random()
    far.no_line = dice.choice(["no_voltage", "in_use"]) if fate < 0.04 else None
    far.dial_tone_ms = None if 0.04 <= fate < 0.08 else dice.randint(100, 2000)
    far.busy = 0.08 <= fate < 0.16
    far.failed = "503" if 0.16 <= fate < 0.20 else None
    far.answer_ms = None if 0.20 <= fate < 0.26 else dice.randint(200, 6000)
    far.voice = 0.26 <= fate < 0.30
    far.drop_in_play_ms = dice.randint(0, 1600) if 0.30 <= fate < 0.40 else None
    loss, silent = dice.choice([0.0, 0.0, 0.2, 0.5]), dice.choice([0.0, 0.0, 0.2, 0.5])

    def hears(digits: str) -> str | None:
        if dice.random() >= loss:
            return digits
        at = dice.randrange(len(digits))
        return dice.choice([None, digits[:at] + digits[at + 1 :], digits[:at] + "0" + digits[at:]])

    far.hears = hears
    far.kisses = lambda n: dice.random() >= silent
    far.rehandshake_ms = dice.choice([None, 300, 2500])
    far.drop_after_kiss_ms = dice.randint(1, 200) if dice.random() < 0.1 else None
    return far
