"""What was sent since the last mark that was kissed off (D12, `protocols/phone_batch.py`)."""

from __future__ import annotations

from typing import Final

from edge.journal.record_types import OwedKey
from protocols.panel_event import PanelEvent
from protocols.phone_batch import MAX_SENT, Batch, Sent, batch_of

KEPT: Final = 1024
"""Beyond, the oldest go: the centre joins those by time and place instead."""
MAX_TRIES: Final = 999


class Unmarked:
    """In the order of first sending."""

    def __init__(self, sent: tuple[Sent, ...] = ()) -> None:
        self._sent: dict[tuple[int, int], Sent] = {(one.epoch, one.seq): one for one in sent}

    def __len__(self) -> int:
        return len(self._sent)

    def __contains__(self, name: object) -> bool:
        return name in self._sent

    def all(self) -> tuple[Sent, ...]:
        """Everything no kissed mark has covered."""
        return tuple(self._sent.values())

    def sent(self, key: OwedKey) -> None:
        """Its block begins to go out, once more. Told before it does: a panel killed in its last
        digit must not forget what the receiver may hold.
        """
        before = self._sent.get((key.epoch, key.seq))
        tries = 1 if before is None else min(before.tries + 1, MAX_TRIES)
        self._sent[key.epoch, key.seq] = Sent(key.epoch, key.seq, False, tries)
        while len(self._sent) > KEPT:
            del self._sent[next(iter(self._sent))]

    def kissed(self, key: OwedKey) -> None:
        """And was kissed off."""
        before = self._sent.get((key.epoch, key.seq))
        tries = 1 if before is None else before.tries
        self._sent[key.epoch, key.seq] = Sent(key.epoch, key.seq, True, tries)

    def batch(self) -> Batch:
        """The oldest, as many as a batch holds."""
        return Batch(self.all()[:MAX_SENT])

    def marked(self, event: PanelEvent) -> None:
        """The mark of this PHONE_BATCH was kissed off: it covers what it lists, as that stood."""
        batch = batch_of(event)
        for one in batch.sent if batch is not None else ():
            name = (one.epoch, one.seq)
            now = self._sent.get(name)
            if now == one:
                del self._sent[name]
            elif now is not None:
                self._sent[name] = Sent(*name, now.kissed, max(1, now.tries - one.tries))
