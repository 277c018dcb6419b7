"""Test 4 of the phone path, whole: a million panel events over two bad paths, against the truth.

`python -m tests.bench.bench_dedupe [events] [seed]`: one JSON object on standard output, with and
without the sequence mark. `lost` and `merged` must be 0, and `twice_at_the_end` with marks.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict

from tests.support.two_paths_world import world


def main(events: int, seed: int) -> None:
    """Half of the events with marks, half without; a dedupe machine for each 500."""
    made: dict[str, object] = {"events": events, "seed": seed}
    for marks in (True, False):
        began = time.perf_counter()
        tally = world(seed + marks, events // 2, marks=marks)
        seconds = time.perf_counter() - began
        figures = {name: value for name, value in asdict(tally).items() if name != "what"}
        rate = tally.twice_at_the_end / max(tally.both_paths, 1)
        figures |= {"shown_twice_of_both": round(rate, 5), "seconds": round(seconds, 1)}
        made["with_marks" if marks else "without_marks"] = figures
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:3]]
    main(*[*arguments, *(1_000_000, 1)[len(arguments) :]])
