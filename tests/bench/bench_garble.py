"""What the receiver takes of garbled blocks (users.md L1: accepted but wrong <= 1 in 10^6): bad
lines as audio, and as heard with far more faults than any line makes. One JSON object.

    scripts/bench garble                 200,000 sendings as audio, 2,000,000 as heard: half an hour
    PYTHONPATH=. python tests/bench/bench_garble.py --audio 2000 --heard 20000
"""

from __future__ import annotations

import argparse
import json
import time

from tests.support.garbled_blocks import (
    FAULTS,
    LINES,
    UNSEEN,
    Taken,
    blocks_as_heard,
    blocks_on_lines,
)

LINES_AT_ONCE = 400
SURE = 3.0
"""None seen in n: the rate is below 3 / n with 95 % certainty."""


def as_audio(name: str, sendings: int) -> Taken:
    """At least so many sendings of that line."""
    taken = Taken()
    seed = 0
    while taken.sendings < sendings:
        taken.add(blocks_on_lines(LINES[name], LINES_AT_ONCE, seed))
        seed += 1
    return taken


def as_heard(name: str, sendings: int) -> Taken:
    """At least so many sendings with that fault."""
    taken = Taken()
    seed = 0
    while taken.sendings < sendings:
        taken.add(blocks_as_heard(FAULTS[name], 1000, seed))
        seed += 1
    return taken


def row(taken: Taken) -> dict[str, object]:
    """For people."""
    rate = max(taken.wrong, SURE * (taken.wrong == 0)) / max(1, taken.garbled)
    return {
        "sendings": taken.sendings,
        "garbled": taken.garbled,
        "sum_right": taken.right_sum,
        "wrong": taken.wrong,
        "wrong_of_garbled": f"{'<' if taken.wrong == 0 else ''}{rate:.1e}",
        "examples": taken.examples[:3],
    }


def total(rows: list[Taken]) -> dict[str, object]:
    """All causes together."""
    whole = Taken()
    for each in rows:
        whole.add(each)
    return row(whole)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=int, default=200_000)
    parser.add_argument("--heard", type=int, default=2_000_000)
    options = parser.parse_args()
    begun = time.monotonic()
    lines = {name: as_audio(name, options.audio // len(LINES)) for name in LINES}
    audio_s = time.monotonic() - begun
    faults = {name: as_heard(name, options.heard // len(FAULTS)) for name in FAULTS}
    seen = [taken for name, taken in faults.items() if name not in UNSEEN]
    print(
        json.dumps(
            {
                "audio": {name: row(taken) for name, taken in lines.items()},
                "audio_total": total(list(lines.values())),
                "heard": {name: row(taken) for name, taken in faults.items()},
                "heard_total_that_rhythm_shows": total(seen),
                "audio_s": round(audio_s),
                "heard_s": round(time.monotonic() - begun - audio_s),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
