"""Issue 2, test 1: kill -9 of panel, broker and collector at 200 random moments, 5,000 events."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.storm import Storm

MOVES = 5_000
KILLS = 200
SEED = 20_061


@pytest.mark.system
@pytest.mark.slow
def test_nothing_is_lost_or_doubled_over_200_kills(tmp_path: Path) -> None:
    storm = Storm(tmp_path, SEED)
    try:
        port = storm.start_centre()
        storm.start_panel(port)
        kills = {"panel": 0, "broker": 0, "collector": 0}
        next_kill = 0.0
        while storm.moves < MOVES or sum(kills.values()) < KILLS:
            storm.step()
            for program in (storm.collector, storm.panel):
                if not program.running():
                    program.start()  # as systemd does with what gave up by itself
            if sum(kills.values()) < KILLS and storm.moves >= next_kill:
                time.sleep(storm.random.uniform(0, 0.02))  # the moment itself is drawn, not awaited
                kills[_kill_one(storm)] += 1
                next_kill = storm.moves + storm.random.uniform(0, 1.6 * MOVES / KILLS)
            time.sleep(0.005)  # pace of the driver
        for program in (storm.collector, storm.panel):
            program.ready(60)
        storm.settle(60)
        storm.await_delivery(120)
        counts = storm.judge()
    finally:
        storm.stop()
    print(f"storm: {counts}, killed {kills}")
    assert counts["moves"] >= MOVES
    assert sum(kills.values()) == KILLS
    # the broker is not up at every moment it is drawn: it comes back slower than it is hit
    assert min(kills.values()) >= 5


def _kill_one(storm: Storm) -> str:
    """Kill -9 one of the three; the broker more often when it is there, for often it is not."""
    if storm.random.random() < 0.6 and storm.kill_broker():
        return "broker"
    victim = storm.random.choice(("panel", "collector"))
    program = storm.panel if victim == "panel" else storm.collector
    program.kill()
    program.start()
    return victim
