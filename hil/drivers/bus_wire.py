"""A multi-drop half-duplex RS-485 pair on ptys, as slow as the real one, with every fault of a bus.

    python -m hil.drivers.bus_wire --baud 38400 --port panel=/tmp/bus --nodes 1-32

Programs open the pty `attach` gives; stations in this process get whole speeches and answer after
their turnaround. A reader sees a character only when its stop bit is over; two talkers at once
garble each other; who talks hears nothing, unless it has echo. The first attached is drop 0, the
controller; the order of attaching is the order along the cable. As a process, see `bus_wire_main`.
"""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import os
import random
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from hil.drivers.bus_wire_drop import Drop, Station
from hil.drivers.bus_wire_line import Heard, Line, Said
from hil.drivers.bus_wire_pty import WirePty
from protocols.osdp.codes import CONTROL_SEQUENCE
from protocols.osdp.frame import close

T = TypeVar("T")

INTRUDER: Final = "~intruder"
TICK_S: Final = 0.02
BABBLE_BYTES: Final = 16
PR_SET_TIMERSLACK: Final = 29


def fitted(frame: bytes, control: int) -> bytes:
    """A frame with CRC, without mark, made to bear the sequence number of this control byte."""
    fit = frame[4] & ~CONTROL_SEQUENCE | control & CONTROL_SEQUENCE
    return close(frame[:4] + bytes((fit,)) + frame[5:-2])


class BusWire:
    """The wire and its thread. Methods may be called from any thread.

    `baud` 0: not paced. `bits` a character. `honour_speed`: a pty's program hears and says nonsense
    unless it has set `baud` at its port. `keep`: how many speeches the log remembers.
    """

    def __init__(
        self,
        baud: int = 38_400,
        seed: int = 0,
        bits: int = 10,
        fifo: int = 16,
        honour_speed: bool = False,
        keep: int = 20_000,
    ) -> None:
        self.baud: Final = baud
        self.line: Final = Line(baud, bits, fifo, seed)
        self._bits = bits
        self._honour_speed = honour_speed
        self._dice = random.Random(seed + 1)  # noqa: S311 - faults, the same each time
        self._drops: dict[str, Drop] = {}
        self._stations: list[Drop] = []
        self._ptys: list[Drop] = []
        self._unheard: list[Heard] = []
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._due_count = 0
        self._log: deque[Said] = deque(maxlen=keep)
        self._answers: dict[int, deque[tuple[bytes, bool, bool, float]]] = {}
        self._orders: deque[Callable[[], None]] = deque()
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="bus-wire", daemon=True)
        self._stopping = False

    # --- from outside, any thread ---

    def start(self) -> Self:
        """Power on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Thread ended, ptys gone."""
        if self._thread.is_alive():
            self._stopping = True
            os.eventfd_write(self._bell, 1)
            self._thread.join()
        for drop in self._ptys:
            assert drop.pty is not None
            drop.pty.pull()
        self._epoll.close()
        os.close(self._bell)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def attach(self, name: str, link: Path | None = None) -> str:
        """A pty for a program, at the end of the cable. With `link` this path stays the same over
        `unplug` and `plug`.
        """

        def work() -> str:
            pty = WirePty(self._epoll, link)
            self._ptys.append(self._add(Drop(name, len(self._drops), pty=pty)))
            pty.plug()
            return pty.path

        return self._do(work)

    def attach_station(self, name: str, station: Station, turnaround_ms: float = 3.0) -> None:
        """A node in this process. It waits two characters and `turnaround_ms` (protocols.md 6.4),
        give or take a tenth.
        """

        def work() -> None:
            drop = Drop(name, len(self._drops), station=station, turnaround_ms=turnaround_ms)
            self._stations.append(self._add(drop))

        self._do(work)

    def unplug(self, name: str) -> None:
        """The adapter is pulled out of the computer: its device is gone."""
        self._do(self._pty(name).pull)

    def plug(self, name: str) -> str:
        """And back; the path of its new pty (`link`, if it has one)."""
        self._do(self._pty(name).plug)
        return self._pty(name).path

    def open(self, name: str) -> bool:
        """Whether a program has this pty open, as of the last 20 ms."""
        return self._pty(name).open

    def set(self, **faults: Any) -> None:
        """Change LineFaults by name."""

        def work() -> None:
            now_s = time.monotonic()
            self._catch_up(now_s)
            self.line.set_faults(replace(self.line.faults, **faults), now_s)

        self._do(work)

    def drop(self, name: str, **faults: Any) -> None:
        """Change DropFaults of one drop by name; "*" all of them."""

        def work() -> None:
            drops = list(self._drops.values()) if name == "*" else [self._drops[name]]
            for drop in drops:
                babbled = drop.faults.babble_ms is not None
                drop.faults = replace(drop.faults, **faults)
                if drop.faults.babble_ms is None:
                    if babbled:
                        self.line.hush(drop.name)
                elif not babbled:
                    self._at(time.monotonic(), partial(self._babble, drop))

        self._do(work)

    def inject(self, data: bytes, delay_ms: float = 0.0) -> None:
        """Somebody on the cable says this, `delay_ms` from now."""

        def work() -> None:
            at_s = time.monotonic() + delay_ms / 1000
            self._at(at_s, lambda at_s: self.line.speak(INTRUDER, data, at_s))

        self._do(work)

    def answer_for(
        self,
        address: int,
        data: bytes,
        instead: bool = True,
        fit: bool = False,
        delay_ms: float = 3.0,
    ) -> None:
        """Somebody answers the next command to this address with `data`. `instead`: it stands in
        line, and the node's own answer does not get through. `fit`: the frame in `data` gets the
        command's sequence number and a good check first.
        """
        answer = (data, instead, fit, delay_ms)
        self._do(lambda: self._answers.setdefault(address, deque()).append(answer))

    def said(self, sender: str | None = None) -> list[Said]:
        """What was said on the line, in order of its end; the newest `keep`."""
        log = self._do(lambda: list(self._log))
        return log if sender is None else [said for said in log if said.sender == sender]

    def state(self) -> dict[str, Any]:
        """Counters."""

        def work() -> dict[str, Any]:
            return {
                "characters": self.line.characters,
                "collisions": self.line.collisions,
                "noise_characters": self.line.noise_characters,
                "cpu_s": time.thread_time(),
                "overrun_bytes": {d.name: d.pty.overrun_bytes for d in self._ptys if d.pty},
            }

        return self._do(work)

    def call(self, work: Callable[[], T]) -> T:
        """Run this in the wire's thread, between two characters."""
        return self._do(work)

    # --- the thread ---

    def _do(self, work: Callable[[], T]) -> T:
        if threading.current_thread() is self._thread or not self._thread.is_alive():
            return work()
        future: Future[T] = Future()

        def order() -> None:
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - it belongs to who asked
                future.set_exception(error)

        self._orders.append(order)
        os.eventfd_write(self._bell, 1)
        return future.result(timeout=10)

    def _run(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            # The kernel may otherwise add 50 us to each sleep; a character at 115,200 lasts 87.
            ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0)
        self._at(time.monotonic() + TICK_S, self._tick)
        while not self._stopping:
            due_s = self._next_s()
            left_s = max(0.0, due_s - time.monotonic()) if due_s is not None else 1.0
            # epoll's own timeout is in whole milliseconds, four characters at 38,400.
            ready, _, _ = select.select([self._epoll], [], [], left_s)
            now_s = time.monotonic()
            self._catch_up(now_s)
            if ready:
                for descriptor, events in self._epoll.poll(0):
                    self._readable(descriptor, events, now_s)
        while self._orders:
            self._orders.popleft()()

    def _next_s(self) -> float | None:
        due_s = self.line.deadline_s()
        if self._due and (due_s is None or self._due[0][0] < due_s):
            return self._due[0][0]
        return due_s

    def _at(self, at_s: float, work: Callable[[float], None]) -> None:
        self._due_count += 1
        heapq.heappush(self._due, (at_s, self._due_count, work))

    def _catch_up(self, now_s: float) -> None:
        """Everything that falls due up to now, in order of its own time and not of ours."""
        while (due_s := self._next_s()) is not None and due_s <= now_s:
            self._advance(due_s)
            while self._due and self._due[0][0] <= due_s:
                at_s, _, work = heapq.heappop(self._due)
                work(at_s)

    def _advance(self, now_s: float) -> None:
        for heard in self.line.advance(now_s):
            self._spread(heard)
        if self.line.log:
            for said in self.line.log:
                self._log.append(said)
                self._intrude(said)
            self.line.log.clear()

    def _readable(self, descriptor: int, events: int, now_s: float) -> None:
        if descriptor == self._bell:
            os.eventfd_read(self._bell)
            while self._orders:
                self._orders.popleft()()
            return
        for drop in self._ptys:
            if drop.pty is not None and drop.pty.master == descriptor:
                data = drop.pty.read(events)
                if data:
                    self._talk(drop, data, now_s)
                return

    def _tick(self, at_s: float) -> None:
        now_ms = int(at_s * 1000)
        for drop in self._stations:
            assert drop.station is not None
            drop.station.tick(now_ms)
        for drop in self._ptys:
            assert drop.pty is not None
            drop.pty.look()
        self._at(max(at_s + TICK_S, time.monotonic()), self._tick)

    # --- talking ---

    def _connected(self, drop: Drop) -> bool:
        cut = self.line.faults.cut_after
        return cut is None or drop.position <= cut

    def _talk(self, drop: Drop, data: bytes, at_s: float) -> None:
        """It begins at `at_s`, if it is late at nothing."""
        if not self._connected(drop) or drop.faults.mute or at_s < drop.swallow_s:
            return
        char_s = self._char_s(drop)
        first_ms, last_ms = drop.faults.late_ms
        if last_ms <= 0:
            self.line.speak(drop.name, data, at_s, char_s)
            return
        at_s += self._dice.uniform(first_ms, last_ms) / 1000
        self._at(at_s, lambda at_s: self.line.speak(drop.name, data, at_s, char_s))

    def _babble(self, drop: Drop, at_s: float) -> None:
        pause_ms = drop.faults.babble_ms
        if pause_ms is None:
            return
        if self._connected(drop):
            self.line.speak(drop.name, self._dice.randbytes(BABBLE_BYTES), at_s)
        # Continuous: the next characters are there before the last are out.
        talk_s = self.line.char_s * (BABBLE_BYTES - 1)
        at_s = max(at_s + talk_s + pause_ms / 1000, at_s + 0.0005)
        self._at(at_s, lambda at_s: self._babble(drop, at_s))

    def _intrude(self, said: Said) -> None:
        frame = said.data.lstrip(b"\xff")
        controller = self._drops.get(said.sender)
        if not self._answers or controller is None or controller.position:
            return
        if len(frame) < 5 or frame[0] != 0x53 or not (waiting := self._answers.get(frame[1])):
            return
        data, instead, fit, delay_ms = waiting.popleft()
        if fit:
            data = fitted(data, frame[4])
        if instead:
            for drop in self._drops.values():
                if drop is not controller:
                    drop.swallow_s = said.until_s + 0.05
        at_s = said.until_s + delay_ms / 1000
        self._at(at_s, lambda at_s: self.line.speak(INTRUDER, data, at_s))

    # --- hearing ---

    def _spread(self, heard: Heard) -> None:
        sender = self._drops.get(heard.sender)
        if self.line.faults.short or (sender is not None and not self._connected(sender)):
            return
        for drop in self._ptys:
            if self._hears(drop, heard):
                data = self._at_its_speed(drop, sender, heard)
                drop.hand(data, heard.until_s, self._at, self._dice)
        if not self._stations:
            return
        if self._speed(sender):
            # Stations listen at the wire's speed: another one is nonsense to them too.
            size = max(1, len(heard.pieces) * self.baud // self._speed(sender))
            heard = replace(heard, pieces=self._dice.randbytes(size), overlaps=())
        self._unheard.append(heard)
        if not heard.over and len(self._unheard) < 20:
            return
        speeches, self._unheard = self._unheard, []
        whole = b"".join(speech.data() for speech in speeches)
        plain = not any(speech.overlaps for speech in speeches)
        senders = {speech.sender for speech in speeches}
        for drop in self._stations:
            if plain and drop.name not in senders:
                if drop.faults.deaf or not self._connected(drop):
                    continue
                data = whole
            else:
                data = b"".join(s.data(drop.name) for s in speeches if self._hears(drop, s))
            self._ask(drop, data, heard.until_s)

    def _hears(self, drop: Drop, heard: Heard) -> bool:
        if drop.faults.deaf or not self._connected(drop):
            return False
        return drop.name != heard.sender or drop.faults.echo

    def _ask(self, drop: Drop, data: bytes, at_s: float) -> None:
        assert drop.station is not None
        answer = drop.station.receive(data, int(at_s * 1000)) if data else b""
        if answer:
            wait_s = drop.turnaround_ms * self._dice.uniform(0.9, 1.1) / 1000
            wait_s += 2 * self.line.char_s
            self._at(at_s + wait_s, lambda at_s: self._talk(drop, answer, at_s))

    # --- speeds ---

    def _char_s(self, drop: Drop) -> float:
        baud = self._speed(drop)
        return self._bits / baud if baud else self.line.char_s

    def _speed(self, drop: Drop | None) -> int:
        """Of a pty's program that set another than the wire's; else 0."""
        if not self._honour_speed or drop is None or drop.pty is None:
            return 0
        speed = drop.pty.speed
        return speed if speed != self.baud else 0

    def _at_its_speed(self, drop: Drop, sender: Drop | None, heard: Heard) -> bytes:
        data = heard.data(drop.name)
        if not self._honour_speed or self._speed(drop) == self._speed(sender):
            return data
        ratio = (self._speed(drop) or self.baud) / (self._speed(sender) or self.baud)
        return self._dice.randbytes(max(1, int(len(data) * ratio)))

    def _add(self, drop: Drop) -> Drop:
        if drop.name in self._drops:
            raise ValueError(f"{drop.name} is attached already")
        self._drops[drop.name] = drop
        return drop

    def _pty(self, name: str) -> WirePty:
        pty = self._drops[name].pty
        if pty is None:
            raise ValueError(f"{name} is no pty")
        return pty


if __name__ == "__main__":
    from hil.drivers.bus_wire_main import main

    main()
