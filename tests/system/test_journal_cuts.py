"""users.md C1: what was accepted is on disk, over kill -9 and over a power cut.

The power cut is simulated below SQLite (tests/support/power_cut.py); real cards are for the rig.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.adapters import journal_checkpoint, journal_reader
from edge.adapters.journal_files import JournalFiles
from edge.adapters.journal_sqlite import JournalStore
from edge.config import JournalConfig
from edge.journal.record_types import Stamped
from edge.journal.recovery import HeadNote, KeptState
from protocols.instants import Instant
from protocols.panel_event import Code, PanelEvent, Qualifier
from tests.support.power_cut import Disk, Log, Op, logged

CONFIG = JournalConfig(max_records=1000, reserve_bytes=65_536)
CUTS = 1000
KILLS = 60


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: syncing is modelled, not done."""
    place = Path("/dev/shm") if Path("/dev/shm").is_dir() else tmp_path
    with tempfile.TemporaryDirectory(dir=place) as directory:
        yield Path(directory)


def event(number: int) -> Stamped:
    code = Code.OPEN_CLOSE if number % 9 == 0 else Code.BURGLARY
    q = Qualifier.RESTORE if number % 2 else Qualifier.NEW
    return Stamped(PanelEvent(code, q, zone=number % 16, detail="d" * 40), Instant(number))


def test_power_cut_at_any_moment_loses_nothing_accepted(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = scratch / "live"
    log = Log()
    dice = random.Random(11)
    monkeypatch.setattr(journal_checkpoint, "COMMITS", 15)
    write_head, write_state = JournalFiles.write_head, JournalFiles.write_state

    def head_logged(self: JournalFiles, note: HeadNote) -> bool:
        log.ops.append(Op("write", "journal.head", 0, note.encode()))
        return write_head(self, note)

    def state_logged(self: JournalFiles, state: KeptState) -> bool:
        done = write_state(self, state)
        log.ops.append(Op("replace", "state.bak", 0, state.encode(self.panel)))
        return done

    monkeypatch.setattr(JournalFiles, "write_head", head_logged)
    monkeypatch.setattr(JournalFiles, "write_state", state_logged)
    told: list[tuple[int, tuple[int, int], bytes, bytes]] = []
    with logged(log):
        store = JournalStore.open(CONFIG, live, "p1", "b")
        assert log.ops, "the databases are not opened through the logging layer"
        log.ops.clear()
        disk = Disk(live)
        snapshot = b""
        for number in range(500):
            snapshot = b"s" * 200 + str(number).encode()
            for stored in store.append([event(number)] * dice.choice([1, 1, 3]), snapshot):
                key = stored.key.epoch, stored.key.seq
                told.append((len(log), key, stored.raw, snapshot))
            if number % 40 == 0:
                store.acknowledge("mqtt", store.owed("mqtt")[: dice.randrange(60)])
                store.rotate()
        ops = list(log.ops)
        store.close()
    syncs = sum(op.kind == "sync" for op in ops)
    assert syncs > 500, syncs
    assert any(op.kind == "write" and op.name.endswith(".db") for op in ops), "no checkpoint ran"

    cuts = sorted(dice.randrange(len(ops)) for _ in range(CUTS))
    taken = 0
    for index, cut in enumerate(cuts):
        for op in ops[taken:cut]:
            disk.take(op)
        taken = max(taken, cut)
        found = scratch / f"cut-{index}"
        disk.cut(found, dice)
        check_cut(found, [each for each in told if each[0] <= cut], f"cut {cut}/{len(ops)}")
        shutil.rmtree(found)


def check_cut(
    found: Path, accepted: list[tuple[int, tuple[int, int], bytes, bytes]], what: str
) -> None:
    store = JournalStore.open(CONFIG, found, "p1", "b")
    assert store.opened.faults == (), (what, store.opened.faults)
    assert not store.opened.snapshot_lost, what
    try:
        with journal_reader.reading(found) as database:
            kept = {
                database.epochs.place(row.id): row.raw for row in journal_reader.rows_up(database)
            }
        for _, key, raw, _ in accepted:
            assert kept.get(key) == raw, (what, key)
        if accepted:
            newest, snapshot = accepted[-1][3], store.opened.snapshot
            assert snapshot is not None, what
            assert int(snapshot[200:]) in (int(newest[200:]), int(newest[200:]) + 1), what
    finally:
        store.close()


def run_child(directory: Path, out: int, seed: int) -> None:
    """In a forked process: append for ever, telling each Record that returned."""
    dice = random.Random(seed)
    store = JournalStore.open(JournalConfig(), directory, "p1", "b")
    number = store.opened.seq
    while True:
        number += 1
        for stored in store.append([event(number)] * dice.choice([1, 1, 4]), b"snapshot"):
            os.write(out, f"{stored.key.epoch} {stored.key.seq} {stored.key.digest}\n".encode())
        if number % 7 == 0:
            store.acknowledge("mqtt", store.owed("mqtt")[:5])
        if number % 20 == 0:
            store.rotate()


def kill_after(directory: Path, seed: int, lines: int, more_s: float) -> list[str]:
    """Lines the child told before SIGKILL, which comes `more_s` after line `lines`."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            run_child(directory, writer, seed)
        finally:
            os._exit(1)
    os.close(writer)
    told = b""
    while told.count(b"\n") < lines:
        ready, _, _ = select.select([reader], [], [], 30)
        assert ready, "the child says nothing"
        piece = os.read(reader, 65_536)
        assert piece, "the child died by itself"
        told += piece
    select.select([], [], [], more_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while piece := os.read(reader, 65_536):
        told += piece
    os.close(reader)
    return told.decode().splitlines()


def test_kill_at_any_moment_loses_nothing_that_returned(tmp_path: Path) -> None:
    dice = random.Random(5)
    told: dict[tuple[int, int], str] = {}
    for round_number in range(KILLS):
        lines = kill_after(tmp_path, round_number, dice.randrange(1, 25), dice.random() * 0.004)
        for line in lines:
            epoch, seq, digest = line.split()
            key = int(epoch), int(seq)
            assert key not in told, "a number was given twice"
            told[key] = digest
        report = journal_reader.verify(tmp_path)
        assert report.flaws == [], report
        assert report.losses == []
        with journal_reader.reading(tmp_path) as database:
            kept = {
                database.epochs.place(row.id): row.digest.hex()
                for row in journal_reader.rows_up(database)
            }
        assert {key: kept.get(key) for key in told} == told
    assert len(told) > KILLS
