"""Figures of one node, for people and for telling two nodes at one address."""

from __future__ import annotations

import statistics
from collections import deque
from typing import Final

from edge.adapters.bus_turns import Place
from edge.adapters.osdp_node import BusNode
from edge.adapters.osdp_wire import Exchange
from edge.bus.bus_types import NodeStatistics

KEPT: Final = 64


class Tally:
    """Counts since the start, and the latest KEPT times."""

    def __init__(self) -> None:
        self.seen_at: float | None = None
        self.answered_well = -1
        """Sequence number of its last good reply."""
        self.tries = 0
        """How often what it answered last had been sent: as many replies may come."""
        self._unanswered = 0
        self._polls = self._replies = self._retries = self._timeouts = 0
        self._crc_errors = self._foreign = 0
        self._polled_at = 0.0
        self._cycles_ms: deque[float] = deque(maxlen=KEPT)
        self._turnarounds_ms: deque[float] = deque(maxlen=KEPT)

    def polled(self, now: float) -> None:
        """It has its turn."""
        if self._polled_at:
            self._cycles_ms.append((now - self._polled_at) * 1000)
        self._polled_at = now

    def exchanged(self, exchange: Exchange) -> None:
        """How its turn went."""
        self._polls += 1
        self._retries += exchange.tries - 1
        self._crc_errors += exchange.garbled
        self._foreign += exchange.foreign
        self.tries = exchange.tries + self._unanswered
        if exchange.reply is None:
            self._unanswered += 1
            self._timeouts += not exchange.busy and not exchange.garbled
            self.answered_well = -1
            return
        self._unanswered = 0
        self._replies += 1
        self.answered_well = exchange.reply.sequence
        self._turnarounds_ms.append(exchange.turnaround_s * 1000)

    def statistics(self, node: BusNode, place: Place, now: float) -> NodeStatistics:
        """As of now."""
        if node.up:
            state = "secure" if node.session.secure else "clear"
        elif node.pairing_until is not None:
            state = "pairing"
        else:
            state = "lost" if place.lost or node.told_lost else "starting"
        return NodeStatistics(
            node.id,
            state,
            self._polls,
            self._replies,
            self._retries,
            self._timeouts,
            self._crc_errors,
            self._foreign,
            node.handshakes,
            round(statistics.median(list(self._cycles_ms) or [0.0]), 3),
            round(statistics.median(list(self._turnarounds_ms) or [0.0]), 3),
            None if self.seen_at is None else round(now - self.seen_at, 3),
            node.firmware,
            node.progress,
        )
