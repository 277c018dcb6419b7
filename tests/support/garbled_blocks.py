"""Messages that a bad line garbles, and what the receiver takes of them: is anything accepted that
nobody sent (users.md L1)? Shared by the garble test and the bench.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace as struct_replace

from collector.reception.call import Call
from collector.reception.call_types import Answered, Effect, HungUp, Refused, Store, Stored
from collector.reception.formats_dtmf import DtmfFamily
from collector.reception.formats_fsk import SiaLevel
from collector.reception.formats_pulse import PulseFamily
from collector.reception.profile import BELL103, DUAL, SINGLE_1400, Handshake, Profile
from collector.reception.sounding import lasts_s
from protocols.contact_id import message, pulse
from protocols.instants import NS_PER_MS, Instant
from protocols.tones.bank import ToneBank
from protocols.tones.elements import DigitHeard, FskHeard, FskKind, Heard, PulseDigitHeard
from protocols.tones.listening import Listen
from protocols.tones.synthesis import render
from tests.support.format_panels import Sound, dtmf, pulsed, sia
from tests.support.garbled_calls import any_block
from tests.support.garbled_lines import BEGINS, LEVEL_DBM0, REST, Dice, Waves
from tests.support.reception_line import LAG_MS

PERIOD_MS = 100
REPEATED_AFTER_MS = 1250
TRIES = 4


@dataclass
class Taken:
    """Counted over sendings. `wrong`: stored, though nobody sent it."""

    sendings: int = 0
    garbled: int = 0
    right_sum: int = 0
    """Garbled, of a DTMF block's length, and its sum is right: the check alone would take it."""
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


@dataclass(frozen=True)
class Told:
    """A message: what the receiver stores of it, how it sounds, its signs, what invites it."""

    raw: str
    sound: Sound
    signs: object
    handshake: Handshake = DUAL
    pulses: pulse.PulseFormat = pulse.FORMATS[0]
    """The line's: which have parity cannot be told on the line (protocols.md 4.3)."""


def dtmf_block(digits: str) -> Told:
    """16 or 22 digits and the like."""
    return Told(digits, dtmf(digits), digits)


def any_dtmf(dice: Dice) -> Told:
    """Any Contact ID block."""
    return dtmf_block(any_block(dice.plain))


def any_long_dtmf(dice: Dice) -> Told:
    """With an account of ten digits."""
    account = f"{dice.plain.randrange(10**10):010d}"
    digits = any_block(dice.plain)
    body = account + digits[4:15]
    return dtmf_block(body + message.check_digit(body))


def pulse_rounds(dice: Dice, setting: pulse.PulseFormat, per_s: int) -> Told:
    """Any message of a pulse format."""
    digits = dice.plain.choices("123456789", k=setting.account_digits + setting.event_digits)
    account = "".join(digits[: setting.account_digits])
    rounds = pulse.encode(setting, account, "".join(digits[setting.account_digits :]))
    signs = [count for each in rounds for count in pulse.pulses_of(each)]
    return Told(rounds[0], pulsed(rounds, 1900, per_s), signs, SINGLE_1400, setting)


def any_sia(dice: Dice) -> Told:
    """An account and two events in one transmission at 300 baud."""
    account = f"#{dice.plain.randrange(10_000):04d}"
    events = [f"Nri{dice.plain.randrange(9)}/BA{dice.plain.randrange(999)}" for _ in range(2)]
    blocks = [(each[0], each[1:].encode()) for each in (account, *events, "0")]
    sound = sia(blocks)
    (whole,) = sound
    return Told("|".join((account, *events)), sound, whole.data, BELL103)  # type: ignore[union-attr]


def signs_of(heard: Sequence[Heard]) -> object:
    """As they compare with Told.signs."""
    if any(isinstance(each, FskHeard) for each in heard):
        return b"".join(each.data for each in heard if isinstance(each, FskHeard))
    if any(isinstance(each, PulseDigitHeard) for each in heard):
        return [each.count for each in heard if isinstance(each, PulseDigitHeard)]
    return message.digits_of("".join(each.key for each in heard if isinstance(each, DigitHeard)))


def one_call(told: Told, tries: Sequence[Sequence[Heard]], taken: Taken) -> None:
    """A stranger calls and sends until it is kissed off; `tries` is what is heard of each sending,
    in ms from its own beginning.
    """
    formats = [DtmfFamily(), PulseFamily([told.pulses]), SiaLevel()]
    call = Call(Profile(handshakes=(told.handshake,), max_call_s=600), formats)
    stored: list[str] = []

    def carry(effects: Sequence[Effect], now: Instant) -> None:
        for effect in effects:
            if isinstance(effect, Store):
                stored.extend({each.raw for each in effect.reports})
                carry(call.receive(Stored(effect.token), now), now)
            elif isinstance(effect, Refused):
                taken.refused[effect.reason.split(" after ")[0].split(" of ")[0][:40]] += 1

    def pass_until(now_ms: int) -> None:
        while (due := call.deadline()) is not None and due < _at(now_ms):
            carry(call.tick(due), due)

    carry(call.receive(Answered(), Instant(0)), Instant(0))
    begin = 1000 + round(1000 * lasts_s(told.handshake.sound)) + 275
    for heard in tries:
        taken.sendings += 1
        signs = signs_of(heard)
        if signs != told.signs:
            taken.garbled += 1
            right = isinstance(signs, str) and message.decode(signs)
            taken.right_sum += isinstance(right, message.Message)
        now = begin
        for each in heard:
            now = max(now, begin + _told_ms(each))
            pass_until(now)
            carry(call.receive(_later(each, begin), _at(now)), _at(now))
        begin += round(1000 * lasts_s(told.sound)) + REPEATED_AFTER_MS
        pass_until(begin)
        if stored:
            break
    carry(call.receive(HungUp(), _at(begin)), _at(begin))
    wrong = [raw for raw in stored if raw != told.raw]
    taken.wrong += len(wrong)
    taken.examples += [f"{told.raw} stored as {raw}" for raw in wrong]


def _at(ms: int) -> Instant:
    return Instant(ms * NS_PER_MS)


def _told_ms(heard: Heard) -> int:
    if isinstance(heard, DigitHeard | PulseDigitHeard):
        return heard.end_ms + LAG_MS
    return heard.at_ms


def _later(heard: Heard, ms: int) -> Heard:
    match heard:
        case DigitHeard():
            return struct_replace(heard, start_ms=heard.start_ms + ms, end_ms=heard.end_ms + ms)
        case PulseDigitHeard(count, hz, start_ms, end_ms):
            return PulseDigitHeard(count, hz, start_ms + ms, end_ms + ms)
        case _:
            return heard


def on_lines(
    draw: Callable[[Dice], Told], garble: Callable[[Waves, Dice], Waves], lines: int, seed: int
) -> Taken:
    """A message on each of `lines`, sent TRIES times, each time over the same bad line anew."""
    dice, taken = Dice(seed), Taken()
    told = [draw(dice) for _ in range(lines)]
    sounds = [render(each.sound, LEVEL_DBM0) for each in told]
    length = max(map(len, sounds)) + BEGINS + REST
    clean = np.zeros((lines, length + -length % 160), np.float32)
    for row, sound in zip(clean, sounds, strict=True):
        row[BEGINS : BEGINS + len(sound)] = sound
    tries: list[list[list[Heard]]] = [[] for _ in range(lines)]
    for _ in range(TRIES):
        wave = garble(np.roll(clean, int(dice.waves.integers(160)), axis=1), dice)
        bank = ToneBank(lines, _LISTEN[told[0].handshake.name])
        heard: list[list[Heard]] = [[] for _ in range(lines)]
        for line, each in bank.feed(np.clip(np.rint(wave), -32768, 32767).astype(np.int16)):
            heard[line].append(each)
        for mine, once in zip(tries, heard, strict=True):
            mine.append(once)
    for each_told, all_heard in zip(told, tries, strict=True):
        one_call(each_told, all_heard, taken)
    return taken


_LISTEN = {
    "dual": Listen(digits=True),
    "1400": Listen(pulses=True),
    "bell103": Listen(
        fsk=((FskKind.BELL103_ORIGINATE, 300), (FskKind.BELL103_ORIGINATE, 110)),
    ),
}
