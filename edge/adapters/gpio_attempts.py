"""Tries what failed again with back-off, and samples, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FIRST_RETRY_S: Final = 0.5
LAST_RETRY_S: Final = 10.0


@dataclass(slots=True)
class _Wait:
    due_s: float
    wait_s: float


class Attempts:
    """`attempt(key)` says whether it worked; what did not is tried again after 0.5 s to 10 s.

    `sample` is called every `sample_ms` (0: never), on a fixed beat that does not drift.
    """

    def __init__(
        self, attempt: Callable[[str], bool], sample: Callable[[], None], sample_ms: int
    ) -> None:
        self._attempt = attempt
        self._sample = sample
        self._beat_s = sample_ms / 1000
        self._waits: dict[str, _Wait] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin in the background."""
        self._thread = threading.Thread(target=self._run, name="field", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, waiting for an attempt under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def now(self, key: str) -> None:
        """Try in the caller's thread, later again if that fails."""
        if not self._attempt(key):
            self.later(key)

    def later(self, key: str) -> None:
        """Try again after the first wait, unless it is waiting already."""
        with self._changed:
            if key not in self._waits:
                self._waits[key] = _Wait(time.monotonic() + FIRST_RETRY_S, FIRST_RETRY_S)
                self._changed.notify()

    def _run(self) -> None:
        beat_s = time.monotonic()
        while True:
            with self._changed:
                if self._stopping:
                    return
                now_s = time.monotonic()
                due = [key for key, wait in self._waits.items() if wait.due_s <= now_s]
                beat = self._beat_s > 0 and beat_s <= now_s
                if not due and not beat:
                    dues_s = [wait.due_s for wait in self._waits.values()]
                    if self._beat_s > 0:
                        dues_s.append(beat_s)
                    self._changed.wait(max(0.0, min(dues_s) - now_s) if dues_s else None)
                    continue
            if beat:
                self._sample()
                beat_s = max(beat_s + self._beat_s, now_s)
            for key in due:
                worked = self._attempt(key)
                with self._changed:
                    if worked:
                        self._waits.pop(key, None)
                    else:
                        wait_s = min(LAST_RETRY_S, self._waits[key].wait_s * 2)
                        self._waits[key] = _Wait(time.monotonic() + wait_s, wait_s)
