"""kill -9 of the collector at any moment: acknowledged is stored, and each event happens once."""

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

from protocols.mqtt.payloads import Ack, digest_of
from protocols.mqtt.topics import ACK, HEARTBEAT, REPORT, topic
from tests.support.collector_rig import NotedLink, collector_in, reader_of, settled
from tests.support.panel_records import chain_of, heartbeat, report_of

PANELS = ("shop-1", "shop-2")
LENGTH = 400
KILLS = 25
ROOT = Path(__file__).parents[2]


class Child:
    """One life of the collector. Acknowledgements are read as they come."""

    def __init__(
        self, folder: Path, acked: dict[str, set[str]], chains: dict[str, list[bytes]]
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fed_collector", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        self.acks = 0
        self._acked = acked
        self._chains = chains
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                return
            panel, leaf, payload = line.decode().split()
            if leaf != ACK:
                continue
            ack = msgspec.json.decode(base64.b64decode(payload), type=Ack)
            told = {one.digest for one in ack.also}
            told |= {digest_of(raw) for raw in self._chains[panel][: ack.upto]}
            self._acked[panel] |= told
            self.acks += 1

    def send(self, panel: str, leaf: str, payload: bytes) -> bool:
        assert self.process.stdin is not None
        try:
            line = topic(panel, leaf).encode() + b" " + base64.b64encode(payload) + b"\n"
            self.process.stdin.write(line)
            self.process.stdin.flush()
        except BrokenPipeError:
            return False
        return True

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
@pytest.mark.slow
def test_killed_at_any_moment_nothing_acknowledged_is_lost_and_nothing_happens_twice(
    tmp_path: Path,
) -> None:
    chance = random.Random(5)
    chains = {panel: chain_of(panel, LENGTH) for panel in PANELS}
    acked: dict[str, set[str]] = {panel: set() for panel in PANELS}
    for life in range(KILLS):
        child = Child(tmp_path, acked, chains)
        doom = chance.randint(0, 60)
        alive = True
        while alive:
            for panel in PANELS:
                # What is still owed, in any order, some of it twice, two or three at a time.
                owed = [raw for raw in chains[panel] if digest_of(raw) not in acked[panel]]
                if child.acks >= doom:
                    child.process.kill()
                raws = owed[: chance.randint(1, 12)] or [chance.choice(chains[panel])]
                chance.shuffle(raws)
                alive = child.send(panel, REPORT, report_of(*raws)) and alive
                if chance.random() < 0.1:
                    newest = heartbeat(panel, LENGTH, digest_of(chains[panel][-1]))
                    alive = child.send(panel, HEARTBEAT, newest) and alive
            if life % 5 == 4 and chance.random() < 0.02:
                child.process.kill()  # at any moment of the start, too
        child.kill()
        if not (tmp_path / "ledger.db").exists():
            continue
        reader = reader_of(tmp_path)
        stored = {signal.digest for signal in reader.signals()}
        reader.close()
        for panel in PANELS:
            assert acked[panel] <= stored, "acknowledged, but not there after the kill"
    assert sum(map(len, acked.values())) > 20, "nothing was acknowledged: the test proves nothing"

    link = NotedLink()
    last = collector_in(tmp_path, link)
    last.start()
    for panel in PANELS:
        for start in range(0, LENGTH, 50):
            last.offer(topic(panel, REPORT), report_of(*chains[panel][start : start + 50]))
    for panel in PANELS:
        settled(last, link, panel, LENGTH)
    last.stop()

    reader = reader_of(tmp_path)
    report = reader.verify()
    assert report.flaws == ()
    for panel in PANELS:
        seqs = [one.seq for one in reader.occurrences(panel=panel) if one.seq]
        assert sorted(seqs) == list(range(1, LENGTH + 1)), "each event exactly one Occurrence"
        signals = [signal for signal in reader.signals(panel=panel) if signal.seq]
        assert len(signals) == LENGTH
    reader.close()
