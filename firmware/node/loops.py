"""What a loop says: millivolts of its converter to an input byte (I4). [both runtimes]

    supply -- pull-up P -- converter input -- loop L -- ground; R end of line, R over the alarm
    contact, 2R over the mask contact

    state           single EOL   double EOL   triple EOL   L      no EOL (NC; NO the other way)
    SHORT           short        short        short        0      -
    NORMAL          closed       closed       closed       R      below a third of the supply
    ALARM           (open)       contact      contact      2R     above two thirds
    MASKED                                    mask         3R
    MASKED_ALARM                              both         4R
    OPEN            -            cut          cut          none   -

Each window is the share at the corners of its resistors (all of them ±5 %, up to 100 ohm of
cable for the resistive states) widened by ±2 counts of 1024; a short is up to R / 10, open from
ten times the highest resistive state. Between the windows stands a resistance nobody fitted:
INPUT_TAMPER. Windows are computed once, in whole numbers; the hot path only compares.
"""

from protocols.osdp.codes import (
    INPUT_ALARM,
    INPUT_MASKED,
    INPUT_MASKED_ALARM,
    INPUT_NORMAL,
    INPUT_OPEN,
    INPUT_SHORT,
    INPUT_TAMPER,
    INPUT_UNKNOWN,
)

UNUSED = 0
"""Nothing is wired here. Told as unknown, so that a zone put on it by mistake is never at rest."""
NC = 1
NO = 2
SINGLE_EOL = 3
DOUBLE_EOL = 4
TRIPLE_EOL = 5
WIRINGS = 6

SUPPLY_MV = 3300
"""Full scale of the converter, whose reference is the supply of the pull-ups."""
FAULT_MV = -1
"""What a board gives for an input its converter cannot read."""

_RESISTIVE = (
    (INPUT_NORMAL, 1),
    (INPUT_ALARM, 2),
    (INPUT_MASKED, 3),
    (INPUT_MASKED_ALARM, 4),
)
_STATES_OF = {SINGLE_EOL: 1, DOUBLE_EOL: 2, TRIPLE_EOL: 4}


class Window:
    """Millivolts, both ends inside, that mean `state`."""

    def __init__(self, state: int, low_mv: int, high_mv: int) -> None:
        self.state = state
        self.low_mv = low_mv
        self.high_mv = high_mv


def _low_mv(loop: int, pullup: int) -> int:
    # supply * (L / (L + P) - 2 / 1024), rounded up.
    over = 512 * (loop + pullup)
    return max(0, -(-SUPPLY_MV * (512 * loop - loop - pullup) // over))


def _high_mv(loop: int, pullup: int) -> int:
    over = 512 * (loop + pullup)
    return SUPPLY_MV * (512 * loop + loop + pullup) // over


def windows(wiring: int, eol_ohm: int, pullup_ohm: int) -> list[Window]:
    """Windows in rising order; empty when these resistors cannot be told apart, or UNUSED."""
    if wiring in (NC, NO):
        low, high = (INPUT_NORMAL, INPUT_ALARM) if wiring == NC else (INPUT_ALARM, INPUT_NORMAL)
        return [Window(low, 0, SUPPLY_MV // 3), Window(high, SUPPLY_MV * 2 // 3, SUPPLY_MV)]
    if wiring not in _STATES_OF:
        return []
    # Hundredths of an ohm.
    weak, strong = pullup_ohm * 105, pullup_ohm * 95
    found = [Window(INPUT_SHORT, 0, _high_mv(eol_ohm * 10, strong))]
    resistive = _RESISTIVE[: _STATES_OF[wiring]]
    for state, times in resistive:
        low_mv = _low_mv(times * eol_ohm * 95, weak)
        high_mv = _high_mv(times * eol_ohm * 105 + 100 * 100, strong)
        found.append(Window(state, low_mv, high_mv))
    cut = INPUT_ALARM if wiring == SINGLE_EOL else INPUT_OPEN
    found.append(Window(cut, _low_mv(resistive[-1][1] * eol_ohm * 1000, weak), SUPPLY_MV))
    for place in range(1, len(found)):
        # Rounded inwards, windows that overlap by less than a millivolt look as if they touched.
        if found[place - 1].high_mv + 1 >= found[place].low_mv:
            return []
    return found


class Decoder:
    """One input's windows, flat for the hot path."""

    def __init__(self, wiring: int, eol_ohm: int, pullup_ohm: int) -> None:
        found = windows(wiring, eol_ohm, pullup_ohm)
        self._lows = [window.low_mv for window in found]
        self._highs = [window.high_mv for window in found]
        self._states = [window.state for window in found]

    def decode(self, millivolts: int) -> int:
        """The input byte. Beyond the supply counts as the supply; below 0 is a converter fault."""
        if millivolts < 0 or not self._states:
            return INPUT_UNKNOWN
        if millivolts > SUPPLY_MV:
            millivolts = SUPPLY_MV
        highs = self._highs
        for place in range(len(highs)):
            if millivolts <= highs[place]:
                if millivolts >= self._lows[place]:
                    return self._states[place]
                return INPUT_TAMPER
        return INPUT_TAMPER


def nominal_mv(state: int, wiring: int, eol_ohm: int, pullup_ohm: int) -> int:
    """What an ideal loop in this state reads; FAULT_MV when the wiring cannot show it."""
    if state == INPUT_TAMPER:
        return SUPPLY_MV * eol_ohm * 6 // ((eol_ohm + pullup_ohm) * 10)
    for shown, times in _RESISTIVE[: _STATES_OF.get(wiring, 0)]:
        if shown == state:
            return SUPPLY_MV * times * eol_ohm // (times * eol_ohm + pullup_ohm)
    for window in windows(wiring, eol_ohm, pullup_ohm):
        if window.state == state:
            return window.low_mv if window.low_mv == 0 else window.high_mv
    return FAULT_MV
