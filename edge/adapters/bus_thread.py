"""What the drivers of serial buses share: the thread, the port, whose turn it is, what is told.

Told in order through `deliver`, in the event loop's thread. A node whose change is not yet on disk
is not asked again until `committed` (users.md J5).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Generic, Protocol, TypeVar

from edge.adapters.bus_driver import Deliver
from edge.adapters.bus_turns import Turns
from edge.adapters.serial_port import PortGoneError, SerialPort
from edge.bus.bus_types import BusChanged, BusEvent, BusStatistics, NodeStatistics
from edge.config_bus import BusConfig
from protocols.instants import Instant

REOPEN_S: Final = 0.5
IDLE_LONGEST_S: Final = 0.2
ANSWERING: Final = frozenset({"secure", "clear"})


class BusWire(Protocol):
    """One open port as a driver talks over it."""

    def stray(self) -> object:
        """Look at what came unasked."""


W = TypeVar("W", bound=BusWire)


class BusThread(ABC, Generic[W]):
    """A bus and its thread; a driver says what one turn is."""

    def __init__(
        self,
        config: BusConfig,
        addresses: Iterable[int],
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        timeout_s: float,
    ) -> None:
        """`timeout_s`: the longest that a node may be waited for."""
        self._config = config
        self._loop = loop
        self._deliver = deliver
        everyone = tuple(addresses)
        self._turns = Turns(everyone, time.monotonic(), config.lost_after_s, timeout_s)
        self._told: deque[Callable[[], None]] = deque()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        name = f"{config.protocol}-{config.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._stopping = False
        self._stopped = False
        self._tokens = 0
        self._holding: dict[int, int] = {}
        self._uncommitted: dict[int, set[int]] = {address: set() for address in everyone}
        self._up: bool | None = None
        self._cause = "not opened"
        self._noise_bytes = 0

    # --- what a driver adds, in the bus's thread ---

    @abstractmethod
    def _opened(self, port: SerialPort) -> W:
        """The port is there: everything begins anew."""

    @abstractmethod
    def _turn(self, wire: W, address: int, now: float) -> None:
        """Ask this node."""

    @abstractmethod
    def _afterwards(self, wire: W, now: float) -> None:
        """After each turn or rest: what is lost, what is wrong."""

    @abstractmethod
    def _all_gone(self) -> list[BusEvent]:
        """The port is gone, and all nodes with it."""

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

    def _statistics_of(self, nodes: tuple[NodeStatistics, ...]) -> BusStatistics:
        cycles = [node.cycle_ms for node in nodes if node.cycle_ms and node.state in ANSWERING]
        return BusStatistics(
            self._config.name,
            bool(self._up),
            self._cause,
            max(cycles, default=0.0),
            self._noise_bytes,
            nodes,
        )

    def _order(self, what: Callable[[], None]) -> None:
        """Have this done in the bus's thread, between two exchanges."""
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
        self._turns.restart(time.monotonic())
        wire = self._opened(port)
        self._cause = ""
        was, self._up = self._up, True
        if was is False:
            self._tell(BusChanged(self._config.name, up=True))
        while not self._stopping:
            self._orders()
            now = time.monotonic()
            address = self._turns.next(now)
            if address is None:
                self._rest(port, wire, self._turns.wake(now) - now)
            else:
                self._turn(wire, address, now)
            self._afterwards(wire, time.monotonic())

    def _rest(self, port: SerialPort, wire: W, left_s: float) -> None:
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

    def _port_gone(self, cause: str) -> None:
        self._cause = cause
        was, self._up = self._up, False
        if was is False:
            return
        self._tell(BusChanged(self._config.name, up=False, cause=cause))
        for event in self._all_gone():
            self._tell(event)
        self._turns.all_lost(time.monotonic())

    # --- telling ---

    def _hold(self, address: int, event: BusEvent, now: float) -> None:
        """Tell it, and leave the node alone until it is on disk."""
        self._tokens += 1
        self._holding[self._tokens] = address
        self._uncommitted[address].add(self._tokens)
        self._turns.hold(address, now)
        self._tell(event, self._tokens)

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
