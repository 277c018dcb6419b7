"""Whose turn it is on an OSDP bus: fair to the living, patient with the lost, still while told."""

from __future__ import annotations

import random
from itertools import pairwise

from edge.adapters.bus_turns import HOLD_LONGEST_S, Turns

LOST_AFTER_S = 1.5


class World:
    """Nodes that answer in `cost_s` or are silent for their time-out, on one clock."""

    def __init__(self, nodes: int, cost_s: float = 0.0125, frame_s: float = 0.004) -> None:
        self.now = 1000.0
        self.turns = Turns(tuple(range(nodes)), self.now, LOST_AFTER_S, 0.1)
        self.dead: set[int] = set()
        self.polls: list[tuple[float, int]] = []
        self.lost_at: dict[int, float] = {}
        self.back_at: dict[int, float] = {}
        self.lost_spent_s = 0.0
        self._cost_s = cost_s
        self._frame_s = frame_s

    def run(self, seconds: float) -> None:
        ends = self.now + seconds
        while self.now < ends:
            address = self.turns.next(self.now)
            if address is None:
                self.now = max(self.now + 0.0001, min(ends, self.turns.wake(self.now)))
            else:
                self._turn(address)
            for lost in self.turns.newly_lost(self.now):
                self.lost_at[lost] = self.now

    def _turn(self, address: int) -> None:
        self.polls.append((self.now, address))
        if address in self.dead:
            spent_s = self._frame_s + self.turns.timeout_s(address)
            self.now += spent_s
            if self.turns.place(address).lost:
                self.lost_spent_s += spent_s
            self.turns.failed(address, spent_s, self.now)
        else:
            self.now += self._cost_s
            self.turns.answered(address, 0.003, self._cost_s, self.now)
            if self.turns.well(address, self.now):
                self.back_at[address] = self.now

    def longest_gap_s(self, address: int, since: float) -> float:
        times = [at for at, who in self.polls if who == address and at >= since]
        return max(after - before for before, after in pairwise(times))

    def period_s(self, address: int, since: float) -> float:
        times = [at for at, who in self.polls if who == address and at >= since]
        return (times[-1] - times[0]) / (len(times) - 1)


def test_all_live_nodes_get_equal_turns() -> None:
    world = World(32)
    world.run(10)
    counts = [sum(1 for _, who in world.polls if who == node) for node in range(32)]
    assert max(counts) - min(counts) <= 1
    assert max(world.longest_gap_s(node, 1001) for node in range(32)) < 32 * 0.0125 + 0.02


def test_with_some_dead_the_living_ones_period_grows_less_than_a_fifth() -> None:
    for dead in (1, 8, 16, 31):
        alive = World(32 - dead)
        alive.run(30)
        world = World(32)
        world.run(2)
        world.dead = set(range(1, dead + 1))
        world.run(60)
        since = 1000 + 2 + 5
        assert world.period_s(0, since) < 1.2 * alive.period_s(0, since), dead


def test_dead_nodes_are_probed_within_ten_seconds_for_ever_and_cost_a_bounded_share() -> None:
    world = World(32)
    world.run(2)
    world.dead = set(range(16, 32))
    world.run(120)
    for node in world.dead:
        assert world.longest_gap_s(node, 1005) <= 10
    assert world.lost_spent_s < 0.16 * 120


def test_nodes_never_seen_are_probed_within_ten_seconds_too() -> None:
    world = World(32)
    world.dead = set(range(1, 32))
    world.run(120)
    assert set(world.lost_at) == world.dead
    assert max(world.longest_gap_s(node, 1010) for node in world.dead) <= 10
    alone = World(1)
    alone.run(60)
    assert world.period_s(0, 1010) < alone.period_s(0, 1010) * 1.1


def test_a_node_is_lost_in_two_seconds_when_half_or_all_vanish_at_once() -> None:
    for gone in (1, 16, 32):
        world = World(32)
        world.run(3)
        fell = world.now
        world.dead = set(range(gone))
        world.run(5)
        assert set(world.lost_at) == world.dead
        assert all(LOST_AFTER_S - 0.5 <= at - fell <= 2.0 for at in world.lost_at.values())


def test_a_node_back_on_the_bus_is_asked_within_seconds() -> None:
    for gone in (1, 16, 31):
        world = World(32)
        world.run(2)
        world.dead = set(range(gone))
        world.run(30)
        world.dead = set()
        came = world.now
        world.run(12)
        assert set(world.back_at) == set(range(gone))
        assert max(world.back_at.values()) - came < 6.0


def test_one_missed_reply_never_loses_a_node() -> None:
    world = World(4)
    rng = random.Random(5)
    for _ in range(300):
        world.dead = {rng.randrange(4)}
        world.run(rng.uniform(0.01, 0.2))
        world.dead = set()
        world.run(0.5)
    assert world.lost_at == {}


def test_a_held_node_is_left_alone_until_released_and_not_lost_meanwhile() -> None:
    world = World(2)
    world.run(1)
    world.turns.hold(0, world.now)
    began = len(world.polls)
    world.run(3)
    assert all(who == 1 for _, who in world.polls[began:])
    world.turns.release(0, world.now)
    world.run(0.1)
    assert world.polls[-1][1] in {0, 1}
    assert 0 in {who for _, who in world.polls[began:]}
    assert world.lost_at == {}


def test_a_hold_nobody_ends_is_over_after_its_longest_time() -> None:
    world = World(1)
    world.run(1)
    world.turns.hold(0, world.now)
    held = world.now
    began = len(world.polls)
    world.run(HOLD_LONGEST_S + 1)
    first = world.polls[began][0]
    assert HOLD_LONGEST_S <= first - held < HOLD_LONGEST_S + 0.2
    assert list(world.turns.impatient) == [0]
    assert world.lost_at == {}


def test_the_reply_timeout_follows_the_nodes_own_turnaround() -> None:
    turns = Turns((1,), 0.0, LOST_AFTER_S, 0.1)
    assert turns.timeout_s(1) == 0.1
    for _ in range(50):
        turns.answered(1, 0.003, 0.01, 0.0)
    assert turns.timeout_s(1) == 0.02
    turns.failed(1, 0.02, 0.0)
    assert turns.timeout_s(1) > 0.02
    for _ in range(50):
        turns.answered(1, 0.05, 0.06, 0.0)
    assert 0.05 < turns.timeout_s(1) <= 0.1


def test_after_the_port_was_away_everyone_is_asked_at_once() -> None:
    world = World(32)
    world.run(2)
    world.turns.all_lost(world.now)
    world.run(0.5)
    world.turns.restart(world.now)
    came = world.now
    world.run(1)
    assert {who for at, who in world.polls if came <= at < came + 0.6} == set(range(32))


def test_a_node_that_suddenly_grows_slow_is_given_the_whole_time_unless_many_are_silent() -> None:
    world = World(32)
    world.run(3)
    usual_s = world.turns.timeout_s(5)
    assert usual_s < 0.05
    for address, wanted_s in ((5, 0.1), (6, 0.1), (7, None)):
        world.turns.failed(address, usual_s, world.now)
        got_s = world.turns.timeout_s(address)
        assert got_s == wanted_s if wanted_s is not None else got_s < 0.1
