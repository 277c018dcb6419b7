"""Which owed Record goes next: by priority, but never before an older one of its own zone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from edge.journal.record_types import OwedKey
from protocols.panel_event import Priority


class SendOrder:
    """Records waiting to be sent. Entries that stopped waiting are skipped when they come up.

    A Record lifts all older ones of its zone to its own priority (users.md B1, E3). Zone 0 is no
    zone: such Records are independent of each other. `ahead_most`: behind more than so many older
    ones it goes first all the same, where each costs seconds; None: never.
    """

    def __init__(self, waiting: Callable[[OwedKey], bool], ahead_most: int | None = None) -> None:
        self._waiting = waiting
        self._ahead_most = ahead_most
        self._by_priority: list[list[OwedKey]] = [[] for _ in Priority]
        self._by_zone: dict[int, list[OwedKey]] = {}

    def add(self, key: OwedKey) -> None:
        """Queue a Record. The same Record twice does no harm."""
        heappush(self._by_priority[_rank(key.priority)], key)
        if key.zone:
            heappush(self._by_zone.setdefault(key.zone, []), key)

    def first(self) -> tuple[int, OwedKey] | None:
        """The next Record and the priority it goes with; it stays until it is no longer waiting."""
        for rank, heap in enumerate(self._by_priority):
            key = self._top(heap)
            if key is None:
                continue
            if not key.zone:
                return rank, key
            oldest = self._top(self._by_zone[key.zone])
            return rank, key if oldest is None or self._held_up(key) else oldest
        return None

    def _held_up(self, key: OwedKey) -> bool:
        """Whether too many older ones of its zone would go before it."""
        if self._ahead_most is None:
            return False
        older = (one for one in self._by_zone[key.zone] if one < key and self._waiting(one))
        return next(itertools.islice(older, self._ahead_most, None), None) is not None

    def __iter__(self) -> Iterator[OwedKey]:
        """All entries, stale ones too, in no order."""
        for heap in self._by_priority:
            yield from heap

    def _top(self, heap: list[OwedKey]) -> OwedKey | None:
        while heap and not self._waiting(heap[0]):
            heappop(heap)
        return heap[0] if heap else None


def _rank(priority: int) -> int:
    return min(max(priority, 0), len(Priority) - 1)
