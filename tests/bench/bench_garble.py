"""What the receiver takes of garbled messages (users.md L1: accepted but wrong <= 1 in 10^6): bad
lines as audio, and as heard with far more faults than any line makes. One JSON object.

    scripts/bench garble                 some 300,000 sendings as audio, 1,000,000 as heard
    PYTHONPATH=. python tests/bench/bench_garble.py --audio 2000 --heard 20000
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

from protocols.contact_id import pulse
from tests.support.garbled_blocks import (
    Taken,
    Told,
    any_dtmf,
    any_long_dtmf,
    any_sia,
    on_lines,
    pulse_rounds,
)
from tests.support.garbled_faults import FAULTS, UNSEEN, blocks_as_heard
from tests.support.garbled_lines import LINES, Dice

SURE = 3.0
"""None seen in n: the rate is below 3 / n with 95 % certainty."""
DRAWS: dict[str, tuple[Callable[[Dice], Told], int, float]] = {
    "contact-id": (any_dtmf, 400, 0.8),
    "contact-id-10": (any_long_dtmf, 400, 0.1),
    "sia-dc03": (any_sia, 10, 0.003),
    "3+1 20/s": (partial(pulse_rounds, setting=pulse.FORMATS[0], per_s=20), 100, 0.04),
    "4+2 parity 40/s": (partial(pulse_rounds, setting=pulse.FORMATS[5], per_s=40), 100, 0.04),
}
"""Format: how it is drawn, lines at once, share of all sendings."""


def as_audio(draw: Callable[[Dice], Told], at_once: int, line: str, sendings: int) -> Taken:
    """At least so many sendings over that line."""
    taken = Taken()
    seed = 0
    while taken.sendings < sendings:
        taken.add(on_lines(draw, LINES[line], at_once, seed))
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
    rate = (taken.wrong or SURE) / max(1, taken.garbled)
    return {
        "sendings": taken.sendings,
        "garbled": taken.garbled,
        "sum_right": taken.right_sum,
        "wrong": taken.wrong,
        "wrong_of_garbled": f"{'' if taken.wrong else '<'}{rate:.1e}",
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
    parser.add_argument("--audio", type=int, default=300_000)
    parser.add_argument("--heard", type=int, default=1_000_000)
    options = parser.parse_args()
    begun = time.monotonic()
    audio: dict[str, object] = {}
    for name, (draw, at_once, share) in DRAWS.items():
        wanted = round(share * options.audio / len(LINES))
        lines = {line: as_audio(draw, at_once, line, wanted) for line in LINES}
        audio[name] = {
            "total": total(list(lines.values())),
            "wrong_on": {line: row(taken) for line, taken in lines.items() if taken.wrong},
        }
        if name == "contact-id":
            audio["contact-id by line"] = {line: row(taken) for line, taken in lines.items()}
    audio_s = time.monotonic() - begun
    faults = {name: as_heard(name, options.heard // len(FAULTS)) for name in FAULTS}
    seen = [taken for name, taken in faults.items() if name not in UNSEEN]
    print(
        json.dumps(
            {
                "audio": audio,
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
