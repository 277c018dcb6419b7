"""What is owed by phone: waiting for MQTT's answer, or due, most urgent first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from edge.journal.record_types import OwedKey
from edge.reporting.phone.dialler_types import Reportable
from edge.reporting.send_order import SendOrder
from protocols.instants import Instant

Name = tuple[int, int]
AHEAD_MOST: Final = 8
"""Older reports of an alarm's own zone that it waits for: 3.5 s each. A detector that fluttered for
hours must not keep its hold-up for an hour.
"""


@dataclass(slots=True)
class _Waiting:
    item: Reportable
    due: bool
    stays: bool


class OwedQueue:
    """Items by (epoch, seq). `SendOrder` decides who is first among those that are due."""

    def __init__(self) -> None:
        self._items: dict[Name, _Waiting] = {}
        self._order = SendOrder(self._is_due, AHEAD_MOST)
        self._timers: list[tuple[Instant, Name]] = []

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: OwedKey) -> bool:
        return _name(key) in self._items

    def _is_due(self, key: OwedKey) -> bool:
        held = self._items.get(_name(key))
        return held is not None and held.due and held.item.key == key

    def add(self, item: Reportable, due_at: Instant, *, stays: bool) -> None:
        """Due from then on. `stays`: an acknowledgement by MQTT does not settle it."""
        name = _name(item.key)
        if name not in self._items:
            self._items[name] = _Waiting(item, due=False, stays=stays)
            heappush(self._timers, (due_at, name))

    def mature(self, now: Instant, *, all_at_once: bool) -> list[OwedKey]:
        """Make due whose time has come (or everything); returns them."""
        fresh: list[OwedKey] = []
        while self._timers and (all_at_once or self._timers[0][0] <= now):
            held = self._items.get(heappop(self._timers)[1])
            if held is not None and not held.due:
                held.due = True
                self._order.add(held.item.key)
                fresh.append(held.item.key)
        return fresh

    def deadline(self) -> Instant | None:
        """When `mature` has something to do."""
        while self._timers and self._timers[0][1] not in self._items:
            heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def first(self) -> tuple[int, Reportable] | None:
        """The most urgent and the priority it goes with; it stays."""
        found = self._order.first()
        return None if found is None else (found[0], self._items[_name(found[1])].item)

    def settle(self, key: OwedKey) -> bool:
        """It is not owed any more; whether it was."""
        return self._items.pop(_name(key), None) is not None

    def settle_elsewhere(self, keys: Iterable[OwedKey]) -> list[OwedKey]:
        """MQTT has these: returns those that are settled here by that."""
        gone: list[OwedKey] = []
        for key in keys:
            held = self._items.get(_name(key))
            if held is not None and not held.stays and self.settle(key):
                gone.append(key)
        return gone

    def forget(self, epoch: int, upto: int) -> None:
        """All of `epoch` up to `upto` lives on under other numbers."""
        for name in [name for name in self._items if name[0] == epoch and name[1] <= upto]:
            del self._items[name]


def _name(key: OwedKey) -> Name:
    return key.epoch, key.seq
