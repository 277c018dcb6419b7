"""The receiver's spool on a disk that works, is damaged, or is full (users.md A1, C2, C3)."""

from __future__ import annotations

import random
import sqlite3
import threading
from pathlib import Path

import pytest

from collector.adapters import spool_sqlite
from collector.adapters.spool_reading import FILE, SpoolError, peek, peek_entries, verify
from collector.adapters.spool_sqlite import Spool
from collector.adapters.spool_writer import SpoolWriter
from protocols.instants import UtcTime
from protocols.mqtt.reception import UNKNOWN_AGE, LineState, Report, Taken, Unrecognised
from protocols.panel_event import PanelEvent

NOW = UtcTime(1_790_000_000_000_000)


def report(number: int) -> tuple[UtcTime, str, Report]:
    what = Report(
        f"{number % 10_000:04d}", "contact-id", f"raw {number}", PanelEvent(130), "c", number
    )
    return UtcTime(NOW + number), "trunk", what


def open_spool(folder: Path, **given: int) -> Spool:
    return Spool(folder, "receiver-1", NOW, reserve_bytes=65_536, **given)


def test_numbers_ascend_by_one_and_come_back(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    assert [each.seq for each in spool.append([report(1), report(2)])] == [1, 2]
    assert [each.seq for each in spool.append([report(3)])] == [3]
    epoch = spool.epoch
    spool.close()
    spool = open_spool(tmp_path)
    assert (spool.epoch, spool.newest, spool.acked) == (epoch, 3, 0)
    assert [each.what for each in spool.read(1, 10)] == [report(2)[2], report(3)[2]]
    assert verify(tmp_path) == []
    spool.close()


def test_acknowledged_is_kept_within_bounds_and_waiting_always(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, keep=10)
    spool.append([report(n) for n in range(1, 101)])
    assert not spool.acknowledge(spool.epoch + 1, 50)
    assert not spool.acknowledge(spool.epoch, 101)
    assert spool.acknowledge(spool.epoch, 60)
    assert not spool.acknowledge(spool.epoch, 60)
    assert spool.floor() == 51
    assert [each.seq for each in spool.read(60, 100)] == list(range(61, 101))
    assert peek(tmp_path) == spool.state()
    assert spool.state().waiting == 40
    spool.close()
    assert open_spool(tmp_path).acked == 60


def test_a_spool_of_another_receiver_is_not_taken_over(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.append([report(1)])
    spool.close()
    other = Spool(tmp_path, "receiver-2", NOW)
    assert other.newest == 0
    assert other.set_aside is not None
    assert "receiver-1" in other.set_aside.why
    other.close()


@pytest.mark.parametrize("damage", ["empty", "noise", "header", "middle", "truncated"])
def test_a_damaged_file_is_set_aside_and_what_reads_is_saved(tmp_path: Path, damage: str) -> None:
    spool = open_spool(tmp_path)
    spool.append([report(n) for n in range(1, 2001)])
    spool.acknowledge(spool.epoch, 100)
    epoch = spool.epoch
    spool.close()
    path = tmp_path / FILE
    data = bytearray(path.read_bytes())
    draw = random.Random(damage)
    match damage:
        case "empty":
            data = bytearray()
        case "noise":
            data = bytearray(draw.randbytes(len(data)))
        case "header":
            data[:16] = b"no such database"
        case "middle":
            at = len(data) // 2 // 4096 * 4096
            data[at : at + 4096] = draw.randbytes(4096)
        case "truncated":
            del data[len(data) * 2 // 3 :]
    path.write_bytes(data)
    spool = open_spool(tmp_path)
    assert spool.set_aside is not None
    assert spool.set_aside.path.exists()
    assert spool.epoch > epoch
    assert spool.newest == spool.set_aside.saved
    least = {"header": 1900, "middle": 1800, "truncated": 1100}.get(damage, 0)
    assert least <= spool.newest <= 1900
    if least:
        raws = [each.what.raw for each in spool.read(0, 3000)]  # type: ignore[union-attr]
        assert raws[0] == "raw 101"  # what the collector had is not told again
    assert [each.seq for each in spool.append([report(7)])] == [spool.newest]
    assert verify(tmp_path) == []
    spool.close()


def test_an_old_copy_opens_a_new_epoch_and_keeps_what_waits(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.append([report(n) for n in range(1, 11)])
    spool.acknowledge(spool.epoch, 4)
    before = spool.epoch
    spool.renew(NOW)
    assert spool.epoch > before
    assert (spool.newest, spool.acked) == (6, 0)
    assert [each.what for each in spool.read(0, 10)] == [report(n)[2] for n in range(5, 11)]
    assert verify(tmp_path) == []
    spool.close()


def limit_pages(spool: Spool, more: int) -> None:
    """What a full disk does: SQLite refuses pages beyond these."""
    (pages,) = spool._writer.execute("pragma page_count").fetchone()
    spool._writer.execute(f"pragma max_page_count = {pages + more}")


def test_full_the_commit_fails_nothing_is_told_and_numbers_do_not_jump(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    limit_pages(spool, 2)
    kept = 0
    while kept < 1000:
        try:
            spool.append([report(kept + 1)])
        except SpoolError as error:
            assert "full" in str(error)  # noqa: PT017 - which of the appends fails is the disk's
            break
        kept += 1
    assert kept < 1000
    assert not (tmp_path / spool_sqlite.RESERVE).exists(), "the reserve was to be given up first"
    assert spool.newest == kept
    limit_pages(spool, 100)
    assert spool.append([report(kept + 1)])[0].seq == kept + 1
    assert verify(tmp_path) == []
    spool.close()


def test_the_writer_groups_what_waits_and_answers_each(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    committed = threading.Event()
    writer = SpoolWriter(spool, committed.set)
    answers: list[tuple[int, str]] = []
    done = threading.Semaphore(0)

    def told(number: int, why: str) -> None:
        answers.append((number, why))
        done.release()

    for number in range(1, 301):  # all wait before the writer begins
        writer.store([report(number)], lambda why, number=number: told(number, why))  # type: ignore[misc]
    writer.start()
    for _ in range(300):
        assert done.acquire(timeout=10)
    assert answers == [(number, "") for number in range(1, 301)]
    assert writer.commits == 1
    assert committed.is_set()
    limit_pages(spool, 0)
    refused: list[str] = []
    filler = [report(n) for n in range(2000)]
    writer.store(filler, lambda why: (refused.append(why), done.release()))  # type: ignore[func-returns-value]
    assert done.acquire(timeout=10)
    assert "full" in refused[0]
    assert "full" in writer.fault
    writer.close()
    late: list[str] = []
    writer.store([report(1)], late.append)
    assert late == ["the spool is closing"]
    assert spool.newest == 300
    spool.close()


def test_read_beside_a_running_writer(tmp_path: Path) -> None:
    assert peek(tmp_path) is None
    assert verify(tmp_path) == [f"there is no spool in {tmp_path}"]
    spool = open_spool(tmp_path)
    spool.append([report(1), (NOW, "modem", LineState(False, "gone"))])
    entries = peek_entries(tmp_path, 0, 10)
    assert entries == spool.read(0, 10)
    assert entries[1] == Taken(2, NOW, "modem", LineState(False, "gone"))
    spool.close()


def changed_byte(folder: Path, find: bytes, put: bytes) -> None:
    """One that SQLite does not see: it stands within a row."""
    path = folder / FILE
    data = path.read_bytes()
    assert data.count(find) == 1
    path.write_bytes(data.replace(find, put))


@pytest.mark.parametrize(
    ("find", "put"),
    [
        (b'"account":"0030"', b'"account":"0830"'),
        (b"raw 30", b"raw\x0130"),
        (b"raw 30", b"raw\xff30"),
    ],
)
def test_an_entry_that_changed_on_disk_is_told_as_such_and_holds_nothing_up(
    tmp_path: Path, find: bytes, put: bytes
) -> None:
    spool = open_spool(tmp_path)
    spool.append([report(n) for n in range(1, 51)])
    spool.close()
    changed_byte(tmp_path, find, put)
    assert verify(tmp_path) != []
    spool = open_spool(tmp_path)
    assert spool.set_aside is None
    found = spool.read(0, 100)
    assert [each.seq for each in found] == list(range(1, 51))
    odd = found[29]
    assert isinstance(odd.what, Unrecognised)
    assert "contact-id" in odd.what.heard
    assert (odd.at, odd.line) == (NOW + 30, "spool")
    assert [each for each in found if each.seq != 30] == [
        Taken(n, *report(n)) for n in range(1, 51) if n != 30
    ]
    assert spool.read(0, 100) == found == peek_entries(tmp_path, 0, 100)
    spool.renew(NOW)
    assert spool.newest == 50
    spool.close()
    assert verify(tmp_path) == []


def test_a_spool_of_the_version_before_the_check_is_read_and_goes_on(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.append([report(1)])
    spool.close()
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("alter table entry drop column crc")
        database.execute("drop table frame")
    database.close()
    assert [each.seq for each in peek_entries(tmp_path, 0, 9)] == [1]
    spool = open_spool(tmp_path)
    spool.append([report(2)])
    assert [each.what for each in spool.read(0, 9)] == [report(1)[2], report(2)[2]]
    assert spool.set_aside is None
    spool.close()
    assert verify(tmp_path) == []


def test_the_age_of_what_was_taken_does_not_depend_on_the_wall_clock(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.append([report(n) for n in range(1, 6)])
    assert all(0 <= age < 60 for age in spool.ages(1, 5))
    assert spool.ages(5, 2)[1] == UNKNOWN_AGE
    spool.acknowledge(spool.epoch, 2)
    assert spool.ages(2, 2)[0] == UNKNOWN_AGE
    spool.renew(NOW)
    assert [age >= 0 for age in spool.ages(1, 4)] == [True, True, True, False]
    spool.close()
    assert open_spool(tmp_path).ages(1, 3) == [UNKNOWN_AGE] * 3


def test_verify_names_what_is_missing(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.append([report(n) for n in range(1, 6)])
    spool.close()
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("delete from entry where seq = 3")
        database.execute("update entry set body = 'x' where seq = 5")
    database.close()
    wrong = verify(tmp_path)
    assert any("3 to 3 are missing" in each for each in wrong)
    assert any("entry 5 is no entry" in each for each in wrong)
