"""How the played modem dials, and what a +VTS says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from protocols.tones.elements import Digits, Playable, Silence, Tone
from protocols.tones.synthesis import COLUMNS_HZ, KEYPAD, ROWS_HZ

PULSE_FRAMES: Final = (3, 2)
"""60 ms open, 40 ms closed: 10 pulses a second in whole frames."""
DIGIT_PAUSE_FRAMES: Final = 40


@dataclass(slots=True)
class Dialling:
    """One ATD under way."""

    number: str
    pulse: bool
    then_waits: bool
    waits_for_tone: bool
    frames: int = 0
    begun: bool = False
    closed: bool = True
    waits_for_answer: bool = False
    steps: list[bool] = field(default_factory=list)

    def next_pulse_frame(self) -> bool:
        """Whether the loop is closed in the next 20 ms of a pulse-dialled number."""
        if not self.steps and self.number:
            key, self.number = self.number[0], self.number[1:]
            if key.isdigit():
                opened, closed = PULSE_FRAMES
                self.steps += ([False] * opened + [True] * closed) * (int(key) or 10)
            self.steps += [True] * DIGIT_PAUSE_FRAMES
        return self.steps.pop(0) if self.steps else True


def dtmf(number: str) -> list[Playable]:
    """The digits as the modem sends them; a comma is 2 s."""
    return [Silence(2000) if key == "," else Digits(key, 95, 95) for key in number]


_WORDS: Final = {
    "{}": r"\{([0-9*#A-D]),(\d+)\}",
    "[]": r"\[(\d+),(\d+),(\d+)\]",
    "[,]": r"\[(\d*),(\d*),(\d+)\]",
}


def tone_list(value: str, forms: tuple[str, ...]) -> list[Playable] | None:
    """The elements of a +VTS in these forms (Kind.vts), or None when it is none."""
    sounds: list[Playable] = []
    while value:
        for form in forms:
            if (match := re.match(_WORDS[form], value)) is not None:
                break
        else:
            return None
        value = value[match.end() :].removeprefix(",")
        sounds.append(_sound(*match.groups()))
    return sounds


def _sound(first: str, second: str, third: str | None = None) -> Playable:
    if third is None:
        return Digits(first, int(second) * 10, 0)
    low, high, ms = int(first or 0), int(second or 0), int(third) * 10
    if not low and not high:
        return Silence(ms)
    if not high:
        return Tone(float(low), ms)
    key = next(
        (
            key
            for at, key in enumerate(KEYPAD)
            if (round(ROWS_HZ[at // 4]), round(COLUMNS_HZ[at % 4])) == (low, high)
        ),
        None,
    )
    # two tones of no digit: the played modem has one generator
    return Tone(float(low), ms) if key is None else Digits(key, ms, 0)
