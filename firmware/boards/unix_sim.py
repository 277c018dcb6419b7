"""A board made of files in NODE_DIR and a pty, for tests, demo and rig. [both runtimes]

    world.json    {"mv": [8 numbers], "tamper": 0|1, "supply_mv": 12000, "hang": ""}: the premises;
                  replaced by rename, read at each sample. "hang": a duty that never ends.
    flash/        the flash file system
    scratch       three words, little-endian: survive a reset, not a power cut
    reset         there: the last reset was the watchdog's or the node's own
    outputs.json  {"outputs": [0, 0], "lamp": 0}

A reset ends the process with code 75; whoever runs it starts it again. NODE_TICKS: what the tick
counter starts with.
"""

import hashlib
import json
import os
import select
import sys
import time

from firmware.boards.board import INPUTS, OUTPUTS, Board
from firmware.node.flash import Flash
from firmware.node.loops import FAULT_MV
from firmware.node.ticks import PERIOD, ticks_diff
from protocols.osdp.node_report import RESET_POWER, RESET_UNKNOWN, RESET_WATCHDOG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO

EXIT_RESET = 75
RETRY_MS = 200
WORLD_BYTES = 1024
READ_BYTES = 512
# Termios on Linux: CS8, CREAD, CLOCAL; VTIME, VMIN; speeds.
_CFLAG = 0x8B0
_VTIME = 5
_VMIN = 6
_SPEEDS = {9600: 13, 19200: 14, 38400: 15, 57600: 0x1001, 115200: 0x1002, 230400: 0x1003}
_HUNG_UP = 0x18


def _clock_ms() -> int:
    ticks_ms = getattr(time, "ticks_ms", None)
    return int(ticks_ms()) if ticks_ms is not None else time.monotonic_ns() // 1_000_000


class UnixBoard(Board):
    """`uart` "": no bus."""

    name = "unix"

    def __init__(self, directory: str, uart: str) -> None:
        self._directory = directory
        self._uart = uart
        self._baud = 38400
        self._bus: FileIO | None = None
        self._poll = select.poll()
        first = int(os.getenv("NODE_TICKS") or 0)
        self._offset = first - _clock_ms()
        self._retry = self.ticks()
        self._watchdog_ms = 0
        self._fed = 0
        self._seen = bytearray(WORLD_BYTES)
        self._fresh = bytearray(WORLD_BYTES)
        self._seen_size = -1
        self._mv = [FAULT_MV] * INPUTS
        self._tamper = True
        self._supply_mv = FAULT_MV
        self._hang = ""
        self._outputs = bytes(OUTPUTS)
        self._lamp = False
        self.flash = Flash(directory + "/flash")
        self.flash.folder("")
        self._scratch = self._open_scratch()
        self._cause = self._read_cause()
        self._show()

    # Identity, time.

    def serial(self) -> int:
        """From the directory's name."""
        digest = hashlib.sha256(self._directory.encode()).digest()
        return int.from_bytes(digest[:4], "little")

    def ticks(self) -> int:
        """See Board."""
        return (_clock_ms() + self._offset) & (PERIOD - 1)

    def random_bytes(self, count: int) -> bytes:
        """See Board."""
        return os.urandom(count)

    # The world.

    def read_mv(self, millivolts: "list[int]") -> None:
        """See Board."""
        self._read_world()
        if self._hang == "sample":
            self._never_end()
        for number in range(INPUTS):
            millivolts[number] = self._mv[number]

    def tamper(self) -> bool:
        """See Board."""
        return self._tamper

    def supply_mv(self) -> int:
        """See Board."""
        return self._supply_mv

    def set_outputs(self, states: bytes) -> None:
        """See Board."""
        if states != self._outputs:
            self._outputs = bytes(states)
            self._show()

    def set_lamp(self, lit: bool) -> None:
        """See Board."""
        if lit != self._lamp:
            self._lamp = lit
            self._show()

    def sound(self) -> bool:
        """See Board."""
        if self._hang == "check":
            self._never_end()
        return True

    def _read_world(self) -> None:
        try:
            with open(self._directory + "/world.json", "rb") as file:
                size = file.readinto(self._fresh) or 0
        except OSError:
            return
        # The same bytes again, as nearly always: nothing to parse.
        if size == self._seen_size and self._fresh[:size] == self._seen[:size]:
            return
        self._fresh, self._seen = self._seen, self._fresh
        self._seen_size = size
        try:
            world = json.loads(bytes(self._seen[:size]).decode())
            mv = [int(value) for value in world["mv"]]
            if len(mv) == INPUTS:
                self._mv = mv
            self._tamper = bool(world.get("tamper", 0))
            self._supply_mv = int(world.get("supply_mv", 12000))
            self._hang = str(world.get("hang", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            # A world that makes no sense is a converter that cannot be read.
            self._mv = [FAULT_MV] * INPUTS

    def _show(self) -> None:
        outputs = ",".join([str(state) for state in self._outputs])
        text = '{"outputs":[' + outputs + '],"lamp":' + ("1}" if self._lamp else "0}")
        try:
            with open(self._directory + "/outputs.new", "wb") as file:
                file.write(text.encode())
            os.rename(self._directory + "/outputs.new", self._directory + "/outputs.json")
        except OSError:
            pass

    # The bus.

    def open_bus(self, baud: int) -> None:
        """See Board."""
        self._baud = baud
        self._close()
        self._open()

    def read(self) -> bytes:
        """See Board."""
        if self._hang == "bus":
            self._never_end()
        if self._bus is None:
            if ticks_diff(self.ticks(), self._retry) < 0:
                return b""
            self._open()
            if self._bus is None:
                return b""
        try:
            ready = self._poll.poll(0)
            if not ready:
                return b""
            data = self._bus.read(READ_BYTES)
        except OSError:
            data = None
        if not data:
            self._close()
            return b""
        return bytes(data)

    def write(self, data: bytes) -> None:
        """See Board."""
        if self._bus is None:
            return
        try:
            self._bus.write(data)
        except OSError:
            self._close()

    def wait(self, wait_ms: int) -> None:
        """See Board."""
        if self._bus is None:
            time.sleep(wait_ms / 1000)
        else:
            self._poll.poll(wait_ms)
        self._bite()

    def _open(self) -> None:
        self._retry = (self.ticks() + RETRY_MS) & (PERIOD - 1)
        if not self._uart:
            return
        try:
            bus = open(self._uart, "r+b", 0)  # noqa: SIM115 - stays open
            _make_raw(bus.fileno(), _SPEEDS[self._baud])
        except OSError:
            return
        self._bus = bus
        self._poll.register(bus, select.POLLIN)

    def _close(self) -> None:
        if self._bus is not None:
            self._poll.unregister(self._bus)
            try:  # noqa: SIM105 - MicroPython has no contextlib.suppress
                self._bus.close()
            except OSError:
                pass
            self._bus = None
        self._retry = (self.ticks() + RETRY_MS) & (PERIOD - 1)

    # Resets.

    def scratch_read(self, word: int) -> int:
        """See Board."""
        self._scratch.seek(4 * word)
        return int.from_bytes(self._scratch.read(4) or b"", "little")

    def scratch_write(self, word: int, value: int) -> None:
        """See Board."""
        self._scratch.seek(4 * word)
        self._scratch.write(value.to_bytes(4, "little"))

    def reset_cause(self) -> int:
        """See Board."""
        return self._cause

    def start_watchdog(self, timeout_ms: int) -> None:
        """See Board."""
        self._watchdog_ms = timeout_ms
        self._fed = self.ticks()

    def feed_watchdog(self) -> None:
        """See Board."""
        self._fed = self.ticks()

    def reset(self) -> None:
        """See Board."""
        with open(self._directory + "/reset", "wb") as file:
            file.write(b"1")
        sys.exit(EXIT_RESET)

    def _bite(self) -> None:
        if self._watchdog_ms and ticks_diff(self.ticks(), self._fed) > self._watchdog_ms:
            self.reset()

    def _never_end(self) -> None:
        while True:
            time.sleep(0.005)
            self._bite()

    def _open_scratch(self) -> "FileIO":
        path = self._directory + "/scratch"
        try:
            lost = os.stat(path)[6] != 12
        except OSError:
            lost = True
        self._power_lost = lost
        if lost:
            with open(path, "wb") as file:
                file.write(bytes(12))
        return open(path, "r+b", 0)

    def _read_cause(self) -> int:
        try:
            os.remove(self._directory + "/reset")
        except OSError:
            return RESET_POWER if self._power_lost else RESET_UNKNOWN
        return RESET_WATCHDOG


def _make_raw(descriptor: int, speed: int) -> None:
    import termios

    attributes = termios.tcgetattr(descriptor)
    control = attributes[6]
    # A read gives what is there and never waits.
    control[_VTIME] = 0
    control[_VMIN] = 0
    attributes = [0, 0, _CFLAG, 0, speed, speed, control]
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
