"""`tocsin-collector run` and `panel …` as an administrator types them: real processes."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from collector.__main__ import app
from collector.adapters.broker_host import free_port
from edge.config import MqttConfig
from protocols.mqtt.topics import topic
from tests.support.mqtt_probe import Keys, Probe, until

pytestmark = pytest.mark.system

COMMAND = [sys.executable, "-m", "collector"]


class Running:
    """One `run --json` with its ready line; ended by SIGTERM."""

    def __init__(self, data: Path, *words: str) -> None:
        with (data.parent / "run.err").open("ab") as errors:
            self.process = subprocess.Popen(
                [*COMMAND, "run", "--data", str(data), "--json", *words],
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        self.ready: dict[str, Any] = json.loads(self.process.stdout.readline())

    def end(self, number: int = signal.SIGTERM) -> int:
        """Exit code after the signal."""
        self.process.send_signal(number)
        code = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def words(data: Path, *args: str) -> Result:
    """One command to its end, without the second that a new process takes to begin."""
    return CliRunner().invoke(app, [*args, "--data", str(data)])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data folder of the collector that several tests share."""
    return tmp_path_factory.mktemp("shared") / "data"


@pytest.fixture(scope="module")
def running(shared: Path) -> Iterator[Running]:
    made = Running(shared, "--port", "0")
    try:
        yield made
    finally:
        assert made.end() == 0


def connect(port: int, folder: Path, **options: Any) -> Probe:
    keys = Keys(folder / "ca.crt", folder / "panel.crt", folder / "panel.key")
    return Probe(port, keys, **options)


def test_life_of_a_panel_while_the_collector_runs(
    shared: Path, running: Running, tmp_path: Path
) -> None:
    data = shared
    assert running.ready["ready"] is True
    assert running.ready["data"] == str(data)
    port = running.ready["mqtt_port"]

    first = tmp_path / "shop-1"
    added = subprocess.run(
        [*COMMAND, "panel", "add", "shop-1", "--out", str(first), "--data", str(data), "--json"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert json.loads(added.stdout)["live"] is True
    fragment = tomllib.loads((first / "mqtt.toml").read_text())["mqtt"]
    config = msgspec.convert(fragment, MqttConfig)
    assert (config.host, config.port) == ("127.0.0.1", port)
    assert all((first / name).is_file() for name in (config.ca, config.cert, config.key))
    with connect(port, first) as panel:
        assert panel.subscribe(topic("shop-1", "ack"))

        again = words(data, "panel", "add", "shop-1", "--out", str(tmp_path / "x"))
        assert again.exit_code == 1
        assert "registered already" in again.stderr
        assert panel.connected

        second = tmp_path / "shop-1-new"
        renewed = words(data, "panel", "renew", "shop-1", "--out", str(second), "--json")
        assert json.loads(renewed.stdout)["live"] is True
        assert panel.ended.wait(10)
    assert connect(port, first).refused
    with connect(port, second) as panel:
        gone = words(data, "panel", "revoke", "shop-1", "--json")
        assert json.loads(gone.stdout) == {
            "panel": "shop-1",
            "state": "revoked",
            "live": True,
            "serial": "",
            "out": "",
        }
        assert panel.ended.wait(10)
    lines = words(data, "panel", "list", "--json").stdout.splitlines()
    (listed,) = [found for found in map(json.loads, lines) if found["id"] == "shop-1"]
    assert [c["revoked"] > 0 for c in listed["certificates"]] == [True, True]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clean_end_takes_the_broker_along(data: Path, number: int) -> None:
    alone = Running(data, "--port", "0")
    pid = int((data / "broker" / "pid").read_text())
    assert alone.end(number) == 0
    assert not Path(f"/proc/{pid}").exists()


def test_refused_stranger_reaches_the_ledger(
    shared: Path, running: Running, tmp_path: Path
) -> None:
    data = shared
    words(data, "panel", "add", "stranger", "--out", str(tmp_path / "stranger"))
    words(data, "panel", "revoke", "stranger")
    port = running.ready["mqtt_port"]
    assert connect(port, tmp_path / "stranger").refused
    assert Probe(port, Keys(tmp_path / "stranger" / "ca.crt")).refused

    def reasons() -> set[str]:
        ledger = sqlite3.connect(f"file:{data / 'ledger.db'}?mode=ro", uri=True)
        try:
            return {row[0] for row in ledger.execute("SELECT reason FROM refused")}
        finally:
            ledger.close()

    until(
        "both refusals in the ledger",
        lambda: {"broker: revoked", "broker: no_certificate"} <= reasons(),
    )


def test_second_run_on_the_same_data_says_so(shared: Path, running: Running) -> None:
    again = words(shared, "run", "--port", "0")
    assert again.exit_code == 1
    assert "another collector is running" in again.stderr
    assert running.process.poll() is None


def test_panel_added_before_the_first_start(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop-1"
    added = words(data, "panel", "add", "shop-1", "--out", str(folder), "--json")
    assert json.loads(added.stdout)["live"] is False
    running = Running(data, "--port", str(free_port("127.0.0.1")))
    with connect(running.ready["mqtt_port"], folder) as panel:
        assert panel.connected
    assert running.end() == 0


def test_server_name_of_a_panel_is_in_the_certificate(
    shared: Path, running: Running, tmp_path: Path
) -> None:
    folder = tmp_path / "far"
    words(shared, "panel", "add", "far", "--out", str(folder), "--server-name", "alarm.example.org")
    assert 'host = "alarm.example.org"' in (folder / "mqtt.toml").read_text()
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "panel.crt", folder / "panel.key")
    with (
        socket.create_connection(("127.0.0.1", running.ready["mqtt_port"]), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="alarm.example.org") as secured,
    ):
        assert secured.version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--broker", "mqtt://localhost"), "only TLS"),
        (("--broker", "mqtts://localhost:99999"), "mqtts://host:port"),
        (("--broker", "mqtts://h", "--broker-cert", "x"), "belong together"),
        (("--broker", "mqtts://h", "--broker-ca", "/nonexistent"), "no file /nonexistent"),
        (("--name", "警报"), "no host name"),
        (("--rules", "/nonexistent.toml"), "nonexistent.toml"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(data: Path, args: tuple[str, ...], said: str) -> None:
    failed = words(data, "run", "--port", "0", *args)
    assert failed.exit_code == 1
    assert said in failed.stderr
    assert isinstance(failed.exception, SystemExit)


def test_list_in_chinese(data: Path, tmp_path: Path) -> None:
    words(data, "panel", "add", "shop-1", "--out", str(tmp_path / "s"), "--note", "人民路 1 号")
    shown = words(data, "panel", "list", "--lang", "zh").stdout
    assert "有效" in shown
    assert "人民路 1 号" in shown


def test_key_never_appears_in_what_is_printed(data: Path, tmp_path: Path) -> None:
    added = words(data, "panel", "add", "shop-1", "--out", str(tmp_path / "s"), "--json")
    secret = (tmp_path / "s" / "panel.key").read_text().splitlines()[1]
    assert secret not in added.stdout + added.stderr
    assert (tmp_path / "s" / "panel.key").stat().st_mode & 0o077 == 0
