"""Against real chronyd: one serves, one follows, both with -x: no clock is touched."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.adapters import clock_chrony
from edge.clock.tracking import NoTracking, Tracking
from edge.clock.truth import ClockState, ClockTruth
from edge.config import ClockConfig
from protocols.instants import Instant, UtcTime

LIMIT_S = 30.0


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    assert found, f"{name} is needed for this test"
    return found


@contextmanager
def chronyd(directory: Path, conf: str, before: tuple[str, ...] = ()) -> Iterator[None]:
    directory.mkdir()
    (directory / "chrony.conf").write_text(
        conf + f"\npidfile {directory}/pid\ndriftfile {directory}/drift\nbindcmdaddress /\n"
    )
    user = ("-u", "root") if os.geteuid() == 0 else ()
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*before, program("chronyd"), "-x", *user, "-d", "-f", str(directory / "chrony.conf")],
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=10)


@pytest.mark.parametrize("wrong_s", [0, 90])
def test_follows_a_real_server(wrong_s: int) -> None:
    serve, ask = free_port(), free_port()
    command = (program("chronyc"), "-h", "127.0.0.1", "-p", str(ask), "-c", "tracking")
    before = (program("faketime"), "-f", f"+{wrong_s}s") if wrong_s else ()
    clock = ClockTruth(ClockConfig(), UtcTime(0))
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        assert clock_chrony.read(command, 5) == NoTracking("no_daemon")
        served = (
            f"port {serve}\nbindaddress 127.0.0.1\nallow 127.0.0.0/8\nlocal stratum 3\ncmdport 0"
        )
        follows = (
            f"server 127.0.0.1 port {serve} iburst minpoll 0 maxpoll 2\nport 0\ncmdport {ask}\n"
            "cmdallow 127.0.0.1"
        )
        with chronyd(place / "server", served, before), chronyd(place / "panel", follows):
            told: Tracking | NoTracking = NoTracking("")
            deadline = time.monotonic() + LIMIT_S
            while isinstance(told, NoTracking):
                assert time.monotonic() < deadline, (told, (place / "panel" / "log").read_text())
                told = clock_chrony.read(command, 5)
                if isinstance(told, NoTracking):
                    time.sleep(0.1)
            assert told.stratum == 4
            assert abs(told.offset_s - wrong_s) < 0.5
            mono, wall = Instant(time.monotonic_ns()), UtcTime(time.time_ns() // 1000)
            clock.receive(told, mono, wall)
            assert clock.state is ClockState.SYNCHRONISED
            stamp = clock.stamp(mono, wall)
            assert stamp.utc is not None
            assert stamp.err_us is not None
            server_us = wall + wrong_s * 1_000_000
            assert abs(stamp.utc - server_us) <= stamp.err_us
        told = clock_chrony.read(command, 5)
        assert isinstance(told, NoTracking)
        clock.receive(told, Instant(time.monotonic_ns()), UtcTime(time.time_ns() // 1000))
        assert clock.state is ClockState.HOLDOVER
