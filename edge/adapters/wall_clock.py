"""The wall clock in use: asks chrony, watches for steps, tells local time, keeps the floor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from edge.adapters import clock_chrony
from edge.clock.anchor import Stamp
from edge.clock.truth import ClockTruth
from edge.config import PanelConfig
from edge.panel.inputs import LocalTime
from protocols.instants import US_PER_S, Instant, UtcTime
from protocols.panel_event import PanelEvent

CHRONYC_S: Final = 3.0
LOOK_S: Final = 1.0
FLOOR_S: Final = 600.0


def monotonic() -> Instant:
    """Now, for every delay."""
    return Instant(time.monotonic_ns())


def _wall() -> UtcTime:
    return UtcTime(time.time_ns() // 1000)


class WallClock:
    """Drives ClockTruth. `emit` takes what it has to report, `tell` the trusted local time."""

    def __init__(
        self,
        config: PanelConfig,
        directory: Path,
        emit: Callable[[PanelEvent], None],
        tell: Callable[[LocalTime], None],
    ) -> None:
        self._config = config
        self._directory = directory
        self._emit = emit
        self._tell = tell
        self._zone = ZoneInfo(config.timezone)
        self._truth = ClockTruth(config.clock, clock_chrony.read_floor(directory))

    @property
    def state(self) -> str:
        """Where stamps come from: a ClockState value."""
        return self._truth.state.value

    def stamp(self) -> tuple[Instant, Stamp]:
        """Monotonic now, and UTC with its bound as far as known."""
        mono = monotonic()
        return mono, self._truth.stamp(mono, _wall())

    async def ask(self) -> None:
        """Ask chrony once."""
        told = await asyncio.to_thread(clock_chrony.read, self._config.clock.chronyc, CHRONYC_S)
        for event in self._truth.receive(told, monotonic(), _wall()):
            self._emit(event)

    async def run(self) -> None:
        """For ever: look each second, ask each `poll_s`, tell each minute, keep the floor."""
        minute, ask_at, floor_at = -1, 0.0, 0.0
        while True:
            if time.monotonic() >= ask_at:
                ask_at = time.monotonic() + self._config.clock.poll_s
                await self.ask()
            for event in self._truth.tick(monotonic(), _wall()):
                self._emit(event)
            utc = self.stamp()[1].utc
            if utc is not None and utc // 60_000_000 != minute:
                minute = utc // 60_000_000
                local = datetime.fromtimestamp(utc / US_PER_S, self._zone)
                week_minute = (local.weekday() * 24 + local.hour) * 60 + local.minute
                self._tell(LocalTime(week_minute, local.toordinal()))
            if utc is not None and time.monotonic() >= floor_at:
                floor_at = time.monotonic() + FLOOR_S
                await asyncio.to_thread(clock_chrony.write_floor, self._directory, utc)
            await asyncio.sleep(LOOK_S)
