"""P14: a Record of about 250 bytes decoded and checked, against json.loads, which checks nothing.

`decode` is the decoder intake uses (types, sizes, enums); `checked` adds the ranges and the form of
`prev`; `read` is all that intake does to a one-record Report: topic, envelope, Record, SHA-256.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import timeit
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from collector.intake import reading
from protocols.mqtt.topics import REPORT, topic
from protocols.panel_event import Code, PanelEvent
from tests.support.panel_records import record_bytes, report_of


def main() -> None:
    """Print one JSON object."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--pairs", type=int, default=9)
    words.add_argument("--number", type=int, default=20_000)
    chosen = words.parse_args()
    event = PanelEvent(code=Code.BURGLARY, area=1, zone=12, detail="pulse=430")
    raw = record_bytes("shop-1", 123_456, "a" * 64, event)
    report, name = report_of(raw), topic("shop-1", REPORT)
    ours: dict[str, Callable[[], object]] = {
        "decode": lambda: reading._record(raw),
        "checked": lambda: reading.checked("shop-1", raw),
        "read": lambda: reading.read(name, report),
    }
    us: dict[str, list[float]] = {key: [] for key in [*ours, "json.loads"]}
    ratio: dict[str, list[float]] = {key: [] for key in ours}
    for _ in range(chosen.pairs):
        peer = _us(lambda: json.loads(raw), chosen.number)
        us["json.loads"].append(peer)
        for key, act in ours.items():
            mine = _us(act, chosen.number)
            us[key].append(mine)
            ratio[key].append(peer / mine)
    figures = {
        "goal": "P14 >= 5",
        "record_bytes": len(raw),
        "pairs": chosen.pairs,
        "us": {key: round(statistics.median(all_), 3) for key, all_ in us.items()},
        "ratio": {
            key: {"median": round(statistics.median(all_), 2), "range": _range(all_)}
            for key, all_ in ratio.items()
        },
    }
    print(json.dumps(figures, indent=1))


def _us(act: Callable[[], object], number: int) -> float:
    return timeit.timeit(act, number=number) / number * 1e6


def _range(values: list[float]) -> list[float]:
    return [round(min(values), 2), round(max(values), 2)]


if __name__ == "__main__":
    main()
