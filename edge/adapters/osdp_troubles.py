"""Faults told by their rate, with hysteresis. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

from edge.adapters.osdp_wire import Exchange
from edge.bus.bus_types import Trouble

BUS: Final = -1
"""Address of the bus as a whole."""
ALONE_S: Final = 1.0
BABBLE_BYTES: Final = 4
"""Unasked between two turns: more than a spike."""
Told = tuple[int, Trouble, bool, str]
"""(address, trouble, on, detail)."""

CLEAR_S: Final = 60.0


class Rate:
    """On at `count` hits within `window_s`, off after CLEAR_S without as many."""

    def __init__(self, count: int, window_s: float) -> None:
        self._count = count
        self._window_s = window_s
        self._hits: deque[float] = deque(maxlen=count)
        self._full_at = 0.0
        self.on = False

    def hit(self, now: float) -> bool:
        """True: on now, and was not before."""
        self._hits.append(now)
        if len(self._hits) < self._count or now - self._hits[0] > self._window_s:
            return False
        self._full_at = now
        was, self.on = self.on, True
        return not was

    def tick(self, now: float) -> bool:
        """True: off now, and was on before."""
        if not self.on or now - self._full_at < CLEAR_S:
            return False
        self.on = False
        return True


class Share:
    """On while more than `on_share` of the last `window` trials were bad, off below half of it."""

    def __init__(self, on_share: float, window: int) -> None:
        self._on_share = on_share
        self._trials: deque[bool] = deque(maxlen=window)
        self._bad = 0
        self.on = False

    def trial(self, bad: bool) -> bool:
        """True: `on` changed."""
        if len(self._trials) == self._trials.maxlen:
            self._bad -= self._trials[0]
        self._trials.append(bad)
        self._bad += bad
        if len(self._trials) < (self._trials.maxlen or 0):
            return False
        share = self._bad / len(self._trials)
        if not self.on and share >= self._on_share:
            self.on = True
            return True
        if self.on and share < self._on_share / 2:
            self.on = False
            return True
        return False


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
