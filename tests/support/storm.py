"""Drives detectors of a real installation while something else breaks it, and keeps the truth.

Ground truth: a loop is moved again only after the panel's journal holds the last move, so each move
must end as exactly one Record and exactly one Occurrence, whatever was killed or cut between.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge.adapters.config_file import load
from edge.adapters.pins_client import Pins
from edge.field.reading import ReadingState
from hil.drivers.process import Program, wait_for
from hil.drivers.sim_rig import occurrences
from protocols.mqtt.payloads import Record
from protocols.panel_event import Code, Qualifier

PANEL = "storm-1"
GPIOS = tuple(range(4, 20))
_RECORD = msgspec.json.Decoder(Record)


def tool(module: str, *words: str) -> list[str]:
    return [sys.executable, "-m", module, *words]


def run_tool(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        tool(module, *words), capture_output=True, text=True, check=False, timeout=120
    )


@dataclass
class Storm:
    """A collector and a 16-zone panel under `root`; the panel dials `port` (0: the broker's)."""

    root: Path
    seed: int
    moves: int = 0
    moved: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.centre = self.root / "centre"
        self.data = self.root / "panel"
        self.data.mkdir(parents=True)
        self.collector = Program(
            "collector",
            tool("collector", "run", "--data", str(self.centre), "--port", "0", "--json"),
            self.root / "collector.log",
        )
        self.panel_file = self.root / "panel.toml"
        self.panel = Program(
            "panel",
            tool(
                "edge", "run", "--config", str(self.panel_file), "--data", str(self.data), "--json"
            ),
            self.root / "panel.log",
        )
        self._seen: dict[str, int] = {}
        self._state = dict.fromkeys(range(1, len(GPIOS) + 1), ReadingState.NORMAL)
        self._wanted = dict(self._state)
        self._moved_at = dict.fromkeys(self._state, time.monotonic())

    # -- setting up and taking down ------------------------------------------------------------

    def start_centre(self) -> int:
        """Collector, broker and the panel's certificate; returns the broker's port."""
        self.collector.start()
        port = int(self.collector.ready(60)["mqtt_port"])
        added = run_tool(
            "collector", "panel", "add", PANEL, "--data", str(self.centre),
            "--out", str(self.root / "identity"),
        )  # fmt: skip
        assert added.returncode == 0, added.stderr + added.stdout
        return port

    def start_panel(self, port: int) -> None:
        self.panel_file.write_text(_panel_toml(self.root / "identity", port))
        self.config = load(self.panel_file)
        self.pins = Pins.of(self.config, self.data)
        self.panel.start()
        self.panel.ready(60)

    def broker_pid(self) -> int | None:
        """The broker that our own collector started."""
        for task in Path(f"/proc/{self.collector.pid}/task").iterdir():
            for pid in (task / "children").read_text().split():
                if b"nats-server" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return int(pid)
        return None

    def kill_broker(self) -> bool:
        try:
            pid = self.broker_pid()
            if pid is None:
                return False
            os.kill(pid, signal.SIGKILL)
        except OSError:
            return False  # the collector is just going down or coming up
        return True

    def stop(self) -> None:
        self.panel.stop()
        self.collector.stop()

    # -- moving detectors ----------------------------------------------------------------------

    def step(self, most: int = len(GPIOS)) -> int:
        """Read the journal, move zones whose last move is in it; returns how many, at `most`."""
        self._read_journal()
        made = 0
        zones = list(self._wanted.items())
        self.random.shuffle(zones)
        for zone, wanted in zones:
            if made == most:
                break
            if self._state[zone] is wanted and time.monotonic() - self._moved_at[zone] > 0.02:
                self._move(zone, _other(wanted))
                made += 1
        return made

    def _move(self, zone: int, to: ReadingState) -> None:
        self.pins.set_zone(self.config, zone, to)
        self._wanted[zone] = to
        self._moved_at[zone] = time.monotonic()
        self.moves += 1
        self.moved[zone] += 1

    def settle(self, timeout_s: float) -> None:
        """Wait until every move is in the journal, then bring all loops to rest, recorded too."""
        wait_for("every move to be recorded", self._recorded, timeout_s)
        for zone, state in self._wanted.items():
            if state is not ReadingState.NORMAL:
                self._move(zone, ReadingState.NORMAL)
        wait_for("all loops to rest", self._recorded, timeout_s)

    def _recorded(self) -> bool:
        self._read_journal()
        return self._state == self._wanted

    def _read_journal(self) -> None:
        for file, row, record in self._records(self._seen):
            self._seen[file] = row
            if record.event.code == Code.TWENTY_FOUR_HOUR:
                alarm = record.event.q is Qualifier.NEW
                self._state[record.event.zone] = (
                    ReadingState.ALARM if alarm else ReadingState.NORMAL
                )

    def _records(self, after: dict[str, int]) -> list[tuple[str, int, Record]]:
        found = []
        for path in sorted(self.data.glob("journal-*.db")):
            try:
                database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
                try:
                    rows = database.execute(
                        "SELECT id, raw FROM records WHERE id > ? ORDER BY id",
                        (after.get(path.name, -1),),
                    ).fetchall()
                finally:
                    database.close()
            except sqlite3.OperationalError:
                continue  # the panel is just making or recovering it
            found += [(path.name, row, _RECORD.decode(raw)) for row, raw in rows]
        return found

    # -- the verdict ---------------------------------------------------------------------------

    def await_delivery(self, timeout_s: float) -> None:
        """Wait until the collector holds an Occurrence for every Record."""

        def delivered() -> bool:
            return len(self.occurrences()) >= len(self._records({}))

        try:
            wait_for("every Record to be an Occurrence", delivered, timeout_s, 0.2)
        except Exception:
            print(self.panel.tail(40), self.collector.tail(40), sep="\n")
            print(run_tool("edge", "status", "--data", str(self.data)).stdout)
            raise

    def occurrences(self) -> list[tuple[int, int]]:
        """(epoch, seq) of every Occurrence that came from the panel."""
        rows = occurrences(self.centre / "ledger.db", PANEL)
        return [(row["epoch"], row["seq"]) for row in rows if row["epoch"]]

    def judge(self) -> dict[str, int]:
        """Assert 0 lost and 0 doubled, from loop to Occurrence; returns the counts."""
        records = [record for _, _, record in self._records({})]
        trips: Counter[int] = Counter()
        last: dict[int, Qualifier] = {}
        for record in records:
            if record.event.code == Code.TWENTY_FOUR_HOUR:
                trips[record.event.zone] += 1
                assert last.get(record.event.zone) is not record.event.q, "two alike in a row"
                last[record.event.zone] = record.event.q
        assert trips == self.moved, "moves and Records differ"
        keys = [(record.epoch, record.seq) for record in records]
        seen = self.occurrences()
        lost = set(keys) - set(seen)
        doubled = [key for key, times in Counter(seen).items() if times > 1]
        invented = set(seen) - set(keys)
        assert not lost, f"{len(lost)} Records without Occurrence: {sorted(lost)[:5]}"
        assert not doubled, f"{len(doubled)} Records with two Occurrences: {doubled[:5]}"
        assert not invented, f"{len(invented)} Occurrences without Record: {sorted(invented)[:5]}"
        assert len(set(keys)) == len(keys), "a sequence number was used twice"
        for words in (
            ("edge", "journal", "verify", "--data", str(self.data)),
            ("collector", "ledger", "verify", "--data", str(self.centre)),
        ):
            done = run_tool(*words)
            assert done.returncode == 0, done.stdout + done.stderr
        cases = run_tool("collector", "cases", "--data", str(self.centre), "--all", "--json")
        assert cases.returncode == 0, cases.stderr
        return {"moves": self.moves, "records": len(keys), "cases": len(cases.stdout.splitlines())}


def _other(state: ReadingState) -> ReadingState:
    return ReadingState.NORMAL if state is ReadingState.ALARM else ReadingState.ALARM


def _panel_toml(identity: Path, port: int) -> str:
    zones = "".join(
        f"""
[[zones]]
number = {number}
name = "Zone {number}"
area = 1
type = "24h"
swinger_limit = 0
loop = {{ input = "gpio:{gpio}", wiring = "nc", debounce_ms = 2, min_pulse_ms = 10 }}
"""
        for number, gpio in enumerate(GPIOS, 1)
    )
    return f"""\
id = "{PANEL}"
name = "Storm"
[mqtt]
host = "127.0.0.1"
port = {port}
server_name = "localhost"
ca = "{identity / "ca.crt"}"
cert = "{identity / "panel.crt"}"
key = "{identity / "panel.key"}"
heartbeat_s = 2
ack_timeout_s = 1
reconnect_max_s = 1
[hardware]
driver = "sim"
[clock]
chronyc = []
[[areas]]
number = 1
name = "All"
{zones}"""


__all__ = ["PANEL", "Storm", "run_tool", "tool"]
