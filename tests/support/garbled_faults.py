"""What an ear tells, garbled far worse and far faster than by any line: digits lost, doubled,
invented, changed, with their times and levels.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from protocols.contact_id import message
from protocols.tones.elements import DigitHeard
from tests.support.garbled_blocks import PERIOD_MS, TRIES, Taken, dtmf_block, one_call
from tests.support.garbled_calls import any_block
from tests.support.garbled_lines import KEYS, LEVEL_DBM0

ON_MS = 50
Fault = Callable[[list[DigitHeard], random.Random], list[DigitHeard]]


def blocks_as_heard(fault: Fault, calls: int, seed: int) -> Taken:
    """`calls` of a block, each sending garbled anew by `fault`."""
    dice, taken = random.Random(seed), Taken()
    for _ in range(calls):
        block = any_block(dice)
        keys = message.keys_of(block)
        tries = [fault(as_told(keys, dice), dice) for _ in range(TRIES)]
        one_call(dtmf_block(block), [sorted(each, key=_end) for each in tries], taken)
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


FAULTS: dict[str, Fault] = {
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
