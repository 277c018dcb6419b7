"""Figures of the node firmware under the unix MicroPython; prints JSON.

    python -m tests.bench.bench_node [--minutes 60] [--changes 40] [--heap 192k]

`hour`: an hour of polls (every 400 ms, as on a full bus) and changes on a simulated clock, heap and
the time of a round of the main loop in it. `process`: the real process under libosdp on a pty, from
the world's change to the controller's event.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import osdp_sys

from hil.drivers.node_process import ROOT, micropython
from protocols.osdp import codes
from protocols.osdp.node_report import decode
from tests.support.node_panel import NodePanel

KEY = bytes(range(16))
MIN_PULSE_MS = 300


def hour(minutes: int, heap: str) -> dict[str, Any]:
    """In one process, without waiting."""
    argv = micropython()
    assert argv is not None, "no MicroPython here"
    done = subprocess.run(
        [*argv, "-X", f"heapsize={heap}", "tests/bench/node_hour.py", str(minutes), "400"],
        cwd=ROOT,
        env={**os.environ, "MICROPYPATH": f"{ROOT}:.frozen"},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def cpu_s(pid: int) -> float:
    """Seconds of processor a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def process(changes: int) -> dict[str, Any]:
    """The real thing."""
    with tempfile.TemporaryDirectory() as place, NodePanel(Path(place) / "node", 5) as panel:
        panel.node.commission(5, KEY)
        panel.node.start().wait_up()
        panel.connect(KEY)
        panel.online()
        panel.settled(bytes(8))
        begun, cpu = time.monotonic(), cpu_s(panel.node.pid)
        delays_ms = []
        for _ in range(changes):
            panel.node.set(1, "alarm")
            at = time.monotonic()
            panel.settled(bytes([1]) + bytes(7))
            delays_ms.append((time.monotonic() - at) * 1000 - MIN_PULSE_MS)
            panel.node.set(1, "normal")
            panel.settled(bytes(8))
        passed, used = time.monotonic() - begun, cpu_s(panel.node.pid) - cpu
        panel.reports.clear()
        ask = {"command": osdp_sys.CMD_MFG, "vendor_code": codes.VENDOR}
        panel.submit({**ask, "data": bytes([codes.ASK_REPORT])})
        panel.until("the report", lambda: panel.reports)
        report = decode(panel.reports[-1])
        assert report is not None
        ordered = sorted(delays_ms)
        return {
            "changes": changes,
            "change_to_event_p50_ms": round(statistics.median(ordered), 1),
            "change_to_event_p99_ms": round(ordered[int(len(ordered) * 0.99)], 1),
            "min_pulse_ms": MIN_PULSE_MS,
            "loop_worst_ms": report.loop_worst_ms,
            "cpu_percent": round(100 * used / passed, 1),
        }


def main() -> None:
    """Both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--changes", type=int, default=40)
    parser.add_argument("--heap", default="192k")
    words = parser.parse_args()
    print(json.dumps({"hour": hour(words.minutes, words.heap), "process": process(words.changes)}))


if __name__ == "__main__":
    main()
