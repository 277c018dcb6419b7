"""The bus wire in a process of its own, steered from this one."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final, Self

from hil.drivers.process import RigError

ROOT: Final = Path(__file__).parents[2]


class WireProcess:
    """`python -m hil.drivers.bus_wire` with these ports: name to link (None: no link). Orders as in
    `bus_wire_main`; any thread, one at a time.
    """

    def __init__(
        self,
        ports: dict[str, Path | None],
        baud: int = 38_400,
        seed: int = 0,
        turnaround_ms: float = 3.0,
        *more: str,
    ) -> None:
        self._command = [sys.executable, "-m", "hil.drivers.bus_wire", *more]
        self._command += ["--baud", str(baud), "--seed", str(seed)]
        self._command += ["--turnaround-ms", str(turnaround_ms)]
        for name, link in ports.items():
            self._command += ["--port", name if link is None else f"{name}={link}"]
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self.ports: dict[str, str] = {}
        """Where programs open them."""

    def start(self) -> Self:
        """Raises RigError when it does not come up."""
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.ports = self._read()["ports"]
        return self

    def stop(self) -> None:
        """Its end of the pipe closed, which ends it."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def order(self, **order: Any) -> dict[str, Any]:
        """Carry this out. Raises RigError when it is refused."""
        with self._lock:
            if self._process is None or self._process.stdin is None:
                raise RigError("the bus wire is not running")
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer = self._read()
        if "error" in answer:
            raise RigError(f"bus wire: {order}: {answer['error']}")
        return answer

    def state(self) -> dict[str, Any]:
        """Counters of the wire and its simulated nodes."""
        return self.order(get="state")

    def _read(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RigError("the bus wire ended")
        found: dict[str, Any] = json.loads(line)
        return found
