"""States of a node's inputs that tell their own number, so that any loss or invention shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

STATES: Final = 7
"""All but INPUT_UNKNOWN."""
STRIDE: Final = 3_000_017
"""Prime, so that neighbours differ in most inputs and no number comes twice in 7**inputs."""


def snapshot(number: int, inputs: int = 8) -> bytes:
    """States of all inputs at change `number`; 0: all normal."""
    scrambled = number * STRIDE % STATES**inputs
    states = bytearray()
    for _ in range(inputs):
        scrambled, state = divmod(scrambled, STATES)
        states.append(state)
    return bytes(states)


def number_of(states: Sequence[int]) -> int:
    """Which change these states are of; -1: of none, whatever its number."""
    scrambled = 0
    for state in reversed(states):
        if not 0 <= state < STATES:
            return -1
        scrambled = scrambled * STATES + state
    total = STATES ** len(states)
    return int(scrambled * pow(STRIDE, -1, total) % total)
