"""The bus side of an installation on this machine: a paced RS-485 wire in a process of its own, on
it the node's real firmware, under MicroPython where it is to be had, and a simulated keypad.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from hil.drivers.node_process import NodeProcess
from hil.drivers.process import RigError

BUS: Final = "main"
NODE: Final = 5
KEYPAD: Final = 6
PANEL_TOML: Final = """
[[buses]]
name = "{bus}"
port = "{port}"
baud = 38400
[[buses.nodes]]
address = {node}
name = "Office node"
[[buses.nodes]]
address = {keypad}
name = "Keypad at the door"
kind = "keypad"
inputs = 0
"""


class WireProcess:
    """`hil.drivers.bus_wire` as a process, obeyed over its standard input."""

    def __init__(self, ports: dict[str, Path], log: Path) -> None:
        """`ports`: drops along the cable, the controller first, and where their ptys are found."""
        words = [f"--port={name}={link}" for name, link in ports.items()]
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hil.drivers.bus_wire", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self._reply()

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """One order of `bus_wire_main`. Raises RigError when it is refused."""
        if self._process.stdin is None:
            raise RigError("the bus wire has no control")
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        reply = self._reply()
        if "error" in reply:
            raise RigError(f"the bus wire refused {order}: {reply['error']}")
        return reply

    def _reply(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RigError("the bus wire's process ended")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class BusSide:
    """One bus "main" under `root` with a node and a keypad, neither of them paired yet."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._wire: WireProcess | None = None
        self._node: NodeProcess | None = None

    def build(self) -> str:
        """Lay the cable, power the node; what the panel's file must say."""
        port, uart = self._root / "bus-main", self._root / "bus-node"
        self._wire = WireProcess({"panel": port, "node": uart}, self._root / "bus.log")
        self._node = NodeProcess(self._root / "node", str(uart))
        self._node.commission(NODE)
        self._node.start()
        self._wire.obey({"node": KEYPAD, "more": {"inputs": 0, "readers": 1}})
        return PANEL_TOML.format(bus=BUS, port=port, node=NODE, keypad=KEYPAD)

    @property
    def node(self) -> NodeProcess:
        """The node."""
        if self._node is None:
            raise RigError("the bus is not built yet")
        return self._node

    def press(self, keys: str) -> None:
        """Somebody types this at the keypad."""
        self._the_wire().obey({"keys": KEYPAD, "text": keys})

    def shown(self) -> list[bytes]:
        """LED commands the keypad was given, oldest first."""
        state = self._the_wire().obey({"get": "state"})
        return [bytes.fromhex(led) for led in state["nodes"][f"node-{KEYPAD}"]["leds"]]

    def _the_wire(self) -> WireProcess:
        if self._wire is None:
            raise RigError("the bus is not built yet")
        return self._wire

    def set_cut(self, *, cut: bool) -> None:
        """Cut the cable behind the panel, or mend it."""
        self._the_wire().obey({"set": {"cut_after": 0 if cut else None}})

    def close(self) -> None:
        """Power off."""
        if self._node is not None:
            self._node.stop()
        if self._wire is not None:
            self._wire.close()
