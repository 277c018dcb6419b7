"""Records of an epoch that lives in memory while the disk refuses them (DESIGN rule 2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from edge.journal.chain import ChainHead, link, start_of
from edge.journal.record_types import Loss, OwedKey, Stamped, Stored

MAX_VOLATILE: Final = 10_000
"""About 6 MB; beyond it the least urgent go first, acknowledged ones before all others."""


class VolatileEpoch:
    """One epoch whose Records all have `recorded` False."""

    def __init__(
        self,
        panel: str,
        boot: str,
        epoch: int,
        *,
        paths: Iterable[str],
        limit: int = MAX_VOLATILE,
    ) -> None:
        self.panel = panel
        self.boot = boot
        self.head: ChainHead = start_of(panel, epoch)
        self.snapshot: bytes | None = None
        self.acknowledged: dict[str, set[int]] = {path: set() for path in paths}
        self._limit = limit
        self._kept: dict[int, Stored] = {}

    def append(self, events: Sequence[Stamped], snapshot: bytes | None) -> list[Stored]:
        """As the journal's, in memory only."""
        made: list[Stored] = []
        for event in events:
            self.head, stored = link(self.panel, self.boot, self.head, event, recorded=False)
            self._kept[stored.key.seq] = stored
            made.append(stored)
        if snapshot is not None:
            self.snapshot = snapshot
        while len(self._kept) > self._limit:
            self._drop_one()
        return made

    def _drop_one(self) -> None:
        done = set[int].intersection(*self.acknowledged.values())
        victim = min(
            self._kept.values(),
            key=lambda each: (each.key.seq not in done, -each.key.priority, each.key.seq),
        )
        del self._kept[victim.key.seq]

    def kept(self) -> list[Stored]:
        """What is still here, in order."""
        return list(self._kept.values())

    def dropped(self) -> list[Loss]:
        """Runs of sequence numbers given up for want of memory."""
        gone: list[Loss] = []
        expected = 1
        for seq in [*self._kept, self.head.seq + 1]:
            if seq > expected:
                gone.append(Loss(self.head.epoch, expected, seq - 1))
            expected = seq + 1
        return gone

    def raw(self, seq: int) -> bytes | None:
        """The bytes of one Record."""
        stored = self._kept.get(seq)
        return None if stored is None else stored.raw

    def keys(self, first: int, last: int) -> list[OwedKey]:
        """Records first..last that are still here."""
        return [each.key for seq, each in self._kept.items() if first <= seq <= last]

    def owed(self, path: str) -> list[OwedKey]:
        """Not acknowledged on `path`."""
        done = self.acknowledged.get(path, set())
        return [each.key for seq, each in self._kept.items() if seq not in done]

    def acknowledge(self, path: str, seqs: Iterable[int]) -> None:
        """Acknowledged on `path`."""
        self.acknowledged.setdefault(path, set()).update(seqs)

    def ask_again(self, path: str, seqs: Iterable[int]) -> None:
        """Owed on `path` once more."""
        self.acknowledged.setdefault(path, set()).difference_update(seqs)
