"""The journal in a thread of its own, fed by load: what gathers in one commit goes into the next.

Events are told to nobody before their commit (rule 2). Acknowledgements gather a little and go
last: losing one costs a resend, a commit each costs the card.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from edge.adapters.journal_sqlite import JournalStore
from edge.clock.anchor import Stamp
from edge.config import PanelConfig
from edge.journal.record_types import Opened, OwedKey, Stamped, Stored
from protocols.instants import Instant
from protocols.panel_event import Code, PanelEvent, Qualifier

T = TypeVar("T")
Place = tuple[int, int]
RAW_KEPT: Final = 4096
"""Newest Records kept in memory, so that the hot path does not read back what it just wrote."""
ACK_LINGER_S: Final = 0.05


class JournalThread:
    """Owns the store. All methods are called in the event loop's thread."""

    def __init__(self, config: PanelConfig, data: Path, boot: str, paths: tuple[str, ...]) -> None:
        self._config = config
        self._data = data
        self._boot = boot
        self._paths = paths
        self._loop = asyncio.get_running_loop()
        self._disk = ThreadPoolExecutor(1, "journal")
        self._pending: list[Stamped] = []
        self._committing = 0
        self._acked: dict[str, list[OwedKey]] = {}
        self._firm: set[str] = set()
        self._raw: OrderedDict[Place, bytes] = OrderedDict()
        self._dirty = False
        self._work = asyncio.Event()
        self.trouble = ""
        """What is wrong with the disk now."""

    async def open(self) -> Opened:
        """Take the directory over, whatever state it is in."""
        config = self._config
        self.store = await self.on_disk(
            lambda: JournalStore.open(
                config.journal, self._data, config.id, self._boot, self._paths
            )
        )
        return self.store.opened

    def begin(
        self,
        stamp: Callable[[], tuple[Instant, Stamp]],
        snapshot: Callable[[], bytes],
        stored: Callable[[Sequence[tuple[Stored, PanelEvent]]], None],
    ) -> None:
        """Before the first Record: the clock, the panel's state, and who is told of commits."""
        self._stamp, self._snapshot, self._stored = stamp, snapshot, stored

    def untold(self) -> int:
        """How many Records no path was told of yet; some of them may be on disk already."""
        return len(self._pending) + self._committing

    def on_disk(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Do this in the journal's thread, after what was asked before."""
        return self._loop.run_in_executor(self._disk, work)

    def record(self, event: PanelEvent) -> None:
        """Keep this; it bears the time of now."""
        mono, stamp = self._stamp()
        self._pending.append(Stamped(event, mono, stamp.utc, stamp.err_us))
        self.touch()

    def touch(self) -> None:
        """The panel's state changed: store it, with what there is to record."""
        self._dirty = True
        self._work.set()

    def acknowledge(self, path: str, keys: Sequence[OwedKey], *, firmly: bool = False) -> None:
        """No longer owed on `path`. `firmly`: to the disk at once; else it may be forgotten by a
        kill, which costs a resend.
        """
        self._acked.setdefault(path, []).extend(keys)
        if firmly:
            self._firm.add(path)
            self._work.set()
            return
        self._loop.call_later(ACK_LINGER_S, self._work.set)

    async def keep(self) -> None:
        """Serve for ever."""
        while True:
            await self._work.wait()
            self._work.clear()
            await self.flush()

    async def flush(self) -> None:
        """Commit what gathered, then tell of it; acknowledgements go last."""
        while self._pending or self._dirty:
            batch, self._pending = self._pending, []
            self._committing = len(batch)
            self._dirty = False
            snapshot = self._snapshot()
            try:
                made = await self.on_disk(partial(self.store.append, batch, snapshot))
            except BaseException:
                self._pending[:0] = batch  # a bug of ours or our end: what happened stays owed
                self._committing = 0
                raise
            for item in made:
                self._raw[item.key.epoch, item.key.seq] = item.raw
            while len(self._raw) > RAW_KEPT:
                self._raw.popitem(last=False)
            if made:
                events = [each.event for each in batch]
                self._stored(list(zip(made, events, strict=True)))
            self._committing = 0
            for event in self.store.faults():
                if event.code == Code.JOURNAL_FAULT:
                    self.trouble = event.detail if event.q is Qualifier.NEW else ""
                self.record(event)
        acked, self._acked = self._acked, {}
        firm, self._firm = self._firm, set()
        for path, keys in acked.items():
            take = self.store.settle if path in firm else self.store.acknowledge
            await self.on_disk(partial(take, path, keys))

    async def stored(self) -> None:
        """Returns when all that was recorded so far is on disk; a sick disk's, in memory."""
        await self.flush()
        await self.on_disk(lambda: None)  # one thread: a commit that was under way is over too

    def kept_raw(self, key: OwedKey) -> bytes | None:
        """A Record's bytes, if they are still in memory."""
        return self._raw.get((key.epoch, key.seq))

    async def raws(self, keys: Sequence[OwedKey]) -> dict[Place, bytes]:
        """The bytes of these Records, as far as they are still here."""
        found = {(key.epoch, key.seq): self.kept_raw(key) for key in keys}
        missing = [key for key in keys if found[key.epoch, key.seq] is None]
        if missing:
            read = await self.on_disk(partial(self.store.read, missing))
            found.update(
                ((key.epoch, key.seq), raw) for key, raw in zip(missing, read, strict=True)
            )
        return {place: raw for place, raw in found.items() if raw is not None}

    async def close(self) -> None:
        """Everything is on disk afterwards."""
        await self.on_disk(self.store.close)
        self._disk.shutdown()
