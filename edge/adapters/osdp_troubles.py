"""Faults told by their rate, with hysteresis. Pure."""

from __future__ import annotations

from typing import Final

from edge.adapters.fault_rates import Rate, Share
from edge.adapters.osdp_wire import Exchange
from edge.bus.bus_types import Trouble

BUS: Final = -1
"""Address of the bus as a whole."""
ALONE_S: Final = 1.0
BABBLE_BYTES: Final = 4
"""Unasked between two turns: more than a spike."""
Told = tuple[int, Trouble, bool, str]
"""(address, trouble, on, detail)."""


class Faults:
    """What the exchanges of one bus tell about nodes and wire."""

    def __init__(self, addresses: tuple[int, ...]) -> None:
        self._forged = {address: Rate(1, 1.0) for address in addresses}
        self._doubled = {address: Rate(3, 20.0) for address in addresses}
        self._noise = Share(0.1, 200)
        self._babble = Share(0.5, 10)
        self._unasked_bytes = 0
        self._good_from = (BUS, 0.0)

    def port_opened(self) -> None:
        """Counters of the wire begin at 0."""
        self._unasked_bytes = 0

    def doubled(self, address: int, detail: str, now: float) -> list[Told]:
        """A sign of two nodes at this address."""
        told = self._doubled[address].hit(now)
        return [(address, Trouble.DUPLICATE, True, detail)] if told else []

    def exchanged(
        self, address: int, exchange: Exchange, unasked_bytes: int, now: float
    ) -> list[Told]:
        """`unasked_bytes`: of the wire, since its port was opened."""
        told: list[Told] = []
        if exchange.forged and self._forged[address].hit(now):
            told.append((address, Trouble.FORGED, True, "wrong MAC or clear text"))
        unasked, self._unasked_bytes = unasked_bytes - self._unasked_bytes, unasked_bytes
        babble = unasked >= BABBLE_BYTES
        if self._babble.trial(babble):
            told.append((BUS, Trouble.BABBLE, self._babble.on, ""))
        if exchange.answered:
            self._good_from = (address, now)
        elif exchange.garbled > 1 and not babble and self._alone(address, now):
            told += self.doubled(address, "garbled replies", now)
        heard = exchange.reply is not None or exchange.garbled > 0
        if heard and self._noise.trial(exchange.garbled > 0):
            told.append((BUS, Trouble.NOISE, self._noise.on, ""))
        return told

    def _alone(self, address: int, now: float) -> bool:
        """Only this node's replies come broken: two at its address talk at once."""
        other, at = self._good_from
        return not self._noise.on and other != address and now - at < ALONE_S

    def tick(self, now: float) -> list[Told]:
        """What is over."""
        told: list[Told] = []
        for address in self._forged:
            if self._forged[address].tick(now):
                told.append((address, Trouble.FORGED, False, ""))
            if self._doubled[address].tick(now):
                told.append((address, Trouble.DUPLICATE, False, ""))
        return told
