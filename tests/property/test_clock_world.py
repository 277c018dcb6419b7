"""Issue test 6, panel side: whatever the clocks do, the true time lies within the stated bound."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.clock.anchor import Anchor
from edge.clock.tracking import NoTracking, Tracking
from edge.clock.truth import ClockState, ClockTruth
from edge.config import ClockConfig
from protocols.instants import Instant, UtcTime
from protocols.panel_event import Code

YEAR_S = 366 * 86_400
START_US = 1_780_000_000_000_000


@dataclass
class World:
    """A panel's oscillator, its wall clock, a server at some distance, and chrony between."""

    drift_ppm: float
    server_error_s: float
    root_delay_s: float
    root_dispersion_s: float
    true_us: float = START_US
    mono_ns: float = 0.0
    wall_us: float = START_US
    measurement: int = 0
    known_offset_s: float = 0.0
    answering: bool = True
    log: list[str] = field(default_factory=list)

    def elapse(self, seconds: float) -> None:
        self.true_us += seconds * 1e6
        local_s = seconds * (1 + self.drift_ppm / 1e6)
        self.mono_ns += local_s * 1e9
        self.wall_us += local_s * 1e6

    def step(self, seconds: float) -> None:
        self.wall_us += seconds * 1e6

    def measure(self) -> None:
        """chrony asks the server and finds the offset, wrong by the server's error."""
        self.measurement += 1
        self.known_offset_s = (self.true_us - self.wall_us) / 1e6 + self.server_error_s

    def correct(self) -> None:
        """chrony steps the wall clock onto what it knows."""
        self.wall_us += self.known_offset_s * 1e6
        self.known_offset_s = 0.0

    def tracking(self) -> Tracking | NoTracking:
        if not self.answering or not self.measurement:
            return NoTracking("no_daemon")
        return Tracking(
            "0A000001",
            2,
            float(self.measurement),
            self.known_offset_s,
            self.root_delay_s,
            self.root_dispersion_s,
        )

    @property
    def mono(self) -> Instant:
        return Instant(round(self.mono_ns))

    @property
    def wall(self) -> UtcTime:
        return UtcTime(round(self.wall_us))


STEPS = st.one_of(
    st.tuples(st.just("elapse"), st.floats(0.1, 4000)),
    st.tuples(st.just("poll"), st.floats(0.1, 20)),
    st.tuples(st.just("poll"), st.floats(0.1, 20)),
    st.tuples(st.just("measure"), st.just(0.0)),
    st.tuples(st.just("correct"), st.just(0.0)),
    st.tuples(
        st.just("step"),
        st.sampled_from([3600.0, -3600.0, 0.3, -0.3, 1.0, -1.0, 20.0 * YEAR_S, -20.0 * YEAR_S]),
    ),
    st.tuples(st.just("answer"), st.sampled_from([0.0, 1.0])),
)


@settings(
    deadline=None, derandomize=True, max_examples=1500, suppress_health_check=[HealthCheck.too_slow]
)
@given(
    steps=st.lists(STEPS, min_size=5, max_size=60),
    drift_ppm=st.floats(-90, 90),
    asymmetry=st.floats(-1, 1),
    root_delay_s=st.floats(0, 0.3),
    root_dispersion_s=st.floats(0, 0.2),
)
def test_truth_lies_within_the_bound(
    steps: list[tuple[str, float]],
    drift_ppm: float,
    asymmetry: float,
    root_delay_s: float,
    root_dispersion_s: float,
) -> None:
    error_s = asymmetry * (root_delay_s / 2 + root_dispersion_s)
    world = World(drift_ppm, error_s, root_delay_s, root_dispersion_s)
    clock = ClockTruth(ClockConfig(drift_ppm=100), UtcTime(START_US - 1))
    early: list[tuple[Instant, float]] = []
    stale = False
    for name, amount in steps:
        match name:
            case "elapse":
                world.elapse(amount)
            case "measure":
                world.measure()
                stale = False
            case "correct":
                world.correct() if world.measurement and not stale else None
            case "step":
                # Before the first synchronisation a foreign step leaves no second witness.
                if clock.state is not ClockState.UNSYNCHRONISED:
                    world.step(amount)
                    stale = True
            case "answer":
                world.answering = bool(amount)
            case "poll":
                world.elapse(amount)
                if not stale and world.measurement:
                    world.measure()
                for event in clock.receive(world.tracking(), world.mono, world.wall):
                    if event.code == Code.CLOCK_SET:
                        anchor = Anchor.parse(event.detail)
                        assert anchor is not None
                        for mono, true_us in early:
                            placed = anchor.place(mono, 100)
                            assert placed.utc is not None
                            assert placed.err_us is not None
                            assert abs(placed.utc - true_us) <= placed.err_us
                        early.clear()
        world.elapse(0.5)
        clock.tick(world.mono, world.wall)
        stamp = clock.stamp(world.mono, world.wall)
        if stamp.utc is None:
            assert clock.state is ClockState.UNSYNCHRONISED
            early.append((world.mono, world.true_us))
            continue
        assert stamp.err_us is not None
        assert stamp.utc >= START_US - 1
        assert abs(stamp.utc - world.true_us) <= stamp.err_us, (name, amount, clock.state)
