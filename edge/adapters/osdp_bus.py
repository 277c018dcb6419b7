"""The OSDP bus: one node at a time, every exchange whole before the next begins.

An OSDP node lets go of what it told at the next command only: it keeps it while it is not asked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from edge.adapters.bus_driver import Deliver
from edge.adapters.bus_thread import BusThread
from edge.adapters.bus_turns import HOLD_LONGEST_S, POLL_SHORTEST_S
from edge.adapters.osdp_keys import NodeKeys
from edge.adapters.osdp_node import BusNode
from edge.adapters.osdp_tally import Tally
from edge.adapters.osdp_troubles import Faults, Told
from edge.adapters.osdp_wire import Exchange, Wire
from edge.adapters.serial_port import SerialPort
from edge.bus.bus_types import (
    BusEvent,
    BusStatistics,
    CardRead,
    ChangesLost,
    ClosePairing,
    InputsReported,
    KeysPressed,
    LocalReported,
    NodeCommand,
    NodeId,
    NodeReport,
    NodeTrouble,
    Pair,
    Trouble,
)
from edge.config_bus import BusConfig

log = logging.getLogger(__name__)

CLOCK_BACK_S: Final = 0.02
"""libosdp counts by the wall clock; set back, it would not poll until it has caught up."""
GAP_CHARACTERS: Final = 2
BUSY_LONGEST_S: Final = 10.0
"""A node that says nothing but BUSY for longer is as good as silent."""
HOLDS = InputsReported | LocalReported | NodeReport | ChangesLost | KeysPressed | CardRead
"""What a node lets go of with its next command: kept there until it is on disk here."""


class OsdpBus(BusThread[Wire]):
    """BusDriver of one OSDP bus."""

    def __init__(
        self,
        config: BusConfig,
        keys: NodeKeys,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        pairing_window_s: float = 600,
    ) -> None:
        super().__init__(
            config,
            (node.address for node in config.nodes),
            loop,
            deliver,
            config.reply_timeout_ms / 1000,
        )
        self._nodes = {
            n.address: BusNode(config.name, n, keys, pairing_window_s) for n in config.nodes
        }
        self._tallies = {n.address: Tally() for n in config.nodes}
        self._faults = Faults(tuple(self._nodes))
        self._wall_s = 0.0

    # --- called from the event loop's thread ---

    def command(self, address: int, command: NodeCommand, token: int = 0) -> bool:
        """Queue this for a node."""
        node = self._nodes.get(address)
        if node is None:
            return False
        if not isinstance(command, Pair | ClosePairing):
            if not node.queue(command, token):
                return False
            self._order(lambda: self._queued(node))
            return True
        self._order(lambda: self._control(node, command, token))
        return True

    def statistics(self) -> BusStatistics:
        """As of now."""
        now = time.monotonic()
        nodes = tuple(
            self._tallies[a].statistics(node, self._turns.place(a), now)
            for a, node in self._nodes.items()
        )
        return self._statistics_of(nodes)

    # --- the bus's thread ---

    def _opened(self, port: SerialPort) -> Wire:
        for node in self._nodes.values():
            self._tell_all(node, node.anew(), time.monotonic())
        self._faults.port_opened()
        self._wall_s = time.time() - time.monotonic()
        return Wire(port, self._config.gap_ms / 1000 or GAP_CHARACTERS * port.character_s)

    def _turn(self, wire: Wire, address: int, now: float) -> None:
        node = self._nodes[address]
        frame = node.frame()
        if not frame:
            self._turns.later(address, now + 0.002)
            return
        tally = self._tallies[address]
        tally.polled(now)
        exchange = wire.exchange(frame, self._turns.timeout_s(address), node.seal)
        now = time.monotonic()
        tally.exchanged(exchange)
        self._judge(wire, node, exchange, now)
        if exchange.busy and now - (tally.seen_at or 0.0) < BUSY_LONGEST_S:
            self._turns.well(address, now)
        elif exchange.reply is None:
            self._tell_all(node, node.unanswered(exchange), now)
            self._turns.failed(address, exchange.spent_s, now, silent=not exchange.garbled)
        else:
            tally.seen_at = now
            self._turns.answered(address, exchange.turnaround_s, exchange.spent_s, now)
            events = node.answered(frame, exchange.reply, now)
            if node.up:
                self._turns.well(address, now, 0.0 if node.ready else POLL_SHORTEST_S)
            elif node.fallen:
                self._turns.failed(address, exchange.spent_s, now, silent=False)
            self._tell_all(node, events, now)

    def _judge(self, wire: Wire, node: BusNode, exchange: Exchange, now: float) -> None:
        """Faults that show in how the exchange went."""
        for address, sequence in exchange.late_from:
            tally = self._tallies.get(address)
            if tally is not None and tally.answered_well == sequence and tally.tries == 1:
                self._tell_troubles(self._faults.doubled(address, "two replies", now))
        self._tell_troubles(
            self._faults.exchanged(node.id.address, exchange, wire.unasked_bytes, now)
        )

    def _tell_troubles(self, troubles: list[Told]) -> None:
        for address, trouble, on, detail in troubles:
            self._tell(NodeTrouble(NodeId(self._config.name, address), trouble, on, detail))

    def _afterwards(self, wire: Wire, now: float) -> None:
        self._watch_clock()
        for address in self._turns.newly_lost(now):
            for event in self._nodes[address].lost():
                self._tell(event)
        for node in self._nodes.values():
            for event in node.tick(now):
                self._tell(event)
        self._tell_troubles(self._faults.tick(now))
        while self._turns.impatient:
            node_id = self._nodes[self._turns.impatient.pop()].id
            log.warning(
                "node %s: not stored in %s s, asked on all the same", node_id, HOLD_LONGEST_S
            )
        self._noise_bytes = wire.noise_bytes

    def _watch_clock(self) -> None:
        wall_s = time.time() - time.monotonic()
        if wall_s < self._wall_s - CLOCK_BACK_S:
            for node in self._nodes.values():
                self._tell_all(node, node.anew(), time.monotonic())
        self._wall_s = wall_s

    def _all_gone(self) -> list[BusEvent]:
        return [event for node in self._nodes.values() for event in node.bus_down()]

    def _queued(self, node: BusNode) -> None:
        self._turns.hurry(node.id.address, time.monotonic())
        for event in node.drop_waiting():
            self._tell(event)

    def _control(self, node: BusNode, command: NodeCommand, token: int) -> None:
        now = time.monotonic()
        events = node.pair(token, now) if isinstance(command, Pair) else node.close_pairing()
        self._turns.hurry(node.id.address, now)
        self._tell_all(node, events, now)

    # --- telling ---

    def _tell_all(self, node: BusNode, events: list[BusEvent], now: float) -> None:
        for event in events:
            if isinstance(event, HOLDS):
                self._hold(node.id.address, event, now)
            elif isinstance(event, NodeTrouble) and event.trouble is Trouble.DUPLICATE:
                self._tell_troubles(self._faults.doubled(node.id.address, event.detail, now))
            else:
                self._tell(event)
