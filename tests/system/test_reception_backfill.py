"""The collector dead: calls are answered and kept; when it is back they arrive in order (R92)."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.adapters.receiver_status import read_status
from tests.support.audio_panel import AudioPanel, dtmf
from tests.support.receiver_process import ReceiverProcess
from tests.support.reception_line import block_of

CONFIG = """
id = "rx-1"
[mqtt]
identity = "identity"
[[line]]
name = "trunk"
listen = "127.0.0.1:{port}"
"""


def collector(data: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "collector", *words, "--data", str(data)]


def started(data: Path, port: int) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        collector(data, "run", "--port", str(port), "--json"), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(json.loads(process.stdout.readline())["mqtt_port"])


def ended(process: subprocess.Popen[str], number: int) -> None:
    process.send_signal(number)
    process.wait(timeout=30)
    assert process.stdout is not None
    process.stdout.close()


def pins(receiver: ReceiverProcess) -> list[tuple[str, str, str]]:
    last = read_status(receiver.data)
    return [] if last is None else [(each.account, each.format, each.source) for each in last.pins]


def waiting(receiver: ReceiverProcess) -> int:
    last = read_status(receiver.data)
    return -1 if last is None else last.waiting


def why_no_link(receiver: ReceiverProcess) -> str:
    last = read_status(receiver.data)
    return "" if last is None else last.link_why


def wait_for(condition: Callable[[], bool], receiver: ReceiverProcess) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, receiver.errors()
        time.sleep(0.05)


@pytest.mark.system
@pytest.mark.slow
def test_calls_are_kept_without_a_collector_and_told_when_it_is_back(tmp_path: Path) -> None:
    data = tmp_path / "centre"
    process, port = started(data, 0)
    subprocess.run(
        collector(data, "receiver", "add", "rx-1", "--out", str(tmp_path / "rx" / "identity")),
        check=True,
        capture_output=True,
    )
    for words in (
        ("panel", "add", "shop-1", "--out", str(tmp_path / "shop-1")),
        ("account", "set", "4321", "shop-1", "--format", "express-4-2"),
    ):
        subprocess.run(collector(data, *words), check=True, capture_output=True)
    receiver = ReceiverProcess(tmp_path / "rx", CONFIG).start()
    try:
        wait_for(lambda: pins(receiver) == [("4321", "express-4-2", "collector")], receiver)
        receiver.kill()
        ended(process, signal.SIGTERM)
        (receiver.data / "status.json").unlink()
        receiver.start()
        wait_for(lambda: pins(receiver) == [("4321", "express-4-2", "collector")], receiver)
        panel = AudioPanel("127.0.0.1", receiver.port)
        raws = [block_of(number=f"{n:03d}") for n in range(3)]
        asyncio.run(panel.call([dtmf(raw) for raw in raws]))
        assert panel.acknowledged == [0, 1, 2], "a dead collector holds up no kiss-off"
        assert receiver.ask_json("status")[0]["waiting"] == 3
        process, _ = started(data, port)
        try:
            wait_for(lambda: waiting(receiver) == 0, receiver)
            assert "link up, answered" in receiver.ask("status").stdout
            revoke = collector(data, "receiver", "revoke", "rx-1")
            subprocess.run(revoke, check=True, capture_output=True)
            wait_for(lambda: "receiver add rx-1" in why_no_link(receiver), receiver)
        finally:
            ended(process, signal.SIGTERM)
        entries = receiver.ask_json("spool", "show")
        assert [each["what"]["raw"] for each in entries] == raws
    finally:
        assert receiver.stop() == 0
