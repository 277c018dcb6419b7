"""The bus side of an installation on this machine: a paced RS-485 wire in a process of its own, on
it the node's real firmware, under MicroPython where it is to be had, and a simulated keypad.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hil.drivers.bus_wire_process import WireProcess
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


class BusSide:
    """One bus "main" under `root` with a node and a keypad, neither of them paired yet."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._wire: WireProcess | None = None
        self._node: NodeProcess | None = None

    def build(self) -> str:
        """Lay the cable, power the node; what the panel's file must say."""
        port, uart = self._root / "bus-main", self._root / "bus-node"
        self._wire = WireProcess({"panel": port, "node": uart}).start()
        self._node = NodeProcess(self._root / "node", str(uart))
        self._node.commission(NODE, None, "--wiring", "triple")
        self._node.start()
        self._wire.order(node=KEYPAD, more={"inputs": 0, "readers": 1})
        return PANEL_TOML.format(bus=BUS, port=port, node=NODE, keypad=KEYPAD)

    @property
    def node(self) -> NodeProcess:
        """The node."""
        if self._node is None:
            raise RigError("the bus is not built yet")
        return self._node

    def press(self, keys: str) -> None:
        """Somebody types this at the keypad."""
        self._the_wire().order(keys=KEYPAD, text=keys)

    def shown(self) -> list[bytes]:
        """LED commands the keypad was given, oldest first."""
        state = self._the_wire().state()
        return [bytes.fromhex(led) for led in state["nodes"][f"node-{KEYPAD}"]["leds"]]

    def _the_wire(self) -> WireProcess:
        if self._wire is None:
            raise RigError("the bus is not built yet")
        return self._wire

    def set_cut(self, *, cut: bool) -> None:
        """Cut the cable behind the panel, or mend it."""
        self._the_wire().order(set={"cut_after": 0 if cut else None})

    def close(self) -> None:
        """Power off."""
        if self._node is not None:
            self._node.stop()
        if self._wire is not None:
            self._wire.stop()
