"""Issue 2, test 6: events before the first synchronisation, steps of the wall clock by ±1 h.

The panel process runs under libfaketime: its wall clock is stepped from outside while its monotonic
clock goes on, as on a real machine. Truth is this test's own clock.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from collector.adapters.ledger_reader import LedgerReader
from collector.config import CollectorConfig
from collector.records.signal import Signal
from edge.adapters import clock_sim
from edge.clock.tracking import Tracking
from hil.drivers.process import wait_for
from hil.drivers.sim_rig import SimRig
from protocols.panel_event import Code

LATEST_S = 2.0
"""Debounce, minimum pulse and scheduling between the move and its Record."""


@pytest.mark.system
@pytest.mark.slow
def test_order_stays_right_and_the_bound_covers_the_truth(tmp_path: Path) -> None:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    assert library is not None, "apt install faketime"
    offset, tracking = tmp_path / "offset", tmp_path / "tracking.csv"
    offset.write_text("+0s")
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with SimRig(tmp_path / "rig", "en", environment, ["cat", str(tracking)]) as rig:
        rig.build()
        assert (rig.panel_status() or {})["clock"] == "unsynchronised"
        _move(rig, "alarm")
        _move(rig, "normal")
        clock_sim.write(tracking, Tracking("53494D55", 2, time.time(), 0.0, 0.001, 0.0005))
        wait_for("the first synchronisation", lambda: _clock(rig) == "synchronised", 20)
        _move(rig, "alarm")
        _move(rig, "normal")
        for step in ("+3600s", "-3600s"):
            offset.write_text(step)
            wait_for(f"the step {step} to be noticed", partial(_stepped, rig, step), 20)
            _move(rig, "alarm")
            _move(rig, "normal")
        wait_for("all moves at the centre", lambda: len(_trips(rig)) == len(rig.moved), 20)
        signals = _trips(rig)
        placements = _placements(rig)
    assert [signal.seq for signal in signals] == sorted(signal.seq for signal in signals)
    told = []
    for (truth_s, _, _), signal in zip(rig.moved, signals, strict=True):
        at, err_us = placements.get(signal.id, (signal.at, signal.err_us))
        told.append(at)
        late_s = (at - truth_s * 1e6) / 1e6
        assert -err_us / 1e6 <= late_s <= LATEST_S + err_us / 1e6, (late_s, err_us)
        assert err_us < 2_000_000, "a bound that says nothing covers any truth"
    assert told == sorted(told), "order on the UTC line"
    assert {signal.id for signal in signals[:2]} <= set(placements), "placed afterwards"


def _move(rig: SimRig, state: str) -> None:
    """Zone 7 (24 h) moves; wait until its Record is written."""
    before = len(_recorded(rig))
    rig.set_zone(7, state)
    wait_for("the Record", lambda: len(_recorded(rig)) > before, 10)


def _recorded(rig: SimRig) -> list[int]:
    return [row["seq"] for row in rig.journal() if row["event"]["code"] == Code.TWENTY_FOUR_HOUR]


def _clock(rig: SimRig) -> str:
    return str((rig.panel_status() or {}).get("clock"))


def _stepped(rig: SimRig, step: str) -> bool:
    sign = step[0]
    return any(
        row["event"]["code"] == Code.CLOCK_STEPPED and f"={sign}" in row["event"]["detail"]
        for row in rig.journal()
    )


def _reader(rig: SimRig) -> LedgerReader:
    return LedgerReader(CollectorConfig(data_dir=rig.centre_dir).url)


def _trips(rig: SimRig) -> list[Signal]:
    reader = _reader(rig)
    try:
        return [s for s in reader.signals() if s.event.code == Code.TWENTY_FOUR_HOUR]
    finally:
        reader.close()


def _placements(rig: SimRig) -> dict[int, tuple[int, int]]:
    reader = _reader(rig)
    try:
        return {p.signal: (p.at, p.err_us) for p in reader.placements()}
    finally:
        reader.close()
