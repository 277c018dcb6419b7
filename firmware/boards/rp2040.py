"""The node on a Raspberry Pi Pico (RP2040) with an MCP3208 for its eight loops.

RP2040 has three converter inputs on its pins; the loops go through an MCP3208 (12 bit, 8 inputs)
on SPI, whose reference is the 3.3 V that also feeds the pull-ups: the supply cancels out. A
multiplexer before an own input would need a settling time for each loop's 100 nF, and cannot tell
that it is not there; the MCP3208's null bit can.

    pin    GP0 GP1  GP2  GP4 GP5  GP16-19                  GP22    GP25  GP26
    use    UART0    DE   outputs  SPI0 MISO CS SCK MOSI    tamper  lamp  supply through 100k/10k

MISO has 47 kohm to 3.3 V, so that a missing converter shows a null bit of 1. DE has 10 kohm to
ground and also drives RE, so the node does not hear itself; RX has a pull-up.
"""

import hashlib
import os
import time

import machine

from firmware.boards.board import INPUTS, OUTPUTS, Board
from firmware.node.flash import Flash
from firmware.node.loops import FAULT_MV, SUPPLY_MV
from protocols.osdp.node_report import RESET_POWER, RESET_UNKNOWN, RESET_WATCHDOG

PINS = {
    "tx": 0,
    "rx": 1,
    "driver": 2,
    "output 1": 4,
    "output 2": 5,
    "miso": 16,
    "select": 17,
    "clock": 18,
    "mosi": 19,
    "tamper": 22,
    "lamp": 25,
    "supply": 26,
}
"""GPIO numbers."""

SUPPLY_RATIO = 11
"""Divider 100 kohm over 10 kohm."""
SPI_HZ = 1_000_000
RX_BYTES = 1024
TX_BYTES = 512
STUCK_MS = 50
"""Beyond its time on the wire; K1 wants a stuck transmitter off the line within 100 ms."""

SCRATCH = 0x4005800C
"""WATCHDOG_SCRATCH0; 4 to 7 are the boot ROM's."""
UART_FLAGS = 0x40034018
UART_CONTROL = 0x40034030
_BUSY = 0x08
"""Set until the last stop bit is out; MicroPython's flush returns one character before that."""
_ENABLED = 0x301
"""UARTEN, TXE, RXE."""


class Rp2040Board(Board):
    """See Board."""

    name = "rp2040"

    def __init__(self) -> None:
        pin = machine.Pin
        self._driver = pin(PINS["driver"], pin.OUT, value=0)
        self._outputs = [pin(PINS[f"output {n + 1}"], pin.OUT, value=0) for n in range(OUTPUTS)]
        self._lamp = pin(PINS["lamp"], pin.OUT, value=0)
        self._tamper = pin(PINS["tamper"], pin.IN, pin.PULL_UP)
        self._select = pin(PINS["select"], pin.OUT, value=1)
        self._spi = machine.SPI(
            0,
            baudrate=SPI_HZ,
            sck=pin(PINS["clock"]),
            mosi=pin(PINS["mosi"]),
            miso=pin(PINS["miso"]),
        )
        self._supply = machine.ADC(pin(PINS["supply"]))
        self._release = machine.Timer(-1)
        self._watchdog: machine.WDT | None = None
        self._uart: machine.UART | None = None
        self._char_us = 0
        self._ask = bytearray(3)
        self._told = bytearray(3)
        self.released = 0
        """Times the transmitter was stuck."""
        self.flash = Flash("")

    # Identity, time.

    def serial(self) -> int:
        """See Board."""
        digest = hashlib.sha256(machine.unique_id()).digest()
        return int.from_bytes(digest[:4], "little")

    def ticks(self) -> int:
        """See Board."""
        return int(time.ticks_ms())  # type: ignore[call-overload]  # an int, whatever the stub says

    def random_bytes(self, count: int) -> bytes:
        """See Board."""
        return os.urandom(count)

    # Field.

    def read_mv(self, millivolts: "list[int]") -> None:
        """See Board."""
        for number in range(INPUTS):
            millivolts[number] = self._convert(number)

    def _convert(self, number: int) -> int:
        # Start bit, single ended, three bits of channel; then a null bit and twelve of value.
        self._ask[0] = 0x06 | number >> 2
        self._ask[1] = (number & 3) << 6
        self._select.value(0)
        self._spi.write_readinto(self._ask, self._told)
        self._select.value(1)
        if self._told[1] & 0x10:
            return FAULT_MV
        return ((self._told[1] & 0x0F) << 8 | self._told[2]) * SUPPLY_MV // 4096

    def tamper(self) -> bool:
        """See Board. The switch is closed to ground while the enclosure is."""
        return self._tamper.value() == 1

    def supply_mv(self) -> int:
        """See Board."""
        return self._supply.read_u16() * SUPPLY_MV * SUPPLY_RATIO // 65536

    def set_outputs(self, states: bytes) -> None:
        """See Board."""
        for number in range(OUTPUTS):
            self._outputs[number].value(states[number])

    def set_lamp(self, lit: bool) -> None:
        """See Board."""
        self._lamp.value(1 if lit else 0)

    # The bus.

    def open_bus(self, baud: int) -> None:
        """See Board."""
        if self._uart is not None:
            self._uart.deinit()
        self._driver.value(0)
        self._char_us = 10_000_000 // baud
        self._uart = machine.UART(
            0,
            baudrate=baud,
            bits=8,
            parity=None,
            stop=1,
            tx=machine.Pin(PINS["tx"]),
            rx=machine.Pin(PINS["rx"], machine.Pin.IN, machine.Pin.PULL_UP),
            txbuf=TX_BYTES,
            rxbuf=RX_BYTES,
        )

    def read(self) -> bytes:
        """See Board."""
        uart = self._uart
        if uart is None or not uart.any():
            return b""
        return uart.read() or b""

    def write(self, data: bytes) -> None:
        """See Board."""
        uart = self._uart
        if uart is None or not data:
            return
        # OSDP: two idle characters between frames.
        time.sleep_us(2 * self._char_us)
        limit_us = (len(data) + 2) * self._char_us + STUCK_MS * 1000
        # Should even this code hang: the timer lets go of the line by itself.
        self._release.init(
            mode=machine.Timer.ONE_SHOT,
            period=limit_us // 1000 + 10,
            callback=self._let_go,
            hard=True,
        )
        started = time.ticks_us()
        self._driver.value(1)
        uart.write(data)
        stuck = False
        while not uart.txdone() or machine.mem32[UART_FLAGS] & _BUSY:
            if time.ticks_diff(time.ticks_us(), started) > limit_us:
                stuck = True
                break
        self._driver.value(0)
        self._release.deinit()
        if stuck:
            self.released += 1
            self.open_bus(10_000_000 // self._char_us)

    def _let_go(self, timer: "machine.Timer") -> None:
        self._driver.value(0)

    def wait(self, wait_ms: int) -> None:
        """See Board."""
        uart = self._uart
        started = time.ticks_ms()
        while uart is None or not uart.any():
            if time.ticks_diff(time.ticks_ms(), started) >= wait_ms:
                return
            time.sleep_ms(1)

    # Resets.

    def scratch_read(self, word: int) -> int:
        """See Board."""
        return int(machine.mem32[SCRATCH + 4 * word]) & 0xFFFFFFFF

    def scratch_write(self, word: int, value: int) -> None:
        """See Board."""
        machine.mem32[SCRATCH + 4 * word] = value

    def reset_cause(self) -> int:
        """See Board."""
        cause = machine.reset_cause()
        if cause == machine.WDT_RESET:
            return RESET_WATCHDOG
        return RESET_POWER if cause == machine.PWRON_RESET else RESET_UNKNOWN

    def start_watchdog(self, timeout_ms: int) -> None:
        """See Board."""
        self._watchdog = machine.WDT(timeout=timeout_ms)

    def feed_watchdog(self) -> None:
        """See Board."""
        if self._watchdog is not None:
            self._watchdog.feed()

    def sound(self) -> bool:
        """The UART still listens, and nothing holds the line."""
        return self._driver.value() == 0 and machine.mem32[UART_CONTROL] & _ENABLED == _ENABLED

    def reset(self) -> None:
        """See Board."""
        self._driver.value(0)
        machine.reset()
