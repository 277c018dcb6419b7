"""Test 4 of the phone path, whole: a million panel events over two bad paths, against the truth.

`python -m tests.bench.bench_dedupe [events] [seed]`: one JSON object on standard output, with and
without the sequence mark. `lost` and `merged` must be 0, and `twice_at_the_end` with marks.
`causes` divides `twice_at_some_time`: who came second, when that was decided, and the network path
as the centre knew it then. `longest_unseen_s`: how long an event that had come was on no screen.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import fields

from tests.support.two_paths_centre import world


def main(events: int, seed: int) -> None:
    """As many events with marks as without; a dedupe machine for each 500."""
    made: dict[str, object] = {"events": events, "seed": seed}
    for marks in (True, False):
        began = time.perf_counter()
        tally = world(seed + marks, events, marks=marks)
        seconds = time.perf_counter() - began
        figures = {f.name: getattr(tally, f.name) for f in fields(tally)}
        for name in ("twice_at_the_end", "twice_at_some_time"):
            figures[f"{name}_of_both"] = round(figures[name] / max(tally.both_paths, 1), 5)
        figures |= {"causes": dict(tally.causes.most_common()), "seconds": round(seconds, 1)}
        made["with_marks" if marks else "without_marks"] = figures
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:3]]
    main(*[*arguments, *(1_000_000, 1)[len(arguments) :]])
