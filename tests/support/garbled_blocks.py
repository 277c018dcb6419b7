"""Blocks that a bad line garbles, and what the receiver takes of them: is anything accepted that
nobody sent (users.md L1)? Shared by the garble test and the bench.

`LINES` garble audio, many lines at once through one ToneBank; `FAULTS` garble what an ear tells,
far worse and far faster than any line.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from collector.reception.call import Call
from collector.reception.call_types import Answered, Effect, HungUp, Refused, Store, Stored
from collector.reception.profile import Profile
from protocols.contact_id import message
from protocols.instants import NS_PER_MS, Instant
from protocols.tones.bank import ToneBank
from protocols.tones.elements import RATE_HZ, DigitHeard, Digits
from protocols.tones.listening import Listen
from protocols.tones.synthesis import amplitude, render
from tests.support.garbled_calls import any_block
from tests.support.reception_line import LAG_MS, formats

Waves = NDArray[np.float32]
KEYS = "0123456789*#ABC"
ON_MS = OFF_MS = 50
PERIOD_MS = ON_MS + OFF_MS
REPEATED_AFTER_MS = 1250
TRIES = 4
INVITED_MS = 1600
LEVEL_DBM0 = -9.0
RMS = amplitude(LEVEL_DBM0)
"""Of both tones of a digit together."""


@dataclass
class Taken:
    """Counted over sendings. `wrong`: stored, though nobody sent it."""

    sendings: int = 0
    garbled: int = 0
    right_sum: int = 0
    """Garbled, of a block's length, and its sum is right: the check alone would take it."""
    wrong: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, other: Taken) -> None:
        """Both together."""
        self.sendings += other.sendings
        self.garbled += other.garbled
        self.right_sum += other.right_sum
        self.wrong += other.wrong
        self.refused += other.refused
        self.examples += other.examples


def one_call(sent: str, tries: Sequence[Sequence[DigitHeard]], taken: Taken) -> None:
    """A stranger calls and sends `sent` until it is kissed off; `tries` is what is heard of each
    sending, in ms from its own beginning.
    """
    call = Call(Profile(), _FORMATS)
    stored: list[str] = []

    def carry(effects: Sequence[Effect], now: Instant) -> None:
        for effect in effects:
            if isinstance(effect, Store):
                stored.extend(each.raw for each in effect.reports)
                carry(call.receive(Stored(effect.token), now), now)
            elif isinstance(effect, Refused):
                taken.refused[effect.reason.split(" after ")[0].split(" of ")[0][:40]] += 1

    carry(call.receive(Answered(), Instant(0)), Instant(0))
    carry(call.tick(_at(1000)), _at(1000))
    begin = INVITED_MS
    for heard in tries:
        taken.sendings += 1
        keys = "".join(each.key for each in heard)
        if message.digits_of(keys) != sent:
            taken.garbled += 1
            digits = message.digits_of(keys)
            taken.right_sum += not isinstance(message.decode(digits), message.Refusal)
        now = begin
        for each in heard:
            now = max(now, begin + each.end_ms + LAG_MS)
            while (due := call.deadline()) is not None and due < _at(now):
                carry(call.tick(due), due)
            moved = DigitHeard(
                each.key,
                begin + each.start_ms,
                begin + each.end_ms,
                each.level_dbm0,
                each.twist_db,
            )
            carry(call.receive(moved, _at(now)), _at(now))
        begin += len(sent) * PERIOD_MS + REPEATED_AFTER_MS
        while (due := call.deadline()) is not None and due < _at(begin):
            carry(call.tick(due), due)
        if stored:
            break
    carry(call.receive(HungUp(), _at(begin)), _at(begin))
    wrong = [raw for raw in stored if raw != sent]
    taken.wrong += len(wrong)
    taken.examples += [f"{sent} stored as {raw}" for raw in wrong]


def _at(ms: int) -> Instant:
    return Instant(ms * NS_PER_MS)


_FORMATS = formats()


# -- as audio ----------------------------------------------------------------------------------

LENGTH = 20_000
BEGINS = 1600


def blocks_on_lines(garble: Callable[[Waves, Dice], Waves], lines: int, seed: int) -> Taken:
    """A block on each of `lines`, sent TRIES times, each time over the same bad line anew."""
    dice, taken = Dice(seed), Taken()
    blocks = [any_block(dice.plain) for _ in range(lines)]
    clean = np.zeros((lines, LENGTH), np.float32)
    for row, block in enumerate(blocks):
        sound = np.concatenate([_digit(key) for key in message.keys_of(block)])
        clean[row, BEGINS : BEGINS + len(sound)] = sound
    tries: list[list[list[DigitHeard]]] = [[] for _ in range(lines)]
    for _ in range(TRIES):
        shift = int(dice.waves.integers(160))
        wave = garble(np.roll(clean, shift, axis=1), dice)
        bank = ToneBank(lines, Listen(digits=True))
        heard: list[list[DigitHeard]] = [[] for _ in range(lines)]
        for line, each in bank.feed(np.clip(np.rint(wave), -32768, 32767).astype(np.int16)):
            assert isinstance(each, DigitHeard)
            heard[line].append(each)
        for mine, told in zip(tries, heard, strict=True):
            mine.append(told)
    for block, told in zip(blocks, tries, strict=True):
        one_call(block, told, taken)
    return taken


class Dice:
    """Seeded chance, of both kinds."""

    def __init__(self, seed: int) -> None:
        self.plain = random.Random(seed)
        self.waves = np.random.default_rng(seed)

    def places(self, mean: float) -> list[int]:
        """Sample positions within the block, about `mean` of them."""
        count = int(self.waves.poisson(mean))
        return self.waves.integers(BEGINS, BEGINS + 16 * PERIOD_MS * 8, count).tolist()


@cache
def _digit(key: str) -> Waves:
    return render(Digits(key, ON_MS, OFF_MS), LEVEL_DBM0).astype(np.float32)


def hiss(wave: Waves, dice: Dice, snr_db: float) -> Waves:
    """White noise over 0-4 kHz below the digits."""
    size = np.float32(RMS * 10 ** (-snr_db / 20))
    return wave + size * dice.waves.standard_normal(wave.shape, np.float32)


def crackle(wave: Waves, dice: Dice, level_db: float) -> Waves:
    """Bursts of noise of 10 to 120 ms."""
    for row in wave:
        for at in dice.places(3):
            part = row[at : at + int(dice.waves.integers(80, 960))]
            part += RMS * 10 ** (level_db / 20) * dice.waves.standard_normal(len(part))
    return wave


def packets(wave: Waves, dice: Dice, loss: float, conceal: str) -> Waves:
    """20 ms packets lost: silence instead, or the one before again, up to three times."""
    frames = wave.reshape(len(wave), -1, 160)
    lost = dice.waves.random(frames.shape[:2]) < loss
    for row, at in np.argwhere(lost).tolist():
        repeats = conceal == "repeat" and at > 3 and not lost[row, at - 3 : at].all()
        frames[row, at] = frames[row, at - 1] if repeats else 0.0
    return wave


def slips(wave: Waves, dice: Dice) -> Waves:
    """A jitter buffer that drops 20 ms here and puts in 20 ms there."""
    for row in wave:
        for at in dice.places(2):
            if dice.plain.random() < 0.5:
                row[at:-160] = row[at + 160 :].copy()
            else:
                row[at + 160 :] = row[at:-160].copy()
    return wave


def breaks(wave: Waves, dice: Dice, longest_ms: int) -> Waves:
    """Holes of 20 ms and more."""
    for row in wave:
        for at in dice.places(1.5):
            row[at : at + int(dice.waves.integers(160, 8 * longest_ms))] = 0.0
    return wave


def late_talker(wave: Waves, dice: Dice) -> Waves:
    """The line opens within the block."""
    for row, ends in zip(
        wave, dice.waves.integers(BEGINS, BEGINS + 13_000, len(wave)), strict=True
    ):
        row[:ends] = 0.0
    return wave


def echo(wave: Waves, dice: Dice, ms: int, level_db: float) -> Waves:
    """The line's own voice again."""
    back = np.zeros_like(wave)
    back[:, 8 * ms :] = wave[:, : -8 * ms] * np.float32(10 ** (level_db / 20))
    return wave + back


def crosstalk(wave: Waves, dice: Dice, level_db: float) -> Waves:
    """Another panel's digits on the same wire, at its own rhythm."""
    others = [_other(on_ms) for on_ms in (45, 50, 50, 50, 60)]
    for row in wave:
        other = others[dice.plain.randrange(len(others))]
        begin = dice.plain.randrange(len(other) - LENGTH)
        row += np.float32(10 ** (level_db / 20)) * other[begin : begin + LENGTH]
    return wave


@cache
def _other(on_ms: int) -> Waves:
    keys = random.Random(on_ms).choices(KEYS, k=2000)
    return render(Digits("".join(keys), on_ms, on_ms), LEVEL_DBM0).astype(np.float32)


def talk_over(wave: Waves, dice: Dice, level_db: float) -> Waves:
    """Somebody speaks into the digits."""
    voice = _voice()
    for row in wave:
        begin = dice.plain.randrange(len(voice) - LENGTH)
        row += np.float32(10 ** (level_db / 20)) * voice[begin : begin + LENGTH]
    return wave


@cache
def _voice() -> Waves:
    """Minutes of vowels that come and go: harmonics under moving formants."""
    dice = np.random.default_rng(8)
    count = RATE_HZ * 120
    at = np.arange(count) / RATE_HZ
    knots = np.arange(0, 121, 0.4)
    pitch = np.interp(at, knots, dice.uniform(90, 280, len(knots)))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    formants = [np.interp(at, knots, dice.uniform(low, high, len(knots))) for low, high in
                ((250, 900), (800, 2300), (2000, 3200))]  # fmt: skip
    wave = np.zeros(count)
    for harmonic in range(1, 25):
        hz = harmonic * pitch
        size = sum(1 / (1 + ((hz - formant) / 90) ** 2) for formant in formants)
        wave += size * (hz < 3600) * np.sin(harmonic * phase)
    wave *= np.interp(at, knots, dice.uniform(0, 1, len(knots)))
    scaled: Waves = (wave * RMS / np.sqrt(np.mean(wave**2))).astype(np.float32)
    return scaled


LINES: dict[str, Callable[[Waves, Dice], Waves]] = {
    "noise 2 dB": partial(hiss, snr_db=2),
    "noise 1 dB": partial(hiss, snr_db=1),
    "crackle": partial(crackle, level_db=3),
    "loud crackle": partial(crackle, level_db=12),
    "10 % of packets lost": partial(packets, loss=0.1, conceal="zero"),
    "10 % concealed": partial(packets, loss=0.1, conceal="repeat"),
    "25 % concealed": partial(packets, loss=0.25, conceal="repeat"),
    "slips": slips,
    "breaks": partial(breaks, longest_ms=120),
    "long breaks": partial(breaks, longest_ms=600),
    "opens late": late_talker,
    "echo 60 ms": partial(echo, ms=60, level_db=-4),
    "echo 75 ms": partial(echo, ms=75, level_db=-6),
    "echo 100 ms": partial(echo, ms=100, level_db=-3),
    "crosstalk -12 dB": partial(crosstalk, level_db=-12),
    "crosstalk -6 dB": partial(crosstalk, level_db=-6),
    "crosstalk 0 dB": partial(crosstalk, level_db=0),
    "talk -8 dB": partial(talk_over, level_db=-8),
    "talk 0 dB": partial(talk_over, level_db=0),
}


# -- as heard ----------------------------------------------------------------------------------


def blocks_as_heard(fault: Callable[[list[DigitHeard], random.Random], list[DigitHeard]],
                    calls: int, seed: int) -> Taken:  # fmt: skip
    """`calls` of a block, each sending garbled anew by `fault`."""
    dice, taken = random.Random(seed), Taken()
    for _ in range(calls):
        block = any_block(dice)
        keys = message.keys_of(block)
        tries = [fault(as_told(keys, dice), dice) for _ in range(TRIES)]
        one_call(block, [sorted(each, key=_end) for each in tries], taken)
    return taken


def _end(digit: DigitHeard) -> int:
    return digit.end_ms


def as_told(keys: str, dice: random.Random) -> list[DigitHeard]:
    """As an ear on a fair line tells them: a few ms and half a dB off."""
    told = []
    for place, key in enumerate(keys):
        begin = place * PERIOD_MS + dice.randrange(-3, 4)
        end = place * PERIOD_MS + ON_MS + dice.randrange(-3, 4)
        level, twist = LEVEL_DBM0 + dice.uniform(-1, 0.5), dice.uniform(-1, 1)
        told.append(DigitHeard(key, begin + 3, end + 3, level, twist))
    return told


def altered(digit: DigitHeard, **given: object) -> DigitHeard:
    """The digit with some of it changed."""
    fields = {name: getattr(digit, name) for name in digit.__struct_fields__} | given
    return DigitHeard(**fields)


def lost(told: list[DigitHeard], dice: random.Random) -> list[DigitHeard]:
    """One to four digits."""
    for _ in range(dice.randint(1, 4)):
        told.pop(dice.randrange(len(told)))
    return told


def invented(told: list[DigitHeard], dice: random.Random) -> list[DigitHeard]:
    """A digit in a gap, or before or behind them all, as loud as the others."""
    begin = dice.randrange(-200, len(told) * PERIOD_MS + 200) + 210
    length = dice.randrange(23, 60)
    extra = altered(told[0], key=dice.choice(KEYS), start_ms=begin, end_ms=begin + length)
    return [*(altered(one, start_ms=one.start_ms + 210, end_ms=one.end_ms + 210) for one in told),
            extra]  # fmt: skip


def lost_and_invented(told: list[DigitHeard], dice: random.Random) -> list[DigitHeard]:
    """As many digits as were sent."""
    count = dice.randint(1, 2)
    for _ in range(count):
        told.pop(dice.randrange(len(told)))
    for _ in range(count):
        told = invented(told, dice)
    return told


def doubled(told: list[DigitHeard], dice: random.Random) -> list[DigitHeard]:
    """A hole in a digit makes two of it; another one is lost."""
    at = dice.randrange(len(told))
    digit = told[at]
    middle = (digit.start_ms + digit.end_ms) // 2
    hole = dice.randrange(0, 20)
    told[at : at + 1] = [altered(digit, end_ms=middle - hole // 2),
                         altered(digit, start_ms=middle + hole // 2)]  # fmt: skip
    if dice.random() < 0.5:
        told.pop(dice.randrange(len(told)))
    return told


def echoed(told: list[DigitHeard], dice: random.Random) -> list[DigitHeard]:
    """The last digit is heard again a period later, and the first is not heard."""
    last = told[-1]
    late = dice.randrange(60, 140)
    level = last.level_dbm0 - dice.uniform(0, 12)
    again = altered(
        last, start_ms=last.start_ms + late, end_ms=last.end_ms + late, level_dbm0=level
    )
    return [*told[dice.randrange(2) :], again]


def changed(told: list[DigitHeard], dice: random.Random, count: int) -> list[DigitHeard]:
    """Other digits at the very same times and levels: no rhythm shows that."""
    for at in dice.sample(range(len(told)), count):
        others = KEYS.replace(told[at].key, "")
        told[at] = altered(told[at], key=dice.choice(others))
    return told


def changed_by_another(told: list[DigitHeard], dice: random.Random) -> list[DigitHeard]:
    """Two or three drowned by another sender's digits: its times, level and twist show."""
    level = dice.uniform(-14, 6)
    for at in dice.sample(range(len(told)), dice.randint(2, 3)):
        late = dice.randrange(-50, 50)
        told[at] = altered(
            told[at],
            key=dice.choice(KEYS),
            start_ms=max(0, told[at].start_ms + late),
            end_ms=told[at].end_ms + late + 5,
            level_dbm0=told[at].level_dbm0 + level,
            twist_db=told[at].twist_db + dice.uniform(-6, 6),
        )
    return told


def all_together(told: list[DigitHeard], dice: random.Random) -> list[DigitHeard]:
    """Each digit may be lost, changed or doubled, and others invented."""
    for fault, chance in ((lost, 0.6), (doubled, 0.3), (invented, 0.5)):
        if told and dice.random() < chance:
            told = fault(told, dice)
    return changed(told, dice, min(len(told), dice.choice((0, 0, 1, 2))))


FAULTS: dict[str, Callable[[list[DigitHeard], random.Random], list[DigitHeard]]] = {
    "lost": lost,
    "invented": invented,
    "lost and invented": lost_and_invented,
    "doubled": doubled,
    "echo of the last for the first": echoed,
    "one changed": partial(changed, count=1),
    "some drowned by another sender": changed_by_another,
    "all together": all_together,
    "two changed in their places": partial(changed, count=2),
    "three changed in their places": partial(changed, count=3),
}
UNSEEN = (
    "some drowned by another sender",
    "all together",
    "two changed in their places",
    "three changed in their places",
)
"""Digits changed where they stand: no rhythm shows that; a sum modulo 15 passes one in fifteen."""
