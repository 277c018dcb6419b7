"""One unbroken numbering of a panel: what is held, what is missing, what is proven.

`upto` moves only over Records whose `prev` is the digest of the Record before, so the head's
digest vouches for all of them. What came beyond a hole is kept as islands.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

import msgspec

from protocols.mqtt.payloads import genesis

MAX_LOST: Final = 256


class Island(msgspec.Struct, array_like=True):
    """Seqs `first`..`last`, chained; `prev` is the digest before, `digest` the one at the end."""

    first: int
    last: int
    prev: str
    digest: str


def _first(island: Island) -> int:
    return island.first


class LostRange(msgspec.Struct, frozen=True, array_like=True):
    """Seqs told as missing. `final`: the panel cannot send them any more."""

    first: int
    last: int
    final: bool = False


class RunState(msgspec.Struct):
    """What is stored of a run. `base`: seqs up to it were never here and are not owed (rotated)."""

    panel: str
    epoch: int
    upto: int = 0
    head: str = ""
    base: int = 0
    greeted: bool = False
    """A heartbeat of this epoch was seen, so `base` is settled."""
    islands: list[Island] = []
    lost: list[LostRange] = []
    flagged: int = 0
    """The seq at which a heartbeat last contradicted what is held: told once."""


class Run:
    """The intervals of one (panel, epoch). Pure; `state` is the whole of it."""

    __slots__ = ("state",)

    def __init__(self, state: RunState) -> None:
        self.state = state
        if state.upto == 0 and not state.head:
            state.head = genesis(state.panel, state.epoch)

    @property
    def newest(self) -> int:
        """Highest seq held, or `base`."""
        return self.state.islands[-1].last if self.state.islands else self.state.upto

    def covers(self, seq: int) -> bool:
        """True when a Record of `seq` may be stored already (False: certainly not)."""
        if seq <= self.state.upto:
            return True
        islands = self.state.islands
        if not islands or seq > islands[-1].last:
            return False
        at = bisect_right(islands, seq, key=_first)
        return at > 0 and seq <= islands[at - 1].last

    def digest_at(self, seq: int) -> str | None:
        """The digest at `seq` where it is known without looking it up."""
        if seq == self.state.upto and seq > self.state.base:
            return self.state.head
        return next((i.digest for i in self.state.islands if i.last == seq), None)

    def add(self, seq: int, prev: str, digest: str) -> bool:
        """Hold `seq`, which is not covered. False: a neighbour's digest contradicts the chain."""
        state = self.state
        if seq == state.upto + 1 and prev == (state.head or prev):
            state.upto, state.head = seq, digest
            return self._absorb() if state.islands else True
        return self._add_beyond(seq, prev, digest)

    def holes(self) -> Iterator[tuple[int, int]]:
        """Missing seqs between those held, as (first, last)."""
        end = self.state.upto
        for island in self.state.islands:
            if island.first > end + 1:
                yield end + 1, island.first - 1
            end = island.last

    def start_at(self, floor: int) -> None:
        """First contact: the panel has nothing older than `floor`, and none of it is owed."""
        state = self.state
        if state.upto == 0 and floor > 1 and not any(i.first < floor for i in state.islands):
            state.base = state.upto = floor - 1
            state.head = ""
            self._absorb()

    def lose(self, first: int, last: int, *, final: bool) -> bool:
        """Note `first`..`last` as told missing. False when it was noted already."""
        for at, known in enumerate(self.state.lost):
            if known.first <= first and last <= known.last:
                if final and not known.final:
                    self.state.lost[at] = LostRange(known.first, known.last, final=True)
                return False
        self.state.lost.append(LostRange(first, last, final))
        del self.state.lost[:-MAX_LOST]
        return True

    def lost_at(self, seq: int) -> LostRange | None:
        """The told gap `seq` lies in."""
        return next((x for x in self.state.lost if x.first <= seq <= x.last), None)

    def found(self, seq: int) -> LostRange | None:
        """The told gap that is whole again now that `seq` is here; it is then forgotten."""
        known = self.lost_at(seq)
        if known is None or known.last > self.newest:
            return None
        if any(f <= known.last and known.first <= e for f, e in self.holes()):
            return None
        self.state.lost.remove(known)
        return known

    def _absorb(self) -> bool:
        """Take islands the head has reached."""
        state = self.state
        while state.islands and state.islands[0].first == state.upto + 1:
            if state.head and state.islands[0].prev != state.head:
                return False
            island = state.islands.pop(0)
            state.upto, state.head = island.last, island.digest
        return True

    def _add_beyond(self, seq: int, prev: str, digest: str) -> bool:
        islands = self.state.islands
        at = bisect_right(islands, seq, key=_first)
        chained = seq != self.state.upto + 1  # add() has seen that it does not follow the head
        left = islands[at - 1] if at else None
        if left is not None and left.last == seq - 1:
            if left.digest == prev:
                left.last, left.digest = seq, digest
            else:
                chained, left = False, None
        else:
            left = None
        if left is None:
            left = Island(seq, seq, prev, digest)
            islands.insert(at, left)
            at += 1
        right = islands[at] if at < len(islands) else None
        if right is not None and right.first == left.last + 1:
            if right.prev == left.digest:
                left.last, left.digest = right.last, right.digest
                del islands[at]
            else:
                chained = False
        return chained
