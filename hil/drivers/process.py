"""A program under test as a real process: started, watched, killed, its output kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class RigError(Exception):
    """The rig could not do what the scenario asked; the text says what and where to look."""


def wait_for(
    what: str, probe: Callable[[], T | None], timeout_s: float, every_s: float = 0.05
) -> T:
    """First true value of `probe`. Raises RigError naming `what` after `timeout_s`."""
    end = time.monotonic() + timeout_s
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise RigError(f"waited {timeout_s:g} s in vain for: {what}")
        time.sleep(every_s)


class Program:
    """One program with its log file; `start` after `kill` starts it again with the same words."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """Process id. Raises RigError when it is not running."""
        if self._process is None:
            raise RigError(f"{self.name} is not running")
        return self._process.pid

    def running(self) -> bool:
        """True while the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; output is appended to the log."""
        if self.running():
            raise RigError(f"{self.name} is running already")
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def ready(self, timeout_s: float = 30) -> dict[str, Any]:
        """The `{"ready": true, …}` line of this start. Raises RigError with the log's end."""

        def probe() -> dict[str, Any] | None:
            for line in self._json_lines():
                if line.get("ready"):
                    return line
            if not self.running():
                raise RigError(f"{self.name} ended before it was ready:\n{self.tail()}")
            return None

        try:
            return wait_for(f"{self.name} to be ready", probe, timeout_s)
        except RigError as error:
            raise RigError(f"{error}\n{self.tail()}") from None

    def kill(self) -> None:
        """SIGKILL: no warning, no clean-up."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def stop(self, timeout_s: float = 10) -> int:
        """SIGTERM, then kill after `timeout_s`. Returns the exit code, -9 when killed."""
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return process.returncode

    def tail(self, lines: int = 25) -> str:
        """The end of the log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _json_lines(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if not self.log.exists():
            return found
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            text = log.read().decode(errors="replace")
        for line in text.splitlines():
            if line.startswith("{"):
                try:
                    value = json.loads(line)
                except ValueError:
                    continue
                if isinstance(value, dict):
                    found.append(value)
        return found
