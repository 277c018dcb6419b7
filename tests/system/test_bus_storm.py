"""32 nodes, thousands of input changes, every fault of a bus: nothing lost, nothing invented.

The same storm with 100,000 changes is `scripts/bench bus-storm`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.bus_ledger import BusLedger, NodeLedger
from tests.support.bus_storm import BusStorm

CHANGES = 250
"""A node."""


@pytest.mark.system
@pytest.mark.slow
def test_no_change_is_lost_or_invented_in_a_storm_of_faults_and_each_is_named(
    tmp_path: Path,
) -> None:
    async def storm() -> None:
        async with BusStorm(tmp_path, seed=1, grace_s=1.0) as bus:
            bus.move(CHANGES)
            for fault in bus.faults().values():
                await fault()
            sums = await bus.settled(45)
            assert bus.failures == []
            assert (sums["lost"], sums["invented"], sums["overflowed"]) == (0, 0, 0)
            assert sums["made"] >= 32 * (CHANGES + 1)
            # Only what waited in the nodes whose power was cut, 8 times, at most 5 each.
            assert sums["excused_by_power_cuts"] <= 8 * 5
            # A new session tells again what was under way, and how things stand.
            assert sums["repeats"] <= 2 * (bus.handshakes + sum_of_handshakes(bus))
            assert set(bus.named_s) >= {"noise", "late", "babble", "cut", "short", "double"}
            assert set(bus.named_s) >= {"forge", "unplug"}

    asyncio.run(storm())


@pytest.mark.system
def test_what_does_not_fit_into_a_nodes_queue_is_counted_to_the_last_change(
    tmp_path: Path,
) -> None:
    async def flood() -> None:
        async with BusStorm(tmp_path, nodes=2, seed=2, grace_s=1.0) as bus:
            bus.wire.order(set={"short": True})
            bus.move(200, ahead=1000)
            await bus.until("all moved", lambda: all_moved(bus, 200), 5)
            bus.wire.order(set={"short": False})
            sums = await bus.settled(30)
            assert bus.failures == []
            assert sums["lost"] == sums["overflowed"] >= 2 * (200 - 64)
            assert sums["invented"] == 0
            assert [bus.ledger.nodes[address].last for address in (1, 2)] == [200, 200]

    asyncio.run(flood())


def all_moved(bus: BusStorm, changes: int) -> bool:
    return all(node["moved"] >= changes for node in bus.nodes().values())


def sum_of_handshakes(bus: BusStorm) -> int:
    return sum(node.handshakes for node in bus.statistics().nodes)


def judged(told: list[int], made: int, cuts: list[int]) -> tuple[int, int, int]:
    node = NodeLedger()
    for number in told:
        node.take(number)
    ledger = BusLedger()
    ledger.nodes[5] = node
    sums = ledger.judge({5: (made, cuts)})
    return sums["lost"], sums["invented"], sums["excused_by_power_cuts"]


@pytest.mark.parametrize(
    ("told", "made", "cuts", "verdict"),
    [
        ([0, 1, 1, 2, 3], 3, [], (0, 0, 0)),
        ([0, 1, 3], 3, [], (1, 0, 0)),
        ([0, 1, 2], 4, [], (2, 0, 0)),
        ([0, 1, 2, 1, 3], 3, [], (0, 1, 0)),
        ([0, 1, 2, 3], 2, [], (0, 1, 0)),
        ([0, -1, 1], 1, [], (0, 1, 0)),
        ([0, 4, 5], 5, [4], (0, 0, 3)),
        ([0, 5, 6], 6, [4], (1, 0, 3)),
        ([0, 3, 5], 5, [4], (3, 0, 0)),
    ],
)
def test_the_ledger_finds_what_is_lost_and_what_is_invented(
    told: list[int], made: int, cuts: list[int], verdict: tuple[int, int, int]
) -> None:
    assert judged(told, made, cuts) == verdict
