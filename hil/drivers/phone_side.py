"""The phone side of an installation on this machine: a simulated telephone exchange, and the real
receiver process that answers it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from hil.drivers.process import Program, RigError

RECEIVER: Final = "rx-1"
ACCOUNT: Final = "2345"
NUMBER: Final = "5550100"
"""What the panel dials; it leads to the receiver."""
PANEL_TOML: Final = """
[phone]
account = "{account}"
numbers = ["{number}"]
policy = "fallback"
wait_burglary_s = 3
wait_trouble_s = 5

[phone.line]
driver = "socket"
address = "127.0.0.1:{port}"
"""


class ExchangeProcess:
    """The simulated exchange as a process of its own, obeyed over its standard input."""

    def __init__(self, receiver_port: int, log: Path) -> None:
        """`receiver_port`: AudioSocket of the receiver. The panel's line plugs in at `port`."""
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "hil.drivers.exchange",
                    "--route",
                    f"{NUMBER}=receiver:127.0.0.1:{receiver_port}",
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self.port = int(self._reply()["port"])

    def set_cut(self, *, cut: bool) -> None:
        """Cut every line, or mend it."""
        self._obey({"line": "*", "faults": {"cut": cut}})

    def calls(self) -> list[dict[str, Any]]:
        """Every call so far, by line, in order: number, how it ended, the digits that went."""
        calls = self._obey({"get": "state"})["calls"]
        return [call for line in calls.values() for call in line]

    def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._process.stdin is None:
            raise RigError("the exchange has no control")
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        reply = self._reply()
        if "error" in reply:
            raise RigError(f"the exchange refused {order}: {reply['error']}")
        return reply

    def _reply(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RigError("the exchange's process ended")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class PhoneSide:
    """Receiver and exchange under `root`. The collector must have made `identity`."""

    def __init__(self, root: Path, identity: Path) -> None:
        self.data = root / "receiver"
        self._file = root / "receiver.toml"
        self._identity = identity
        self._log = root / "exchange.log"
        self._exchange: ExchangeProcess | None = None
        self.receiver = Program(
            "receiver",
            [
                sys.executable,
                "-m",
                "collector.receiver_main",
                "run",
                "--config",
                str(self._file),
                "--data",
                str(self.data),
                "--json",
            ],
            root / "receiver.log",
        )

    def build(self) -> str:
        """Start the receiver, lay the line; what the panel's file must say."""
        port = _free_port()
        self._file.write_text(
            f'id = "{RECEIVER}"\n[[line]]\nname = "trunk"\nlisten = "127.0.0.1:{port}"\n'
            f'[mqtt]\nidentity = "{self._identity}"\n'
        )
        self.receiver.start()
        self.receiver.ready()
        self._exchange = ExchangeProcess(port, self._log)
        return PANEL_TOML.format(account=ACCOUNT, number=NUMBER, port=self._exchange.port)

    @property
    def exchange(self) -> ExchangeProcess:
        """The exchange. Raises RigError before `build`."""
        if self._exchange is None:
            raise RigError("there is no phone line: the scenario must say `phone = true`")
        return self._exchange

    def close(self) -> None:
        """Stop both."""
        if self._exchange is not None:
            self._exchange.close()
        self.receiver.stop()


def _free_port() -> int:
    """A port nobody has now; the receiver keeps it over its restarts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
