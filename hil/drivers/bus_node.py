"""A node in this process: the peripheral of `protocols.osdp` with a board made of memory.

What its flash keeps (key, address) outlives `power_cut`; what waits in its queue does not.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from protocols.osdp import codes
from protocols.osdp.commands import Device
from protocols.osdp.peripheral import FRAME_GAP_MS, Identity, Peripheral

T = TypeVar("T")

MODEL: Final = 1
HEADER_BYTES: Final = 4


@dataclass(slots=True)
class Flash:
    """What outlives everything."""

    address: int
    key: bytes | None
    baud: int = 38_400


@dataclass(slots=True)
class Board(Device):
    """The device port of the peripheral: remembers what it was told."""

    flash: Flash
    outputs: list[int] = field(default_factory=lambda: [0, 0])
    leds: list[bytes] = field(default_factory=list)
    buzzers: list[bytes] = field(default_factory=list)
    vendor_messages: list[bytes] = field(default_factory=list)
    file_parts: list[tuple[int, int, int, bytes]] = field(default_factory=list)
    restart_wanted: bool = False

    def set_output(self, number: int, code: int, timer_ds: int) -> bool:
        """Odd control codes switch off, even ones on, as OSDP numbers them; 0 does nothing."""
        if not 0 <= number < len(self.outputs):
            return False
        if code:
            self.outputs[number] = 1 if code in (2, 4, 5) else 0
        return True

    def output_states(self) -> bytes:
        """A byte an output."""
        return bytes(self.outputs)

    def set_led(self, payload: bytes) -> bool:
        """Remembered."""
        self.leds.append(payload)
        return True

    def set_buzzer(self, payload: bytes) -> bool:
        """Remembered."""
        self.buzzers.append(payload)
        return True

    def store_key(self, key: bytes) -> bool:
        """Into the flash."""
        self.flash.key = key
        return True

    def store_communication(self, address: int, baud: int) -> bool:
        """Into the flash."""
        self.flash.address = address
        self.flash.baud = baud
        return True

    def file_part(self, kind: int, total: int, offset: int, data: bytes) -> tuple[int, int]:
        """Every file is taken, at once."""
        self.file_parts.append((kind, total, offset, data))
        done = offset + len(data) >= total
        return (codes.FILE_PROCESSED if done else codes.FILE_OK), 0

    def vendor(self, data: bytes) -> None:
        """Remembered."""
        self.vendor_messages.append(data)

    def restart(self) -> None:
        """At the next tick."""
        self.restart_wanted = True


class SimNode:
    """A Station for `BusWire`. Methods may be called from any thread.

    `sift`: frames for other addresses are thrown away by their head alone, which is what the
    peripheral would do with them, so that 32 nodes on one wire are cheap.
    """

    def __init__(
        self,
        address: int,
        key: bytes | None = None,
        inputs: int = 8,
        readers: int = 0,
        queue_limit: int = 64,
        serial: int = 0,
        seed: int = 0,
        sift: bool = True,
    ) -> None:
        self.board: Final = Board(Flash(address, key))
        self.states = bytes(inputs)
        self.tamper = False
        self.power = False
        self.moved = 0
        """Times its inputs were moved."""
        self.cuts: list[int] = []
        """`moved` at each power cut: what waited in its queue then is gone."""
        self.powered = True
        self._readers = readers
        self._queue_limit = queue_limit
        self._serial = serial or address
        self._sift = sift
        self._odd_until_ms = -1
        self._dice = random.Random(seed * 1009 + address)  # noqa: S311 - repeatable on purpose
        self._lock = threading.RLock()
        self._mover: Callable[[SimNode], None] | None = None
        self.peripheral = self._boot()

    # --- the world around it ---

    def move(self, states: bytes) -> None:
        """All its inputs stand so from now on."""
        with self._lock:
            self.states = states
            self.moved += 1
            if self.powered:
                self.peripheral.report_inputs(states)

    def turn(self, number: int, state: int) -> None:
        """Input `number` (from 1) stands so from now on."""
        with self._lock:
            states = bytearray(self.states)
            states[number - 1] = state
            self.move(bytes(states))

    def local(self, tamper: bool = False, power: bool = False) -> None:
        """Its enclosure and supply. True: something is wrong."""
        with self._lock:
            self.tamper, self.power = tamper, power
            if self.powered:
                self.peripheral.report_local(tamper, power)

    def keys(self, text: str) -> None:
        """Somebody presses these."""
        with self._lock:
            if self.powered:
                self.peripheral.report_keys(text)

    def card(self, bits: int, data: bytes) -> None:
        """Somebody holds a card to it."""
        with self._lock:
            if self.powered:
                self.peripheral.report_card(bits, data)

    def power_cut(self) -> None:
        """Dark until `power_on`."""
        with self._lock:
            self.powered = False
            self.board.outputs = [0] * len(self.board.outputs)
            self.cuts.append(self.moved)

    def power_on(self) -> None:
        """It starts with what its flash kept."""
        with self._lock:
            self.peripheral = self._boot()
            self.powered = True

    def reset(self) -> None:
        """Power cut and on again at once."""
        with self._lock:
            self.power_cut()
            self.power_on()

    def each_tick(self, mover: Callable[[SimNode], None] | None) -> None:
        """Call this with every tick of the wire, in its thread."""
        with self._lock:
            self._mover = mover

    @property
    def queued(self) -> int:
        """Reports that wait."""
        with self._lock:
            return self.peripheral.queued if self.powered else 0

    # --- Station ---

    def receive(self, data: bytes, now_ms: int) -> bytes:
        """What it answers."""
        with self._lock:
            if not self.powered or (self._sift and self._for_another(data, now_ms)):
                return b""
            return self.peripheral.receive(data, now_ms)

    def tick(self, now_ms: int) -> None:
        """Time goes by."""
        with self._lock:
            if self.powered:
                self.peripheral.tick(now_ms)
                if self.board.restart_wanted:
                    self.reset()
            if self._mover is not None:
                self._mover(self)

    def _for_another(self, data: bytes, now_ms: int) -> bool:
        """A whole frame whose head names another address, or a reply, while the peripheral's reader
        holds nothing unfinished. Checks are not looked at.
        """
        start = 1 if data[:1] == b"\xff" else 0
        whole = (
            len(data) >= start + HEADER_BYTES
            and data[start] == codes.SOM
            and data[start + 2] | data[start + 3] << 8 == len(data) - start
        )
        if not whole:
            # The peripheral forgets what it holds when nothing follows for so long.
            self._odd_until_ms = now_ms + FRAME_GAP_MS
            return False
        if now_ms <= self._odd_until_ms:
            return False
        return data[start + 1] not in (self.peripheral.address, codes.BROADCAST)

    def _boot(self) -> Peripheral:
        board = self.board
        board.restart_wanted = False
        identity = Identity(codes.VENDOR, MODEL, 1, self._serial, (1, 0, 0))
        peripheral = Peripheral(
            identity,
            board,
            board.flash.address,
            board.flash.key,
            self._dice.randbytes,
            inputs=len(self.states),
            outputs=len(board.outputs),
            readers=self._readers,
            queue_limit=self._queue_limit,
        )
        peripheral.report_inputs(self.states)
        peripheral.report_local(self.tamper, self.power)
        return peripheral
