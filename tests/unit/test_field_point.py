"""Points: decoded, debounced and told as Readings."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import (
    AreaConfig,
    Hardware,
    Loop,
    MqttConfig,
    PanelConfig,
    SystemPoint,
    Wiring,
    ZoneConfig,
    ZoneType,
)
from edge.field.eol import LoopState, nominal_mv
from edge.field.point import FieldInput, FieldMachine, Lost, PinEdge, Resync, Sample, loops
from edge.field.reading import Reading, ReadingState
from protocols.instants import NS_PER_MS, Instant

DOOR, PIR, COVER = "zone:1", "zone:2", "enclosure"
STATE = ReadingState


def site(wiring: Wiring = Wiring.TRIPLE_EOL) -> PanelConfig:
    return PanelConfig(
        id="p",
        name="Site",
        areas=(AreaConfig(number=1, name="All"),),
        zones=(
            ZoneConfig(
                number=1,
                name="Door",
                area=1,
                type=ZoneType.INSTANT,
                loop=Loop(input="gpio:17", debounce_ms=50, min_pulse_ms=300),
            ),
            ZoneConfig(
                number=2,
                name="Hall",
                area=1,
                type=ZoneType.INSTANT,
                loop=Loop(input="adc:0.3", wiring=wiring, debounce_ms=50, min_pulse_ms=300),
            ),
        ),
        points=(SystemPoint(role="enclosure", loop=Loop(input="gpio:5", wiring=Wiring.NO)),),
        mqtt=MqttConfig(host="h", ca="ca", cert="cert", key="key"),
    )


class Bench:
    """A FieldMachine at rest, played in milliseconds."""

    def __init__(self, wiring: Wiring = Wiring.TRIPLE_EOL, sample_ms: int = 0) -> None:
        self.wiring = wiring
        self.machine = FieldMachine(site(wiring), sample_ms)
        self.at(0, PinEdge(17, 0))
        self.at(0, PinEdge(5, 1))
        self.loop(0, LoopState.NORMAL)
        self.first = self.tick(50)

    def at(self, now_ms: float, arrival: FieldInput) -> list[Reading]:
        return self.machine.receive(arrival, Instant(round(now_ms * NS_PER_MS)))

    def loop(self, now_ms: float, state: LoopState) -> list[Reading]:
        mv = nominal_mv(state, self.wiring, Hardware())
        assert mv is not None
        return self.at(now_ms, Sample("0.3", mv))

    def tick(self, now_ms: float) -> list[Reading]:
        return self.machine.tick(Instant(round(now_ms * NS_PER_MS)))


def test_every_point_tells_its_state_once_at_the_start() -> None:
    bench = Bench()
    assert bench.first == [
        Reading(DOOR, STATE.NORMAL),
        Reading(COVER, STATE.NORMAL),
        Reading(PIR, STATE.NORMAL),
    ]
    assert bench.machine.deadline() is None


def test_a_state_that_stood_before_the_start_is_told_after_its_debounce() -> None:
    machine = FieldMachine(site())
    machine.receive(PinEdge(17, 1), Instant(0))
    assert machine.deadline() == 50 * NS_PER_MS
    assert machine.tick(Instant(50 * NS_PER_MS)) == [Reading(DOOR, STATE.ALARM)]


def test_alarm_at_the_minimum_pulse_and_normal_after_the_debounce() -> None:
    bench = Bench()
    bench.at(1000, PinEdge(17, 1))
    assert bench.tick(1299.9) == []
    assert bench.tick(1300) == [Reading(DOOR, STATE.ALARM)]
    bench.at(2000, PinEdge(17, 0))
    assert bench.tick(2049.9) == []
    assert bench.tick(2050) == [Reading(DOOR, STATE.NORMAL)]


def test_an_activation_already_over_still_surfaces_as_a_pulse() -> None:
    bench = Bench()
    bench.at(1000, PinEdge(17, 1))
    assert bench.at(1400, PinEdge(17, 0)) == [Reading(DOOR, STATE.ALARM, pulse=True)]
    assert bench.tick(1450) == [Reading(DOOR, STATE.NORMAL)]
    assert bench.machine.counters()[DOOR].pulses_seen == 1


def test_400_ms_is_seen_by_the_slowest_allowed_sampling_at_every_phase() -> None:
    """EN 50131, by the arithmetic in FieldMachine: 300 + 2 x 50 = 400."""
    for phase_ms in range(50):
        bench = Bench(sample_ms=50)
        told: list[Reading] = []
        for beat in range(1, 60):
            now_ms = beat * 50
            active = 1000 + phase_ms <= now_ms < 1400 + phase_ms
            told += bench.loop(now_ms, LoopState.ALARM if active else LoopState.NORMAL)
            told += bench.tick(now_ms)
        assert [reading.state for reading in told] == [STATE.ALARM, STATE.NORMAL]


def test_a_sampled_activation_below_the_minimum_pulse_is_never_told() -> None:
    for phase_ms in range(20):
        bench = Bench(sample_ms=20)
        told: list[Reading] = []
        for beat in range(1, 150):
            now_ms = beat * 20
            active = 1000 + phase_ms <= now_ms < 1299 + phase_ms
            told += bench.loop(now_ms, LoopState.ALARM if active else LoopState.NORMAL)
            told += bench.tick(now_ms)
        assert told == []


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (LoopState.ALARM, [STATE.ALARM]),
        (LoopState.SHORT, [STATE.SHORT]),
        (LoopState.OPEN, [STATE.OPEN]),
        (LoopState.MASKED, [STATE.MASKED]),
        (LoopState.MASKED_ALARM, [STATE.MASKED, STATE.ALARM]),
        (LoopState.UNDEFINED, [STATE.TAMPER]),
    ],
)
def test_each_loop_state_has_its_reading(state: LoopState, told: list[ReadingState]) -> None:
    bench = Bench()
    bench.loop(1000, state)
    assert bench.tick(1299) == []
    assert [reading.state for reading in bench.tick(1300)] == told
    bench.loop(2000, LoopState.NORMAL)
    assert bench.tick(2050) == [Reading(PIR, STATE.NORMAL)]


def test_a_passing_undefined_value_changes_nothing() -> None:
    bench = Bench()
    bench.loop(1000, LoopState.UNDEFINED)
    bench.loop(1010, LoopState.ALARM)
    bench.loop(1290, LoopState.UNDEFINED)
    assert bench.tick(1300) == [Reading(PIR, STATE.ALARM)]
    bench.loop(1320, LoopState.ALARM)
    assert bench.tick(5000) == []


def test_an_undefined_value_that_stays_is_tamper_even_after_an_alarm() -> None:
    bench = Bench()
    bench.loop(1000, LoopState.ALARM)
    assert bench.tick(1300) == [Reading(PIR, STATE.ALARM)]
    bench.loop(2000, LoopState.UNDEFINED)
    assert bench.tick(2299) == []
    assert bench.tick(2300) == [Reading(PIR, STATE.TAMPER)]


def test_an_alarm_behind_a_tamper_is_told_through_bounce() -> None:
    """Nothing is swallowed because something else was told before."""
    bench = Bench()
    bench.loop(1000, LoopState.OPEN)
    assert bench.tick(1300) == [Reading(PIR, STATE.OPEN)]
    bench.loop(2000, LoopState.ALARM)
    bench.loop(2100, LoopState.OPEN)
    bench.loop(2105, LoopState.ALARM)
    assert bench.tick(2300) == [Reading(PIR, STATE.ALARM)]


def test_a_mask_that_ends_while_the_alarm_stays_does_not_alarm_again() -> None:
    bench = Bench()
    bench.loop(1000, LoopState.MASKED_ALARM)
    bench.tick(1300)
    bench.loop(2000, LoopState.ALARM)
    assert bench.tick(3000) == []
    bench.loop(4000, LoopState.MASKED)
    assert bench.tick(4300) == [Reading(PIR, STATE.MASKED)]
    bench.loop(5000, LoopState.MASKED_ALARM)
    assert bench.tick(5300) == [Reading(PIR, STATE.ALARM)]


def test_single_eol_cannot_tell_cut_from_alarm_and_says_alarm() -> None:
    bench = Bench(Wiring.SINGLE_EOL)
    bench.at(1000, Sample("0.3", 3300))
    assert bench.tick(1300) == [Reading(PIR, STATE.ALARM)]


def test_a_lost_input_is_told_at_once_and_only_once() -> None:
    bench = Bench()
    assert bench.at(1000, Lost("gpio:17", "busy")) == [Reading(DOOR, STATE.LOST)]
    assert bench.at(1500, Lost("gpio:17", "busy")) == []
    assert bench.machine.losses() == {DOOR: "busy"}
    bench.at(2000, PinEdge(17, 0))
    assert bench.tick(2050) == [Reading(DOOR, STATE.NORMAL)]
    assert bench.machine.losses() == {}


def test_an_activation_that_ended_in_a_loss_is_not_lost_with_it() -> None:
    bench = Bench()
    bench.at(1000, PinEdge(17, 1))
    assert bench.at(1400, Lost("gpio:17", "gone")) == [
        Reading(DOOR, STATE.ALARM),
        Reading(DOOR, STATE.LOST),
    ]


def test_a_reread_older_than_the_last_edge_is_ignored() -> None:
    bench = Bench()
    bench.at(1000, PinEdge(17, 1))
    bench.at(999, Resync(17, 0))
    assert bench.tick(1300) == [Reading(DOOR, STATE.ALARM)]
    assert bench.machine.counters()[DOOR].edges_lost == 0


def test_a_reread_that_differs_is_an_edge_that_was_lost() -> None:
    bench = Bench()
    bench.at(1000, Resync(17, 1))
    assert bench.tick(1300) == [Reading(DOOR, STATE.ALARM)]
    assert bench.machine.counters()[DOOR].edges_lost == 1


def test_inputs_of_no_point_are_ignored() -> None:
    bench = Bench()
    assert bench.at(1000, PinEdge(26, 1)) == []
    assert bench.at(1000, Sample("1.7", 0)) == []
    assert bench.at(1000, Lost("adc:1.7", "gone")) == []
    assert bench.tick(9000) == []


def test_a_pairs_second_loop_is_a_point_of_its_own_and_buses_are_not_ours() -> None:
    door, hall = site().zones
    config = msgspec.structs.replace(
        site(),
        zones=(
            msgspec.structs.replace(door, pair=Loop(input="gpio:27")),
            msgspec.structs.replace(hall, loop=Loop(input="bus:main.3.1")),
        ),
    )
    assert [name for name, _ in loops(config)] == [DOOR, "zone:1/pair", COVER]
    machine = FieldMachine(config)
    machine.receive(PinEdge(27, 1), Instant(0))
    assert machine.tick(Instant(NS_PER_MS * 50)) == [Reading("zone:1/pair", STATE.ALARM)]


_ARRIVALS = st.one_of(
    st.builds(PinEdge, st.sampled_from([17, 5]), st.integers(0, 1)),
    st.builds(Resync, st.sampled_from([17, 5]), st.integers(0, 1)),
    st.builds(Sample, st.just("0.3"), st.integers(0, 3300)),
    st.builds(Lost, st.sampled_from(["gpio:17", "adc:0.3"]), st.just("gone")),
)


@settings(deadline=None, derandomize=True, max_examples=500)
@given(st.lists(st.tuples(st.integers(0, 700), _ARRIVALS), max_size=60))
def test_random_bursts_on_all_points_end_in_the_true_state(
    steps: list[tuple[int, FieldInput]],
) -> None:
    bench = Bench()
    told = list(bench.first)
    now_ms = 1000
    for gap_ms, arrival in steps:
        now_ms += gap_ms
        told += bench.at(now_ms, arrival)
        told += bench.tick(now_ms)
    # What the hardware ends in, told by a last read of everything.
    for gpio in (17, 5):
        told += bench.at(now_ms, Resync(gpio, 1))
    told += bench.loop(now_ms, LoopState.MASKED)
    told += bench.tick(now_ms + 350)
    last = {reading.point: reading.state for reading in told}
    assert last == {DOOR: STATE.ALARM, COVER: STATE.NORMAL, PIR: STATE.MASKED}
    assert bench.machine.deadline() is None
    for point in last:
        states = [reading.state for reading in told if reading.point == point]
        assert all(a is not b for a, b in itertools.pairwise(states))
