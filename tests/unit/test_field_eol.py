"""users.md I4: loops are told apart over resistor tolerance and supply range."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.adapters.converter_mcp3008 import counts, millivolts
from edge.config import Hardware, Wiring
from edge.field.eol import LoopState, Overlap, Window, decode, nominal_mv, of_level, windows

EOL = (Wiring.SINGLE_EOL, Wiring.DOUBLE_EOL, Wiring.TRIPLE_EOL)
BOARDS = [
    Hardware(),
    Hardware(eol_ohm=1000, pullup_ohm=1000),
    Hardware(eol_ohm=2200, pullup_ohm=4700, supply_mv=5000),
    Hardware(eol_ohm=10_000, pullup_ohm=10_000),
    Hardware(eol_ohm=8200, pullup_ohm=4700),
]
CUT = None
RESISTORS = {
    Wiring.SINGLE_EOL: {LoopState.NORMAL: ["R"], LoopState.ALARM: CUT, LoopState.SHORT: []},
    Wiring.DOUBLE_EOL: {
        LoopState.NORMAL: ["R"],
        LoopState.ALARM: ["R", "R"],
        LoopState.SHORT: [],
        LoopState.OPEN: CUT,
    },
    Wiring.TRIPLE_EOL: {
        LoopState.NORMAL: ["R"],
        LoopState.ALARM: ["R", "R"],
        LoopState.MASKED: ["R", "2R"],
        LoopState.MASKED_ALARM: ["R", "R", "2R"],
        LoopState.SHORT: [],
        LoopState.OPEN: CUT,
    },
}
"""The network as an installer wires it: what stands in series in each state."""


def table(wiring: Wiring, board: Hardware) -> tuple[Window, ...]:
    found = windows(wiring, board)
    assert not isinstance(found, Overlap)
    return found


def measured(series: list[float] | None, pullup: float, true_mv: float, board: Hardware) -> int:
    """What an MCP3008 whose reference is the true supply gives for this loop."""
    voltage = true_mv if series is None else true_mv * sum(series) / (sum(series) + pullup)
    return millivolts(counts(voltage, round(true_mv)), board.supply_mv)


@pytest.mark.parametrize("wiring", EOL)
@pytest.mark.parametrize("board", BOARDS)
def test_every_state_at_every_corner_of_tolerance_cable_and_supply(
    wiring: Wiring, board: Hardware
) -> None:
    found = table(wiring, board)
    for state, parts in RESISTORS[wiring].items():
        for pull, cable, supply in itertools.product((0.95, 1, 1.05), (0, 100), (0.9, 1, 1.1)):
            for signs in itertools.product((0.95, 1, 1.05), repeat=len(parts or [])):
                series = (
                    None
                    if parts is None
                    else [cable * bool(parts)]
                    + [
                        board.eol_ohm * (2 if part == "2R" else 1) * sign
                        for part, sign in zip(parts, signs, strict=True)
                    ]
                )
                value = measured(series, board.pullup_ohm * pull, board.supply_mv * supply, board)
                assert decode(value, board.supply_mv, found) is state


@settings(deadline=None, derandomize=True, max_examples=800)
@given(
    st.sampled_from(EOL),
    st.integers(100, 100_000),
    st.integers(100, 100_000),
    st.integers(1000, 5500),
)
def test_windows_never_touch_whatever_the_resistors(
    wiring: Wiring, eol_ohm: int, pullup_ohm: int, supply_mv: int
) -> None:
    board = Hardware(eol_ohm=eol_ohm, pullup_ohm=pullup_ohm, supply_mv=supply_mv)
    found = windows(wiring, board)
    if isinstance(found, Overlap):
        return
    assert found[0].low == 0.0
    assert found[-1].high == 1.0
    for lower, upper in itertools.pairwise(found):
        assert lower.low <= lower.high < upper.low <= upper.high
    for state in RESISTORS[wiring]:
        mv = nominal_mv(state, wiring, board)
        assert mv is not None
        # A small supply rounds to the millivolt; a count of the converter is coarser than that.
        assert decode(mv, supply_mv, found) is state


@pytest.mark.parametrize("wiring", EOL)
def test_a_resistor_nobody_fitted_is_undefined(wiring: Wiring) -> None:
    board = Hardware()
    value = nominal_mv(LoopState.UNDEFINED, wiring, board)
    assert value is not None
    assert decode(value, board.supply_mv, table(wiring, board)) is LoopState.UNDEFINED


def test_every_gap_between_windows_is_undefined() -> None:
    for wiring, board in itertools.product(EOL, BOARDS):
        found = table(wiring, board)
        for lower, upper in itertools.pairwise(found):
            middle = (lower.high + upper.low) / 2 * board.supply_mv
            assert decode(middle, board.supply_mv, found) is LoopState.UNDEFINED


def test_values_beyond_the_supply_are_the_nearest_end() -> None:
    found = table(Wiring.DOUBLE_EOL, Hardware())
    assert decode(9000, 3300, found) is LoopState.OPEN
    assert decode(-5, 3300, found) is LoopState.SHORT


def test_resistors_that_cannot_be_told_apart_are_named() -> None:
    assert windows(Wiring.TRIPLE_EOL, Hardware(eol_ohm=100_000, pullup_ohm=1000)) == Overlap(
        LoopState.NORMAL, LoopState.ALARM
    )
    assert isinstance(windows(Wiring.SINGLE_EOL, Hardware(eol_ohm=100, pullup_ohm=90_000)), Overlap)


def test_wiring_that_cannot_show_a_state_says_so() -> None:
    assert nominal_mv(LoopState.MASKED, Wiring.DOUBLE_EOL, Hardware()) is None
    assert nominal_mv(LoopState.OPEN, Wiring.SINGLE_EOL, Hardware()) is None


@pytest.mark.parametrize(
    ("level", "wiring", "state"),
    [
        (0, Wiring.NC, LoopState.NORMAL),
        (1, Wiring.NC, LoopState.ALARM),
        (1, Wiring.NO, LoopState.NORMAL),
        (0, Wiring.NO, LoopState.ALARM),
    ],
)
def test_contacts_pull_the_pin_to_ground(level: int, wiring: Wiring, state: LoopState) -> None:
    assert of_level(level, wiring) is state
