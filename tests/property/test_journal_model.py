"""The journal against a dictionary: any order of appends, acknowledgements, deaths and restarts."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.adapters import journal_reader
from edge.adapters.journal_sqlite import RETRY_S, JournalStore
from edge.config import JournalConfig
from edge.journal.chain import ChainHead
from edge.journal.record_types import OwedKey, Stamped
from edge.journal.volatile import VolatileEpoch
from protocols.instants import Instant
from protocols.mqtt.payloads import digest_of, genesis
from protocols.panel_event import Code, PanelEvent

CONFIG = JournalConfig(max_records=1000, reserve_bytes=65_536)
PATHS = ("mqtt", "phone")
CODES = st.sampled_from([Code.BURGLARY, Code.OPEN_CLOSE, Code.ZONE_STATE, Code.HOLDUP_SILENT])


class JournalModel(RuleBasedStateMachine):
    """`records` is everything told; `owed` what no path may forget."""

    def __init__(self) -> None:
        super().__init__()
        place = Path("/dev/shm")
        self.directory = tempfile.TemporaryDirectory(dir=place if place.is_dir() else None)
        self.path = Path(self.directory.name)
        self.records: dict[tuple[int, int], bytes] = {}
        self.keys: dict[tuple[int, int], OwedKey] = {}
        self.owed: dict[str, set[tuple[int, int]]] = {path: set() for path in PATHS}
        self.snapshot: bytes | None = None
        self.number = 0
        self.blocker: sqlite3.Connection | None = None

    @initialize()
    def start(self) -> None:
        self.store = JournalStore.open(CONFIG, self.path, "p1", "b", PATHS)
        assert self.store.opened.faults == ()

    @rule(codes=st.lists(CODES, max_size=5), many=st.sampled_from([1, 1, 1, 120]))
    def append(self, codes: list[Code], many: int) -> None:
        self.number += 1
        self.snapshot = f"state {self.number}".encode()
        events = [Stamped(PanelEvent(code, zone=3), Instant(self.number)) for code in codes * many]
        stored = self.store.append(events, self.snapshot)
        assert [each.key.seq for each in stored] == list(
            range(stored[0].key.seq, stored[0].key.seq + len(events)) if stored else []
        )
        for each in stored:
            key = each.key.epoch, each.key.seq
            assert key not in self.records
            assert digest_of(each.raw) == each.key.digest
            self.records[key] = each.raw
            self.keys[key] = each.key
            for path in PATHS:
                self.owed[path].add(key)

    @rule(path=st.sampled_from(PATHS), part=st.sampled_from([1, 2, 3, 50]))
    def acknowledge(self, path: str, part: int) -> None:
        taken = sorted(self.owed[path])[::part]
        self.store.acknowledge(path, [self.keys[key] for key in taken])
        self.owed[path] -= set(taken)

    @rule(path=st.sampled_from(PATHS), first=st.integers(1, 300), size=st.integers(0, 30))
    def resend(self, path: str, first: int, size: int) -> None:
        epoch = self.store.newest().epoch
        held = self.store.held(path, epoch, first, first + size)
        want = [
            key
            for key in sorted(self.records)
            if key[0] == epoch and first <= key[1] <= first + size
        ]
        assert [(key.epoch, key.seq) for key in held] == want
        self.owed[path].update(want)

    @rule()
    def upkeep(self) -> None:
        while self.store.rotate():
            pass
        for key in sorted(self.records):
            if len(self.records) <= CONFIG.max_records or any(
                key in self.owed[path] for path in PATHS
            ):
                break
            if self.blocker is not None or key == max(self.records):
                break
            del self.records[key]

    @rule()
    @precondition(lambda self: self.blocker is None)
    def restart(self) -> None:
        newest = self.store.newest()
        self.store.close()
        self.reopen(newest)
        assert {
            path: {(key.epoch, key.seq) for key in self.store.owed(path)} for path in PATHS
        } == self.owed

    @rule()
    @precondition(lambda self: self.blocker is None)
    def die(self) -> None:
        """Without closing: acknowledgements since the last upkeep may be owed again."""
        if isinstance(self.store._volatile, VolatileEpoch):
            return
        newest = self.store.newest()
        self.store._drop_database()
        self.store._files.close()
        self.reopen(newest)
        for path in PATHS:
            now = {(key.epoch, key.seq) for key in self.store.owed(path)}
            assert self.owed[path] <= now
            self.owed[path] = now

    def reopen(self, newest: ChainHead) -> None:
        self.store = JournalStore.open(CONFIG, self.path, "p1", "b", PATHS)
        assert self.store.opened.faults == ()
        assert self.store.opened.snapshot == self.snapshot
        assert (self.store.opened.epoch, self.store.opened.seq) == (newest.epoch, newest.seq)

    @rule()
    @precondition(lambda self: self.blocker is None)
    def disk_refuses(self) -> None:
        self.blocker = sqlite3.connect(self.path / "journal-0001.db", isolation_level=None)
        self.blocker.execute("BEGIN IMMEDIATE")

    @rule()
    @precondition(lambda self: self.blocker is not None)
    def disk_works(self) -> None:
        assert self.blocker is not None
        self.blocker.close()
        self.blocker = None
        self.store._retry_at -= RETRY_S
        self.upkeep()

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.count() == len(self.records)
        newest = self.store.newest()
        assert newest.digest == self.store.digest_at(newest.epoch, newest.seq)
        if newest.seq == 0:
            assert newest.digest == genesis("p1", newest.epoch)
        for path in PATHS:
            owed = self.store.owed(path)
            assert {(key.epoch, key.seq) for key in owed} == self.owed[path]
            assert owed == sorted(owed)
            assert self.store.read(owed) == [self.records[key.epoch, key.seq] for key in owed]

    def teardown(self) -> None:
        if self.blocker is not None:
            self.blocker.close()
        self.store._retry_at -= RETRY_S
        self.store.rotate()
        self.store.close()
        report = journal_reader.verify(self.path)
        assert report.flaws == []
        assert report.losses == []
        self.directory.cleanup()


TestJournalModel = JournalModel.TestCase
TestJournalModel.settings = settings(
    deadline=None, derandomize=True, max_examples=25, stateful_step_count=25
)
