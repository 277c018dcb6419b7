"""100,000 input changes of 32 nodes under every fault of a bus: what was lost, what was invented.

    python tests/bench/bench_bus_storm.py [--changes 100000] [--seed 1] [--baud 230400]

The faults of tests/support/bus_storm.py come in random order, with calm between them, until all
nodes have made their changes. `named_s`: the longest time until a fault was told; `back_s`: from
its end until the last node was up again. An OSDP node is polled every 50 ms at most (libosdp), and
tells one change a poll, so it takes some minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.bus_storm import BusStorm

NODES = 32
CALM_S = 6.0


async def storm(changes: int, seed: int, baud: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        async with BusStorm(Path(directory), NODES, baud, seed) as bus:
            began_s = time.monotonic()
            each = -(-changes // NODES)
            bus.move(each)
            faults = {**bus.faults(), "everything": bus.everything}
            done: dict[str, int] = dict.fromkeys(faults, 0)
            while any(node["moved"] < each for node in bus.nodes().values()):
                name = bus.dice.choice([n for n in faults if done[n] == min(done.values())])
                await faults[name]()
                done[name] += 1
                await asyncio.sleep(bus.dice.uniform(0.5, 1.5) * CALM_S)
                print(f"{name}: {bus.ledger.told} told", file=sys.stderr, flush=True)
            sums = await bus.settled(120)
            return {
                "bench": "bus-storm",
                "nodes": NODES,
                "baud": baud,
                **sums,
                "faults": done,
                "failures": bus.failures,
                "lost_in_noise": bus.lost_in_noise,
                "lost_though_in_time": bus.lost_though_in_time,
                "named_s": {name: round(s, 2) for name, s in bus.named_s.items()},
                "back_s": {name: round(s, 2) for name, s in bus.back_s.items()},
                "minutes": round((time.monotonic() - began_s) / 60, 1),
            }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--baud", type=int, default=230_400)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(storm(options.changes, options.seed, options.baud)), indent=1))


if __name__ == "__main__":
    main()
