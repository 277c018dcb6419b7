"""Real SIP calls at 0, 1, 2, 5 % loss (users.md 19): first try, four tries, call time, CPU.

A try is a block that was sent: a call that found no free line is none, it is counted by itself
(`calls_busy`). Of the blocks sent again those were stored already whose kiss-off was not heard.

python -m tests.bench.bench_sip --calls 200 --trunks 6      (root: network namespaces)
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.sip_rig import SipRig


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(rig: SipRig, calls: int, events: int, loss: float, first: int) -> dict[str, Any]:
    """One loss rate."""
    fronts = rig.front_end_pids()
    before = sum(map(_cpu_s, fronts))
    outcome = rig.call(calls, events, first=first, loss=loss)
    spent = sum(map(_cpu_s, fronts)) - before
    again = [one for one in outcome.events if one["tries"] > 1]
    times = rig.times_stored()
    lasted = [one["lasted_s"] for one in outcome.dialled]
    return {
        "loss": loss,
        "calls": len(outcome.dialled),
        "messages": len(outcome.events),
        "delivered": len(outcome.kissed),
        "owed": len(outcome.events) - len(outcome.kissed),
        "kissed_not_stored": len(outcome.kissed - outcome.stored),
        "invented": len(outcome.invented),
        "calls_busy": sum(1 for one in outcome.dialled if one["cause"] == "busy"),
        "first_try": round(outcome.within(1), 4),
        "sent_again": len(again),
        "sent_again_though_stored": sum(1 for one in again if times[one["digits"]] > 1),
        "within_four": round(outcome.within(4), 4),
        "datagrams_lost": outcome.dropped,
        "call_s_median": round(statistics.median(lasted), 2),
        "call_s_longest": round(max(lasted), 2),
        "wall_s": outcome.wall_s,
        "ticks_late": round(outcome.late, 5),
        "front_end_core_share_per_call": round(spent / sum(lasted), 4),
        "ends": dict(Counter(one["cause"] for one in outcome.dialled)),
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--events", type=int, default=3)
    parser.add_argument("--trunks", type=int, default=6)
    parser.add_argument("--loss", type=float, nargs="+", default=[0.0, 0.01, 0.02, 0.05])
    parser.add_argument("--no-conceal", action="store_true")
    options = parser.parse_args()
    more = ("--no-conceal",) if options.no_conceal else ()
    with (
        tempfile.TemporaryDirectory() as folder,
        SipRig(Path(folder), options.trunks, *more) as rig,
    ):
        rows = [
            measure(rig, options.calls, options.events, loss, 1000 * (n + 1))
            for n, loss in enumerate(options.loss)
        ]
    print(json.dumps({"bench": "SIP calls under loss", "conceal": not more, "rows": rows}))


if __name__ == "__main__":
    main()
