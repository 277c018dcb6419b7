"""Input change -> Record on disk, and the panel's CPU, with 32 secure nodes at 38,400 baud.

The real PanelBridge in this process polls 32 simulated nodes on the paced wire (a process of its
own) and journals with real commits; broker and collector run beside it. A change is timed from the
moment the input moves in the node to the return of its Record's commit. The bound is one poll
cycle of the wire's arithmetic (protocols.md 6.4) plus one ISTATR, plus the disk's own p99. CPU is
this process's share of a core over a time in which nothing happens but polling.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge.adapters.config_file import load
from edge.adapters.osdp_keys import NodeKeys
from edge.app import PanelBridge
from edge.config import PanelConfig
from edge.journal.record_types import Stored
from hil.drivers.bus_wire_process import WireProcess
from hil.drivers.process import wait_for
from hil.drivers.sim_rig import SimRig
from hil.site import PANEL
from protocols.panel_event import PanelEvent

BAUD = 38_400
NODES = 32
FIRST_ZONE = 101
CYCLE_MS = NODES * ((15 + 15 + 4) * 10_000 / BAUD + 4)
TELL_MS = (15 + 31 + 4) * 10_000 / BAUD + 4


class Timed(PanelBridge):
    """Tells when a Record of a zone is on disk."""

    def __init__(self, *words: object) -> None:
        super().__init__(*words)  # type: ignore[arg-type]
        self.kept_ns: dict[int, int] = {}
        self.kept = threading.Event()

    def _stored(self, made: Sequence[tuple[Stored, PanelEvent]]) -> None:
        now_ns = time.monotonic_ns()
        for _, event in made:
            if event.zone >= FIRST_ZONE:
                self.kept_ns[event.zone] = now_ns
                self.kept.set()
        super()._stored(made)


def toml(port: Path) -> str:
    rows = [f'[[buses]]\nname = "main"\nport = "{port}"\nbaud = {BAUD}\n']
    rows += [f'[[buses.nodes]]\naddress = {n}\nname = "node {n}"\n' for n in range(1, NODES + 1)]
    rows += [
        f'[[zones]]\nnumber = {FIRST_ZONE + n - 1}\nname = "bus {n}"\narea = 1\ntype = "interior"\n'
        f'technology = "dual"\nloop = {{ input = "bus:main.{n}.1" }}\n'
        for n in range(1, NODES + 1)
    ]
    return "".join(rows)


def all_up(bridge: Timed) -> bool:
    states = {zone.number: zone.state for zone in bridge._panel.view().zones}
    return all(states[FIRST_ZONE + n] == "normal" for n in range(NODES))


def run(bridge: PanelBridge, stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_until_complete(bridge.run(stop))


def measure(wire: WireProcess, bridge: Timed, changes: int, rest_s: float) -> dict[str, object]:
    time.sleep(2)  # start-up is not rest
    used, began = time.process_time(), time.monotonic()
    time.sleep(rest_s)
    cpu = (time.process_time() - used) / (time.monotonic() - began)
    dice = random.Random(4)
    taken_ms, state = [], [0] * (NODES + 1)
    for _ in range(changes):
        node = dice.randint(1, NODES)
        state[node] = 1 - state[node]
        bridge.kept.clear()
        time.sleep(dice.uniform(0, CYCLE_MS / 1000))  # anywhere in the cycle
        moved_ns = wire.order(turn=node, input=1, state=state[node])["at_ns"]
        assert bridge.kept.wait(10), "no Record within 10 s"
        taken_ms.append((bridge.kept_ns[FIRST_ZONE + node - 1] - moved_ns) / 1e6)
    taken_ms.sort()
    p99_ms = taken_ms[int(len(taken_ms) * 0.99)]
    bound_ms = CYCLE_MS + TELL_MS
    return {
        "nodes": NODES,
        "baud": BAUD,
        "changes": changes,
        "p50_ms": round(statistics.median(taken_ms), 1),
        "p99_ms": round(p99_ms, 1),
        "bound_ms": round(bound_ms, 1),
        "p99_over_bound": round(p99_ms / bound_ms, 3),
        "panel_cpu_percent_of_a_core": round(100 * cpu, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--rest-s", type=float, default=20)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        with SimRig(root) as rig, WireProcess({"panel": root / "bus"}, BAUD) as wire:
            rig.build()
            rig.kill("panel")
            keys = NodeKeys(rig.panel_dir, PANEL)
            for node in range(1, NODES + 1):
                wire.order(node=node, key=keys.key("main", node).hex())
            rig.panel_file.write_text(rig.panel_file.read_text() + toml(root / "bus"))
            config: PanelConfig = load(rig.panel_file)
            bridge = Timed(config, rig.panel_file.parent, rig.panel_dir, lambda *_, **__: None)
            loop, stop = asyncio.new_event_loop(), asyncio.Event()
            thread = threading.Thread(target=run, args=(bridge, stop, loop))
            thread.start()
            try:
                wait_for("all nodes", lambda: hasattr(bridge, "_panel") and all_up(bridge), 30)
                print(json.dumps(measure(wire, bridge, words.changes, words.rest_s)))
            finally:
                loop.call_soon_threadsafe(stop.set)
                thread.join(30)


if __name__ == "__main__":
    main()
