"""The panel's inputs and outputs: pins and converters to Readings, roles to outputs.

Edges are stamped where they happen, queued, and judged in the loop's thread by FieldMachine. What
cannot be had is told as LOST and tried again with back-off; the rest goes on (users.md I3).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge.adapters.gpio_attempts import Attempts
from edge.adapters.gpio_board import Board, BoardError, instant
from edge.adapters.gpio_zero import GpiozeroBoard, default_factory
from edge.adapters.pins_sim import SimBoard
from edge.config import OutputConfig, PanelConfig
from edge.field.point import FieldInput, FieldMachine, Lost, Resync, Sample, loops
from edge.field.reading import Reading
from protocols.instants import NS_PER_S, Instant

SCAN_S: Final = 1.0
"""How often every pin is read again: an edge the kernel dropped while at rest is found by then."""


class Field:
    """All inputs and outputs of one panel.

    `deliver` is called in the loop's thread with each Reading and the instant it became certain;
    instants never go back. `start` has every point's present state told once, after its debounce.
    `board` is chosen by `hardware.driver` unless handed in.
    """

    def __init__(
        self,
        config: PanelConfig,
        directory: Path,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[Reading, Instant], None],
        board: Board | None = None,
    ) -> None:
        self._loop = loop
        self._deliver = deliver
        self._board = board or _board(config, directory)
        self.machine = FieldMachine(config, self._board.sample_ms)
        self._points: dict[str, list[str]] = {}
        for name, wired in loops(config):
            self._points.setdefault(wired.input, []).append(name)
        self._outputs = {f"output:{output.gpio}": output for output in config.outputs}
        self._wanted: dict[str, bool] = {}
        self._attempts = Attempts(self._attempt, self._sample, self._board.sample_ms)
        self._faults: dict[str, str] = {}
        self._sampled: dict[str, int] = {}
        self._inbox: deque[tuple[FieldInput, Instant]] = deque()
        self._bell = -1
        self._woken = False
        self._running = False
        self._last = Instant(0)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = Instant(0)
        self._scan: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Claim everything that can be had. Never raises for what cannot: see `faults`."""
        self._running = True
        # Its own bell, not call_soon_threadsafe: one ring for many edges (no gain in p99 shown).
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._loop.add_reader(self._bell, self._on_bell)
        self._board.open(self._arrived)
        for key in (*self._outputs, *self._points):
            self._attempts.now(key)
        self._attempts.start()
        self._scan = self._loop.call_later(SCAN_S, self._rescan)

    def stop(self) -> None:
        """Outputs to their safe state (off), pins given back, nothing delivered any more."""
        self._running = False
        for handle in (self._timer, self._scan):
            if handle is not None:
                handle.cancel()
        self._attempts.stop()
        for output in self._outputs.values():
            with contextlib.suppress(BoardError):
                self._write(output, on=False)
        self._board.close()
        self._loop.remove_reader(self._bell)
        bell, self._bell = self._bell, -1
        os.close(bell)

    def set_output(self, role: str, on: bool) -> None:
        """Drive every output of this role; one that fails is tried again. Unknown: nothing."""
        self._wanted[role] = on
        for key, output in self._outputs.items():
            if output.role == role:
                self._attempts.now(key)

    def faults(self) -> list[str]:
        """What cannot be used now, each in one line."""
        trouble = getattr(self._board, "trouble", "")
        return [*([trouble] if trouble else []), *dict(self._faults).values()]

    def _attempt(self, key: str) -> bool:
        """Claim an input or drive an output. In any thread."""
        try:
            kind, _, which = key.partition(":")
            at = instant()
            if kind == "output":
                output = self._outputs[key]
                self._write(output, on=self._wanted.get(output.role, False))
            elif kind == "gpio":
                self._arrived(Resync(int(which), self._board.claim_input(int(which))), at)
            else:
                self._take_sample(which)
        except BoardError as error:
            if kind == "output":
                self._faults[key] = f"{self._outputs[key].role} ({key}): {error}"
            else:
                self._arrived(Lost(key, str(error)), at)
            return False
        self._faults.pop(key, None)
        return True

    def _write(self, output: OutputConfig, *, on: bool) -> None:
        self._board.write(output.gpio, on=on, active_high=output.active_high)

    def _take_sample(self, channel: str) -> None:
        at = instant()
        millivolts = self._board.read_mv(channel)
        self._sampled[channel] = millivolts
        self._arrived(Sample(channel, millivolts), at)

    def _sample(self) -> None:
        """One round over the sampled inputs. What did not change is not worth waking the loop."""
        for key in self._points:
            if key.startswith("adc:") and key not in self._faults:
                channel = key.removeprefix("adc:")
                at = instant()
                try:
                    millivolts = self._board.read_mv(channel)
                except BoardError as error:
                    self._arrived(Lost(key, str(error)), at)
                    continue
                if millivolts != self._sampled.get(channel):
                    self._sampled[channel] = millivolts
                    self._arrived(Sample(channel, millivolts), at)

    def _arrived(self, arrival: FieldInput, at: Instant) -> None:
        """Queue it for the loop. In any thread."""
        if isinstance(arrival, Lost):
            names = ", ".join(self._points.get(arrival.input, ()))
            self._faults[arrival.input] = f"{names} ({arrival.input}): {arrival.reason}"
            self._attempts.later(arrival.input)
        self._inbox.append((arrival, at))
        if not self._woken:
            self._woken = True
            with contextlib.suppress(OSError):  # stopped meanwhile: nobody is left to tell
                os.eventfd_write(self._bell, 1)

    def _on_bell(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        self._drain()
        self._set_timer()

    def _drain(self) -> None:
        self._woken = False
        while self._inbox:
            arrival, at = self._inbox.popleft()
            self._tell(self.machine.receive(arrival, at), at)

    def _tell(self, readings: list[Reading], at: Instant) -> None:
        self._last = max(self._last, at)
        for reading in readings:
            if self._running:
                self._deliver(reading, self._last)

    def _set_timer(self) -> None:
        due = self.machine.deadline()
        if due is None or not self._running:
            return
        if self._timer is not None:
            # One that fires too early only arms itself again: cheaper than a new one each edge.
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        delay_s = (due - instant()) / NS_PER_S
        self._timer = self._loop.call_later(max(0.0, delay_s), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._drain()  # an edge that already happened goes before the clock
        now = instant()
        due = self.machine.deadline()
        if due is not None and due <= now:
            for gpio in self.machine.settling():
                self._read_again(gpio)
            self._tell(self.machine.tick(now := instant()), now)
        self._set_timer()

    def _rescan(self) -> None:
        for key in self._points:
            if key.startswith("gpio:") and key not in self._faults:
                self._read_again(int(key.removeprefix("gpio:")))
        self._drain()
        self._set_timer()
        if self._running:
            self._scan = self._loop.call_later(SCAN_S, self._rescan)

    def _read_again(self, gpio: int) -> None:
        """The pin decides, not the edges: a burst may overflow the kernel's queue (I1)."""
        at = instant()
        try:
            level = self._board.read_level(gpio)
        except BoardError as error:
            self._arrived(Lost(f"gpio:{gpio}", str(error)), at)
            return
        if not self._inbox:
            self._tell(self.machine.receive(Resync(gpio, level), at), at)


def _board(config: PanelConfig, directory: Path) -> Board:
    if config.hardware.driver == "sim":
        return SimBoard(config, directory)
    hardware = config.hardware
    return GpiozeroBoard(default_factory(directory), hardware.supply_mv, hardware.adc_sample_ms)
