"""How the simulated modem dials, and what a +VTS says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from protocols.tones.elements import Digits, Playable, Silence, Tone

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


def tone_list(value: str) -> list[Playable] | None:
    """The elements of a +VTS, or None when it is none."""
    sounds: list[Playable] = []
    while value:
        match = re.match(r"\{([0-9*#A-D]),(\d+)\}|\[(\d*),(\d*),(\d+)\]|([0-9*#A-D])", value)
        if match is None:
            return None
        value = value[match.end() :].removeprefix(",")
        if match[6]:
            sounds.append(Digits(match[6], 100, 100))
        elif match[1]:
            sounds.append(Digits(match[1], int(match[2]) * 10, 0))
        elif not match[3] or match[3] == "0":
            sounds.append(Silence(int(match[5]) * 10))
        else:
            sounds.append(Tone(float(match[3]), int(match[5]) * 10))
    return sounds
