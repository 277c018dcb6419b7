"""A `tocsin-receiver` process on a folder of its own: started, killed, started again."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

READY_S = 30.0


class ReceiverProcess:
    """`port` is kept over restarts, as an exchange expects it."""

    def __init__(self, folder: Path, config: str, environment: dict[str, str] | None = None):
        self.folder = folder
        self.data = folder / "data"
        self.config = folder / "receiver.toml"
        self._text = config
        self._environment = environment or {}
        self.port = 0
        self.ready: dict[str, Any] = {}
        self._process: subprocess.Popen[str] | None = None
        self._errors = folder / "receiver.err"
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> ReceiverProcess:
        self.config.write_text(self._text.replace("{port}", str(self.port)))
        with self._errors.open("a") as errors:
            self._process = subprocess.Popen(
                self._command("run", "--config", str(self.config), "--json"),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | self._environment,
            )
        self.ready = json.loads(self._first_line())
        self.port = self.ready["audiosocket_port"]
        return self

    def _first_line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self._process.poll() is None:
            if select.select([self._process.stdout], [], [], 0.1)[0]:
                line = self._process.stdout.readline()
                if line:
                    return line
        raise AssertionError(f"not ready: {self.errors()}")

    def errors(self) -> str:
        return self._errors.read_text()

    def kill(self) -> None:
        """As the kernel does it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def stop(self) -> int:
        """SIGTERM, and what it ended with."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(timeout=20)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return code

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another command on the same folder."""
        return subprocess.run(
            self._command(*words), capture_output=True, text=True, timeout=60, check=False,
            env=os.environ | self._environment,
        )  # fmt: skip

    def ask_json(self, *words: str) -> list[Any]:
        """Its JSON lines."""
        answer = self.ask(*words, "--json")
        return [json.loads(line) for line in answer.stdout.splitlines()]

    def _command(self, *words: str) -> list[str]:
        data = () if words[0] == "check" else ("--data", str(self.data))
        return [sys.executable, "-m", "collector.receiver_main", *words, *data]
