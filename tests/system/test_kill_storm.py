"""Issue 2, test 1: kill -9 of panel, broker and collector at 200 random moments, 5,000 events."""

from __future__ import annotations

import time
from collections import Counter
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
        victims = ["panel", "broker", "collector"] * (KILLS // 3 + 1)
        victims = victims[:KILLS]
        storm.random.shuffle(victims)
        kills: Counter[str] = Counter()
        kill_at = 0.0
        while storm.moves < MOVES or victims:
            storm.step(1)
            for program in (storm.collector, storm.panel):
                if not program.running():
                    program.start()  # as systemd does with what gave up by itself
            if victims and time.monotonic() >= kill_at:
                victim = victims.pop()
                if _kill(storm, victim):
                    kills[victim] += 1
                    kill_at = time.monotonic() + storm.random.uniform(0.02, 0.9)
                else:  # the broker is just not up: another first
                    victims.insert(storm.random.randrange(len(victims) + 1), victim)
            time.sleep(0.01)  # pace of the driver
        for program in (storm.collector, storm.panel):
            program.ready(60)
        storm.settle(60)
        storm.await_delivery(120)
        counts = storm.judge()
    finally:
        storm.stop()
    print(f"storm: {counts}, killed {dict(kills)}")
    assert counts["moves"] >= MOVES
    assert sum(kills.values()) == KILLS
    assert min(kills.values()) >= KILLS // 5


def _kill(storm: Storm, victim: str) -> bool:
    """False: there was no broker to kill."""
    if victim == "broker":
        return storm.kill_broker()
    program = storm.panel if victim == "panel" else storm.collector
    program.kill()
    program.start()
    return True
