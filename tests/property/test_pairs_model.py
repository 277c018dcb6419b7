"""Any life of a pair of detectors, judged by its whole history (R103)."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import AreaConfig, Loop, PanelConfig, Timers, ZoneConfig, ZoneType
from edge.field.pairs import Pairs
from edge.field.reading import Reading, ReadingState
from tests.support.panel_site import at

PAIR_S = 10.0
ALARM, NORMAL = ReadingState.ALARM, ReadingState.NORMAL
TROUBLE = set(ReadingState) - {ALARM, NORMAL}
BLIND = TROUBLE - {ReadingState.LOW_BATTERY}
CONFIG = PanelConfig(
    id="p",
    name="p",
    areas=(AreaConfig(number=1, name="a"),),
    zones=(
        ZoneConfig(
            number=3,
            name="pair",
            area=1,
            type=ZoneType.INTERIOR,
            loop=Loop(input="gpio:4"),
            pair=Loop(input="bus:main.3.1"),
        ),
        ZoneConfig(
            number=4, name="lone", area=1, type=ZoneType.INTERIOR, loop=Loop(input="gpio:5")
        ),
    ),
    timers=Timers(pair_s=PAIR_S),
)


@dataclass(frozen=True)
class Step:
    half: int
    state: ReadingState
    wait_s: float
    pulse: bool


steps = st.lists(
    st.builds(
        Step,
        st.integers(0, 1),
        st.sampled_from([ALARM, ALARM, NORMAL, NORMAL, *sorted(TROUBLE, key=lambda s: s.value)]),
        st.sampled_from([0.0, 0.5, 4.0, 9.9, 10.0, 10.1, 60.0]),
        st.booleans(),
    ),
    max_size=40,
)
POINTS = ("zone:3", "zone:3/pair")
ALONE = ("zone:3/loop", "zone:3/pair")


def was_active(history: list[tuple[float, ReadingState]], now: float) -> bool:
    """Active, or unreadable now, or active at some moment of the last PAIR_S."""
    if history and history[-1][1] in BLIND:
        return True
    for index, (_, state) in enumerate(history):
        last = index == len(history) - 1
        if state is ALARM and (last or now - history[index + 1][0] <= PAIR_S):
            return True
    return False


@settings(max_examples=300, deadline=None, derandomize=True)
@given(steps)
def test_a_pair_alarms_together_only_and_hides_no_trouble(life: list[Step]) -> None:
    pairs = Pairs(CONFIG)
    history: tuple[list[tuple[float, ReadingState]], ...] = ([], [])
    counts = [False, False]
    zone: ReadingState | None = None
    now = 0.0
    for step in life:
        now += step.wait_s
        own, other = history[step.half], history[1 - step.half]
        before = own[-1][1] if own else None
        pulse = step.pulse and step.state is ALARM
        told = pairs.receive(Reading(POINTS[step.half], step.state, pulse=pulse), at(now))
        fresh = step.state is not before or pulse
        if not fresh:
            assert told == []
            continue
        if step.state is before:
            own.append((now, NORMAL))
        together = was_active(other, now)
        own.append((now, step.state))
        counts[step.half] = step.state is ALARM and together
        readings = [one for one in told if one.point == "zone:3"]
        alone = [one for one in told if one.point != "zone:3"]
        for one in readings:
            assert one.state is not zone  # nothing twice
            assert one.state is not ALARM or together or step.state is not ALARM
            zone = one.state
        if step.state is ALARM:
            assert (zone is ALARM) is together
            assert [one.point for one in alone] == ([] if together else [ALONE[step.half]])
        else:
            assert alone == []
        if step.state not in TROUBLE and any(counts):
            assert zone is ALARM  # for as long as an activation that counts lasts
        if step.state in TROUBLE:
            assert zone is step.state
        states = {h[-1][1] for h in history if h}
        if all(history) and states == {NORMAL}:
            assert zone is NORMAL
        if zone is ALARM:
            assert ALARM in states
        if zone is NORMAL:
            assert all(history)
            assert not states & TROUBLE


def test_a_detector_stuck_active_leaves_the_other_to_alarm_each_time() -> None:
    pairs = Pairs(CONFIG)
    pairs.receive(Reading("zone:3", NORMAL), at(0))
    pairs.receive(Reading("zone:3/pair", NORMAL), at(0))
    assert pairs.receive(Reading("zone:3", ALARM), at(1)) == [Reading("zone:3/loop", ALARM)]
    for start in (100, 200):
        assert pairs.receive(Reading("zone:3/pair", ALARM), at(start)) == [Reading("zone:3", ALARM)]
        assert pairs.receive(Reading("zone:3/pair", NORMAL), at(start + 1)) == [
            Reading("zone:3", NORMAL)
        ]


def test_a_pulse_of_each_inside_the_window_is_one_alarm() -> None:
    pairs = Pairs(CONFIG)
    for point in POINTS:
        pairs.receive(Reading(point, NORMAL), at(0))
    pairs.receive(Reading("zone:3", ALARM, pulse=True), at(1))
    pairs.receive(Reading("zone:3", NORMAL), at(1))
    assert pairs.receive(Reading("zone:3/pair", ALARM, pulse=True), at(11)) == [
        Reading("zone:3", ALARM, pulse=True)
    ]
    assert pairs.receive(Reading("zone:3/pair", NORMAL), at(11)) == [Reading("zone:3", NORMAL)]


def test_points_without_a_pair_pass_as_they_are() -> None:
    pairs = Pairs(CONFIG)
    for reading in (Reading("zone:4", ALARM), Reading("zone:4", ALARM), Reading("mains", NORMAL)):
        assert pairs.receive(reading, at(0)) == [reading]
