"""A Receiver in the test's own event loop, its spool refusing commits when told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from collector.adapters.calls_sqlite import read_calls
from collector.adapters.receiver_file import load
from collector.adapters.receiver_status import LineStatus
from collector.adapters.reception_call import CallRecord
from collector.adapters.spool_reading import peek_entries
from collector.receiver_app import Ready, Receiver
from protocols.mqtt.reception import LineState, Report, Taken


class ReceiverHere:
    """`problems`: what it told people."""

    def __init__(self, folder: Path, config: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        path = folder / "receiver.toml"
        path.write_text(config)
        self.problems: list[str] = []
        self.receiver = Receiver(load(path), self.data, folder, self.problems.append)
        self.ready: Ready | None = None

    def refuse(self, refuse: bool) -> None:
        """SQLite itself refuses to write, as on a disk that has gone read-only."""
        self.receiver._spool._writer.execute(f"pragma query_only={int(refuse)}")

    @property
    def refused(self) -> int:
        return self.receiver._writer.failures

    def entries(self) -> list[Taken]:
        return peek_entries(self.data, 0, 10_000)

    def reports(self, line: str) -> list[Report]:
        return [
            each.what
            for each in self.entries()
            if each.line == line and isinstance(each.what, Report)
        ]

    def states(self, line: str) -> list[tuple[bool, str]]:
        return [
            (each.what.up, each.what.cause)
            for each in self.entries()
            if each.line == line and isinstance(each.what, LineState)
        ]

    def calls(self, line: str) -> list[CallRecord]:
        return [each for each in read_calls(self.data, 1000) if each.line == line]

    def line(self, name: str) -> LineStatus:
        return next(each for each in self.receiver._status().lines if each.name == name)


@asynccontextmanager
async def receiver_here(folder: Path, config: str) -> AsyncIterator[ReceiverHere]:
    """Runs while the block does."""
    here = ReceiverHere(folder, config)
    over, ready = asyncio.Event(), asyncio.Event()

    def told(line: Ready) -> None:
        here.ready = line
        ready.set()

    task = asyncio.create_task(here.receiver.run(over, told))
    waits = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waits}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    waits.cancel()
    try:
        if task.done():
            await task
        assert here.ready is not None
        yield here
    finally:
        over.set()
        await task


async def comes(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait for a condition without holding up the loop."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        await asyncio.sleep(0.01)
