"""Moves committed pages from the log into the database beside the writer, never in its way (C4)."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Final

COMMITS: Final = 250
"""About 4 MB of log on a panel's usual commits."""
SHORT_COMMITS: Final = 8


class Checkpointer:
    """One daemon thread with its own connection, asleep until enough was committed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._commits = 0
        self._every = COMMITS
        self._wake = threading.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="journal-checkpoint", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """Count one commit."""
        self._commits += 1
        if self._commits >= self._every:
            self.run_soon()

    def keep_short(self) -> None:
        """From now on keep the log short: the disk is full."""
        self._every = SHORT_COMMITS

    def run_soon(self) -> None:
        """Checkpoint as soon as the thread gets to it, if anything was committed."""
        if self._commits:
            self._commits = 0
            self._wake.set()

    def close(self) -> None:
        """Stop and wait."""
        self._stop = True
        self._wake.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=0.25)
            with contextlib.closing(connection):
                while True:
                    self._wake.wait()
                    self._wake.clear()
                    if self._stop:
                        return
                    # What fails here fails the next commit too, which knows what to do about it.
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
