"""The journal on a disk that works, refuses, fills up, or belongs to somebody else."""

from __future__ import annotations

import random
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.adapters import journal_reader
from edge.adapters.journal_sqlite import RETRY_S, JournalStore
from edge.config import JournalConfig
from edge.journal.chain import read_record
from edge.journal.record_types import OwedKey, Stamped, Stored
from protocols.instants import Instant
from protocols.mqtt.payloads import digest_of, genesis
from protocols.panel_event import Code, PanelEvent, Qualifier

CONFIG = JournalConfig(reserve_bytes=65_536)
CLOSED = PanelEvent(Code.OPEN_CLOSE, Qualifier.RESTORE, area=1)


def open_store(directory: Path, config: JournalConfig = CONFIG, panel: str = "p1") -> JournalStore:
    return JournalStore.open(config, directory, panel, "boot-1")


def alarm(zone: int, mono: int = 1) -> Stamped:
    return Stamped(PanelEvent(Code.BURGLARY, zone=zone), Instant(mono))


def fill(store: JournalStore, count: int, at_once: int = 100) -> list[Stored]:
    stored: list[Stored] = []
    for first in range(0, count, at_once):
        events = [alarm(n % 16 + 1, n) for n in range(first, min(count, first + at_once))]
        stored += store.append(events, b"snapshot")
    return stored


def retry_now(store: JournalStore) -> None:
    """What RETRY_S of waiting does."""
    store._retry_at -= RETRY_S


def flaws(directory: Path) -> list[str]:
    return journal_reader.verify(directory).flaws


def test_first_start_is_quiet(tmp_path: Path) -> None:
    store = open_store(tmp_path / "new")
    opened = store.opened
    assert opened.faults == ()
    assert (opened.seq, opened.head) == (0, genesis("p1", opened.epoch))
    assert (opened.snapshot, opened.snapshot_lost, opened.same_boot) == (None, False, False)
    assert 0 < opened.epoch < 2**53
    store.close()


def test_records_are_chained_and_come_back(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    one, two = store.append([alarm(1), alarm(2)], b"after")
    assert read_record(one.raw).prev == genesis("p1", one.key.epoch)  # type: ignore[union-attr]
    assert read_record(two.raw).prev == digest_of(one.raw) == one.key.digest  # type: ignore[union-attr]
    store.close()
    store = open_store(tmp_path)
    assert (store.opened.epoch, store.opened.seq) == (two.key.epoch, 2)
    assert store.opened.snapshot == b"after"
    assert store.opened.same_boot
    assert store.owed("mqtt") == [one.key, two.key]
    assert store.read([two.key, one.key]) == [two.raw, one.raw]
    assert store.read([OwedKey(one.key.epoch, 1, two.key.digest, 2, 1)]) == [None]
    assert store.digest_at(one.key.epoch, 2) == two.key.digest
    assert store.digest_at(one.key.epoch, 3) is None
    store.close()


def test_snapshot_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert store.append([], b"timer") == []
    store.close()
    store = open_store(tmp_path)
    assert store.opened.snapshot == b"timer"
    store.close()


def test_acknowledged_on_one_path_is_owed_on_the_other(tmp_path: Path) -> None:
    store = JournalStore.open(CONFIG, tmp_path, "p1", "b", ("mqtt", "phone"))
    keys = [each.key for each in fill(store, 10)]
    store.acknowledge("mqtt", keys[4:8])
    store.acknowledge("mqtt", keys[:2])
    store.acknowledge("phone", keys)
    store.close()
    store = JournalStore.open(CONFIG, tmp_path, "p1", "b", ("mqtt", "phone"))
    assert store.owed("mqtt") == keys[2:4] + keys[8:]
    assert store.owed("phone") == []
    assert store.held("mqtt", keys[0].epoch, 1, 5) == keys[:5]
    assert store.owed("mqtt") == keys[:5] + keys[8:]
    store.rotate()
    store.close()
    store = JournalStore.open(CONFIG, tmp_path, "p1", "b", ("mqtt", "phone"))
    assert store.owed("mqtt") == keys[:5] + keys[8:]
    assert store.held("mqtt", keys[0].epoch + 1, 1, 5) == []
    store.close()


def test_a_path_added_later_owes_what_comes(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, 5)
    store.close()
    store = JournalStore.open(CONFIG, tmp_path, "p1", "b", ("mqtt", "phone"))
    assert len(store.owed("mqtt")) == 5
    assert store.owed("phone") == []
    new = fill(store, 1)
    assert store.owed("phone") == [new[0].key]
    store.close()


def test_rotation_removes_only_what_every_path_acknowledged(tmp_path: Path) -> None:
    config = JournalConfig(max_records=1000, reserve_bytes=65_536)
    store = JournalStore.open(config, tmp_path, "p1", "b", ("mqtt", "phone"))
    keys = [each.key for each in fill(store, 1500)]
    store.acknowledge("mqtt", keys)
    assert not store.rotate()
    assert store.count() == 1500
    assert store.usage() == 1.5
    store.acknowledge("phone", keys[:300])
    while store.rotate():
        pass
    assert store.count() == 1200
    assert store.floor(keys[0].epoch) == 301
    store.acknowledge("phone", keys[300:])
    while store.rotate():
        pass
    assert store.count() == 1000
    assert store.floor(keys[0].epoch) == 501
    assert store.usage() < 0.5
    store.close()
    assert flaws(tmp_path) == []
    store = JournalStore.open(config, tmp_path, "p1", "b", ("mqtt", "phone"))
    assert store.opened.faults == ()
    assert store.opened.seq == 1500
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET raw = x'00'",
        "DELETE FROM records",
        "DELETE FROM records WHERE id = (SELECT max(id) FROM records)",
        "INSERT OR REPLACE INTO records SELECT id, digest, x'00' FROM records",
        "UPDATE rotated SET upto = upto - 1",
        "DELETE FROM rotated",
        "DELETE FROM losses",
    ],
)
def test_database_refuses_to_forget(tmp_path: Path, statement: str) -> None:
    """R17, R70: no unauthorised deletion or change of records."""
    store = open_store(tmp_path)
    fill(store, 3)
    store._kept.database.add_losses([journal_reader.Loss(1, 1, 1)])  # type: ignore[union-attr]
    store.close()
    connection = sqlite3.connect(tmp_path / "journal-0001.db", isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)
    connection.close()
    assert len(open_store(tmp_path).owed("mqtt")) == 3


def test_a_second_panel_process_keeps_to_memory(tmp_path: Path) -> None:
    first = open_store(tmp_path)
    first.append([Stamped(CLOSED, Instant(1))], b"armed")
    second = open_store(tmp_path)
    assert [event.code for event in second.opened.faults] == [Code.JOURNAL_FAULT]
    assert second.opened.epoch > first.opened.epoch
    assert second.opened.snapshot == b"armed"
    stored = fill(second, 2)
    assert b'"recorded":false' in stored[0].raw
    assert second.owed("mqtt") == [each.key for each in stored]
    first.close()
    retry_now(second)
    second.rotate()
    assert [event.q for event in second.faults()] == [Qualifier.RESTORE, Qualifier.NEW]
    assert second.read([stored[0].key]) == [stored[0].raw]
    assert b"recorded" not in fill(second, 1)[0].raw
    second.close()
    assert flaws(tmp_path) == []


def test_another_panels_journal_is_set_aside(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.append([Stamped(CLOSED, Instant(1))], b"armed")
    store.close()
    store = open_store(tmp_path, panel="p2")
    assert (store.opened.snapshot, store.opened.snapshot_lost) == (None, False)
    assert store.owed("mqtt") == []
    assert "panel=other" in store.opened.faults[0].detail
    store.close()
    assert len(list(tmp_path.glob("*.damaged-*Z"))) == 1
    assert flaws(tmp_path) == []


@contextmanager
def locked_by_another(directory: Path) -> Iterator[None]:
    connection = sqlite3.connect(directory / "journal-0001.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_write_lock_held_by_another_program(tmp_path: Path) -> None:
    """Alarms go on from memory in an epoch of their own, and are filled in afterwards."""
    store = open_store(tmp_path)
    before = fill(store, 3)
    with locked_by_another(tmp_path):
        during = store.append([alarm(7), Stamped(CLOSED, Instant(2))], b"armed")
        assert "why=busy" in store.faults()[0].detail
        retry_now(store)
        during += store.append([alarm(8)], b"armed, later")
        assert store.faults() == ()
        assert store.newest().seq == 3
        assert store.digest_at(during[0].key.epoch, 2) == during[1].key.digest
        store.acknowledge("mqtt", [during[0].key, before[0].key])
        assert len(store.owed("mqtt")) == 4
    retry_now(store)
    after = store.append([alarm(9)], b"armed, after")
    epochs = [each.key.epoch for each in (before[0], during[0], after[0])]
    assert epochs == sorted(set(epochs))
    assert [each.key.seq for each in during] == [1, 2, 3]
    keys = [each.key for each in (*before[1:], *during[1:], *after)]
    assert store.owed("mqtt") == keys
    store.close()
    store = open_store(tmp_path)
    assert store.opened.faults == ()
    assert store.opened.snapshot == b"armed, after"
    assert store.owed("mqtt") == keys
    assert flaws(tmp_path) == []
    store.close()


def test_dying_in_memory_is_told_and_arms(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, 3)
    with locked_by_another(tmp_path):
        gone = store.append([alarm(7), alarm(8)], b"unknown to the disk")
    store._files.close()
    again = open_store(tmp_path)
    assert again.opened.snapshot_lost
    assert "unrecorded_lost=2" in again.opened.faults[0].detail
    assert f"lost={gone[0].key.epoch}:1-2" in again.opened.faults[1].detail
    assert again.opened.epoch > gone[0].key.epoch
    again.close()


def test_memory_is_bounded_and_keeps_what_matters(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, 1)
    with locked_by_another(tmp_path):
        noise = Stamped(PanelEvent(Code.ZONE_STATE, zone=1), Instant(1))
        first = store.append([alarm(3)], b"s")
        volatile = store._volatile
        assert volatile is not None
        volatile._limit = 50
        for _ in range(20):
            store.append([noise] * 5, b"s")
        last = store.append([alarm(4)], b"s")
        assert store.count() == 51
        assert store.read([first[0].key, last[0].key]) == [first[0].raw, last[0].raw]
    retry_now(store)
    store.rotate()
    assert any("lost=" in event.detail for event in store.faults())
    store.close()
    report = journal_reader.verify(tmp_path)
    assert report.flaws == []
    assert sum(x.last - x.first + 1 for x in report.losses) == 52


def test_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = open_store(tmp_path / "file" / "data")
    assert store.opened.faults[0].code == Code.JOURNAL_FAULT
    assert b'"recorded":false' in fill(store, 1)[0].raw
    retry_now(store)
    assert not store.rotate()
    assert store.usage() == 1.0
    store.close()


def test_rolled_back_journal_gives_way_to_the_centre(tmp_path: Path) -> None:
    """Set back to an old copy with all witnesses: only the collector knows."""
    store = open_store(tmp_path)
    sent = fill(store, 4)
    epoch = sent[0].key.epoch
    clash = store.append([alarm(12)], b"s")
    later = store.append([alarm(13)], b"s")
    store.acknowledge("mqtt", [each.key for each in sent])
    assert store.rolled_back(epoch, 4, sent[3].key.digest).faults == ()
    answer = store.rolled_back(epoch, 5, "f" * 64)
    assert [event.code for event in answer.faults] == [Code.JOURNAL_FAULT, Code.EPOCH_OPENED]
    repeated = answer.reissued[0]
    assert repeated.key.epoch > epoch
    assert read_record(repeated.raw).event == read_record(clash[0].raw).event  # type: ignore[union-attr]
    assert store.owed("mqtt") == [later[0].key, repeated.key]
    assert store.rolled_back(epoch, 5, "f" * 64).faults == ()
    more = store.rolled_back(epoch, 9, "f" * 64)
    assert f"lost={epoch}:7-9" in more.faults[1].detail
    assert store.rolled_back(epoch, 9, "f" * 64) == type(more)((), ())
    store.close()
    assert flaws(tmp_path) == []
    assert open_store(tmp_path).opened.faults == ()


def test_wall_clock_set_back_does_not_repeat_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[int] = []
    for year_s in (1_900_000_000, 0, 0, -5, 1_000_000_000):
        monkeypatch.setattr("edge.adapters.journal_opening.time.time", lambda at=year_s: at)
        (tmp_path / "journal.head").unlink(missing_ok=True)
        store = open_store(tmp_path)
        fill(store, 1)
        epochs.append(store.opened.epoch)
        store.close()
    assert epochs == sorted(set(epochs))


def test_hundred_thousand_records(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    stored = fill(store, 100_000, 2000)
    assert store.count() == 100_000
    store.acknowledge("mqtt", [each.key for each in stored[:99_000]])
    store.close()
    store = open_store(tmp_path)
    assert store.opened.seq == 100_000
    assert store.opened.faults == ()
    assert len(store.owed("mqtt")) == 1000
    picked = random.Random(3).sample(stored, 50)
    assert store.read([each.key for each in picked]) == [each.raw for each in picked]
    store.close()
    assert flaws(tmp_path) == []


CHILD = """
import sys, resource, signal
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.unit.test_journal_store import limited
limited(Path(sys.argv[1]))
"""


def limited(directory: Path) -> None:
    """In a child: a file may not grow over 1 MB, which a journal meets as a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = open_store(directory)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    told = 0
    raws = {}
    for n in range(3000):
        for stored in store.append([Stamped(PanelEvent(130, zone=1, detail="x" * 200), n)], b"s"):
            raws[stored.key.epoch, stored.key.seq] = stored.raw
        told += len(store.faults())
    assert store.newest().epoch != store.opened.epoch
    unrecorded = sum(b'"recorded":false' in raw for raw in raws.values())
    assert unrecorded
    assert told >= 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    retry_now(store)
    store.rotate()
    kept = {
        (key.epoch, key.seq): raw
        for key, raw in zip(store.owed("mqtt"), store.read(store.owed("mqtt")), strict=True)
    }
    assert kept == raws
    store.close()
    assert flaws(directory) == []


def test_disk_that_refuses_to_grow(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), str(root)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=root,
    )
    assert done.returncode == 0, done.stderr
