"""The node: loops, housing, outputs, settings and the bus, wired together. [both runtimes]

No clock and no waiting here: `loop` calls `sample`, `serve` and `check` with the board's ticks.
"""

from firmware.node.debounce import NOTHING, Debounce
from firmware.node.housing import Enclosure, Supply
from firmware.node.lamp import CLEAR, FAULT, SEARCHING, SECURE, Lamp
from firmware.node.latch import NO_CAUSE, Latch
from firmware.node.loops import FAULT_MV, UNUSED, Decoder
from firmware.node.outputs import Outputs
from firmware.node.settings import INPUTS, Settings, SettingsStore
from firmware.node.ticks import Uptime, ticks_diff
from protocols.osdp.codes import ASK_REPORT, INPUT_UNKNOWN, VENDOR
from protocols.osdp.commands import Device
from protocols.osdp.node_report import (
    RESET_COMMAND,
    RESET_POWER,
    RESET_UNKNOWN,
    RESET_UPDATE,
    NodeState,
    encode,
)
from protocols.osdp.peripheral import Identity, Peripheral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.boards.board import Board
    from firmware.node.update import Updater

MODEL = 1
HARDWARE = 1
OUTPUTS = 2
STALE_MS = 150
"""What came in while the node was away for longer (a page of flash) is not answered: by then the
controller has asked somebody else (OSDP: 200 ms)."""
SETTLE_MS = 500
"""The bus is answered only when the inputs have settled, at most so long after the start: a
controller would otherwise be told of eight unknown inputs at each start."""


class Node(Device):
    """One node. It is also what its Peripheral calls for commands (`commands.Device`)."""

    def __init__(
        self,
        board: "Board",
        settings: Settings,
        store: SettingsStore,
        latch: Latch,
        version: "tuple[int, int, int]",
        updater: "Updater | None" = None,
    ) -> None:
        now = board.ticks()
        self.board = board
        self.settings = settings
        self.store = store
        self.latch = latch
        self.version = version
        self.updater = updater
        self.loop_worst_ms = 0
        self.fault = False
        self.cause = _cause(board, latch)
        self.uptime = Uptime(now)
        self.lamp = Lamp(now)
        self.outputs = Outputs(OUTPUTS, settings.silent_s * 1000, now)
        self.peripheral = Peripheral(
            Identity(VENDOR, MODEL, HARDWARE, board.serial(), version),
            self,
            settings.address,
            settings.key,
            board.random_bytes,
            INPUTS,
            OUTPUTS,
            baud=settings.baud,
        )
        self.ready = False
        self._started = now
        self._decoders = [
            Decoder(loop.wiring, settings.eol_ohm, settings.pullup_ohm) for loop in settings.loops
        ]
        self._debounces = [Debounce(loop.debounce_ms, loop.min_pulse_ms) for loop in settings.loops]
        self._enclosure = Enclosure()
        self._supply = Supply(settings.low_mv, settings.restore_mv)
        self._mv = [FAULT_MV] * INPUTS
        self._image = settings.encode()
        self._commands = 0
        self._lost = 0
        self._served = now
        self._baud = settings.baud
        board.open_bus(settings.baud)

    # Duties.

    def sample(self, now: int) -> None:
        """Read all inputs, tell what has changed."""
        self.board.read_mv(self._mv)
        changed = False
        for number in range(INPUTS):
            raw = self._decoders[number].decode(self._mv[number])
            if self._debounces[number].sample(raw, now):
                changed = True
        changed_local = self._enclosure.sample(self.board.tamper(), now)
        if self._supply.sample(self.board.supply_mv(), now):
            changed_local = True
        if not self.ready:
            self._settle(now)
            return
        if changed:
            self._tell_inputs()
        if changed_local:
            self._tell_local()

    def serve(self, now: int) -> None:
        """Answer what has come in on the bus."""
        now_ms = self.uptime.read(now)
        data = self.board.read()
        if ticks_diff(now, self._served) > STALE_MS:
            data = b""
        self._served = self.board.ticks()
        if not self.ready:
            return
        peripheral = self.peripheral
        if data:
            reply = peripheral.receive(data, now_ms)
            if reply:
                self.board.write(reply)
        else:
            peripheral.tick(now_ms)
        if peripheral.counts.commands != self._commands:
            self._commands = peripheral.counts.commands
            if peripheral.secure:
                self.outputs.heard(now)
        if peripheral.baud != self._baud:
            self._baud = peripheral.baud
            self.board.open_bus(self._baud)
        if peripheral.queued == 0:
            self._drained()
        if not peripheral.online:
            self.lamp.forget()
        self.outputs.tick(now)
        self.board.set_outputs(self.outputs.states())

    def check(self, now: int) -> bool:
        """The self-check. False: this node can no longer be trusted, and wants a reset."""
        if self.settings.encode() != self._image or not self.board.sound():
            self.outputs.fault(True)
            return False
        self._judge()
        if self.ready:
            # Later than the reply: the flash takes its time.
            self.store.mirror(self.settings)
            self.lamp.sign = self._sign()
            self.board.set_lamp(self.lamp.lit(now))
        updater = self.updater
        if updater is not None and updater.tick(
            self.uptime.read(now), self.peripheral.secure, not self.fault
        ):
            self.reset(RESET_UPDATE)
        if updater is not None and self.ready:
            told = updater.report()
            if told:
                self.peripheral.report_vendor(told)
        return True

    def reset(self, cause: int) -> None:
        """A reset on purpose."""
        self.outputs.fault(True)
        self.board.set_outputs(self.outputs.states())
        self.latch.want(cause)
        self.board.reset()

    # What the peripheral calls.

    def set_output(self, number: int, code: int, timer_ds: int) -> bool:
        """See Device."""
        now = self.board.ticks()
        self.outputs.heard(now)
        return self.outputs.set(number, code, timer_ds, now)

    def output_states(self) -> bytes:
        """See Device."""
        return self.outputs.states()

    def set_led(self, payload: bytes) -> bool:
        """See Device."""
        return self.lamp.command(payload, self.board.ticks())

    def store_key(self, key: bytes) -> bool:
        """See Device."""
        before = self.settings.key
        self.settings.key = bytes(key)
        return self._save() or self._take_back(key=before)

    def store_communication(self, address: int, baud: int) -> bool:
        """See Device."""
        settings = self.settings
        before = settings.address, settings.baud
        settings.address, settings.baud = address, baud
        if self._save():
            return True
        settings.address, settings.baud = before
        return False

    def file_part(self, kind: int, total: int, offset: int, data: bytes) -> "tuple[int, int]":
        """See Device."""
        if self.updater is None:
            return -1, 0
        return self.updater.file_part(kind, total, offset, data)

    def abort_file(self) -> None:
        """See Device."""
        if self.updater is not None:
            self.updater.abort()

    def vendor(self, data: bytes) -> None:
        """See Device."""
        if data and data[0] == ASK_REPORT:
            self.report()

    def restart(self) -> None:
        """See Device."""
        self.reset(RESET_COMMAND)

    def report(self) -> None:
        """Queue a REPORT_NODE."""
        self.peripheral.report_vendor(
            encode(
                NodeState(
                    self.cause,
                    self.latch.resets,
                    self.peripheral.lost_changes,
                    self._supply.millivolts,
                    self.uptime.now_ms // 1000,
                    self.version,
                    self.updater is not None and self.updater.trial,
                    self.loop_worst_ms,
                )
            )
        )

    # Parts.

    def _save(self) -> bool:
        if not self.store.save(self.settings):
            return False
        self._image = self.settings.encode()
        return True

    def _take_back(self, key: "bytes | None") -> bool:
        self.settings.key = key
        return False

    def _settle(self, now: int) -> None:
        waiting = False
        for debounce in self._debounces:
            if debounce.state == NOTHING:
                waiting = True
        if waiting and ticks_diff(now, self._started) < SETTLE_MS:
            return
        self.ready = True
        self._tell_latched()
        self.report()

    def _drained(self) -> None:
        """The controller has all that was queued. What the queue had to drop is told once more."""
        lost = self.peripheral.lost_changes
        if lost == self._lost:
            self.latch.acknowledged()
            return
        self._lost = lost
        self._tell_latched()

    def _tell_latched(self) -> None:
        """First what nobody has acknowledged (K3), then what is."""
        self.peripheral.report_inputs(self.latch.over(self._states()))
        self.peripheral.report_local(
            self._enclosure.open or self.latch.tamper, self._supply.low or self.latch.power
        )
        self._tell_inputs()
        self._tell_local()

    def _states(self) -> bytes:
        return bytes(
            [
                INPUT_UNKNOWN if debounce.state == NOTHING else debounce.state
                for debounce in self._debounces
            ]
        )

    def _tell_inputs(self) -> None:
        states = self._states()
        self.latch.inputs(states)
        self.peripheral.report_inputs(states)

    def _tell_local(self) -> None:
        tamper, power = self._enclosure.open, self._supply.low
        self.latch.local(tamper, power)
        self.peripheral.report_local(tamper, power)

    def _judge(self) -> None:
        fault = False
        for number in range(INPUTS):
            if (
                self._debounces[number].state == INPUT_UNKNOWN
                and self.settings.loops[number].wiring != UNUSED
            ):
                fault = True
        if fault != self.fault:
            self.fault = fault
            self.outputs.fault(fault)

    def _sign(self) -> int:
        if self.fault:
            return FAULT
        if self.peripheral.secure:
            return SECURE
        return CLEAR if self.peripheral.online else SEARCHING


def _cause(board: "Board", latch: Latch) -> int:
    cause = board.reset_cause()
    if latch.wanted != NO_CAUSE and cause != RESET_POWER:
        return latch.wanted
    if cause == RESET_UNKNOWN and not latch.kept:
        return RESET_POWER
    return cause
