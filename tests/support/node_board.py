"""A node's board in memory, with a clock that a test moves; runs on both runtimes."""

from firmware.boards.board import INPUTS, OUTPUTS, Board
from firmware.node.flash import Flash
from firmware.node.loops import nominal_mv
from firmware.node.ticks import ticks_add
from protocols.osdp.node_report import RESET_POWER, RESET_WATCHDOG
from tests.support.osdp_chance import Chance

TRIPLE = 5


class Reset(BaseException):
    """The node has reset itself."""


class PowerCut(BaseException):
    """The supply is gone."""


class MemoryFlash(Flash):
    """Files in memory. After `budget` bytes and operations it fails; `broken`: it takes nothing."""

    def __init__(self, files: "dict[str, bytes] | None" = None, budget: int = -1) -> None:
        super().__init__("")
        self.files: dict[str, bytes] = {} if files is None else files
        self.budget = budget
        self.broken = False

    def restarted(self) -> "MemoryFlash":
        return MemoryFlash(self.files)

    def copied(self, budget: int = -1) -> "MemoryFlash":
        return MemoryFlash(dict(self.files), budget)

    def _spend(self) -> None:
        if self.budget == 0:
            raise PowerCut
        self.budget -= 1

    def read(self, path: str, limit: int) -> "bytes | None":
        data = self.files.get(path)
        return data if data is not None and len(data) <= limit else None

    def size(self, path: str) -> int:
        return len(self.files[path]) if path in self.files else -1

    def write(self, path: str, data: bytes, append: bool = False) -> bool:
        if self.broken:
            return False
        self._spend()
        self.files[path] = self.files.get(path, b"") if append else b""
        for place in range(len(data)):
            self._spend()
            self.files[path] += data[place : place + 1]
        return True

    def rename(self, old: str, new: str) -> bool:
        self._spend()
        if old not in self.files:
            return False
        self.files[new] = self.files.pop(old)
        self._spend()
        return True


class MemoryBoard(Board):
    """World, bus and pins are attributes. `flash` and `scratch` go into the next one."""

    name = "memory"

    def __init__(
        self,
        flash: "MemoryFlash",
        scratch: "list[int] | None" = None,
        start: int = 0,
        cause: int = RESET_POWER,
    ) -> None:
        self.flash: MemoryFlash = flash
        self.scratch = [0, 0, 0] if scratch is None else scratch
        self.now = start
        self.cause = cause
        self.mv = [0] * INPUTS
        self.open = False
        self.volts_mv = 12000
        self.pins = bytes(OUTPUTS)
        self.lamp = False
        self.baud = 0
        self.heard: list[bytes] = []
        self.sent: list[bytes] = []
        self.watchdog_ms = 0
        self.fed = 0
        self.healthy = True
        self._chance = Chance(7)
        for number in range(INPUTS):
            self.show(number, 0)

    def restarted(self, cause: int = RESET_WATCHDOG) -> "MemoryBoard":
        """The board after a reset: the same flash, scratch memory and world."""
        board = MemoryBoard(self.flash, self.scratch, self.now, cause)
        board.mv = self.mv
        board.open = self.open
        board.volts_mv = self.volts_mv
        return board

    def show(self, number: int, state: int) -> None:
        """The loop of input `number` from 0, triple EOL, is in this state."""
        self.mv[number] = nominal_mv(state, TRIPLE, 4700, 4700)

    def pass_ms(self, passed_ms: int) -> None:
        self.now = ticks_add(self.now, passed_ms)

    def serial(self) -> int:
        return 0x01020304

    def ticks(self) -> int:
        return self.now

    def random_bytes(self, count: int) -> bytes:
        return self._chance.data(count)

    def read_mv(self, millivolts: "list[int]") -> None:
        for number in range(INPUTS):
            millivolts[number] = self.mv[number]

    def tamper(self) -> bool:
        return self.open

    def supply_mv(self) -> int:
        return self.volts_mv

    def set_outputs(self, states: bytes) -> None:
        self.pins = states

    def set_lamp(self, lit: bool) -> None:
        self.lamp = lit

    def open_bus(self, baud: int) -> None:
        self.baud = baud

    def read(self) -> bytes:
        return self.heard.pop(0) if self.heard else b""

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def wait(self, wait_ms: int) -> None:
        self.pass_ms(max(1, wait_ms))

    def scratch_read(self, word: int) -> int:
        return self.scratch[word]

    def scratch_write(self, word: int, value: int) -> None:
        self.scratch[word] = value

    def reset_cause(self) -> int:
        return self.cause

    def start_watchdog(self, timeout_ms: int) -> None:
        self.watchdog_ms = timeout_ms

    def feed_watchdog(self) -> None:
        self.fed += 1

    def sound(self) -> bool:
        return self.healthy

    def reset(self) -> None:
        raise Reset
