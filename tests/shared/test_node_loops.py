"""Millivolts to input bytes, and the windows' edges (I4)."""

from firmware.node.loops import (
    DOUBLE_EOL,
    FAULT_MV,
    NC,
    NO,
    SINGLE_EOL,
    SUPPLY_MV,
    TRIPLE_EOL,
    UNUSED,
    Decoder,
    nominal_mv,
    windows,
)
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

SHOWN = (
    (SINGLE_EOL, (INPUT_SHORT, INPUT_NORMAL, INPUT_ALARM)),
    (DOUBLE_EOL, (INPUT_SHORT, INPUT_NORMAL, INPUT_ALARM, INPUT_OPEN)),
    (
        TRIPLE_EOL,
        (INPUT_SHORT, INPUT_NORMAL, INPUT_ALARM, INPUT_MASKED, INPUT_MASKED_ALARM, INPUT_OPEN),
    ),
)


def test_each_wiring_tells_its_states_apart_at_their_nominal_value():
    for wiring, states in SHOWN:
        decoder = Decoder(wiring, 4700, 4700)
        for state in states + (INPUT_TAMPER,):  # noqa: RUF005 - MicroPython cannot unpack there
            assert decoder.decode(nominal_mv(state, wiring, 4700, 4700)) == state, (wiring, state)


def test_resistors_at_the_corners_of_their_tolerance_still_decode():
    for wiring, states in SHOWN:
        decoder = Decoder(wiring, 4700, 4700)
        for place in range(1, len(states) - 1):
            for loop_percent in (95, 105):
                for pullup_percent in (95, 105):
                    for cable in (0, 100):
                        loop = place * 4700 * loop_percent + cable * 100
                        whole = loop + 4700 * pullup_percent
                        for error in (-5, 6):
                            mv = loop * SUPPLY_MV // whole + error
                            assert decoder.decode(mv) == states[place], (wiring, place, mv)


def test_between_the_windows_is_a_resistance_nobody_fitted():
    decoder = Decoder(DOUBLE_EOL, 4700, 4700)
    found = windows(DOUBLE_EOL, 4700, 4700)
    for place in range(1, len(found)):
        lower, upper = found[place - 1], found[place]
        assert decoder.decode(lower.high_mv) == lower.state
        assert decoder.decode(lower.high_mv + 1) == INPUT_TAMPER
        assert decoder.decode(upper.low_mv - 1) == INPUT_TAMPER
        assert decoder.decode(upper.low_mv) == upper.state


def test_contacts_without_resistors_alarm_when_their_line_is_cut_or_closed():
    closed, cut = 0, SUPPLY_MV
    assert Decoder(NC, 4700, 4700).decode(closed) == INPUT_NORMAL
    assert Decoder(NC, 4700, 4700).decode(cut) == INPUT_ALARM
    assert Decoder(NO, 4700, 4700).decode(closed) == INPUT_ALARM
    assert Decoder(NO, 4700, 4700).decode(cut) == INPUT_NORMAL
    assert Decoder(NC, 4700, 4700).decode(SUPPLY_MV // 2) == INPUT_TAMPER


def test_a_converter_fault_and_an_unused_input_are_unknown_and_never_at_rest():
    for wiring in (NC, NO, SINGLE_EOL, DOUBLE_EOL, TRIPLE_EOL):
        assert Decoder(wiring, 4700, 4700).decode(FAULT_MV) == INPUT_UNKNOWN
    for mv in range(0, SUPPLY_MV, 50):
        assert Decoder(UNUSED, 4700, 4700).decode(mv) == INPUT_UNKNOWN


def test_beyond_the_supply_counts_as_the_supply():
    assert Decoder(DOUBLE_EOL, 4700, 4700).decode(SUPPLY_MV + 500) == INPUT_OPEN


def test_resistors_that_cannot_be_told_apart_give_no_windows():
    assert windows(TRIPLE_EOL, 47000, 470) == []
    assert Decoder(TRIPLE_EOL, 47000, 470).decode(1000) == INPUT_UNKNOWN
