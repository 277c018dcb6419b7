"""The thread that commits to the spool: what gathers during one commit goes into the next."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from collector.adapters.spool_frames import Frame
from collector.adapters.spool_reading import SpoolError
from collector.adapters.spool_sqlite import Spool, What
from protocols.instants import UtcTime

MOST_AT_ONCE: Final = 512
MOST_WAITING: Final = 20_000
"""More than the lines of a centre can bring while one commit lasts; beyond it nothing is taken."""

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Job:
    items: tuple[tuple[UtcTime, str, What], ...]
    done: Told
    frame: Frame | None


class SpoolWriter:
    """Group commit by load. `on_commit` is called after each commit, in the writer's thread."""

    def __init__(self, spool: Spool, on_commit: Callable[[], None]) -> None:
        self._spool = spool
        self._on_commit = on_commit
        self._jobs: deque[_Job] = deque()
        self._filled = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)
        self.fault = ""
        """Why the last commit failed; empty: all is well."""
        self.commits = 0
        self.failures = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def store(
        self,
        items: Sequence[tuple[UtcTime, str, What]],
        done: Told,
        *,
        frame: Frame | None = None,
    ) -> None:
        """Keep these in one commit, with the `frame` of a hardware receiver that they came in, then
        call `done("")` in the writer's thread; else `done(why)`.

        Returns at once. When too much waits, `done` is called at once with the reason.
        """
        with self._filled:
            if not self._closing and len(self._jobs) < MOST_WAITING:
                self._jobs.append(_Job(tuple(items), done, frame))
                self._filled.notify()
                return
        done("the spool is closing" if self._closing else "too much waits for the spool")

    def close(self) -> None:
        """Commit what waits and end."""
        with self._filled:
            self._closing = True
            self._filled.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._filled:
                while not self._jobs and not self._closing:
                    self._filled.wait()
                if not self._jobs:
                    return
                jobs = [self._jobs.popleft() for _ in range(min(len(self._jobs), MOST_AT_ONCE))]
            self._commit(jobs)

    def _commit(self, jobs: Sequence[_Job]) -> None:
        why = ""
        try:
            frames = [(job.items[0][0], job.frame) for job in jobs if job.frame is not None]
            self._spool.append([item for job in jobs for item in job.items], frames)
            self.commits += 1
        except SpoolError as error:
            why = str(error)
            self.failures += 1
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the only writer
            why = f"fault in the spool's writer: {error!r}"
            self.failures += 1
        self.fault = why
        for job in jobs:
            job.done(why)
        if not why:
            self._on_commit()
