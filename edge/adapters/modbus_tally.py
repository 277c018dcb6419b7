"""Figures of one Modbus module, for people."""

from __future__ import annotations

import statistics
from collections import deque
from typing import Final

from edge.adapters.modbus_wire import Exchange
from edge.bus.bus_types import NodeId, NodeStatistics

KEPT: Final = 64


class Tally:
    """Counts since the start, and the latest KEPT times."""

    def __init__(self) -> None:
        self._seen_at: float | None = None
        self._polls = self._replies = self._timeouts = 0
        self._crc_errors = self._foreign = self._refused = 0
        self._failed = False
        self._retries = 0
        self._polled_at = 0.0
        self._cycles_ms: deque[float] = deque(maxlen=KEPT)
        self._turnarounds_ms: deque[float] = deque(maxlen=KEPT)

    def polled(self, now: float) -> None:
        """It has its turn."""
        self._polls += 1
        self._retries += self._failed
        if self._polled_at:
            self._cycles_ms.append((now - self._polled_at) * 1000)
        self._polled_at = now

    def exchanged(self, done: Exchange, now: float) -> None:
        """How one read of its turn went."""
        self._failed = done.reply is None
        self._timeouts += done.silent
        self._crc_errors += done.garbled and not done.wrong_length
        self._refused += done.wrong_length + (done.exception != 0)
        self._foreign += done.foreign
        if done.reply is not None:
            self._seen_at = now
            self._replies += 1
            self._turnarounds_ms.append(done.turnaround_s * 1000)

    def statistics(self, node: NodeId, state: str, now: float) -> NodeStatistics:
        """As of now."""
        return NodeStatistics(
            node,
            state,
            polls=self._polls,
            replies=self._replies,
            retries=self._retries,
            timeouts=self._timeouts,
            crc_errors=self._crc_errors,
            foreign_frames=self._foreign,
            cycle_ms=round(statistics.median(list(self._cycles_ms) or [0.0]), 3),
            turnaround_ms=round(statistics.median(list(self._turnarounds_ms) or [0.0]), 3),
            last_seen_s=None if self._seen_at is None else round(now - self._seen_at, 3),
            refused=self._refused,
        )
