"""The ADSL line as a process of its own: `link_sim` between panel and broker."""

from __future__ import annotations

import json
import subprocess
import sys

from hil.drivers.process import RigError


class LineProcess:
    """A TCP proxy on `port`; `set` cuts and mends it."""

    def __init__(self, host: str, port: int) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "hil.drivers.link_sim",
                "--listen",
                "127.0.0.1:0",
                "--target",
                f"{host}:{port}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(str(self._reply()["port"]))

    def set(self, state: str) -> None:
        """`open`, `blackhole`, `cut`, `refuse`. Raises RigError when the line does not answer."""
        if self._process.stdin is None:
            raise RigError("the line has no control")
        self._process.stdin.write(json.dumps({"set": state}) + "\n")
        self._process.stdin.flush()
        reply = self._reply()
        if reply.get("mode") != state:
            raise RigError(f"the line could not be set to {state}: {reply}")

    def _reply(self) -> dict[str, object]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RigError("the line's process ended")
        reply: dict[str, object] = json.loads(line)
        return reply

    def close(self) -> None:
        """End the proxy."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
