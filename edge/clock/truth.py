"""What time it is, how sure that is, and what to say about it (DESIGN D16, users.md N1-N3).

unsynchronised -> synchronised <-> holdover
                        |^-> stepped -> synchronised

Stamps are an anchor plus monotonic time, so a step of the wall clock never enters a Record. The
bound is chrony's own (|offset| + root dispersion + root delay / 2) at the anchor, grown by drift.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from edge.clock.anchor import NO_STAMP, Anchor, Stamp
from edge.clock.tracking import Leap, NoTracking, Tracking
from edge.config import ClockConfig
from protocols.instants import US_PER_S, Instant, UtcTime, later
from protocols.panel_event import Code, PanelEvent, Qualifier

UNSYNCHRONISED_TOLD_S: Final = 120
"""A reachable server synchronises sooner (users.md N3)."""
HOLDOVER_TOLD_S: Final = 600
"""A return from a shorter holdover is no news."""
LEAP_NEAR: Final = timedelta(hours=24)
_NEW_MEASUREMENTS: Final = 2
_JITTER_US: Final = 10_000
"""Reading the two clocks one after the other may be interrupted; added to the bound."""


class ClockState(Enum):
    """Where stamps come from."""

    UNSYNCHRONISED = "unsynchronised"
    SYNCHRONISED = "synchronised"
    HOLDOVER = "holdover"
    STEPPED = "stepped"


class ClockTruth:
    """The clock machine. `floor`: a time that has certainly passed; never a stamp below it."""

    def __init__(self, config: ClockConfig, floor: UtcTime) -> None:
        self._config = config
        self._floor = floor
        self.state = ClockState.UNSYNCHRONISED
        self.reason = ""
        """Why chrony was not believed last, one token; empty when it was."""
        self._anchor: Anchor | None = None
        self._wall_at_anchor = UtcTime(0)
        self._leap = Leap.NORMAL
        self._started: Instant | None = None
        self._left: Instant | None = None
        self._level_us = 0
        self._told_level_us = 0
        self._suspect_us = 0
        self._shaken = False
        self._new_measurements = 0
        self._inaccurate = False
        self._seen_ref_time_s = 0.0

    def receive(
        self, told: Tracking | NoTracking, mono: Instant, wall: UtcTime
    ) -> list[PanelEvent]:
        """Chrony's word, with both clocks read at that moment."""
        events = self.tick(mono, wall)
        if isinstance(told, Tracking):
            told = self._believed(told, mono, wall)
        if isinstance(told, Tracking):
            self.reason = ""
            events += self._set(told, mono, wall)
        else:
            self.reason = told.reason
            if self.state is ClockState.SYNCHRONISED:
                self.state = ClockState.HOLDOVER
                self._left = mono
        return events + self._judge(mono)

    def tick(self, mono: Instant, wall: UtcTime) -> list[PanelEvent]:
        """Compare the clocks; about once a second."""
        if self._started is None:
            self._started = mono
        return self._watch_for_step(mono, wall) + self._judge(mono)

    def deadline(self) -> Instant | None:
        """When `tick` may have something to say at the latest."""
        if self._started is None or self._anchor is not None or self._inaccurate:
            return None
        return later(self._started, UNSYNCHRONISED_TOLD_S)

    def stamp(self, mono: Instant, wall: UtcTime) -> Stamp:
        """Time of a Record. `wall` is not used: it may be stepped at any moment."""
        anchor = self._anchor
        if anchor is None:
            return NO_STAMP
        utc = anchor.utc_at(mono)
        err_us = anchor.err_at(mono, self._config.drift_ppm) + self._leap_allowance(utc)
        if utc < self._floor:
            return Stamp(self._floor, err_us + self._floor - utc)
        return Stamp(utc, err_us)

    def _believed(self, told: Tracking, mono: Instant, wall: UtcTime) -> Tracking | NoTracking:
        """Chrony learns of a step by others only with its next measurement.

        After any jump between the two clocks, or against what the anchor says, it takes two new
        measurements: the first may be older than the jump.
        """
        bound_us = _bound_us(told)
        if wall + bound_us < self._floor:
            return NoTracking("below_floor")
        fresh = told.ref_time_s != self._seen_ref_time_s
        self._seen_ref_time_s = told.ref_time_s
        if self._anchor is None:
            return told
        held = self.stamp(mono, wall)
        assert held.utc is not None
        assert held.err_us is not None
        corrected = wall + round(told.offset_s * US_PER_S)
        unsure_us = bound_us - abs(corrected - wall)
        if not self._shaken and abs(corrected - held.utc) <= held.err_us + unsure_us:
            return told
        if fresh:
            self._new_measurements += 1
        if self._new_measurements >= _NEW_MEASUREMENTS:
            return told
        return NoTracking("contradicts_holdover")

    def _set(self, told: Tracking, mono: Instant, wall: UtcTime) -> list[PanelEvent]:
        before = self.state
        unseen_us = 0 if self._anchor is None else abs(self._jump_us(mono, wall) - self._level_us)
        self._anchor = Anchor(mono, wall, _bound_us(told) + unseen_us)
        self._wall_at_anchor = wall
        self._leap = told.leap
        self._level_us = self._told_level_us = self._suspect_us = 0
        self._shaken = False
        self._new_measurements = 0
        self.state = ClockState.SYNCHRONISED
        long_held = (
            before is ClockState.HOLDOVER
            and self._left is not None
            and mono >= later(self._left, HOLDOVER_TOLD_S)
        )
        if long_held or before in (ClockState.UNSYNCHRONISED, ClockState.STEPPED):
            return [PanelEvent(Code.CLOCK_SET, detail=self._anchor.detail())]
        return []

    def _jump_us(self, mono: Instant, wall: UtcTime) -> int:
        """Wall against monotonic time since the anchor; slewing moves both, a step only one."""
        assert self._anchor is not None
        return wall - self._wall_at_anchor - (mono - self._anchor.mono) // 1000

    def _watch_for_step(self, mono: Instant, wall: UtcTime) -> list[PanelEvent]:
        """Two looks must agree: one may have been interrupted between the two clocks."""
        if self._anchor is None:
            return []
        jump_us = self._jump_us(mono, wall)
        if abs(jump_us - self._level_us) > _JITTER_US:
            self._level_us = jump_us
            self._shaken = True
            self._new_measurements = 0
        step_us = jump_us - self._told_level_us
        limit_us = self._config.step_ms * 1000
        if abs(step_us) <= limit_us:
            self._suspect_us = 0
            return []
        if abs(step_us - self._suspect_us) > limit_us:
            self._suspect_us = step_us
            return []
        self._suspect_us = 0
        self._told_level_us = jump_us
        self.state = ClockState.STEPPED
        self._left = mono
        return [PanelEvent(Code.CLOCK_STEPPED, detail=f"ms={round(step_us / 1000):+d}")]

    def _judge(self, mono: Instant) -> list[PanelEvent]:
        """CLOCK_INACCURATE while the bound is wider than what counts as a step."""
        limit_us = self._config.step_ms * 1000
        err_us = self.stamp(mono, UtcTime(0)).err_us
        if err_us is None:
            assert self._started is not None
            bad = self._inaccurate or mono >= later(self._started, UNSYNCHRONISED_TOLD_S)
        else:
            bad = err_us > (limit_us // 2 if self._inaccurate else limit_us)
        if bad is self._inaccurate:
            return []
        self._inaccurate = bad
        detail = f"state={self.state.value}"
        if self.reason:
            detail += f";why={self.reason}"
        if err_us is not None:
            detail += f";err={err_us}"
        q = Qualifier.NEW if bad else Qualifier.RESTORE
        return [PanelEvent(Code.CLOCK_INACCURATE, q, detail=detail)]

    def _leap_allowance(self, utc: UtcTime) -> int:
        if not self._config.smear_bound_ms and self._leap is Leap.NORMAL:
            return 0
        if not _near_leap_day(utc):
            return 0
        announced_us = 0 if self._leap is Leap.NORMAL else US_PER_S
        return max(announced_us, self._config.smear_bound_ms * 1000)


def _bound_us(told: Tracking) -> int:
    """Chrony's own bound on the error of the system clock."""
    bound_s = abs(told.offset_s) + told.root_dispersion_s + told.root_delay_s / 2
    return round(bound_s * US_PER_S) + 1


def _near_leap_day(utc: UtcTime) -> bool:
    """Within a day of the end of June or December, where leap seconds stand."""
    try:
        now = datetime.fromtimestamp(utc / US_PER_S, UTC)
        ends = [datetime(now.year, month, 1, tzinfo=UTC) for month in (1, 7)]
        ends.append(datetime(now.year + 1, 1, 1, tzinfo=UTC))
    except (ValueError, OverflowError, OSError):
        return False
    return any(abs(now - end) <= LEAP_NEAR for end in ends)
