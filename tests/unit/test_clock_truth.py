"""The clock machine's states, events and refusals."""

from __future__ import annotations

from datetime import UTC, datetime

from edge.clock.anchor import NO_STAMP, Anchor
from edge.clock.tracking import Leap, NoTracking, Tracking
from edge.clock.truth import ClockState, ClockTruth
from edge.config import ClockConfig
from protocols.instants import NS_PER_S, US_PER_S, Instant, UtcTime
from protocols.panel_event import Code, PanelEvent, Qualifier

NOON = int(datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()) * US_PER_S


class Clocks:
    """Both clocks of a panel, advancing together unless stepped."""

    def __init__(self, clock: ClockTruth, wall: int = NOON) -> None:
        self.clock = clock
        self.mono = 5 * NS_PER_S
        self.wall = wall
        self.measured = 1.0

    def after(self, seconds: float) -> list[PanelEvent]:
        self.mono += round(seconds * NS_PER_S)
        self.wall += round(seconds * US_PER_S)
        return self.clock.tick(Instant(self.mono), UtcTime(self.wall))

    def told(self, told: Tracking | NoTracking) -> list[PanelEvent]:
        return self.clock.receive(told, Instant(self.mono), UtcTime(self.wall))

    def tracking(
        self, offset_s: float = 0.0, *, fresh: bool = True, leap: Leap = Leap.NORMAL
    ) -> Tracking:
        self.measured += fresh
        return Tracking("C0A80001", 2, self.measured, offset_s, 0.04, 0.01, leap)

    def stamp(self) -> tuple[int | None, int | None]:
        stamp = self.clock.stamp(Instant(self.mono), UtcTime(self.wall))
        return stamp.utc, stamp.err_us


def clocks(config: ClockConfig | None = None, floor: int = 0, wall: int = NOON) -> Clocks:
    return Clocks(ClockTruth(config or ClockConfig(), UtcTime(floor)), wall)


def codes(events: list[PanelEvent]) -> list[tuple[int, Qualifier]]:
    return [(event.code, event.q) for event in events]


def test_no_time_before_the_first_synchronisation() -> None:
    c = clocks()
    assert c.after(1) == []
    assert c.told(NoTracking("no_daemon")) == []
    assert c.clock.stamp(Instant(c.mono), UtcTime(c.wall)) == NO_STAMP
    assert c.clock.deadline() == Instant(126 * NS_PER_S)
    events = c.after(121)
    assert codes(events) == [(Code.CLOCK_INACCURATE, Qualifier.NEW)]
    assert events[0].detail == "state=unsynchronised;why=no_daemon"
    assert c.clock.deadline() is None
    assert c.after(1000) == []


def test_first_synchronisation_carries_the_anchor() -> None:
    c = clocks()
    c.after(3)
    events = c.told(c.tracking(0.002))
    assert codes(events) == [(Code.CLOCK_SET, Qualifier.NEW)]
    anchor = Anchor.parse(events[0].detail)
    assert anchor == Anchor(Instant(c.mono), UtcTime(c.wall), 32_001)
    assert c.stamp() == (c.wall, 32_002)
    placed = anchor.place(Instant(c.mono - 3 * NS_PER_S), 100)
    assert placed.utc == c.wall - 3 * US_PER_S
    assert placed.err_us is not None
    assert placed.err_us >= 1_000_000
    assert c.told(c.tracking()) == []


def test_step_is_told_and_never_enters_a_stamp() -> None:
    for step_us in (3600 * US_PER_S, -3600 * US_PER_S, -20 * 366 * 86_400 * US_PER_S):
        c = clocks()
        c.told(c.tracking())
        c.after(10)
        truth = c.wall
        c.wall += step_us
        assert c.after(1) == []
        events = c.after(1)
        assert codes(events) == [(Code.CLOCK_STEPPED, Qualifier.NEW)]
        assert events[0].detail == f"ms={step_us // 1000:+d}"
        assert c.clock.state is ClockState.STEPPED
        utc, err_us = c.stamp()
        assert utc == truth + 2 * US_PER_S
        assert err_us is not None
        assert err_us > 31_000
        # chrony has not measured since: its old word is not believed.
        assert c.told(c.tracking(fresh=False)) == []
        assert c.clock.reason == "contradicts_holdover"
        # The first new measurement may be older than the step, the second is not.
        assert c.told(c.tracking(-step_us / US_PER_S)) == []
        assert codes(c.told(c.tracking(-step_us / US_PER_S))) == [
            (Code.CLOCK_SET, Qualifier.NEW),
            (Code.CLOCK_INACCURATE, Qualifier.NEW),
        ]
        c.wall -= step_us
        c.after(1)
        c.after(1)
        c.told(c.tracking())
        assert (Code.CLOCK_INACCURATE, Qualifier.RESTORE) in codes(c.told(c.tracking()))
        assert c.clock.state is ClockState.SYNCHRONISED
        assert c.stamp()[0] == truth + 4 * US_PER_S


def test_chrony_is_believed_after_two_measurements_against_the_anchor() -> None:
    """A suspended machine: monotonic time stood still and the anchor is wrong."""
    c = clocks()
    c.told(c.tracking())
    c.wall += 7200 * US_PER_S
    c.after(1)
    assert c.told(c.tracking()) != []
    assert c.clock.state is not ClockState.SYNCHRONISED
    events = c.told(c.tracking())
    assert (Code.CLOCK_SET, Qualifier.NEW) in codes(events)
    assert c.stamp()[0] == c.wall


def test_holdover_grows_the_bound_until_it_is_told() -> None:
    c = clocks()
    c.told(c.tracking())
    assert c.told(NoTracking("no_answer")) == []
    assert c.clock.state is ClockState.HOLDOVER
    assert c.told(c.tracking()) == []
    c.told(NoTracking("no_answer"))
    before = c.stamp()[1]
    assert before is not None
    c.after(1000)
    after = c.stamp()[1]
    assert after is not None
    assert 99_000 <= after - before <= 101_000
    assert codes(c.after(5000)) == [(Code.CLOCK_INACCURATE, Qualifier.NEW)]
    assert codes(c.told(c.tracking())) == [
        (Code.CLOCK_SET, Qualifier.NEW),
        (Code.CLOCK_INACCURATE, Qualifier.RESTORE),
    ]


def test_one_interrupted_look_is_no_step() -> None:
    c = clocks()
    c.told(c.tracking())
    c.wall += 900_000
    assert c.after(1) == []
    c.wall -= 900_000
    assert c.after(1) == []
    assert c.after(1) == []
    assert c.clock.state is ClockState.SYNCHRONISED


def test_never_below_the_floor() -> None:
    c = clocks(floor=NOON, wall=NOON - 3600 * US_PER_S)
    c.told(c.tracking())
    assert c.clock.reason == "below_floor"
    assert c.stamp() == (None, None)
    c = clocks(floor=NOON, wall=NOON - 20_000)
    c.told(c.tracking())
    assert c.stamp() == (NOON, 30_002 + 20_000)


def test_leap_smear_widens_the_bound_near_the_leap_day_only() -> None:
    eve = int(datetime(2026, 12, 31, 12, tzinfo=UTC).timestamp()) * US_PER_S
    config = ClockConfig(smear_bound_ms=500)
    for wall, leap, want in (
        (eve, Leap.NORMAL, 530_000),
        (eve + 30 * 3600 * US_PER_S, Leap.NORMAL, 530_000),
        (NOON, Leap.NORMAL, 30_000),
        (eve, Leap.INSERT, 1_030_000),
        (NOON, Leap.INSERT, 30_000),
    ):
        c = clocks(config, wall=wall)
        c.told(c.tracking(leap=leap))
        err_us = c.stamp()[1]
        assert err_us is not None
        assert abs(err_us - want) < 10, (wall, leap)
    far = clocks(config, wall=2**60)
    far.told(far.tracking())
    assert far.stamp()[0] == 2**60


def test_anchor_detail_is_read_back_or_refused() -> None:
    anchor = Anchor(Instant(123), UtcTime(-5), 9)
    assert Anchor.parse(anchor.detail()) == anchor
    for bad in (
        "",
        "mono=1;utc=2",
        "mono=1;utc=2;err=-3",
        "mono=x;utc=2;err=3",
        "mono=1;utc=²;err=3",
    ):
        assert Anchor.parse(bad) is None
