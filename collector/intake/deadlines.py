"""Many deadlines, the earliest first: a heap whose stale entries are dropped when they surface."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=tuple[str | int, ...] | str)


class Deadlines(Generic[K]):
    """One deadline a key; equal ones come out in key order."""

    def __init__(self) -> None:
        self._due: dict[K, int] = {}
        self._heap: list[tuple[int, K]] = []

    def set(self, key: K, at: int | None) -> None:
        """The key's deadline from now on; None: it has none."""
        if at is None:
            self._due.pop(key, None)
        elif self._due.get(key) != at:
            self._due[key] = at
            heapq.heappush(self._heap, (at, key))
            if len(self._heap) > 64 + 4 * len(self._due):
                self._heap = [(due, name) for name, due in self._due.items()]
                heapq.heapify(self._heap)

    def first(self) -> int | None:
        """The earliest deadline."""
        while self._heap:
            at, key = self._heap[0]
            if self._due.get(key) == at:
                return at
            heapq.heappop(self._heap)
        return None

    def due(self, now: int) -> Iterator[tuple[int, K]]:
        """Take out what is due by `now`, earliest first; keys set meanwhile are seen too."""
        while (at := self.first()) is not None and at <= now:
            _, key = heapq.heappop(self._heap)
            del self._due[key]
            yield at, key
