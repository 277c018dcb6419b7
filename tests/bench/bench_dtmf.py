"""P8, P9, P10 and the facts' table: DTMF beside multimon-ng, spandsp and PyDTMF, in one run.

usage: bench_dtmf.py [grid] [rows] [sounds] [talkoff] [speed] [--full]. Tables on stderr, JSON on
stdout. --full: 4 h of speech (else 0.5 h) and more pairs. The facts' table alone:
PYTHONPATH=. .venv/bin/python tests/bench/bench_dtmf.py rows
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import sys

import dtmf_grid
import dtmf_rows
import dtmf_speed
import dtmf_talkoff

STRINGS = 200
"""3,200 digits a cell."""


def say(text: str) -> None:
    """A line of a table."""
    print(text, file=sys.stderr, flush=True)


def grid(_full: bool) -> dict[str, object]:
    """P8."""
    names = list(dtmf_grid.DECODERS)
    say(f"digit errors, % of {STRINGS * dtmf_grid.SYMBOLS} a cell")
    say(f"{'condition':38}" + "".join(f"{name:>13}" for name in names))
    cells: list[dict[str, object]] = []
    for ms in dtmf_grid.LENGTHS_MS:
        for seed, condition in enumerate(dtmf_grid.GRID):
            found = dtmf_grid.cell(condition, ms, STRINGS, names, 1000 * ms + seed)
            cells.append({"condition": condition.name, "ms": ms, **found})
            say(f"{ms}/{ms} {condition.name:32}" + "".join(f"{found[n]:13.2f}" for n in names))
    ours = [float(str(cell["tocsin"])) for cell in cells]
    best = [min(float(str(cell[name])) for name in names[1:]) for cell in cells]
    beyond = [
        {"condition": condition.name, "ms": ms}
        | dtmf_grid.cell(condition, ms, STRINGS, names[:3], 7 * ms + seed)
        for ms in dtmf_grid.LENGTHS_MS
        for seed, condition in enumerate(dtmf_grid.BEYOND)
    ]
    refused = [
        {"condition": condition.name}
        | dtmf_grid.accepted(condition, 50, STRINGS // 4, names[:3], seed)
        for seed, condition in enumerate(dtmf_grid.REFUSED)
    ]
    for row in [*beyond, *refused]:
        say(str(row))
    return {
        "cells": len(cells),
        "digits_a_cell": STRINGS * dtmf_grid.SYMBOLS,
        "worst_percent": max(ours),
        "cells_over_0.1_percent": sum(one > 0.1 for one in ours),
        "cells_worse_than_best_peer": sum(a > b for a, b in zip(ours, best, strict=True)),
        "cells_where_every_peer_is_worse": sum(a < b for a, b in zip(ours, best, strict=True)),
        "beyond": beyond,
        "accepted_percent": refused,
        "grid": cells,
    }


def rows(_full: bool) -> dict[str, object]:
    """protocols.md 1.6."""
    table = dtmf_rows.table()
    names = list(dtmf_rows.DECODERS)
    say(f"whole messages of {dtmf_rows.COUNT}")
    say(f"{'condition':54}" + "".join(f"{name:>13}" for name in names))
    for row in table:
        say(f"{row['condition']:54}" + "".join(f"{row[name]:13}" for name in names))
    return {"rows": table}


def talkoff(full: bool) -> dict[str, object]:
    """P9."""
    found = dtmf_talkoff.measure(4.0 if full else 0.5)
    say(str(found))
    return found


def sounds(full: bool) -> dict[str, object]:
    """What is no digit, by class: false digits."""
    table = dtmf_talkoff.sounds(30 if full else 10)
    names = list(dtmf_talkoff.DECODERS)
    say(f"false digits in {table[0]['minutes']} minutes")
    say(f"{'sound':34}" + "".join(f"{name:>13}" for name in names))
    for row in table:
        say(f"{row['sound']:34}" + "".join(f"{row[name]:13}" for name in names))
    return {"classes": table}


def speed(full: bool) -> dict[str, object]:
    """P10."""
    pairs = 9 if full else 5
    found = [dtmf_speed.ratios(lines, pairs) for lines in (500, 1000, 2000, 4000)]
    for one in found:
        say(str(one))
    return {"by_lines": found, "one_line_us_per_10_ms": dtmf_speed.one_line_us()}


PARTS = {"grid": grid, "rows": rows, "sounds": sounds, "talkoff": talkoff, "speed": speed}


def main() -> None:
    """Parts by name, or all."""
    full = "--full" in sys.argv
    wanted = [word for word in sys.argv[1:] if word != "--full"] or list(PARTS)
    print(json.dumps({"bench": "dtmf", **{name: PARTS[name](full) for name in wanted}}))


if __name__ == "__main__":
    main()
