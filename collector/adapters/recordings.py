"""Audio of calls that nothing could be made of: WAV files, bounded in number and size (D10)."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
import wave
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from collector import CollectorError
from collector.adapters.spool_sqlite import RESERVE_BYTES
from protocols.tones.elements import RATE_HZ

FOLDER: Final = "recordings"
KEEP_FILES: Final = 500
KEEP_BYTES: Final = 500 * 1024 * 1024
KEEP_FREE_BYTES: Final = 3 * RESERVE_BYTES
"""Enough for the spool to take its own reserve back."""


class RecordingError(CollectorError):
    """A recording cannot be read or kept."""


class Recordings:
    """The folder `recordings` under `folder`; the oldest give way to the newest, and all of them to
    the spool: `keep_free_bytes` of the disk stay free.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep_files: int = KEEP_FILES,
        keep_bytes: int = KEEP_BYTES,
        keep_free_bytes: int = KEEP_FREE_BYTES,
    ) -> None:
        self._folder = folder / FOLDER
        self._keep_files = keep_files
        self._keep_bytes = keep_bytes
        self._keep_free_bytes = keep_free_bytes
        for cut_off in self._folder.glob("*.part"):  # by a kill
            with contextlib.suppress(OSError):
                cut_off.unlink()
        files = [(each, each.stat()) for each in self._folder.glob("*.wav")]
        files.sort(key=lambda each: each[1].st_mtime_ns)
        self._newest_ns = files[-1][1].st_mtime_ns if files else 0
        self._files = deque((path, stat.st_size) for path, stat in files)
        self._bytes = sum(size for _, size in self._files)

    def keep(self, call: str, frames: Sequence[bytes]) -> str:
        """Write `<call>.wav`; its name. Raises RecordingError when the disk refuses."""
        path = self._folder / f"{call}.wav"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._make_room(sum(map(len, frames)))
            scratch = path.with_suffix(".part")
            with wave.open(str(scratch), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(RATE_HZ)
                file.writeframes(b"".join(frames))
            # In the order they came, whatever the clock did meanwhile.
            self._newest_ns = max(self._newest_ns + 1, time.time_ns())
            os.utime(scratch, ns=(self._newest_ns, self._newest_ns))
            size = scratch.stat().st_size
            scratch.replace(path)
            self._files.append((path, size))
            self._bytes += size
            while len(self._files) > 1 and (
                len(self._files) > self._keep_files or self._bytes > self._keep_bytes
            ):
                self._drop_oldest()
        except (OSError, wave.Error) as error:
            raise RecordingError(f"the recording {path} could not be kept: {error}") from error
        return path.name

    def _make_room(self, needed_bytes: int) -> None:
        """Raises OSError when the disk is too full even without the older ones."""
        while shutil.disk_usage(self._folder).free < self._keep_free_bytes + needed_bytes:
            if not self._files:
                raise OSError(errno.ENOSPC, "the room left on the disk is the spool's")
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        path, size = self._files.popleft()
        self._bytes -= size
        path.unlink(missing_ok=True)


def read_recording(path: Path) -> NDArray[np.int16]:
    """Samples of an 8 kHz, 16 bit, mono WAV file. Raises RecordingError: what it is."""
    try:
        with wave.open(str(path), "rb") as file:
            shape = (file.getframerate(), file.getsampwidth(), file.getnchannels())
            data = file.readframes(file.getnframes())
    except (OSError, wave.Error, EOFError) as error:
        raise RecordingError(f"{path} cannot be read as a WAV file: {error}") from error
    if shape != (RATE_HZ, 2, 1):
        rate, width, channels = shape
        raise RecordingError(
            f"{path}: {rate} Hz, {8 * width} bit, {channels} channel(s); wanted 8000 Hz, 16 bit, 1"
        )
    return np.frombuffer(data, "<i2").astype(np.int16)
