"""users.md I1 and I2 over random edge trains, against a reference that sees the whole train."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.field.debounce import Debounce
from edge.field.eol import LoopState
from protocols.instants import NS_PER_MS, Instant

NORMAL, ALARM = LoopState.NORMAL, LoopState.ALARM
TRAINS = 100_000


@dataclass(frozen=True)
class Train:
    """Milliseconds between edges; the input starts at rest and each edge turns it over."""

    debounce_ms: int
    min_pulse_ms: int
    gaps_ms: tuple[int, ...]

    @property
    def edges_ms(self) -> list[tuple[int, LoopState]]:
        at, found = 1000, []
        for index, gap in enumerate(self.gaps_ms):
            at += gap
            found.append((at, NORMAL if index % 2 else ALARM))
        return found

    @property
    def end_ms(self) -> int:
        """By then everything has been told, whatever the train did."""
        last = self.edges_ms[-1][0] if self.gaps_ms else 1000
        return last + max(self.debounce_ms, self.min_pulse_ms)


def reference(train: Train) -> tuple[int, int]:
    """(activations, shorter ones) by the definition, with the whole train in view."""
    edges = train.edges_ms
    ends = [*(at for at, _ in edges[1:]), train.end_ms]
    runs = [(at, end) for (at, state), end in zip(edges, ends, strict=True) if state is ALARM]
    seen = short = 0
    group: list[tuple[int, int]] = []

    def long_enough() -> bool:
        return bool(group) and group[-1][1] - group[0][0] >= train.min_pulse_ms

    for run in runs:
        if group:
            rest_ms = run[0] - group[0][0] - sum(end - at for at, end in group)
            ended = run[0] - group[-1][1] >= train.debounce_ms
            confirmed = any(end - group[0][0] >= train.min_pulse_ms for _, end in group)
            noise = not confirmed and rest_ms > sum(end - at for at, end in group)
            if ended or noise:
                seen += confirmed
                short += not confirmed
                group = []
        group.append(run)
    if group:
        seen += long_enough()
        short += not long_enough()
    return seen, short


def ms(value: float) -> Instant:
    return Instant(round(value * NS_PER_MS))


def at_rest(train: Train) -> Debounce:
    machine = Debounce(train.debounce_ms, train.min_pulse_ms)
    machine.edge(NORMAL, ms(0))
    assert machine.tick(ms(train.debounce_ms)) == [NORMAL]
    return machine


def play(train: Train, ticks_ms: tuple[int, ...] = ()) -> tuple[list[LoopState], Debounce]:
    machine, told = at_rest(train), []
    due = [*((at, 1, None) for at in ticks_ms), *((at, 0, state) for at, state in train.edges_ms)]
    for at, _, state in sorted(due, key=lambda one: (one[0], one[1])):
        told += machine.tick(ms(at)) if state is None else machine.edge(state, ms(at))
    return told + machine.tick(ms(train.end_ms)), machine


def judge(train: Train, ticks_ms: tuple[int, ...] = ()) -> None:
    told, machine = play(train, ticks_ms)
    level = NORMAL if len(train.gaps_ms) % 2 == 0 else ALARM
    assert machine.settled is level
    assert machine.state is level
    # Told states alternate: an activation is never told twice, nor its end.
    assert told == [ALARM, NORMAL] * (len(told) // 2) + [ALARM] * (len(told) % 2)
    assert (machine.counters.pulses_seen, machine.counters.pulses_short) == reference(train)
    assert told.count(ALARM) == machine.counters.pulses_seen
    assert machine.counters.edges_lost == 0
    assert machine.deadline() is None


@st.composite
def trains(draw: st.DrawFn) -> Train:
    min_pulse_ms = draw(st.integers(1, 400))
    debounce_ms = draw(st.integers(1, min_pulse_ms))
    near = [debounce_ms - 1, debounce_ms, debounce_ms + 1, min_pulse_ms - 1, min_pulse_ms]
    gap = st.one_of(
        st.integers(1, 5), st.integers(1, 600), st.sampled_from([max(1, one) for one in near])
    )
    return Train(debounce_ms, min_pulse_ms, tuple(draw(st.lists(gap, min_size=1, max_size=40))))


@settings(deadline=None, derandomize=True, max_examples=1500)
@given(trains())
def test_activations_are_those_of_the_definition_and_the_final_state_is_the_pins(
    train: Train,
) -> None:
    judge(train)


@settings(deadline=None, derandomize=True, max_examples=600)
@given(trains(), st.lists(st.integers(1000, 8000), max_size=30))
def test_when_somebody_ticks_changes_nothing(train: Train, ticks_ms: list[int]) -> None:
    judge(train, tuple(at for at in ticks_ms if at <= train.end_ms))


@settings(deadline=None, derandomize=True, max_examples=600)
@given(trains())
def test_level_follows_the_pin_within_the_debounce_time(train: Train) -> None:
    """I1 at every point of rest inside the train, not only at its end."""
    machine = at_rest(train)
    edges = train.edges_ms
    for (at, state), until in zip(edges, [*(at for at, _ in edges[1:]), train.end_ms], strict=True):
        machine.edge(state, ms(at))
        if until - at > train.debounce_ms:
            machine.tick(ms(at + train.debounce_ms))
            assert machine.settled is state
            if state is NORMAL:
                assert machine.state is NORMAL


@settings(deadline=None, derandomize=True, max_examples=600)
@given(trains())
def test_every_continuous_activation_of_the_minimum_pulse_is_told(train: Train) -> None:
    """I2, said without the definition of bounce: however noisy what comes before."""
    machine = at_rest(train)
    told: list[LoopState] = []
    edges = train.edges_ms
    for (at, state), until in zip(edges, [*(at for at, _ in edges[1:]), train.end_ms], strict=True):
        told += machine.edge(state, ms(at))
        if state is ALARM and until - at >= train.min_pulse_ms:
            told += machine.tick(ms(at + train.min_pulse_ms))
            assert told[-1] is ALARM


@settings(deadline=None, derandomize=True, max_examples=300)
@given(trains())
def test_nothing_is_told_of_a_train_shorter_than_the_minimum_pulse(train: Train) -> None:
    edges = [edge for edge in train.edges_ms if edge[0] - train.edges_ms[0][0] < train.min_pulse_ms]
    machine = at_rest(train)
    told = [one for at, state in edges for one in machine.edge(state, ms(at))]
    if edges and edges[-1][1] is ALARM:
        told += machine.edge(NORMAL, ms(edges[0][0] + train.min_pulse_ms - 0.001))
    assert told + machine.tick(ms(train.end_ms + 1000)) == []


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.integers(1, 400), st.lists(st.integers(1, 800), max_size=20), st.data())
def test_clean_pulses_are_counted_by_their_length_alone(
    min_pulse_ms: int, widths_ms: list[int], data: st.DataObject
) -> None:
    debounce_ms = data.draw(st.integers(1, min_pulse_ms))
    gaps = tuple(gap for width in widths_ms for gap in (debounce_ms, width))
    told, machine = play(Train(debounce_ms, min_pulse_ms, gaps))
    long = sum(width >= min_pulse_ms for width in widths_ms)
    assert told == [ALARM, NORMAL] * long
    assert machine.counters.pulses_short == len(widths_ms) - long


@settings(deadline=None, derandomize=True, max_examples=600)
@given(trains(), st.sets(st.integers(0, 39), max_size=10))
def test_a_reread_heals_edges_that_were_lost(train: Train, lost: set[int]) -> None:
    machine = at_rest(train)
    told: list[LoopState] = []
    for index, (at, state) in enumerate(train.edges_ms):
        if index not in lost:
            told += machine.edge(state, ms(at))
    level = NORMAL if len(train.gaps_ms) % 2 == 0 else ALARM
    believed = machine.raw
    last_ms = train.edges_ms[-1][0] if train.gaps_ms else 1000
    told += machine.resync(level, ms(last_ms))
    told += machine.tick(ms(last_ms + max(train.debounce_ms, train.min_pulse_ms)))
    assert machine.settled is machine.state is level
    assert (machine.counters.edges_lost > 0) >= (believed is not level)
    assert told == [ALARM, NORMAL] * (len(told) // 2) + [ALARM] * (len(told) % 2)


def test_a_hundred_thousand_trains() -> None:
    """Seeded, so that a failure can be repeated; bursts, bounce and rest mixed."""
    dice = random.Random(2)
    for _ in range(TRAINS):
        min_pulse_ms = dice.randint(20, 400)
        debounce_ms = dice.randint(5, min(min_pulse_ms, 100))
        scale = dice.choice((3, debounce_ms, min_pulse_ms, 600))
        gaps = tuple(1 + int(dice.random() * scale) for _ in range(dice.randint(1, 8)))
        judge(Train(debounce_ms, min_pulse_ms, gaps))
