"""What a board must offer the node. [both runtimes]

Nothing here raises for what the world does: an input that cannot be read is FAULT_MV, a UART that
is gone gives no bytes. Numbers count from 0. Only `wait` may block, and only as long as asked;
`write` returns when the last stop bit is out and the driver is off the line (users.md K1).
"""

from firmware.node.flash import Flash

INPUTS = 8
OUTPUTS = 2


class Board:
    """One board. Made once; `start_watchdog` cannot be undone."""

    name = ""
    """As firmware images call it."""
    flash: Flash

    def serial(self) -> int:
        """32 bits that no other node of this make has."""
        raise NotImplementedError

    def ticks(self) -> int:
        """Milliseconds, period `ticks.PERIOD`."""
        raise NotImplementedError

    def random_bytes(self, count: int) -> bytes:
        """For the proofs of the secure channel."""
        raise NotImplementedError

    def read_mv(self, millivolts: "list[int]") -> None:
        """Fills in all inputs: millivolts of loops.SUPPLY_MV full scale, FAULT_MV when unread."""
        raise NotImplementedError

    def tamper(self) -> bool:
        """The enclosure's switch is open."""
        raise NotImplementedError

    def supply_mv(self) -> int:
        """Supply voltage at the terminals; FAULT_MV when unread."""
        raise NotImplementedError

    def set_outputs(self, states: bytes) -> None:
        """One byte for each output, 1 on. Off from power-on until the first call."""
        raise NotImplementedError

    def set_lamp(self, lit: bool) -> None:
        """The status lamp."""
        raise NotImplementedError

    def open_bus(self, baud: int) -> None:
        """UART at this rate, 8N1, listening; may be called again with another rate."""
        raise NotImplementedError

    def read(self) -> bytes:
        """What has come in, b"" for nothing; at most some hundred bytes."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Send; drives the line no longer than 2 characters after the last stop bit (K1)."""
        raise NotImplementedError

    def wait(self, wait_ms: int) -> None:
        """Until something comes in on the bus, at most `wait_ms`."""
        raise NotImplementedError

    def scratch_read(self, word: int) -> int:
        """One of 3 words of 32 bits that survive a reset but not a power cut."""
        raise NotImplementedError

    def scratch_write(self, word: int, value: int) -> None:
        """At once, the whole word or nothing of it."""
        raise NotImplementedError

    def reset_cause(self) -> int:
        """Of this start: RESET_POWER, RESET_WATCHDOG (also after `reset`) or RESET_UNKNOWN."""
        raise NotImplementedError

    def start_watchdog(self, timeout_ms: int) -> None:
        """From now on, fed or reset."""
        raise NotImplementedError

    def feed_watchdog(self) -> None:
        """All is well."""
        raise NotImplementedError

    def sound(self) -> bool:
        """The board's own check of itself, a small part at each call."""
        raise NotImplementedError

    def reset(self) -> None:
        """Does not return."""
        raise NotImplementedError
