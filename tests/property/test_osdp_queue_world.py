"""The node's queue over bad lines: nothing lost but what is told, nothing invented (J1, J5)."""

from __future__ import annotations

import pytest

from tests.support.osdp_world import CUTS, DAMAGE, World

RUNS = 150


@pytest.mark.parametrize("block", range(4))
def test_a_bad_line_loses_nothing(block: int) -> None:
    told = 0
    for seed in range(block * RUNS, block * RUNS + RUNS):
        world = World(seed, DAMAGE)
        world.run(250)
        world.settle()
        world.check()
        assert world.pair.node.lost_changes == 0
        assert set(world.happened) <= set(world.told)
        # A repeated OUT is done once: never more than asked for, and all but one under way.
        done = len(world.pair.board.did)
        assert world.outputs_asked - 1 <= done <= world.outputs_asked
        told += len(world.told)
    assert told > 2000


@pytest.mark.parametrize("limit", [1, 2, 5, 20])
def test_cut_sessions_and_short_queues_lose_only_what_they_tell(limit: int) -> None:
    lost = 0
    for seed in range(1000 * limit, 1000 * limit + RUNS):
        world = World(seed, CUTS, queue_limit=limit)
        world.run(250)
        world.settle()
        world.check()
        assert len(world.pair.board.did) <= world.outputs_asked
        assert world.most_queued <= limit + 2
        lost += world.pair.node.lost_changes
    assert lost > 0


def test_the_queue_of_the_node_bridges_a_long_bus_failure() -> None:
    """64 changes fit, whatever the order; the 65th costs the first."""
    world = World(1, DAMAGE)
    world.settle()
    while world.pair.node.queued < 64:
        world.change()
    assert world.pair.node.lost_changes == 0
    world.pair.now_ms += 3_600_000
    world.settle()
    world.check()
    assert world.pair.node.lost_changes == 1, "settle made one change more"
