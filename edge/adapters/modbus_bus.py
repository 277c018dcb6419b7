"""The Modbus RTU bus: one module at a time, every exchange whole before the next.

Modbus modules keep nothing and tell nothing unasked: a state is what it was at the moment of a
reply, and only a state that differs from the last one told is told. Anyone on the cable may
speak for a module: NodeUp says so.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from pymodbus.pdu import ModbusPDU

from edge.adapters.bus_driver import Deliver
from edge.adapters.bus_thread import BusThread
from edge.adapters.config_bus_checks import BUILT_IN_MAPS
from edge.adapters.fault_rates import Share
from edge.adapters.modbus_module import Module
from edge.adapters.modbus_tally import Tally
from edge.adapters.modbus_wire import Exchange, Wire, gap_s
from edge.adapters.serial_port import SerialPort
from edge.bus.bus_types import (
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


class ModbusBus(BusThread[Wire]):
    """BusDriver of one Modbus bus."""

    def __init__(
        self,
        config: BusConfig,
        maps: tuple[ModbusMap, ...],
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
    ) -> None:
        known = {**BUILT_IN_MAPS, **{one.name: one for one in maps}}
        self._modules = {d.address: Module(config.name, d, known[d.map]) for d in config.devices}
        longest_s = max((m.timeout_s for m in self._modules.values()), default=0.1)
        super().__init__(config, self._modules, loop, deliver, longest_s)
        self._tallies = {a: Tally() for a in self._modules}
        self._noise_before = 0
        self._noise = Share(0.1, 60)
        self._babble = Share(0.3, 20)

    # --- called from the event loop's thread ---

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
        return self._statistics_of(nodes)

    def _state_of(self, module: Module) -> str:
        return "lost" if module.told_lost else "starting"

    # --- the bus's thread ---

    def _opened(self, port: SerialPort) -> Wire:
        for module in self._modules.values():
            module.anew()
        self._noise_before = self._noise_bytes
        return Wire(port, self._config.gap_ms / 1000 or gap_s(self._config.baud, port.character_s))

    def _turn(self, wire: Wire, address: int, now: float) -> None:
        """All reads of one module; the first that fails ends it."""
        module = self._modules[address]
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

    def _afterwards(self, wire: Wire, now: float) -> None:
        self._noise_bytes = self._noise_before + wire.noise_bytes
        for address in self._turns.newly_lost(now):
            self._tell_all(self._modules[address], self._modules[address].lost(), now)
        for address, module in self._modules.items():
            if module.not_before > now:
                self._turns.later(address, max(module.not_before, self._turns.place(address).due))

    def _all_gone(self) -> list[BusEvent]:
        return [e for m in self._modules.values() for e in m.lost(LossCause.BUS_DOWN)]

    # --- telling ---

    def _tell_all(self, module: Module, events: list[BusEvent], now: float) -> None:
        for event in events:
            if isinstance(event, InputsReported | LocalReported):
                self._hold(module.id.address, event, now)
            else:
                self._tell(event)
