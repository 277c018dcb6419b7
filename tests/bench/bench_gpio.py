"""P21: edge -> asyncio handler through the panel's field path, against bare call_soon_threadsafe.

    python tests/bench/bench_gpio.py [--json] [--pairs 7] [--edges 3000]

Ours: a gpiozero mock pin is driven from a thread; the edge passes gpiozero's callback, the stamp,
the queue and FieldMachine (16 zones), and the handler runs when the machine has judged it. Bare:
the same thread calls call_soon_threadsafe and the handler runs. Both count from just before the
thread acts, one edge every half millisecond, in one process and loop, turn by turn. `consumer` ends
when a coroutine waiting on a queue resumes, as performance.md section 6 measured; `callback` ends
in the loop's callback itself, the stricter of the two. The minimum pulse and debounce are waits by
design and no part of it.

Also the panel's field at rest with 16 zones (8 pins, 8 converter inputs, simulated): % of a core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.adapters.gpio_field import Field
from edge.adapters.gpio_zero import GpiozeroBoard
from edge.config import (
    AreaConfig,
    Hardware,
    Loop,
    MqttConfig,
    PanelConfig,
    Wiring,
    ZoneConfig,
    ZoneType,
)
from edge.field.point import FieldMachine, PinEdge
from edge.field.reading import Reading
from protocols.instants import Instant

GAP_S = 0.0005
GOAL = 1.5
REST_S = 5.0


def site(converters: int) -> PanelConfig:
    def zone(number: int, loop: Loop) -> ZoneConfig:
        return ZoneConfig(number=number, name="Z", area=1, type=ZoneType.INSTANT, loop=loop)

    pins = [pin for pin in range(2, 28) if pin not in (7, 8, 9, 10, 11)][: 16 - converters]
    loops = [Loop(input=f"gpio:{pin}") for pin in pins]
    loops += [
        Loop(input=f"adc:0.{channel}", wiring=Wiring.TRIPLE_EOL) for channel in range(converters)
    ]
    return PanelConfig(
        id="bench",
        name="Bench",
        areas=(AreaConfig(number=1, name="All"),),
        zones=tuple(zone(number, loop) for number, loop in enumerate(loops, 1)),
        hardware=Hardware(driver="sim"),
        mqtt=MqttConfig(host="h", ca="ca", cert="cert", key="key"),
    )


class Judged(FieldMachine):
    """Tells the bench when an edge of its pin has been judged."""

    def __init__(self, config: PanelConfig, gpio: int, handler: Callable[[], None]) -> None:
        super().__init__(config)
        self._gpio = gpio
        self._handler = handler

    def receive(self, arrival: Any, now: Instant) -> list[Reading]:
        readings = super().receive(arrival, now)
        if isinstance(arrival, PinEdge) and arrival.gpio == self._gpio:
            self._handler()
        return readings


def p99_us(latencies_ns: list[int]) -> float:
    return statistics.quantiles(latencies_ns, n=100)[98] / 1000


async def turn(edges: int, act: Callable[[int], None], seen: list[int]) -> list[int]:
    """Latencies of `edges` acts from a thread. `seen` fills with the handler's times, in order."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    stamps: list[int] = []
    seen.clear()

    def drive() -> None:
        due = time.perf_counter()
        for count in range(edges):
            stamps.append(time.monotonic_ns())
            act(count)
            due += GAP_S
            time.sleep(max(0.0, due - time.perf_counter()))
        loop.call_soon_threadsafe(done.set)

    thread = threading.Thread(target=drive)
    thread.start()
    await done.wait()
    thread.join()
    await asyncio.sleep(0.05)  # the consumer of the last edges runs after `done`
    if len(seen) != edges:
        raise SystemExit(f"{len(seen)} of {edges} edges arrived")
    return [after - before for before, after in zip(stamps, seen, strict=True)]


async def compare(
    pairs: int, edges: int, directory: Path, *, consumer: bool
) -> list[tuple[list[int], list[int]]]:
    from gpiozero.pins.mock import MockFactory, MockPin

    loop = asyncio.get_running_loop()
    factory = MockFactory(pin_class=MockPin)
    config = site(converters=0)
    seen: list[int] = []

    queue: asyncio.Queue[None] = asyncio.Queue()

    async def consume() -> None:
        while True:
            await queue.get()
            seen.append(time.monotonic_ns())

    def handler() -> None:
        if consumer:
            queue.put_nowait(None)
        else:
            seen.append(time.monotonic_ns())

    consuming = asyncio.create_task(consume())
    board = GpiozeroBoard(lambda: factory, 3300, sample_ms=0)
    field = Field(config, directory, loop, lambda _reading, _at: None, board)
    field.machine = Judged(config, 17, handler)
    field.start()
    pin = factory.pin(17)
    await asyncio.sleep(0.2)

    def ours(count: int) -> None:
        (pin.drive_high if count % 2 else pin.drive_low)()

    def bare(_count: int) -> None:
        loop.call_soon_threadsafe(handler)

    results = []
    try:
        for index in range(pairs + 1):
            order = [("ours", ours), ("bare", bare)]
            taken = {name: await turn(edges, act, seen) for name, act in order[:: (-1) ** index]}
            if index:  # the first pair warms up
                results.append((taken["ours"], taken["bare"]))
    finally:
        field.stop()
        consuming.cancel()
    return results


async def at_rest(directory: Path) -> float:
    """Share of one core, in percent."""
    field = Field(site(converters=8), directory, asyncio.get_running_loop(), lambda _r, _at: None)
    field.start()
    try:
        await asyncio.sleep(1)
        began, used = time.monotonic(), time.process_time()
        await asyncio.sleep(REST_S)
        return (time.process_time() - used) / (time.monotonic() - began) * 100
    finally:
        field.stop()


def figures(pairs: list[tuple[list[int], list[int]]]) -> dict[str, Any]:
    """Median and range of the ratio over the pairs, and what stands behind it."""
    ratios = [p99_us(ours) / p99_us(bare) for ours, bare in pairs]
    p50_ratios = [statistics.median(ours) / statistics.median(bare) for ours, bare in pairs]
    return {
        "median": round(statistics.median(ratios), 3),
        "range": [round(min(ratios), 3), round(max(ratios), 3)],
        "met": statistics.median(ratios) <= GOAL,
        "pairs": len(pairs),
        "p50_median_ratio": round(statistics.median(p50_ratios), 3),
        "ours_us_p50_p99": [
            round(statistics.median(statistics.median(ours) for ours, _ in pairs) / 1000, 1),
            round(statistics.median(p99_us(ours) for ours, _ in pairs), 1),
        ],
        "bare_us_p50_p99": [
            round(statistics.median(statistics.median(bare) for _, bare in pairs) / 1000, 1),
            round(statistics.median(p99_us(bare) for _, bare in pairs), 1),
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--edges", type=int, default=3000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        counted = (max(5, options.pairs), options.edges, Path(name))
        consumer = asyncio.run(compare(*counted, consumer=True))
        callback = asyncio.run(compare(*counted, consumer=False))
        rest_percent = asyncio.run(at_rest(Path(name)))
    result = {
        "goal": "P21",
        "what": "p99 edge -> handler, ours / bare call_soon_threadsafe",
        "aim_max": GOAL,
        "consumer": figures(consumer),
        "callback": figures(callback),
        "at_rest_16_zones_cpu_percent": round(rest_percent, 3),
    }
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key}: {value}")


if __name__ == "__main__":
    main()
