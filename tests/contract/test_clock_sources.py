"""chronyc and its stand-in answer alike."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.adapters import clock_chrony, clock_sim
from edge.clock.tracking import Leap, NoTracking, Tracking
from protocols.instants import UtcTime

Read = Callable[[Path], Tracking | NoTracking]


def by_command(path: Path) -> Tracking | NoTracking:
    """As the panel calls chronyc; the program prints the file, or fails as chronyc does."""
    script = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
    return clock_chrony.read((sys.executable, "-c", script, str(path)), 20)


def by_file(path: Path) -> Tracking | NoTracking:
    return clock_sim.read(path, 20)


@pytest.mark.parametrize("read", [by_command, by_file])
def test_same_answers(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "tracking.csv"
    assert read(path) == NoTracking("no_daemon")
    state = Tracking("C0A80001", 3, 1_700_000_000.25, -90.000004, 0.04, 0.002, Leap.INSERT)
    clock_sim.write(path, state)
    assert read(path) == state
    clock_sim.write(path, NoTracking("lost"))
    assert read(path) == NoTracking("unsynchronised")
    path.write_bytes(b"\xff\xfe" * 5000)
    assert read(path) == NoTracking("unreadable")


def test_commands_that_do_not_answer(tmp_path: Path) -> None:
    assert clock_chrony.read((), 1) == NoTracking("not_configured")
    assert clock_chrony.read((str(tmp_path / "absent"),), 1) == NoTracking("no_chronyc")
    assert clock_chrony.read(("sleep", "30"), 0.1) == NoTracking("no_answer")


def test_floor_only_rises(tmp_path: Path) -> None:
    assert clock_chrony.read_floor(tmp_path) == 0
    assert clock_chrony.write_floor(tmp_path, UtcTime(1000))
    assert clock_chrony.write_floor(tmp_path, UtcTime(500))
    assert clock_chrony.read_floor(tmp_path) == 1000
    for garbage in (b"", b"\xff", b"-5", b"9" * 40):
        (tmp_path / "clock.floor").write_bytes(garbage)
        assert clock_chrony.read_floor(tmp_path) == 0
    assert not clock_chrony.write_floor(tmp_path / "absent", UtcTime(5))
