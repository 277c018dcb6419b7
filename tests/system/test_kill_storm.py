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
            done = sum(kills.values())
            if done < KILLS and storm.moves >= next_kill:
                time.sleep(storm.random.uniform(0, 0.02))  # the moment itself is drawn, not awaited
                _kill(storm, kills)
                next_kill = storm.moves + storm.random.uniform(0, 1.6 * MOVES / KILLS)
            time.sleep(0.005)  # pace of the driver
        for program in (storm.collector, storm.panel):
            if not program.running():
                program.start()
            program.ready(60)
        storm.settle(60)
        storm.await_delivery(120)
        counts = storm.judge()
    finally:
        storm.stop()
    print(f"storm: {counts}, killed {kills}")
    assert counts["moves"] >= MOVES
    assert sum(kills.values()) == KILLS
    assert min(kills.values()) >= KILLS // 5


def _kill(storm: Storm, kills: dict[str, int]) -> None:
    victim = storm.random.choice(("panel", "broker", "collector"))
    if victim == "broker":
        if storm.kill_broker():
            kills["broker"] += 1
        return
    program = storm.panel if victim == "panel" else storm.collector
    program.kill()
    kills[victim] += 1
    program.start()
