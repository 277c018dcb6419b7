"""What a loop says: pin levels of NO/NC contacts, and end-of-line resistors by converter.

The network, all wirings: supply -- pull-up P -- converter input -- loop L -- ground, so the
converter reads the share L / (L + P) of the supply. Its reference is that same supply, so the
supply cancels out (ratiometric); millivolts here are on the nominal supply's scale.

    state           single EOL   double EOL   triple EOL   L
    SHORT           short        short        short        0
    NORMAL          closed       closed       closed       R
    ALARM           (open)       contact      contact      2R: alarm resistor R over the contact
    MASKED                                    mask         3R: mask resistor 2R over its contact
    MASKED_ALARM                              both         4R
    OPEN            -            cut          cut          no current
    ALARM           open or cut: single EOL cannot tell the two

Each state's window is the share at the corners of its resistors (every resistor and the pull-up
±5 %, up to 100 ohm of cable for the resistive states), widened by the converter's ±2 counts of
1024. A short is up to a tenth of R; open is from ten times the highest resistive state, that is
any leak above it. Windows of one network may not touch: `windows` says so instead of guessing, and
the configuration check refuses such resistors. Between the windows the value is UNDEFINED: a
resistor nobody fitted. Debounce holds the state before, and after its dwell it is told as TAMPER.

Pins: the contact pulls the pin to ground against its pull-up. NC rests low, NO rests high; a cut
NC loop therefore alarms.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import Enum
from typing import Final

from edge.config import Hardware, Wiring
from edge.field.reading import ReadingState

TOLERANCE: Final = 0.05
CABLE_OHM: Final = 100.0
CONVERTER_ERROR: Final = 2 / 1024
SHORT_SHARE_OF_R: Final = 0.1
OPEN_TIMES_HIGHEST: Final = 10.0


class LoopState(Enum):
    """What a loop shows at one moment, before debounce."""

    NORMAL = "normal"
    ALARM = "alarm"
    SHORT = "short"
    OPEN = "open"
    MASKED = "masked"
    MASKED_ALARM = "masked_alarm"
    UNDEFINED = "undefined"


READINGS: Final[dict[LoopState, tuple[ReadingState, ...]]] = {
    LoopState.NORMAL: (ReadingState.NORMAL,),
    LoopState.ALARM: (ReadingState.ALARM,),
    LoopState.SHORT: (ReadingState.SHORT,),
    LoopState.OPEN: (ReadingState.OPEN,),
    LoopState.MASKED: (ReadingState.MASKED,),
    LoopState.MASKED_ALARM: (ReadingState.MASKED, ReadingState.ALARM),
    LoopState.UNDEFINED: (ReadingState.TAMPER,),
}
"""A masked detector in alarm says both, the alarm last, so that neither is lost."""

RESISTORS: Final[dict[Wiring, tuple[tuple[LoopState, int], ...]]] = {
    Wiring.SINGLE_EOL: ((LoopState.NORMAL, 1),),
    Wiring.DOUBLE_EOL: ((LoopState.NORMAL, 1), (LoopState.ALARM, 2)),
    Wiring.TRIPLE_EOL: (
        (LoopState.NORMAL, 1),
        (LoopState.ALARM, 2),
        (LoopState.MASKED, 3),
        (LoopState.MASKED_ALARM, 4),
    ),
}
"""Loop resistance of each state, in end-of-line resistors."""


@dataclass(frozen=True, slots=True)
class Window:
    """Share of the supply, both ends inside, that means `state`."""

    state: LoopState
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """These two states cannot be told apart with these resistors."""

    lower: LoopState
    upper: LoopState


def share(loop_ohm: float, pullup_ohm: float) -> float:
    """Part of the supply over the loop."""
    return loop_ohm / (loop_ohm + pullup_ohm)


def windows(wiring: Wiring, hardware: Hardware) -> tuple[Window, ...] | Overlap:
    """Windows of an end-of-line wiring in rising order, or the pair that overlaps."""
    eol, pullup = float(hardware.eol_ohm), float(hardware.pullup_ohm)
    weak, strong = pullup * (1 + TOLERANCE), pullup * (1 - TOLERANCE)
    resistive = RESISTORS[wiring]
    highest = resistive[-1][1] * eol
    found = [Window(LoopState.SHORT, 0.0, share(eol * SHORT_SHARE_OF_R, strong) + CONVERTER_ERROR)]
    found += [
        Window(
            state,
            share(times * eol * (1 - TOLERANCE), weak) - CONVERTER_ERROR,
            share(times * eol * (1 + TOLERANCE) + CABLE_OHM, strong) + CONVERTER_ERROR,
        )
        for state, times in resistive
    ]
    found.append(
        Window(
            LoopState.ALARM if wiring is Wiring.SINGLE_EOL else LoopState.OPEN,
            share(highest * OPEN_TIMES_HIGHEST, weak) - CONVERTER_ERROR,
            1.0,
        )
    )
    for lower, upper in itertools.pairwise(found):
        if lower.high >= upper.low:
            return Overlap(lower.state, upper.state)
    return tuple(found)


def decode(millivolts: float, supply_mv: int, table: tuple[Window, ...]) -> LoopState:
    """The state whose window holds this value. Beyond the supply counts as the nearest end."""
    value = min(1.0, max(0.0, millivolts / supply_mv))
    for window in table:
        if window.low <= value <= window.high:
            return window.state
    return LoopState.UNDEFINED


def nominal_mv(state: LoopState, wiring: Wiring, hardware: Hardware) -> int | None:
    """What an ideal loop in this state reads; None when the wiring cannot show it."""
    if state is LoopState.UNDEFINED:
        eol = share(hardware.eol_ohm, hardware.pullup_ohm)
        return round(hardware.supply_mv * eol * 0.6)
    for shown, times in RESISTORS[wiring]:
        if shown is state:
            return round(hardware.supply_mv * share(times * hardware.eol_ohm, hardware.pullup_ohm))
    if state is LoopState.SHORT:
        return 0
    cut = LoopState.ALARM if wiring is Wiring.SINGLE_EOL else LoopState.OPEN
    return hardware.supply_mv if state is cut else None


def of_level(level: int, wiring: Wiring) -> LoopState:
    """State of an NO or NC contact to ground on a pin with pull-up."""
    return LoopState.NORMAL if level == normal_level(wiring) else LoopState.ALARM


def normal_level(wiring: Wiring) -> int:
    """Pin level at rest."""
    return 0 if wiring is Wiring.NC else 1
