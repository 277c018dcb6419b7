"""The files of a journal directory other than the SQLite databases themselves.

`journal-<n>.db` (+ -wal, -shm): the newest generation is the journal; damaged ones are set aside as
`journal-<n>.db.damaged-<time>`. `journal.head`, `state.bak`: see edge/journal/recovery.py.
`journal.reserve`: room given up when the disk is full. `journal.lock`: one writer at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from pathlib import Path
from typing import Final

from edge.journal.recovery import HEAD_BYTES, HeadNote, KeptState

SUFFIXES: Final = ("", "-wal", "-shm")
SET_ASIDE_KEPT: Final = 5
_GENERATION: Final = re.compile(r"journal-(\d{4,9})\.db")
_MAX_STATE_BYTES: Final = 16 << 20


def database_name(generation: int) -> str:
    """File name of one generation."""
    return f"journal-{generation:04}.db"


def newest_generation(directory: Path) -> int:
    """Number of the newest database in `directory`, 0 when there is none."""
    numbers = [0]
    with contextlib.suppress(OSError):
        for each in directory.iterdir():
            match = _GENERATION.fullmatch(each.name)
            if match and each.is_file():
                numbers.append(int(match[1]))
    return max(numbers)


def sync_directory(directory: Path) -> None:
    """Make created and renamed names durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class JournalFiles:
    """Side files and names. Methods raise OSError unless they say otherwise.

    Without the lock nothing is written: the files are another process's.
    """

    def __init__(self, directory: Path, panel: str) -> None:
        self.directory = directory
        self.panel = panel
        self._head: int | None = None
        self._lock: int | None = None

    # One writer

    def lock(self) -> bool:
        """Become the only writer; False while another process is."""
        if self._lock is not None:
            return True
        descriptor = os.open(self.directory / "journal.lock", os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            raise
        self._lock = descriptor
        return True

    def close(self) -> None:
        """Let go of the lock and the head file."""
        for descriptor in (self._head, self._lock):
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._head = self._lock = None

    # Databases

    def database(self, generation: int) -> Path:
        """Path of one generation."""
        return self.directory / database_name(generation)

    def set_aside(self, generation: int) -> str:
        """Rename generation and all older ones out of the way; the new name, for the report."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        named = ""
        for number in range(generation, 0, -1):
            path = self.database(number)
            for suffix in SUFFIXES:
                source = path.with_name(path.name + suffix)
                if not source.exists():
                    continue
                target = f"{path.name}.damaged-{stamp}"
                source.rename(source.with_name(target + suffix))
                named = named or target
            if number < generation - SET_ASIDE_KEPT:
                break
        self._forget_oldest()
        return named

    def _forget_oldest(self) -> None:
        aside = sorted(
            (each for each in self.directory.glob("journal-*.db.damaged-*Z")),
            key=lambda each: each.name,
        )
        for path in aside[:-SET_ASIDE_KEPT]:
            for suffix in SUFFIXES:
                path.with_name(path.name + suffix).unlink(missing_ok=True)

    def attempt(self, generation: int) -> Path | None:
        """A file to build `generation` in; None after two attempts that died half-way."""
        for number in (1, 2):
            path = self.directory / f"{database_name(generation)}.try{number}"
            if not path.exists():
                path.touch(mode=0o640)
                sync_directory(self.directory)
                return path
        return None

    def clear_attempts(self) -> None:
        """Remove half-built databases."""
        for path in self.directory.glob("journal-*.db.try*"):
            path.unlink(missing_ok=True)

    # journal.head

    def read_head(self) -> tuple[HeadNote | None, bool]:
        """(note, existed): existed and no note means it is garbled. Never raises."""
        try:
            block = (self.directory / "journal.head").read_bytes()
        except FileNotFoundError:
            return None, False
        except OSError:
            return None, True
        note = HeadNote.decode(block[:HEAD_BYTES])
        if note is not None and note.panel != self.panel:
            return None, False
        return note, True

    def write_head(self, note: HeadNote) -> bool:
        """Overwrite in place, not synced. Never raises; False when it could not."""
        if self._lock is None:
            return False
        try:
            if self._head is None:
                self._head = os.open(self.directory / "journal.head", os.O_RDWR | os.O_CREAT, 0o640)
            return os.pwrite(self._head, note.encode(), 0) == HEAD_BYTES
        except OSError:
            return False

    # state.bak

    def read_state(self) -> tuple[KeptState | None, bool]:
        """(state, existed). Never raises."""
        try:
            with (self.directory / "state.bak").open("rb") as file:
                block = file.read(_MAX_STATE_BYTES)
        except FileNotFoundError:
            return None, False
        except OSError:
            return None, True
        return KeptState.decode(block, self.panel), True

    def write_state(self, state: KeptState) -> bool:
        """Replace durably, or remove the old copy so that it cannot mislead. Never raises."""
        if self._lock is None:
            return False
        path = self.directory / "state.bak"
        fresh = self.directory / "state.bak.new"
        try:
            with fresh.open("wb") as file:
                file.write(state.encode(self.panel))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            sync_directory(self.directory)
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            return False
        return True

    def drop_state(self) -> None:
        """Remove a copy that is not to be believed. Never raises."""
        with contextlib.suppress(OSError):
            (self.directory / "state.bak").unlink(missing_ok=True)

    # journal.reserve

    def keep_reserve(self, size_bytes: int) -> bool:
        """Hold `size_bytes` of the disk. Never raises; False when there is no room."""
        path = self.directory / "journal.reserve"
        try:
            if path.exists() and path.stat().st_size >= size_bytes:
                return True
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
            try:
                os.posix_fallocate(descriptor, 0, size_bytes)
            finally:
                os.close(descriptor)
        except OSError:
            self.free_reserve()
            return False
        return True

    def free_reserve(self) -> bool:
        """Give the room up; whether there was any. Never raises."""
        if self._lock is None:
            return False
        try:
            (self.directory / "journal.reserve").unlink()
        except OSError:
            return False
        return True

    def holds_reserve(self) -> bool:
        """Whether the room is held now."""
        return (self.directory / "journal.reserve").exists()

    def share_of_room(self) -> float:
        """The journal's size against itself and the room left for it."""
        used = sum(each.stat().st_size for each in self.directory.glob("journal-*.db*"))
        status = os.statvfs(self.directory)
        return used / max(1, used + status.f_bavail * status.f_frsize)
