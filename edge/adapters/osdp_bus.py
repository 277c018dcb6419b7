"""The OSDP bus: one thread, one node at a time, every exchange whole before the next begins.

Told in order through `deliver`, in the event loop's thread. A node whose change is not yet on disk
is not asked again: an OSDP node lets go of what it told only at the next command.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from edge.adapters.bus_driver import Deliver
from edge.adapters.osdp_keys import NodeKeys
from edge.adapters.osdp_node import BusNode
from edge.adapters.osdp_tally import Tally
from edge.adapters.osdp_troubles import Faults, Told
from edge.adapters.osdp_turns import HOLD_LONGEST_S, POLL_SHORTEST_S, Turns
from edge.adapters.osdp_wire import Exchange, Wire
from edge.adapters.serial_port import PortGoneError, SerialPort
from edge.bus.bus_types import (
    BusChanged,
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
from protocols.instants import Instant

log = logging.getLogger(__name__)

REOPEN_S: Final = 0.5
IDLE_LONGEST_S: Final = 0.2
CLOCK_BACK_S: Final = 0.02
"""libosdp counts by the wall clock; set back, it would not poll until it has caught up."""
GAP_CHARACTERS: Final = 2
BUSY_LONGEST_S: Final = 10.0
"""A node that says nothing but BUSY for longer is as good as silent."""
HOLDS = InputsReported | LocalReported | NodeReport | ChangesLost | KeysPressed | CardRead
"""What a node lets go of with its next command: kept there until it is on disk here."""


class OsdpBus:
    """BusDriver of one OSDP bus."""

    def __init__(
        self,
        config: BusConfig,
        keys: NodeKeys,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        pairing_window_s: float = 600,
    ) -> None:
        self._config = config
        self._loop = loop
        self._deliver = deliver
        self._nodes = {
            n.address: BusNode(config.name, n, keys, pairing_window_s) for n in config.nodes
        }
        self._tallies = {n.address: Tally() for n in config.nodes}
        self._told: deque[Callable[[], None]] = deque()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name=f"osdp-{config.name}", daemon=True)
        self._stopping = False
        self._stopped = False
        self._tokens = 0
        self._holding: dict[int, int] = {}
        self._uncommitted: dict[int, set[int]] = {n.address: set() for n in config.nodes}
        self._up: bool | None = None
        self._cause = "not opened"
        self._noise_bytes = 0
        self._faults = Faults(tuple(self._nodes))
        self._turns = self._new_turns()
        self._wall_s = 0.0

    def _new_turns(self) -> Turns:
        return Turns(
            tuple(self._nodes),
            time.monotonic(),
            self._config.lost_after_s,
            self._config.reply_timeout_ms / 1000,
        )

    # --- called from the event loop's thread ---

    def start(self) -> None:
        """Open the port and poll."""
        self._thread.start()

    def stop(self) -> None:
        """Port closed, thread ended, nothing delivered any more."""
        self._stopped = True
        self._stopping = True
        self._wake()
        if self._thread.ident is not None:
            self._thread.join()
        for fd in (self._wake_read, self._wake_write):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._wake_read = self._wake_write = -1

    def committed(self, token: int) -> None:
        """What followed from this event is on disk."""
        self._order(lambda: self._release(token))

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
        cycles = [n.cycle_ms for n in nodes if n.cycle_ms and n.state in {"secure", "clear"}]
        return BusStatistics(
            self._config.name,
            bool(self._up),
            self._cause,
            max(cycles, default=0.0),
            self._noise_bytes,
            nodes,
        )

    def _order(self, what: Callable[[], None]) -> None:
        self._told.append(what)
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    # --- the bus's thread ---

    def _run(self) -> None:
        while not self._stopping:
            try:
                port = SerialPort(self._config.port, self._config.baud, self._config.parity)
            except PortGoneError as error:
                self._port_gone(error.strerror or str(error))
                self._pause(REOPEN_S)
                continue
            try:
                self._serve(port)
            except PortGoneError as error:
                self._port_gone(error.strerror or str(error))
            except Exception as error:  # noqa: BLE001 - a bus that is silently dead is the worst
                self._port_gone(f"internal fault: {error!r}")
                self._pause(REOPEN_S)
            finally:
                port.close()

    def _serve(self, port: SerialPort) -> None:
        gap_s = self._config.gap_ms / 1000 or GAP_CHARACTERS * port.character_s
        wire = Wire(port, gap_s)
        self._turns.restart(time.monotonic())
        for node in self._nodes.values():
            self._tell_all(node, node.anew(), time.monotonic())
        self._cause = ""
        self._faults.port_opened()
        was, self._up = self._up, True
        if was is False:
            self._tell(BusChanged(self._config.name, up=True))
        self._wall_s = time.time() - time.monotonic()
        while not self._stopping:
            self._orders()
            self._watch_clock()
            now = time.monotonic()
            address = self._turns.next(now)
            if address is None:
                self._rest(port, wire, self._turns.wake(now) - now)
            else:
                self._turn(wire, self._nodes[address], now)
            self._afterwards(wire, time.monotonic())

    def _turn(self, wire: Wire, node: BusNode, now: float) -> None:
        address = node.id.address
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

    def _rest(self, port: SerialPort, wire: Wire, left_s: float) -> None:
        """Until there is something to do; what comes unasked is looked at."""
        ready, _, _ = select.select(
            [self._wake_read, port.fileno()], [], [], min(left_s, IDLE_LONGEST_S)
        )
        if port.fileno() in ready:
            wire.stray()

    def _pause(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < ends:
            select.select([self._wake_read], [], [], max(0.0, ends - time.monotonic()))
            self._orders()

    def _orders(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        while self._told:
            self._told.popleft()()

    def _watch_clock(self) -> None:
        wall_s = time.time() - time.monotonic()
        if wall_s < self._wall_s - CLOCK_BACK_S:
            for node in self._nodes.values():
                self._tell_all(node, node.anew(), time.monotonic())
        self._wall_s = wall_s

    def _port_gone(self, cause: str) -> None:
        self._cause = cause
        was, self._up = self._up, False
        if was is False:
            return
        self._tell(BusChanged(self._config.name, up=False, cause=cause))
        for node in self._nodes.values():
            for event in node.bus_down():
                self._tell(event)
        self._turns.all_lost(time.monotonic())

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
                self._tokens += 1
                self._holding[self._tokens] = node.id.address
                self._uncommitted[node.id.address].add(self._tokens)
                self._turns.hold(node.id.address, now)
                self._tell(event, self._tokens)
            elif isinstance(event, NodeTrouble) and event.trouble is Trouble.DUPLICATE:
                self._tell_troubles(self._faults.doubled(node.id.address, event.detail, now))
            else:
                self._tell(event)

    def _tell(self, event: BusEvent, token: int = 0) -> None:
        now = Instant(time.monotonic_ns())
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._hand_over, event, now, token)

    def _hand_over(self, event: BusEvent, now: Instant, token: int) -> None:
        if not self._stopped:
            self._deliver(event, now, token)

    def _release(self, token: int) -> None:
        address = self._holding.pop(token, None)
        if address is None:
            return
        waiting = self._uncommitted[address]
        waiting.discard(token)
        if not waiting:
            self._turns.release(address, time.monotonic())
