"""The bus wire as a process of its own: its pace then owes nothing to who uses it.

Prints {"ready": true, "ports": {name: path}} and obeys JSON lines on stdin, and on the unix socket
`--control PATH`, each answered by a line (an object, or {"error": ...}):
{"set": {"noise_per_s": 20}} · {"drop": "node-5", "late_ms": [50, 80]} · {"unplug": "panel"} ·
{"plug": "panel"} · {"attach": "fw", "link": "/tmp/fw"} · {"inject": "<hex>", "delay_ms": 5} ·
{"answer_for": 5, "data": "<hex>", "instead": true} · {"said": "node-5", "last": 10} ·
{"get": "state"} · {"node": 5, "key": "<hex>", "name": "node-5b"} (a new simulated node) ·
{"move": 5, "states": [0, 1, ...]} · {"turn": 5, "input": 3, "state": 1} ·
{"local": 5, "tamper": true} · {"keys": 5, "text": "1234#"} · {"power_cut": 5} · {"power_on": 5} ·
{"storm": {"changes": 100, "ahead": 3}} (all simulated nodes move by themselves). Names of faults as
in LineFaults and DropFaults. Nodes are node-ADDRESS.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from hil.drivers.bus_node import SimNode
from hil.drivers.bus_wire import BusWire
from hil.drivers.bus_wire_storm import snapshot

Order = dict[str, Any]


class WireControl:
    """Carries out control lines."""

    def __init__(self, wire: BusWire, turnaround_ms: float = 3.0) -> None:
        self.wire = wire
        self.nodes: dict[str, SimNode] = {}
        self._turnaround_ms = turnaround_ms
        self._verbs: dict[str, Callable[[Order], Order]] = {
            "set": self._set,
            "drop": self._drop,
            "unplug": self._unplug,
            "plug": lambda order: {"path": wire.plug(order["plug"])},
            "attach": self._attach,
            "inject": self._inject,
            "answer_for": self._answer_for,
            "said": self._said,
            "get": lambda _: self.state(),
            "node": self._node,
            "move": self._move,
            "turn": self._turn,
            "local": self._local,
            "keys": self._keys,
            "power_cut": self._power,
            "power_on": self._power,
            "storm": self._storm,
        }

    def obey(self, order: Order) -> Order:
        """Its answer."""
        verb = next((word for word in self._verbs if word in order), None)
        if verb is None:
            return {"error": f"not understood; there are: {' '.join(self._verbs)}"}
        try:
            return self._verbs[verb](order)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            return {"error": f"not understood: {error!r}"}

    def obey_line(self, line: str) -> str:
        """Both as JSON."""
        order: Any = None
        with contextlib.suppress(ValueError):
            order = json.loads(line)
        answer = self.obey(order) if isinstance(order, dict) else {"error": "not a JSON object"}
        return json.dumps(answer)

    def state(self) -> Order:
        """Counters of the wire and of each simulated node."""
        return {
            **self.wire.state(),
            "process_cpu_s": time.process_time(),
            "nodes": {name: _node_state(node) for name, node in self.nodes.items()},
        }

    def _set(self, order: Order) -> Order:
        self.wire.set(**order["set"])
        return {}

    def _drop(self, order: Order) -> Order:
        faults = {key: value for key, value in order.items() if key != "drop"}
        if "late_ms" in faults:
            first_ms, last_ms = faults["late_ms"]
            faults["late_ms"] = (float(first_ms), float(last_ms))
        self.wire.drop(order["drop"], **faults)
        return {}

    def _unplug(self, order: Order) -> Order:
        self.wire.unplug(order["unplug"])
        return {}

    def _attach(self, order: Order) -> Order:
        link = order.get("link")
        return {"path": self.wire.attach(order["attach"], Path(link) if link else None)}

    def _inject(self, order: Order) -> Order:
        self.wire.inject(bytes.fromhex(order["inject"]), float(order.get("delay_ms", 0)))
        return {}

    def _answer_for(self, order: Order) -> Order:
        self.wire.answer_for(
            int(order["answer_for"]),
            bytes.fromhex(order["data"]),
            bool(order.get("instead", True)),
            bool(order.get("fit", False)),
            float(order.get("delay_ms", 3)),
        )
        return {}

    def _said(self, order: Order) -> Order:
        said = self.wire.said(order["said"])[-int(order.get("last", 10)) :]
        return {"said": [[s.from_s, s.until_s, s.data.hex(), s.garbled] for s in said]}

    def _node(self, order: Order) -> Order:
        address = int(order["node"])
        name = order.get("name", f"node-{address}")
        key = bytes.fromhex(order["key"]) if order.get("key") else None
        node = SimNode(address, key, **order.get("more", {}))
        self.wire.attach_station(name, node, float(order.get("turnaround_ms", self._turnaround_ms)))
        self.nodes[name] = node
        return {"name": name}

    def _of(self, word: Any) -> SimNode:
        return self.nodes[word if isinstance(word, str) else f"node-{word}"]

    def _move(self, order: Order) -> Order:
        states = bytes(order["states"])
        self._of(order["move"]).move(states)
        return {"at_ns": time.monotonic_ns()}

    def _turn(self, order: Order) -> Order:
        self._of(order["turn"]).turn(int(order["input"]), int(order["state"]))
        return {"at_ns": time.monotonic_ns()}

    def _local(self, order: Order) -> Order:
        node = self._of(order["local"])
        node.local(bool(order.get("tamper", node.tamper)), bool(order.get("power", node.power)))
        return {"at_ns": time.monotonic_ns()}

    def _keys(self, order: Order) -> Order:
        self._of(order["keys"]).keys(str(order["text"]))
        return {"at_ns": time.monotonic_ns()}

    def _power(self, order: Order) -> Order:
        if "power_cut" in order:
            self._of(order["power_cut"]).power_cut()
        else:
            self._of(order["power_on"]).power_on()
        return {}

    def _storm(self, order: Order) -> Order:
        wanted = order["storm"]
        changes, ahead = int(wanted["changes"]), int(wanted.get("ahead", 3))

        def mover(node: SimNode) -> None:
            while node.powered and node.moved < changes and node.queued < ahead:
                node.move(snapshot(node.moved + 1, len(node.states)))

        for node in self.nodes.values():
            node.each_tick(mover)
        return {}


def _node_state(node: SimNode) -> Order:
    return {
        "moved": node.moved,
        "queued": node.queued,
        "cuts": node.cuts,
        "powered": node.powered,
        "online": node.peripheral.online,
        "secure": node.peripheral.secure,
        "lost_changes": node.peripheral.lost_changes,
        "outputs": node.board.outputs,
        "leds": [led.hex() for led in node.board.leds],
    }


def _listen(path: Path, control: WireControl) -> None:
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def talk(connection: socket.socket) -> None:
        with connection, connection.makefile("rw") as stream, contextlib.suppress(OSError):
            _obey_all(stream, stream, control)

    def accept() -> None:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, name="bus-control", daemon=True).start()


def _obey_all(orders: TextIO, answers: TextIO, control: WireControl) -> None:
    for line in orders:
        answers.write(control.obey_line(line) + "\n")
        answers.flush()


def _range(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m hil.drivers.bus_wire",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--baud", type=int, default=38_400, help="0: not paced")
    parser.add_argument("--bits", type=int, default=10, help="of a character, all included")
    parser.add_argument("--fifo", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--turnaround-ms", type=float, default=3.0)
    parser.add_argument(
        "--port", action="append", default=[], metavar="NAME[=LINK]", help="the first is drop 0"
    )
    parser.add_argument("--nodes", type=_range, default=[], metavar="FIRST-LAST", help="no key yet")
    parser.add_argument("--honour-speed", action="store_true")
    parser.add_argument("--control", type=Path)
    options = parser.parse_args()
    wire = BusWire(
        options.baud, options.seed, options.bits, options.fifo, honour_speed=options.honour_speed
    )
    control = WireControl(wire, options.turnaround_ms)
    with contextlib.suppress(KeyboardInterrupt), wire:
        ports = {}
        for word in options.port:
            name, _, link = word.partition("=")
            ports[name] = wire.attach(name, Path(link) if link else None)
        for address in options.nodes:
            control.obey({"node": address})
        if options.control is not None:
            _listen(options.control, control)
        ready = {"ready": True, "pid": os.getpid(), "ports": ports}
        print(json.dumps(ready), flush=True)
        _obey_all(sys.stdin, sys.stdout, control)
        if options.control is not None:
            threading.Event().wait()  # who has no stdin for us ends us by a signal


if __name__ == "__main__":
    main()
