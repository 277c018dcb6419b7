"""The node decodes and debounces as the panel does with its own inputs (users.md I1, I2, I4)."""

from __future__ import annotations

import random

import pytest

from edge.config import Hardware, Wiring
from edge.field.debounce import Debounce as PanelDebounce
from edge.field.eol import LoopState, Overlap, windows
from edge.field.eol import decode as panel_decode
from firmware.node import loops
from firmware.node.debounce import Debounce
from protocols.instants import NS_PER_MS, Instant

WIRINGS = {
    Wiring.SINGLE_EOL: loops.SINGLE_EOL,
    Wiring.DOUBLE_EOL: loops.DOUBLE_EOL,
    Wiring.TRIPLE_EOL: loops.TRIPLE_EOL,
}
BYTES = {
    LoopState.NORMAL: 0,
    LoopState.ALARM: 1,
    LoopState.SHORT: 2,
    LoopState.OPEN: 3,
    LoopState.UNDEFINED: 4,
    LoopState.MASKED: 5,
    LoopState.MASKED_ALARM: 6,
}


@pytest.mark.parametrize("wiring", WIRINGS)
def test_every_millivolt_decodes_as_the_panel_would(wiring: Wiring) -> None:
    told_apart = 0
    for eol in (1000, 2200, 4700, 5600, 6800, 10_000):
        for pullup in (1000, 2200, 4700, 10_000):
            table = windows(wiring, Hardware(eol_ohm=eol, pullup_ohm=pullup))
            decoder = loops.Decoder(WIRINGS[wiring], eol, pullup)
            if isinstance(table, Overlap):
                assert not loops.windows(WIRINGS[wiring], eol, pullup)
                continue
            told_apart += 1
            for mv in range(loops.SUPPLY_MV + 1):
                assert decoder.decode(mv) == BYTES[panel_decode(mv, 3300, table)], (eol, mv)
    assert told_apart >= 8


def test_trains_of_edges_are_told_as_the_panel_tells_them() -> None:
    """Edges 40 ms and more apart from the limits: sampling moves each by up to 8 ms."""
    dice = random.Random(8)
    kinds = (LoopState.ALARM, LoopState.OPEN, LoopState.SHORT)
    # Shorter than the debounce time, between it and the minimum pulse, or longer; never near one.
    spans = ((10, 20), (90, 260), (340, 900))
    for _ in range(300):
        panel = PanelDebounce(50, 300)
        node = Debounce(50, 300)
        told_panel: list[int] = []
        told_node: list[int] = []
        at_ms, next_sample = 0, 0
        raw = LoopState.NORMAL
        for _ in range(12):
            span = dice.randint(*dice.choice(spans)) if at_ms else 400
            told_panel += [BYTES[s] for s in panel.edge(raw, Instant(at_ms * NS_PER_MS))]
            at_ms += span
            while next_sample < at_ms:
                if node.sample(BYTES[raw], next_sample):
                    told_node.append(node.state)
                next_sample += 8
            told_panel += [BYTES[s] for s in panel.tick(Instant((at_ms - 1) * NS_PER_MS))]
            raw = dice.choice(kinds) if raw is LoopState.NORMAL else LoopState.NORMAL
        assert told_node == told_panel
