"""Test 4 of the phone path, whole: a million panel events over two bad paths, against the truth.

`python -m tests.bench.bench_dedupe [events] [seed]`: one JSON object on standard output, with and
without the sequence mark, and each again with panels that are killed and lose their disks (a fifth
of the events). `lost` and `merged` must be 0, and `twice_at_the_end` without faults. `causes`
divides `twice_at_some_time`: who came second, when that was decided, the network path as the centre
knew it then, urgency, policy. `longest_unseen_s`: how long an event that had come was on no screen.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from functools import partial

from tests.support.two_paths_centre import Tally, world

MODES = ((True, False), (False, False), (True, True), (False, True))
"""(marks, faults)"""
PART = 5_000
"""Events of one job."""


def main(events: int, seed: int) -> None:
    """A dedupe machine for each 500 events."""
    made: dict[str, object] = {"events": events, "seed": seed}
    for number, (marks, faults) in enumerate(MODES):
        began = time.perf_counter()
        count = events // 5 if faults else events
        tally = _spread(seed + number, count, marks=marks, faults=faults)
        seconds = time.perf_counter() - began
        figures = {f.name: getattr(tally, f.name) for f in fields(tally)}
        for name in ("twice_at_the_end", "twice_at_some_time"):
            figures[f"{name}_of_both"] = round(figures[name] / max(tally.both_paths, 1), 5)
        figures["twice_for_s"] = _quantiles(tally.twice_for_s)
        for name in ("causes", "causes_at_the_end"):
            figures[name] = dict(getattr(tally, name).most_common())
        figures["seconds"] = round(seconds, 1)
        words = ("with marks" if marks else "without marks", "faults" if faults else "")
        made[", ".join(word for word in words if word)] = figures
    print(json.dumps(made, indent=1))


def _spread(seed: int, events: int, *, marks: bool, faults: bool) -> Tally:
    """Over all processors; the same whatever their number."""
    parts = [min(PART, events - done) for done in range(0, events, PART)]
    seeds = [seed * 1009 + number for number in range(len(parts))]
    tally = Tally()
    one = partial(world, marks=marks, faults=faults)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(one, seeds, parts):
            tally.add(part)
    return tally


def _quantiles(times_s: list[float]) -> dict[str, float]:
    ordered = sorted(times_s) or [0.0]
    at = {"median": 0.5, "p90": 0.9, "p99": 0.99, "longest": 1.0}
    return {name: round(ordered[int((len(ordered) - 1) * q)], 1) for name, q in at.items()}


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:3]]
    main(*[*arguments, *(1_000_000, 1)[len(arguments) :]])
