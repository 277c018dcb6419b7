"""Panel journal: what one append costs, in units of this disk's own fdatasync. Prints JSON.

Ours and a bare 4 KB write + fdatasync are interleaved; ratios are per pair, median and range over
the pairs. `--delay-ms` values stand for slower cards (JournalConfig.fsync_delay_ms); the bare
write is given the same sleep.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from edge.adapters.journal_sqlite import JournalStore
from edge.config import JournalConfig
from edge.journal.record_types import Stamped
from protocols.instants import Instant, UtcTime
from protocols.panel_event import Code, PanelEvent

SNAPSHOT = os.urandom(600)


def percentile(values_s: list[float], share: float) -> float:
    """In milliseconds."""
    ordered = sorted(values_s)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def fdatasync_s(file: int, at: int, delay_s: float) -> float:
    began = time.perf_counter()
    os.pwrite(file, os.urandom(4096), at * 4096)
    os.fdatasync(file)
    if delay_s:
        time.sleep(delay_s)
    return time.perf_counter() - began


def append_s(store: JournalStore, group: int, number: int) -> float:
    event = PanelEvent(Code.BURGLARY, area=1, zone=number % 16 + 1)
    events = [
        Stamped(event, Instant(number), UtcTime(1_790_000_000_000_000 + number), 20_000)
    ] * group
    began = time.perf_counter()
    store.append(events, SNAPSHOT)
    return time.perf_counter() - began


def measure(directory: Path, group: int, delay_ms: int, pairs: int, each: int) -> dict[str, object]:
    config = JournalConfig(fsync_delay_ms=delay_ms)
    store = JournalStore.open(config, directory / f"{group}-{delay_ms}", "bench", "boot")
    file = os.open(directory / f"bare-{group}-{delay_ms}", os.O_RDWR | os.O_CREAT)
    ours: list[float] = []
    bare: list[float] = []
    ratios: list[float] = []
    ratios_p99: list[float] = []
    for pair in range(pairs):
        mine: list[float] = []
        disk: list[float] = []
        for number in range(each):
            mine.append(append_s(store, group, pair * each + number))
            disk.append(fdatasync_s(file, pair * each + number, delay_ms / 1000))
        ratios.append(statistics.median(mine) / statistics.median(disk))
        ratios_p99.append(percentile(mine, 0.99) / percentile(disk, 0.99))
        ours += mine
        bare += disk
        keys = store.owed("mqtt")
        store.acknowledge("mqtt", keys)
        store.rotate()
    store.close()
    os.close(file)
    return {
        "group": group,
        "delay_ms": delay_ms,
        "appends": len(ours),
        "append_p50_ms": round(percentile(ours, 0.5), 3),
        "append_p99_ms": round(percentile(ours, 0.99), 3),
        "fdatasync_p50_ms": round(percentile(bare, 0.5), 3),
        "fdatasync_p99_ms": round(percentile(bare, 0.99), 3),
        "ratio_p50_median": round(statistics.median(ratios), 2),
        "ratio_p50_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "ratio_p99_median": round(statistics.median(ratios_p99), 2),
        "ratio_p99_range": [round(min(ratios_p99), 2), round(max(ratios_p99), 2)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, help="on the disk to measure")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--each", type=int, default=200, help="appends per pair")
    parser.add_argument("--delay-ms", type=int, nargs="*", default=[0, 5, 20, 50])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as name:
        figures = [
            measure(Path(name), group, delay, given.pairs, given.each if not delay else 40)
            for delay in given.delay_ms
            for group in (1, 10)
        ]
    print(json.dumps({"journal_append": figures}, indent=2))


if __name__ == "__main__":
    main()
