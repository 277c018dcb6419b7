"""The worker processes: begun, listened to, begun anew when they end or hang."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from collector.sip.worker import WorkerSettings

_LOG: Final = logging.getLogger(__name__)
UNANSWERED: Final = 3
"""A worker that leaves so many questions unanswered hangs: it is killed."""
UNANSWERED_AT_START: Final = 30
FIRST_WAIT_S: Final = 0.2
LONGEST_WAIT_S: Final = 5.0
STEADY_S: Final = 30.0
"""After so long without ending a worker is begun at once again, should it end."""
LINE_BYTES: Final = 65_536


class Watch:
    """Whether a worker hangs. Questions are counted, not seconds: after this process itself stood
    still (a paused machine) nobody is to be blamed.
    """

    def __init__(self) -> None:
        self._left = UNANSWERED_AT_START

    def heard(self) -> None:
        """It said something, or answered."""
        self._left = UNANSWERED

    def hangs(self) -> bool:
        """It is asked once more: whether it left too many questions unanswered before this one."""
        self._left -= 1
        return self._left < 0


class Worker:
    """One worker process."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.number = settings.number
        self.watch = Watch()
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._begun_s = 0.0
        self._wait_s = 0.0
        self._again_s = 0.0

    @property
    def pid(self) -> int:
        """Process id, 0 when there is none."""
        return 0 if self._process is None else self._process.pid

    def fileno(self) -> int:
        """Its standard output."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def due(self, now_s: float) -> bool:
        """Whether it is to be begun now."""
        return self._process is None and now_s >= self._again_s

    def begin(self, now_s: float) -> None:
        """Start the process."""
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "collector.sip.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=False,
        )
        assert process.stdin is not None
        os.set_blocking(self.fileno(), False)
        self._pending = b""
        self._begun_s, self.watch = now_s, Watch()
        try:
            process.stdin.write(msgspec.json.encode(self._settings) + b"\n")
            process.stdin.flush()
        except OSError:
            _LOG.warning("worker %d ended as it began", self.number)

    def lines(self) -> Iterator[dict[str, Any] | None]:
        """What it said since; None once it has ended."""
        try:
            data = os.read(self.fileno(), LINE_BYTES)
        except BlockingIOError:
            return
        if not data:
            yield None
            return
        *whole, self._pending = (self._pending + data).split(b"\n")
        self._pending = self._pending[-LINE_BYTES:]
        for line in whole:
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if isinstance(told, dict):
                yield told

    def ended(self, now_s: float) -> int:
        """Its standard output is at its end: let go of it. Returns the exit code."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            code = process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        self._process = None
        steady = now_s - self._begun_s > STEADY_S
        self._wait_s = FIRST_WAIT_S if steady else min(LONGEST_WAIT_S, 2 * self._wait_s + 0.1)
        self._again_s = now_s + self._wait_s
        return code

    def asked(self) -> bool:
        """It is being asked. True when it hangs: it is killed then, its end is told by `lines`."""
        if self._process is None or not self.watch.hangs():
            return False
        self._process.kill()
        return True

    def stop(self) -> None:
        """Ask it to hang up and end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None
