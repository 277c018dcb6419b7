"""What one epoch owes, and which acknowledgements of it can be believed.

An acknowledgement is believed only where it names our own digest: a chained digest vouches for all
Records before it, so a collector that follows a clone or a restored card cannot clear ours.
"""

from __future__ import annotations

from enum import Enum
from heapq import heappop, heappush

from edge.journal.record_types import OwedKey


class Belief(Enum):
    """How a digest named for a seq compares with our own Record."""

    OURS = "ours"
    FOREIGN = "foreign"
    BEYOND = "beyond"
    """Newer than any Record of ours."""
    UNKNOWN = "unknown"
    """Ours by number, acknowledged so long ago that only the journal knows its digest."""


class EpochDebt:
    """The owed Records of one epoch. Every operation is O(log n), amortised."""

    def __init__(self) -> None:
        self.newest = 0
        self._owed: dict[int, OwedKey] = {}
        self._order: list[int] = []
        self._upto = 0
        self._head = ""
        self._beyond: dict[int, str] = {}
        self._beyond_order: list[int] = []

    def __len__(self) -> int:
        return len(self._owed)

    def owe(self, key: OwedKey) -> bool:
        """Add a Record. False: it was owed already."""
        self.newest = max(self.newest, key.seq)
        if key.seq in self._owed:
            return False
        self._owed[key.seq] = key
        heappush(self._order, key.seq)
        return True

    def owes(self, key: OwedKey) -> bool:
        """Whether this very Record is owed."""
        return self._owed.get(key.seq) == key

    def learn(self, seq: int, digest: str) -> None:
        """The journal's Record `seq` has this digest and is not owed."""
        self.newest = max(self.newest, seq)
        self._beyond[seq] = digest
        heappush(self._beyond_order, seq)

    def judge(self, seq: int, digest: str) -> Belief:
        """Compare. `seq` >= 1."""
        key = self._owed.get(seq)
        known = key.digest if key else self._beyond.get(seq)
        if known is None and seq == self._upto:
            known = self._head
        if known is not None:
            return Belief.OURS if known == digest else Belief.FOREIGN
        return Belief.BEYOND if seq > self.newest else Belief.UNKNOWN

    def clear_one(self, seq: int) -> OwedKey | None:
        """Take one Record off; its digest stays known."""
        key = self._owed.pop(seq, None)
        if key is not None:
            self.learn(seq, key.digest)
        return key

    def clear_upto(self, upto: int, head: str) -> list[OwedKey]:
        """Take off all Records up to `upto`, whose digest is `head`, in order."""
        cleared = self.drop_upto(upto)
        if upto > self._upto:
            self._upto, self._head = upto, head
        while self._beyond_order and self._beyond_order[0] <= self._upto:
            self._beyond.pop(heappop(self._beyond_order), None)
        return cleared

    def drop_upto(self, upto: int) -> list[OwedKey]:
        """Take off all Records up to `upto` without believing anything."""
        dropped: list[OwedKey] = []
        while self._order and self._order[0] <= upto:
            key = self._owed.pop(heappop(self._order), None)
            if key is not None:
                dropped.append(key)
        return dropped
