"""WAL checkpoints on a connection of their own, so that no commit ever waits for one (C4)."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Final

LOOK_EVERY_S: Final = 0.5
PASSIVE_BYTES: Final = 8 * 1024 * 1024
TRUNCATE_BYTES: Final = 256 * 1024 * 1024
"""A WAL this long means readers kept PASSIVE from starting over: TRUNCATE waits for them."""


class Checkpointer:
    """Moves the WAL of the database at `path` into it while it grows; a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-checkpoint", daemon=True)

    @property
    def wal_bytes(self) -> int:
        """Length of the WAL."""
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0

    def start(self) -> None:
        """Begin looking."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what runs."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        moved = 0
        while not self._stop.wait(LOOK_EVERY_S):
            size = self.wal_bytes
            if size < PASSIVE_BYTES or size == moved:
                continue
            mode = "TRUNCATE" if size >= TRUNCATE_BYTES else "PASSIVE"
            # A full disk or a busy reader: the next look tries again, commits go on in the WAL.
            with (
                contextlib.suppress(sqlite3.Error),
                contextlib.closing(sqlite3.connect(self._path, timeout=1)) as connection,
            ):
                connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
                moved = size
