"""kill -9 of the collector while a receiver sends: acknowledged is stored, and stored once."""

from __future__ import annotations

import base64
import contextlib
import random
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from collector.records.signal import PATH_PHONE
from protocols.instants import UtcTime
from protocols.mqtt.reception import Reception, ReceptionAck, Report, Taken
from protocols.mqtt.topics import RECEPTION, RECEPTION_ACK, topic
from protocols.panel_event import Code, PanelEvent
from tests.support.collector_rig import reader_of

ROOT = Path(__file__).parents[2]
COUNT = 300
ENTRIES = [
    Taken(n, UtcTime(n), "l1", Report("1234", "cid", str(n), PanelEvent(Code.OPEN_CLOSE, user=n)))
    for n in range(1, COUNT + 1)
]


class Life:
    """One life of the collector; `upto` is the last acknowledgement read."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fed_collector", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        self.upto = 0
        self.acked = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                return
            _, leaf, payload = line.decode().split()
            if leaf == RECEPTION_ACK:
                ack = msgspec.json.decode(base64.b64decode(payload), type=ReceptionAck)
                self.upto = max(self.upto, ack.upto)
                self.acked.set()

    def send(self, entries: list[Taken]) -> None:
        assert self.process.stdin is not None
        payload = msgspec.json.encode(Reception("rx-1", 7, entries, floor=1))
        name = topic("rx-1", RECEPTION).encode()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(name + b" " + base64.b64encode(payload) + b"\n")
            self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()


@pytest.mark.system
def test_killed_between_commit_and_ack_every_entry_is_one_signal(tmp_path: Path) -> None:
    chance = random.Random(3)
    acked = 0
    for _ in range(60):
        if acked >= COUNT:
            break
        life = Life(tmp_path)
        for at in range(acked, COUNT, 8):
            life.send(ENTRIES[at : at + 8])
        assert life.acked.wait(20), "no acknowledgement at all"
        life.send(ENTRIES[acked : acked + chance.randint(1, 60)])
        if chance.random() < 0.5:
            life.acked.clear()
            life.acked.wait(0.05)
        life.kill()
        acked = max(acked, life.upto)
        reader = reader_of(tmp_path)
        stored = [one.event.user for one in reader.signals() if one.path == PATH_PHONE]
        reader.close()
        assert stored[:acked] == list(range(1, acked + 1)), "acknowledged, but not stored"
        assert len(set(stored)) == len(stored), "stored twice"
    assert acked == COUNT
    reader = reader_of(tmp_path)
    assert reader.verify().ok
    reader.close()
