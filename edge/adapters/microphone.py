"""The sound of the premises while the centre listens in: whatever program can record.

It writes raw samples to its standard output: 8 kHz, 16 bit little endian, mono. It runs while the
line is held and at no other time (R14: nobody is listened to without an alarm).
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
from typing import Final

import numpy as np
import numpy.typing as npt

log = logging.getLogger(__name__)

BEHIND_BYTES: Final = 2 * 8000 // 4
"""A quarter of a second; what is older is dropped, so that the sound does not lag."""
END_S: Final = 0.5
"""A hold-up may wait for the line."""


class Microphone:
    """One recording program. Never blocks and never raises: without it there is silence."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._program: subprocess.Popen[bytes] | None = None
        self._heard = bytearray()

    def start(self) -> None:
        """Record; a program that cannot be started is a warning and silence."""
        self.stop()
        try:
            self._program = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            log.warning("listen-in without sound: %s: %s", self._command[0], error)
            return
        assert self._program.stdout is not None
        os.set_blocking(self._program.stdout.fileno(), False)

    def read(self, count: int) -> npt.NDArray[np.int16]:
        """The next `count` samples; silence for what is not there yet."""
        self._take()
        have = min(count, len(self._heard) // 2)
        pcm = np.zeros(count, np.int16)
        pcm[:have] = np.frombuffer(bytes(self._heard[: 2 * have]), "<i2")
        del self._heard[: 2 * have]
        return pcm

    def stop(self) -> None:
        """The program is gone afterwards."""
        program, self._program = self._program, None
        self._heard.clear()
        if program is None:
            return
        assert program.stdout is not None
        program.stdout.close()
        program.terminate()
        try:
            program.wait(END_S)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()

    def _take(self) -> None:
        program = self._program
        if program is None or program.stdout is None:
            return
        with contextlib.suppress(BlockingIOError, OSError):
            while data := os.read(program.stdout.fileno(), 65_536):
                self._heard += data
            log.warning("listen-in: %s ended by itself", self._command[0])
            self.stop()
        late = len(self._heard) - BEHIND_BYTES
        if late > 0:
            del self._heard[: late + late % 2]
