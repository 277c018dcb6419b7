"""The panel bridge as its users meet it: one process, its commands, its faults."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hil.drivers.process import RigError, wait_for
from hil.drivers.sim_rig import SimRig
from hil.site import CODE
from protocols.panel_event import Code

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimRig]:
    with SimRig(tmp_path_factory.mktemp("rig")) as sim:
        sim.build()
        wait_for("the path to be up", lambda: (sim.panel_status() or {}).get("path") == "up", 20)
        yield sim


def events(rig: SimRig, code: int) -> list[dict[str, Any]]:
    return [row["event"] for row in rig.journal() if row["event"]["code"] == code]


def test_arming_is_refused_with_the_open_zones_and_the_centre_is_told(rig: SimRig) -> None:
    rig.set_zone(3, "alarm")
    wait_for("zone 3 to be seen", lambda: _zone(rig, 3) == "alarm", 5)
    with pytest.raises(RigError, match=r"open_zones.*3"):
        rig.enter("arm")
    assert events(rig, Code.ARMING_REFUSED)[-1]["detail"] == "zones:3"
    rig.set_zone(3, "normal")
    wait_for("zone 3 at rest", lambda: _zone(rig, 3) == "normal", 5)


def test_holdup_is_handed_over_at_once_and_silently(rig: SimRig) -> None:
    rig.set_zone(4, "alarm")
    case = wait_for("the hold-up case", lambda: _case(rig, "holdup"), 10)
    assert case["state"] == "handed_over"
    status = rig.panel_status()
    assert status is not None
    assert not status["outputs"].get("siren"), "a silent hold-up must not sound"
    rig.set_zone(4, "normal")


def test_tampering_and_short_are_told_apart_on_one_loop(rig: SimRig) -> None:
    rig.set_zone(7, "short")
    wait_for("a short", lambda: _zone(rig, 7) == "short", 5)
    rig.set_zone(7, "open")
    wait_for("a cut", lambda: _zone(rig, 7) == "open", 5)
    rig.set_zone(7, "normal")
    wait_for("rest", lambda: _zone(rig, 7) == "normal", 5)
    assert wait_for("the tamper case", lambda: _case(rig, "tamper"), 10)["panel"]


def test_alarm_memory_stays_until_the_centre_stands_down(rig: SimRig) -> None:
    rig.set_zone(7, "alarm")
    wait_for("memory", lambda: _area(rig)["memory"], 5)
    rig.set_zone(7, "normal")
    rig.enter("disarm")
    assert _area(rig)["memory"], "disarming must not clear the memory (R72)"
    told = _collector(rig, "stand-down", "corner-shop", "--operator", "Wang Fang")
    assert told.returncode == 0, told.stderr
    wait_for("the memory to be cleared", lambda: not _area(rig)["memory"], 10)
    last = events(rig, Code.ALARM_MEMORY)[-1]
    assert last["q"] == 3
    assert "Wang Fang" in last["detail"]


def test_panels_shows_it_online(rig: SimRig) -> None:
    shown = _collector(rig, "panels", "--json")
    assert shown.returncode == 0, shown.stderr
    assert "corner-shop" in shown.stdout


def test_wrong_codes_lock_the_entry(rig: SimRig) -> None:
    answers = [_enter(rig, "111112") for _ in range(6)]
    assert [answer["reason"] for answer in answers[:4]] == ["wrong_code"] * 4
    assert answers[-1]["reason"] == "locked_out"
    assert _enter(rig, CODE)["reason"] == "locked_out", "the right code is locked out too"
    assert events(rig, Code.CODE_LOCKOUT)


def test_without_certificates_it_watches_and_says_so(rig: SimRig, tmp_path: Path) -> None:
    text = rig.panel_file.read_text()
    (tmp_path / "panel.toml").write_text(text)
    (tmp_path / "empty.crt").write_text("no certificate at all")
    broken = text.replace(str(rig.identity_dir / "panel.crt"), str(tmp_path / "empty.crt"))
    assert broken != text
    (tmp_path / "panel.toml").write_text(broken)
    process, listener = _panel(tmp_path)
    try:
        wait_for("the fault on record", lambda: _codes(tmp_path, Code.CERTIFICATE_FAULT), 20)
        assert process.poll() is None, "a bad certificate must not end the panel"
    finally:
        process.terminate()
        assert process.wait(20) == 0
        listener.close()


def test_systemd_is_told_ready_alive_and_stopping(rig: SimRig, tmp_path: Path) -> None:
    (tmp_path / "panel.toml").write_text(rig.panel_file.read_text())
    process, listener = _panel(tmp_path)
    said = set()

    def heard(word: str) -> bool:
        listener.settimeout(20)
        while word not in said:
            said.add(listener.recv(4096).decode())
        return True

    try:
        assert heard("READY=1")
        assert heard("WATCHDOG=1")
    finally:
        process.terminate()
        assert process.wait(20) == 0
    assert heard("STOPPING=1")
    listener.close()


def test_a_bad_file_is_refused_with_every_problem_at_once(tmp_path: Path) -> None:
    (tmp_path / "panel.toml").write_text('id = "Shop 1"\nname = "x"\nzonez = 3\n')
    done = subprocess.run(
        [sys.executable, "-m", "edge", "run", "--config", str(tmp_path / "panel.toml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    for word in ("id", "zonez", "areas", "mqtt", "mend"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def _panel(directory: Path) -> tuple[subprocess.Popen[bytes], socket.socket]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(directory / "n.sock"))
    process = subprocess.Popen(
        [
            sys.executable, "-m", "edge", "run",
            "--config", str(directory / "panel.toml"), "--data", str(directory / "data"),
        ],
        env={
            **os.environ,
            "NOTIFY_SOCKET": str(directory / "n.sock"),
            "WATCHDOG_USEC": "2000000",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return process, listener


def _codes(directory: Path, code: int) -> list[dict[str, Any]]:
    done = subprocess.run(
        [
            sys.executable, "-m", "edge", "journal", "show",
            "--data", str(directory / "data"), "--json", "--last", "1000",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )  # fmt: skip
    rows = [json.loads(line)["record"] for line in done.stdout.splitlines() if line.startswith("{")]
    return [row for row in rows if row["event"]["code"] == code]


def _collector(rig: SimRig, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "collector", *words, "--data", str(rig.centre_dir)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _enter(rig: SimRig, code: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "edge", "disarm", "--data", str(rig.panel_dir), "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "TOCSIN_CODE": code},
        check=False,
        timeout=60,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _zone(rig: SimRig, number: int) -> str:
    status = rig.panel_status()
    assert status is not None
    return next(str(zone["state"]) for zone in status["zones"] if zone["number"] == number)


def _area(rig: SimRig) -> dict[str, Any]:
    status = rig.panel_status()
    assert status is not None
    area: dict[str, Any] = status["areas"][0]
    return area


def _case(rig: SimRig, kind: str) -> dict[str, Any] | None:
    return next((case for case in rig.cases() if case["kind"] == kind), None)
