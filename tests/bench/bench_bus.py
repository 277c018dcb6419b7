"""The detector bus, 32 nodes at 38,400 baud: our driver, the wire's arithmetic, stock libosdp.

    python tests/bench/bench_bus.py [--rounds 3] [--seconds 8]

The wire (paced, a process of its own, so that its work is not counted) carries 32 simulated nodes,
secure, 3 ms turnaround. By turns in one run: our OsdpBus, then the ControlPanel of libosdp's Python
wrapper as it comes. The cycle is the time between two commands to one node as the wire saw them,
median over all; arithmetic as in protocols.md 6.4 (15 + 15 characters, 2 x 2 silent, 3 + 1 ms).
Input to event: from the moment the input moved in the node to our `deliver` in the event loop, for
the wrapper to its event callback. The wrapper loses every reply of which only a part has come when
it looks (each 20 ms), and parks the node for 300 s: so its port here hands over whole frames only,
and what happens without that is told as `as_it_comes`. CPU: of this process a second, in per cent
of a core. Then eight of the nodes lose their power, and the live ones' period is measured again
(users.md J4).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import select
import statistics
import tempfile
import termios
import time
import tty
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import osdp
from osdp import Channel, ControlPanel, LibFlag, LogLevel, PDInfo

from edge.adapters.osdp_bus import OsdpBus
from edge.adapters.osdp_keys import NodeKeys
from edge.bus.bus_types import BusEvent, InputsReported, NodeLost, NodeUp
from edge.config_bus import BusConfig, OsdpNode
from hil.drivers.bus_wire_process import WireProcess
from protocols.instants import Instant

BAUD = 38_400
NODES = 32
DEAD = 8
CHARACTERS = 15 + 15 + 4
WORK_MS = 3 + 1
GOAL = 1.15
DEAD_GOAL = 0.20
CHANGE_EVERY_S = 0.1


def arithmetic_ms(nodes: int = NODES) -> float:
    return nodes * (CHARACTERS * 10_000 / BAUD + WORK_MS)


class Bench:
    """Nodes, keys and the wire; both controllers open the same port, one after the other."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.keys = NodeKeys(directory, "P1")
        self.link = directory / "bus"
        self.wire = WireProcess({"panel": self.link}, BAUD, seed)
        self.addresses = tuple(range(1, NODES + 1))
        self.dice = random.Random(seed)
        self.waiting: dict[tuple[int, bytes], int] = {}
        self.latencies_ms: list[float] = []
        self.states = {address: bytes(8) for address in self.addresses}

    def key(self, address: int) -> bytes:
        return self.keys.key("main", address)

    def periods_ms(self, seconds: float, addresses: tuple[int, ...]) -> list[float]:
        """Between two commands to one node, of the last `seconds`."""
        said = self.wire.order(said="panel", last=10_000)["said"]
        since_s = time.monotonic() - seconds
        last: dict[int, float] = {}
        periods = []
        for from_s, _, text, _ in said:
            frame = bytes.fromhex(text).lstrip(b"\xff")
            if from_s < since_s or len(frame) < 2 or frame[1] not in addresses:
                continue
            if frame[1] in last:
                periods.append((from_s - last[frame[1]]) * 1000)
            last[frame[1]] = from_s
        return periods

    def arrived(self, address: int, states: bytes, at_ns: int) -> None:
        moved_ns = self.waiting.pop((address, states), None)
        if moved_ns is not None:
            self.latencies_ms.append((at_ns - moved_ns) / 1e6)

    async def change_inputs(self, seconds: float) -> list[float]:
        """Move inputs of one node after the other at odd times; ms until each was told."""
        self.latencies_ms = []
        ends_s = time.monotonic() + seconds
        while time.monotonic() < ends_s:
            address = self.dice.choice(self.addresses)
            states = bytearray(self.states[address])
            place = self.dice.randrange(8)
            states[place] = (states[place] + self.dice.randint(1, 5)) % 6
            self.states[address] = bytes(states)
            moved = self.wire.order(move=address, states=list(states))
            self.waiting[address, bytes(states)] = moved["at_ns"]
            await asyncio.sleep(self.dice.uniform(0.5, 1.5) * CHANGE_EVERY_S)
        await asyncio.sleep(1.5)
        return self.latencies_ms


async def measured(bench: Bench, seconds: float) -> dict[str, Any]:
    """Cycle and CPU while nothing happens, then latency while inputs move."""
    wire_s = bench.wire.state()["process_cpu_s"]
    cpu_s, began_s = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    took_s = time.monotonic() - began_s
    cpu = (time.process_time() - cpu_s) / took_s * 100
    wire = (bench.wire.state()["process_cpu_s"] - wire_s) / took_s * 100
    periods = bench.periods_ms(took_s, bench.addresses)
    latencies = await bench.change_inputs(seconds)
    return {
        "cycle_ms": statistics.median(periods),
        "cycle_p99_ms": statistics.quantiles(periods, n=100)[98],
        "cpu_percent": cpu,
        "wire_percent": wire,
        "latencies_ms": latencies,
    }


async def until(what: str, probe: Callable[[], bool], timeout_s: float) -> float:
    began_s = time.monotonic()
    while not probe():
        if time.monotonic() - began_s > timeout_s:
            raise TimeoutError(what)
        await asyncio.sleep(0.01)
    return time.monotonic() - began_s


async def with_ours(
    bench: Bench, then: Callable[[OsdpBus, set[int]], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    up: set[int] = set()
    nodes = tuple(OsdpNode(address=address) for address in bench.addresses)
    config = BusConfig(name="main", port=str(bench.link), baud=BAUD, nodes=nodes)

    def deliver(event: BusEvent, now: Instant, token: int) -> None:
        if isinstance(event, InputsReported):
            states = bytes(state.value for state in event.states)
            bench.arrived(event.node.address, states, time.monotonic_ns())
        elif isinstance(event, NodeUp):
            up.add(event.node.address)
        elif isinstance(event, NodeLost):
            up.discard(event.node.address)
        if token:
            bus.committed(token)

    bus = OsdpBus(config, bench.keys, asyncio.get_running_loop(), deliver)
    bus.start()
    try:
        start_s = await until("our nodes up", lambda: len(up) == NODES, 30)
        await asyncio.sleep(2)
        return {"start_s": start_s, **await then(bus, up)}
    finally:
        bus.stop()


async def ours(bench: Bench, seconds: float) -> dict[str, Any]:
    async def then(_bus: OsdpBus, _up: set[int]) -> dict[str, Any]:
        return await measured(bench, seconds)

    return await with_ours(bench, then)


async def with_dead(bench: Bench, seconds: float) -> dict[str, Any]:
    """The live ones' period with all alive and with DEAD of them dark, in one session."""
    dead = bench.addresses[::4][:DEAD]
    live = tuple(address for address in bench.addresses if address not in dead)

    async def then(_bus: OsdpBus, up: set[int]) -> dict[str, Any]:
        await asyncio.sleep(seconds)
        all_ms = statistics.median(bench.periods_ms(seconds, live))
        began_s = time.monotonic()
        for address in dead:
            bench.wire.order(power_cut=address)
        await until("the dead told lost", lambda: up <= set(live), 10)
        lost_s = time.monotonic() - began_s
        await asyncio.sleep(seconds)
        periods = bench.periods_ms(seconds, live)
        for address in dead:
            bench.wire.order(power_on=address)
        back_s = await until("the dead back", lambda: len(up) == NODES, 20)
        return {
            "all_alive_ms": all_ms,
            "some_dead_ms": statistics.median(periods),
            "some_dead_p99_ms": statistics.quantiles(periods, n=100)[98],
            "told_lost_s": lost_s,
            "back_s": back_s,
        }

    return await with_ours(bench, then)


class Port(Channel):  # type: ignore[misc]
    """The pty for libosdp's wrapper. `whole`: a frame is handed over when all of it is there."""

    def __init__(self, path: Path, *, whole: bool) -> None:
        super().__init__()
        self.id = 1
        self.file = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.file, termios.TCSANOW)
        self._whole = whole
        self._kept = b""

    def read(self, max_bytes: int) -> bytes:
        with suppress(BlockingIOError):
            if select.select([self.file], [], [], 0)[0]:
                self._kept += os.read(self.file, 4096)
        start = 1 if self._kept[:1] == b"\xff" else 0
        if self._whole and len(self._kept) < start + self._kept[start + 2 : start + 3].ljust(1)[0]:
            return b""
        data, self._kept = self._kept[:max_bytes], self._kept[max_bytes:]
        return data

    def write(self, buf: bytes) -> int:
        return os.write(self.file, buf)

    def flush(self) -> None:
        self._kept = b""
        termios.tcflush(self.file, termios.TCIFLUSH)


async def stock(bench: Bench, seconds: float, *, whole: bool = True) -> dict[str, Any]:
    """libosdp's ControlPanel with its own thread, as in its documentation."""
    port = Port(bench.link, whole=whole)
    await asyncio.sleep(0.1)  # the wire looks every 20 ms whether a port is open
    flags = [LibFlag.EnforceSecure]
    infos = [PDInfo(a, port, scbk=bench.key(a), flags=flags) for a in bench.addresses]

    def heard(place: int, event: dict[str, Any]) -> int:
        if event["event"] == osdp.Event.Status:
            address = bench.addresses[place]
            bench.arrived(address, bytes(event["report"]), time.monotonic_ns())
        return 0

    panel = ControlPanel(infos, log_level=LogLevel.Emergency, event_handler=heard)
    panel.start()
    try:
        if not whole:
            await asyncio.sleep(seconds)
            return {"nodes_up": panel.get_num_sc_active(), "after_s": seconds}
        start_s = await until("stock nodes up", lambda: panel.get_num_sc_active() == NODES, 60)
        await asyncio.sleep(2)
        return {"start_s": start_s, **await measured(bench, seconds)}
    finally:
        panel.teardown()
        os.close(port.file)


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    latencies = [latency for run in runs for latency in run["latencies_ms"]]
    centiles = statistics.quantiles(latencies, n=100)
    cycles = [run["cycle_ms"] for run in runs]
    return {
        "cycle_ms": round(statistics.median(cycles), 1),
        "cycles_ms": [round(cycle, 1) for cycle in cycles],
        "cycle_p99_ms": round(max(run["cycle_p99_ms"] for run in runs), 1),
        "input_to_event_p50_ms": round(centiles[49], 1),
        "input_to_event_p99_ms": round(centiles[98], 1),
        "changes": len(latencies),
        "cpu_percent": round(statistics.median(run["cpu_percent"] for run in runs), 2),
        "cpu_of_the_wire_percent": round(statistics.median(run["wire_percent"] for run in runs), 1),
        "start_s": round(statistics.median(run["start_s"] for run in runs), 2),
    }


async def run(rounds: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory), seed=1)
        with bench.wire:
            for address in bench.addresses:
                bench.wire.order(node=address, key=bench.key(address).hex())
            our_runs, stock_runs, dead_runs = [], [], []
            raw = await stock(bench, 20, whole=False)
            for _ in range(rounds):
                our_runs.append(await ours(bench, seconds))
                stock_runs.append(await stock(bench, seconds))
                dead_runs.append(await with_dead(bench, seconds))
    us, them = summary(our_runs), summary(stock_runs)
    ratios = [a["cycle_ms"] / b["cycle_ms"] for a, b in zip(our_runs, stock_runs, strict=True)]
    growths = [run["some_dead_ms"] / run["all_alive_ms"] - 1 for run in dead_runs]
    return {
        "bench": "bus",
        "nodes": NODES,
        "baud": BAUD,
        "arithmetic_ms": round(arithmetic_ms(), 1),
        "ours": us,
        "stock_libosdp": {**them, "as_it_comes": raw},
        "cycle_to_arithmetic": round(us["cycle_ms"] / arithmetic_ms(), 3),
        "cycle_to_arithmetic_goal": GOAL,
        "cycle_to_stock": round(statistics.median(ratios), 3),
        "cycle_to_stock_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "dead": {
            "nodes": DEAD,
            "live_period_growth": round(statistics.median(growths), 3),
            "growths": [round(growth, 3) for growth in growths],
            "growth_goal": DEAD_GOAL,
            "live_p99_ms": round(max(run["some_dead_p99_ms"] for run in dead_runs), 1),
            "told_lost_s": round(max(run["told_lost_s"] for run in dead_runs), 2),
            "back_s": round(max(run["back_s"] for run in dead_runs), 2),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(run(options.rounds, options.seconds)), indent=1))


if __name__ == "__main__":
    main()
