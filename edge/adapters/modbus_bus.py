"""The Modbus RTU bus: one thread, one module at a time, every exchange whole before the next.

Modbus modules keep nothing and tell nothing unasked: a state is what it was at the moment of a
reply, and only a state that differs from the last one told is told. Told in order through
`deliver`, in the event loop's thread. Anyone on the cable may speak for a module: NodeUp says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from pymodbus.pdu import ModbusPDU

from edge.adapters.bus_driver import Deliver
from edge.adapters.config_bus_checks import BUILT_IN_MAPS
from edge.adapters.modbus_module import Module
from edge.adapters.modbus_tally import Tally
from edge.adapters.modbus_wire import Exchange, Wire, gap_s
from edge.adapters.osdp_troubles import Share
from edge.adapters.osdp_turns import Turns
from edge.adapters.serial_port import PortGoneError, SerialPort
from edge.bus.bus_types import (
    BusChanged,
    BusEvent,
    BusStatistics,
    InputsReported,
    LocalReported,
    LossCause,
    NodeCommand,
    NodeId,
    NodeTrouble,
    Trouble,
)
from edge.config_bus import BusConfig, ModbusMap
from protocols.instants import Instant

REOPEN_S: Final = 0.5
IDLE_LONGEST_S: Final = 0.2
POLL_S: Final = 0.05
"""Pause of one module between its polls, when the bus has time for it."""
POLL_PENDING_S: Final = 0.01
"""While one of its inputs moved and is not told yet."""
LATE_S: Final = 0.25
"""A module that did not answer in time is left alone so long: its reply would be taken for the next
one. Others are asked meanwhile; they are told apart by their id."""
DOUBT_S: Final = 0.06
"""A USB adapter's batch and a slow turnaround together (users.md J2)."""
BABBLE_BYTES: Final = 4
"""Unasked between two turns: more than a spike."""
BUS: Final = -1


class ModbusBus:
    """BusDriver of one Modbus bus."""

    def __init__(
        self,
        config: BusConfig,
        maps: tuple[ModbusMap, ...],
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
    ) -> None:
        self._config = config
        self._loop = loop
        self._deliver = deliver
        known = {**BUILT_IN_MAPS, **{one.name: one for one in maps}}
        self._modules = {d.address: Module(config.name, d, known[d.map]) for d in config.devices}
        self._tallies = {a: Tally() for a in self._modules}
        self._told: deque[Callable[[], None]] = deque()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name=f"modbus-{config.name}", daemon=True)
        self._stopping = False
        self._stopped = False
        self._tokens = 0
        self._holding: dict[int, int] = {}
        self._uncommitted: dict[int, set[int]] = {a: set() for a in self._modules}
        self._up: bool | None = None
        self._cause = "not opened"
        self._noise_bytes = 0
        self._noise = Share(0.1, 60)
        self._babble = Share(0.3, 20)
        longest_s = max((m.timeout_s for m in self._modules.values()), default=0.1)
        self._turns = Turns(tuple(self._modules), time.monotonic(), config.lost_after_s, longest_s)

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
        self._told.append(lambda: self._release(token))
        self._wake()

    def command(self, address: int, command: NodeCommand, token: int = 0) -> bool:
        """Nothing can be asked of a module: its map tells inputs only, and a guessed coil may be
        a door.
        """
        return False

    def statistics(self) -> BusStatistics:
        """As of now."""
        now = time.monotonic()
        nodes = tuple(
            self._tallies[a].statistics(m.id, "clear" if m.up else self._state_of(m), now)
            for a, m in self._modules.items()
        )
        cycles = [n.cycle_ms for n in nodes if n.state == "clear"]
        return BusStatistics(
            self._config.name,
            bool(self._up),
            self._cause,
            max(cycles, default=0.0),
            self._noise_bytes,
            nodes,
        )

    def _state_of(self, module: Module) -> str:
        return "lost" if module.told_lost else "starting"

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
        gap = self._config.gap_ms / 1000 or gap_s(self._config.baud, port.character_s)
        wire = Wire(port, gap)
        self._turns.restart(time.monotonic())
        for module in self._modules.values():
            module.anew()
        self._cause = ""
        was, self._up = self._up, True
        if was is False:
            self._tell(BusChanged(self._config.name, up=True))
        before = self._noise_bytes
        while not self._stopping:
            self._orders()
            now = time.monotonic()
            address = self._turns.next(now)
            if address is None:
                self._rest(port, wire, self._turns.wake(now) - now)
            else:
                self._turn(wire, self._modules[address], now)
            self._afterwards(time.monotonic())
            self._noise_bytes = before + wire.noise_bytes

    def _turn(self, wire: Wire, module: Module, now: float) -> None:
        """All reads of one module; the first that fails ends it."""
        address = module.id.address
        tally = self._tallies[address]
        tally.polled(now)
        began = now
        replies: list[ModbusPDU] = []
        turnaround_s = 0.0
        for read in module.map.reads:
            done = wire.exchange(read.frame, read.reply_bytes, self._timeout_s(module))
            now = time.monotonic()
            tally.exchanged(done, now)
            self._judge(done)
            if done.reply is None:
                self._failed(module, done, now - began, now)
                return
            replies.append(done.reply)
            turnaround_s = max(turnaround_s, done.turnaround_s)
        self._turns.answered(address, turnaround_s, now - began, now)
        events = module.answered(replies, now)
        if events is not None:
            again_s = POLL_PENDING_S if module.inputs.pending else POLL_S
            self._turns.well(address, now, again_s)
            self._tell_all(module, events, now)

    def _timeout_s(self, module: Module) -> float:
        """By what it usually takes; longer where a reply is missing, as it may have slowed down."""
        usual_s = self._turns.timeout_s(module.id.address)
        if module.in_doubt and not (module.told_lost and module.trust == 0):
            usual_s = max(usual_s, DOUBT_S)
        return min(usual_s, module.timeout_s)

    def _failed(self, module: Module, done: Exchange, spent_s: float, now: float) -> None:
        if done.exception:
            self._tell_all(module, module.refused(done.exception), now)
            module.not_before = now + POLL_S
        elif done.garbled:
            module.unusable()
        if done.silent:
            module.silent()
            module.not_before = now + max(LATE_S, module.timeout_s)
        self._turns.failed(module.id.address, spent_s, now, silent=done.silent)

    def _judge(self, done: Exchange) -> None:
        whole = NodeId(self._config.name, BUS)
        if self._babble.trial(done.unasked_bytes >= BABBLE_BYTES):
            self._tell(NodeTrouble(whole, Trouble.BABBLE, self._babble.on))
        if not done.silent and self._noise.trial(done.garbled):
            self._tell(NodeTrouble(whole, Trouble.NOISE, self._noise.on))

    def _afterwards(self, now: float) -> None:
        for address in self._turns.newly_lost(now):
            self._tell_all(self._modules[address], self._modules[address].lost(), now)
        for address, module in self._modules.items():
            if module.not_before > now:
                self._turns.later(address, max(module.not_before, self._turns.place(address).due))

    def _rest(self, port: SerialPort, wire: Wire, left_s: float) -> None:
        """Until there is something to do; what comes unasked is thrown away."""
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

    def _port_gone(self, cause: str) -> None:
        self._cause = cause
        was, self._up = self._up, False
        if was is False:
            return
        self._tell(BusChanged(self._config.name, up=False, cause=cause))
        for module in self._modules.values():
            for event in module.lost(LossCause.BUS_DOWN):
                self._tell(event)
        self._turns.all_lost(time.monotonic())

    # --- telling ---

    def _tell_all(self, module: Module, events: list[BusEvent], now: float) -> None:
        for event in events:
            token = 0
            if isinstance(event, InputsReported | LocalReported):
                self._tokens += 1
                token = self._tokens
                self._holding[token] = module.id.address
                self._uncommitted[module.id.address].add(token)
                self._turns.hold(module.id.address, now)
            self._tell(event, token)

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
