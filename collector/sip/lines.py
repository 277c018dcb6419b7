"""Which worker has which call, and where the next one goes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Address = tuple[str, int]
UNTOLD_S: Final = 5.0
"""A worker that does not tell of a call given to it for so long had no use for it."""
KEPT_S: Final = 40.0
"""A call's worker is remembered for so long after its end: 64 T1 (RFC 3261 17.1.1.2) and some."""
CALLS_KEPT: Final = 4_096


@dataclass(slots=True)
class Given:
    """A call given to `worker` in its `life`th life; `source`: where its INVITE came from."""

    worker: int
    life: int
    source: Address
    since_s: float
    told: bool = False
    over_s: float | None = None

    def holds(self, now_s: float) -> bool:
        """Whether it takes a line."""
        return self.over_s is None and (self.told or now_s - self.since_s < UNTOLD_S)


class Lines:
    """`each`: how many calls each worker takes. A worker without address is not there."""

    def __init__(self, each: list[int]) -> None:
        self.each = each
        self.addresses: list[Address | None] = [None] * len(each)
        self._lives = [0] * len(each)
        self._calls: dict[str, Given] = {}

    def up(self, worker: int, address: Address) -> None:
        """It listens there."""
        self.addresses[worker] = address

    def gone(self, worker: int, now_s: float) -> None:
        """It ended: its calls are over."""
        self.addresses[worker] = None
        self._lives[worker] += 1
        for call in self._calls.values():
            if call.worker == worker and call.over_s is None:
                call.over_s = now_s

    def told(self, worker: int, call_id: str, now_s: float, *, over: bool) -> None:
        """A worker took a call, or it is over."""
        call = self._calls.get(call_id)
        if call is None or call.worker != worker:
            return
        call.told = True
        if over and call.over_s is None:
            call.over_s = now_s

    def find(self, call_id: str) -> Given | None:
        """A call whose worker still lives."""
        call = self._calls.get(call_id)
        return call if call is not None and self._lives[call.worker] == call.life else None

    def give(self, call_id: str, source: Address, now_s: float) -> Given | None:
        """A line for a new call: of the worker with most of them free; among equals of the one
        whose last call ended first, for the library frees a place a moment after it told so.
        """
        held = [0] * len(self.each)
        last_s = [0.0] * len(self.each)
        for call in self._calls.values():
            held[call.worker] += call.holds(now_s)
            last_s[call.worker] = max(last_s[call.worker], call.over_s or 0.0)
        free = [
            (held[n] - lines, last_s[n], n)
            for n, lines in enumerate(self.each)
            if self.addresses[n] is not None and held[n] < lines
        ]
        if not free:
            return None
        worker = min(free)[2]
        if len(self._calls) >= CALLS_KEPT:
            self._forget_one(now_s)
        given = Given(worker, self._lives[worker], source, now_s)
        self._calls[call_id] = given
        return given

    def _forget_one(self, now_s: float) -> None:
        """The oldest call that takes no line."""
        oldest = next((one for one, call in self._calls.items() if not call.holds(now_s)), None)
        if oldest is not None:
            del self._calls[oldest]

    def busy(self, now_s: float) -> int:
        """Lines taken now."""
        return sum(call.holds(now_s) for call in self._calls.values())

    def tick(self, now_s: float) -> None:
        """Forget what is long over."""
        for name, call in list(self._calls.items()):
            since_s = call.since_s if call.over_s is None else call.over_s
            if not call.holds(now_s) and now_s - since_s > KEPT_S:
                del self._calls[name]
