"""The operator's commands over a real ledger, beside a running collector and after it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from collector.__main__ import app
from protocols.instants import UtcTime
from protocols.mqtt.payloads import StandDown
from protocols.mqtt.topics import COMMAND
from protocols.panel_event import Code, Qualifier
from tests.support.case_story import PANEL, S
from tests.support.centre_rig import Panel, Wire, centre, judged
from tests.support.mqtt_probe import until

pytestmark = pytest.mark.system
ENV = {**os.environ, "TERM": "dumb", "COLUMNS": "120", "NO_COLOR": "1"}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def cli(*words: str, data: Path) -> Ended:
    """Run a command as `tocsin-collector` would, in this process (a start costs a second)."""
    done = CliRunner().invoke(app, [*words, "--data", str(data)], env=ENV)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Ended(done.exit_code, done.stdout, done.stderr)


def now_utc() -> UtcTime:
    return UtcTime(time.time_ns() // 1000 - 300 * S)


def burglary(panel: Panel) -> None:
    panel.card()
    panel.beat(areas={"1": "armed_full", "2": "disarmed"}, clock="synchronised", err_us=800)
    panel.tell(Code.OPEN_CLOSE, 0, Qualifier.RESTORE, user=2)
    panel.tell(Code.PERIMETER, 100, zone=1)
    panel.tell(Code.INTERIOR, 114, zone=2)
    panel.tell(Code.INTERIOR, 200, zone=9, area=2)


@pytest.fixture
def told(tmp_path: Path) -> Iterator[tuple[Path, Panel, Wire]]:
    with centre(tmp_path) as (collector, wire):
        panel = Panel(collector, start=now_utc())
        burglary(panel)
        judged(tmp_path, 5)
        yield tmp_path, panel, wire


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_cases_reads_beside_the_running_collector(told: tuple[Path, Panel, Wire]) -> None:
    data, _, _ = told
    plain = cli("cases", data=data)
    assert plain.returncode == 0, plain.stderr
    first, second = plain.stdout.splitlines()
    assert "hand over  Front door, then hall detector 14 s later, in Shop, armed since" in first
    assert "no one has disarmed. Confirmed: two independent detectors." in first
    assert "unconfirmed  Store detector" in second
    chinese = cli("cases", "--lang", "zh", data=data).stdout
    assert "正门报警，14 秒后大厅探测器报警，位于店面" in chinese
    values = lines(cli("cases", "--json", data=data).stdout)
    assert [value["case"]["state"] for value in values] == ["handed_over", "unconfirmed"]
    assert values[0]["sentence"].startswith("Front door, then hall detector 14 s later")
    assert cli("cases", "--panel", "other", "--json", data=data).stdout == ""


def test_case_shows_evidence_decisions_and_who_must_be_told(
    told: tuple[Path, Panel, Wire],
) -> None:
    data, _, _ = told
    id_ = lines(cli("cases", "--json", data=data).stdout)[0]["case"]["id"]
    shown = cli("case", str(id_), data=data)
    assert shown.returncode == 0, shown.stderr
    for word in ("Front door", "zone 1", "second_detector", "bs8243-1", "110 (police)", "released"):
        assert word in shown.stdout
    assert cli("case", "99999", data=data).returncode == 1


def test_close_and_stand_down_reach_the_collector_and_the_panel(
    told: tuple[Path, Panel, Wire],
) -> None:
    data, _, wire = told
    id_ = lines(cli("cases", "--json", data=data).stdout)[0]["case"]["id"]
    taken = cli("take", str(id_), "--operator", "Li Si", data=data)
    assert taken.returncode == 0, taken.stderr
    closed = cli("close", str(id_), "--outcome", "real", "--operator", "Li Si", data=data)
    assert closed.returncode == 0, closed.stderr
    until(
        "the case is closed",
        lambda: all(
            v["case"]["id"] != id_ for v in lines(cli("cases", "--json", data=data).stdout)
        ),
    )
    stored = lines(cli("cases", "--json", "--all", data=data).stdout)
    mine = next(value["case"] for value in stored if value["case"]["id"] == id_)
    assert (mine["state"], mine["outcome"], mine["closed_by"]) == ("closed", "real", "Li Si")
    ordered = cli("stand-down", PANEL, "--area", "1", "--operator", "Li Si", data=data)
    assert ordered.returncode == 0, ordered.stderr
    orders = [msgspec.json.decode(raw) for raw in wire.orders(COMMAND)]
    assert msgspec.to_builtins(StandDown(1, "Li Si")) | {"type": "stand_down"} in orders
    refused = cli("close", "99999", "--outcome", "real", "--operator", "Li Si", data=data)
    assert refused.returncode == 1
    assert "tocsin-collector:" in refused.stderr


def test_panels_says_unknown_of_a_silent_one(told: tuple[Path, Panel, Wire]) -> None:
    data, _, _ = told
    line = lines(cli("panels", "--json", data=data).stdout)[0]
    assert line["panel"] == PANEL
    assert line["stale"] is False
    assert line["areas"] == {"1": "armed_full", "2": "disarmed"}
    assert "Shop: armed, Store: disarmed" in cli("panels", data=data).stdout
    assert "店面：布防" in cli("panels", "--lang", "zh", data=data).stdout


def test_follow_brings_each_new_version_and_ends_cleanly(
    told: tuple[Path, Panel, Wire],
) -> None:
    data, panel, _ = told
    watcher = subprocess.Popen(
        [sys.executable, "-m", "collector", "cases", "--follow", "--json", "--data", str(data)],
        stdout=subprocess.PIPE,
        text=True,
        env=ENV,
    )
    heard: list[Any] = []
    assert watcher.stdout is not None
    stream = watcher.stdout

    def listen() -> None:
        for line in stream:
            heard.append(json.loads(line))  # noqa: PERF401 - seen while it grows

    reading = threading.Thread(target=listen)
    reading.start()
    try:
        until("the present cases", lambda: len(heard) >= 2)
        panel.tell(Code.HOLDUP_SILENT, 250, zone=8)
        until("the hold-up", lambda: [v for v in heard if v["case"]["kind"] == "holdup"])
        assert heard[-1]["sentence"].startswith("Hold-up button pressed: counter button")
    finally:
        watcher.send_signal(2)
        assert watcher.wait(10) == 0
        reading.join(10)
        stream.close()


def test_after_the_collector_has_ended(tmp_path: Path) -> None:
    with centre(tmp_path) as (collector, _):
        burglary(Panel(collector, start=now_utc()))
        judged(tmp_path, 5)
    assert len(cli("cases", data=tmp_path).stdout.splitlines()) == 2
    whole = cli("ledger", "verify", data=tmp_path)
    assert whole.returncode == 0, whole.stdout
    assert whole.stdout.startswith("The ledger is whole: ")
    refused = cli("close", "3", "--outcome", "real", "--operator", "Li", data=tmp_path)
    assert refused.returncode == 1
    assert "no collector runs" in refused.stderr
    with sqlite3.connect(tmp_path / "ledger.db") as ledger:
        ledger.execute("UPDATE cases SET body = replace(body, 'burglary', 'tamper')")
    ledger.close()
    broken = cli("ledger", "verify", "--json", data=tmp_path)
    assert broken.returncode == 2
    verdict = json.loads(broken.stdout)
    assert verdict["ok"] is False
    assert any("cases" in flaw for flaw in verdict["flaws"])


def test_without_a_ledger_it_says_what_to_do(tmp_path: Path) -> None:
    for words in (("cases",), ("panels",), ("ledger", "verify"), ("replay", "--rules", "bs8243")):
        ended = cli(*words, data=tmp_path)
        assert ended.returncode == 1
        assert "has the collector run yet?" in ended.stderr
