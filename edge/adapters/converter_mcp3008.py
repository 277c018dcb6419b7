"""MCP3008 converter, 10 bit, over a gpiozero SPI interface.

Three bytes a reading (Microchip DS21295, 6.1): 00000001 | 1CCC0000 | 0 out; the answer's second
byte carries a null bit (weight 4) and the two highest bits, the third the other eight. A line
nobody drives idles high under its pull-up, so a null bit of 1 is a converter that does not answer.
"""

from __future__ import annotations

from typing import Final, Protocol

from edge.adapters.gpio_board import BoardError

FULL_SCALE: Final = 1023
CHIPS: Final = 2
"""Chip selects of the Pi's SPI 0: CE0 (GPIO 8) and CE1 (GPIO 7)."""
SPI_PINS: Final = (9, 10, 11)
SELECT_PINS: Final = (8, 7)


class Spi(Protocol):
    """The part of gpiozero.SPI used here."""

    def transfer(self, data: list[int]) -> list[int]:
        """Clock these bytes out and return what came in."""


def read_mv(spi: Spi, channel: int, supply_mv: int) -> int:
    """One single-ended reading. Raises BoardError when the converter does not answer."""
    answer = spi.transfer([1, 0x80 | channel << 4, 0])
    if answer[1] & 0x04:
        raise BoardError("the converter does not answer")
    return millivolts((answer[1] & 0x03) << 8 | answer[2], supply_mv)


def millivolts(counts: int, supply_mv: int) -> int:
    """Counts on the scale of the nominal supply (the reference is the supply)."""
    return round(counts * supply_mv / FULL_SCALE)


def counts(value_mv: float, supply_mv: int) -> int:
    """What the converter makes of a voltage."""
    return min(FULL_SCALE, max(0, int(value_mv / supply_mv * FULL_SCALE)))
