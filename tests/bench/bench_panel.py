"""P22 and the panel at rest: input after debounce -> the collector's durable acknowledgement.

The real chain: this process is the panel (PanelBridge with simulated pins); broker and collector
are processes of their own, TLS between them. Each round interleaves moves with fdatasync calls
on the same disk, so that the bound is stated in the disk's own units.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec

from edge.adapters.config_file import load
from edge.app import PanelBridge
from edge.field.reading import Reading, ReadingState
from edge.journal.record_types import OwedKey
from protocols.instants import Instant
from tests.support.storm import Storm


class Timed(PanelBridge):
    """Stamps each zone reading as it leaves the debounce, and the acknowledgement of its Record."""

    def __init__(self, *words: object) -> None:
        super().__init__(*words)  # type: ignore[arg-type]
        self.started_ns = 0
        self.taken_ns: list[int] = []
        self.acked = threading.Event()

    def _from_field(self, reading: Reading, at: Instant) -> None:
        if reading.point == "zone:1":
            self.started_ns = time.monotonic_ns()
        super()._from_field(reading, at)

    def acknowledged(self, path: str, keys: tuple[OwedKey, ...]) -> None:
        if self.started_ns and any(key.zone == 1 for key in keys):
            self.taken_ns.append(time.monotonic_ns() - self.started_ns)
            self.started_ns = 0
            self.acked.set()
        super().acknowledged(path, keys)


def fdatasyncs(directory: Path, count: int) -> list[float]:
    """Seconds each of `count` 4 KiB overwrites with fdatasync takes."""
    fd = os.open(directory / "sync.probe", os.O_CREAT | os.O_RDWR)
    taken = []
    try:
        for at in range(count):
            began = time.monotonic_ns()
            os.pwrite(fd, bytes([at % 256]) * 4096, 0)
            os.fdatasync(fd)
            taken.append((time.monotonic_ns() - began) / 1e9)
    finally:
        os.close(fd)
    return taken


def p99(values: list[float]) -> float:
    return sorted(values)[max(0, round(len(values) * 0.99) - 1)]


def measure(storm: Storm, port: int, delay_ms: int, rounds: int, events: int) -> dict[str, object]:
    """One figure set with `journal.fsync_delay_ms` = delay_ms."""
    config = load(storm.panel_file)
    config = msgspec.structs.replace(
        config, journal=msgspec.structs.replace(config.journal, fsync_delay_ms=delay_ms)
    )
    data = storm.root / f"bench-{delay_ms}"
    data.mkdir()
    storm.pins = type(storm.pins).of(config, data)
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    bridge = Timed(config, storm.panel_file.parent, data, lambda kind, **_: ready.set())
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(bridge.run(stop)))
    thread.start()
    rows = []
    try:
        assert ready.wait(30)
        wanted = ReadingState.NORMAL
        for index in range(rounds + 1):
            bridge.taken_ns.clear()
            for _ in range(events):
                wanted = (
                    ReadingState.ALARM if wanted is ReadingState.NORMAL else ReadingState.NORMAL
                )
                bridge.acked.clear()
                storm.pins.set_zone(config, 1, wanted)
                assert bridge.acked.wait(30), "no acknowledgement within 30 s"
                time.sleep(0.01)
            disk = fdatasyncs(data, events)
            if index == 0:
                continue  # warming up
            ours = [x / 1e9 for x in bridge.taken_ns]
            # the delay is injected into the panel's commit; the collector's is the disk's own
            bound = delay_ms / 1000 + 2 * p99(disk) + 0.005
            rows.append(
                {
                    "p50_ms": round(statistics.median(ours) * 1e3, 3),
                    "p99_ms": round(p99(ours) * 1e3, 3),
                    "fdatasync_p50_ms": round(statistics.median(disk) * 1e3, 3),
                    "fdatasync_p99_ms": round(p99(disk) * 1e3, 3),
                    "bound_ms": round(bound * 1e3, 3),
                    "ratio": round(p99(ours) / bound, 3),
                }
            )
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
    ratios = [float(str(row["ratio"])) for row in rows]
    return {
        "fsync_delay_ms": delay_ms,
        "rounds": rows,
        "ratio_median": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "p50_ms": statistics.median(float(str(r["p50_ms"])) for r in rows),
        "p99_ms": statistics.median(float(str(r["p99_ms"])) for r in rows),
    }


def at_rest(storm: Storm, seconds: float) -> dict[str, float]:
    """CPU and memory of the panel process with 16 zones and nothing happening."""
    storm.panel.start()
    storm.panel.ready(60)
    time.sleep(5)  # start-up is not rest
    proc = Path(f"/proc/{storm.panel.pid}")

    def ticks() -> int:
        fields = (proc / "stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    before, began = ticks(), time.monotonic()
    time.sleep(seconds)
    used = (ticks() - before) / os.sysconf("SC_CLK_TCK")
    status = (proc / "status").read_text()
    rss_kb = int(next(x for x in status.splitlines() if x.startswith("VmRSS")).split()[1])
    storm.panel.stop()
    return {
        "cpu_percent_of_a_core": round(100 * used / (time.monotonic() - began), 2),
        "rss_mib": round(rss_kb / 1024, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--rest-s", type=float, default=60)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        storm = Storm(Path(directory), 1)
        try:
            port = storm.start_centre()
            storm.start_panel(port)
            storm.panel.stop()
            found = {
                "P22": [
                    measure(
                        storm, port, delay, words.rounds, max(40, words.events // (1 + delay // 10))
                    )
                    for delay in (0, 5, 20, 50)
                ],
                "at_rest": at_rest(storm, words.rest_s),
            }
        finally:
            storm.stop()
    print(json.dumps(found, indent=None if words.json else 2))


if __name__ == "__main__":
    main()
