"""The receiver's disk: full, short of room, its clock stepped; what is told of it and what goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collector.adapters import calls_sqlite
from collector.adapters.calls_sqlite import CallsLog, read_calls
from collector.adapters.durable_file import locked
from collector.adapters.receiver_status import FILE, LOCK, ReceiverStatus, read_status, runs
from collector.adapters.receiver_status import write_status as write
from collector.adapters.reception_call import CallRecord
from collector.adapters.reception_keeper import ReceptionKeeper
from collector.adapters.recordings import FOLDER, RecordingError, Recordings
from collector.adapters.spool_health import SpoolHealth
from collector.adapters.spool_reading import SpoolError
from collector.adapters.spool_sqlite import RESERVE, Spool
from collector.adapters.spool_writer import SpoolWriter
from collector.receiver_main import app
from collector.reception.call_types import Unrecognised
from protocols.instants import UtcTime, utc_later
from protocols.mqtt import reception
from protocols.mqtt.reception import LineState
from tests.support.collector_rig import until

NOW = UtcTime(1_790_000_000_000_000)
YEARS_20_S = 20 * 365 * 86_400.0
AUDIO = [bytes(320)] * 50


def kept(folder: Path) -> set[str]:
    return {each.stem for each in (folder / FOLDER).iterdir()}


def test_the_oldest_recordings_go_first_though_the_clock_was_years_ahead(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path, keep_files=3)
    for name in ("a", "b", "c"):
        file = tmp_path / FOLDER / recordings.keep(name, AUDIO)
        ahead = file.stat().st_mtime_ns + round(YEARS_20_S * 1e9)
        os.utime(file, ns=(ahead, ahead))
    (tmp_path / FOLDER / "cut-off.part").write_bytes(b"by a kill")
    recordings = Recordings(tmp_path, keep_files=3)
    for name in ("d", "e"):
        recordings.keep(name, AUDIO)
    assert kept(tmp_path) == {"c", "d", "e"}


def test_recordings_give_way_where_the_spool_needs_the_room(tmp_path: Path) -> None:
    Recordings(tmp_path).keep("a", AUDIO)
    with pytest.raises(RecordingError, match="the spool's"):
        Recordings(tmp_path, keep_free_bytes=2**62).keep("b", AUDIO)
    assert kept(tmp_path) == set()


def test_the_newest_calls_stay_in_the_log_and_stand_first_though_the_clock_went_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_sqlite, "KEEP_CALLS", 5)
    monkeypatch.setattr(calls_sqlite, "_DROP_EVERY", 1)
    log = CallsLog(tmp_path)
    for number in range(6):
        log.add(CallRecord(f"before-{number}", "trunk", "", NOW))
    for number in range(3):
        log.add(CallRecord(f"after-{number}", "trunk", "", utc_later(NOW, -YEARS_20_S)))
    log.close()
    assert [each.call for each in read_calls(tmp_path, 10)] == [
        "after-2", "after-1", "after-0", "before-5", "before-4",
    ]  # fmt: skip


def status(waiting: int) -> ReceiverStatus:
    return ReceiverStatus("rx-1", 1, NOW, NOW, 1, waiting, 0, waiting, (), {})


def test_on_a_full_disk_the_status_is_written_over_the_old_one(tmp_path: Path) -> None:
    write(tmp_path, status(1_000_000))
    (tmp_path / f".{FILE}").mkdir()  # no new file can be made
    write(tmp_path, status(7))
    found = read_status(tmp_path)
    assert found is not None
    assert found.waiting == 7


def test_whether_a_receiver_runs_is_told_by_its_lock_not_by_an_old_file(tmp_path: Path) -> None:
    assert not runs(tmp_path / "nowhere")
    write(tmp_path, status(0))
    assert not runs(tmp_path)
    with locked(tmp_path / LOCK):
        assert runs(tmp_path)
    assert not runs(tmp_path)


def test_a_full_disk_is_told_when_the_reserve_goes_and_the_reserve_comes_back(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    spool = Spool(tmp_path, "rx-1", NOW, reserve_bytes=65_536)
    health = SpoolHealth(spool, SpoolWriter(spool, lambda: None), told.append)
    health.look()
    assert (health.fault, told) == ("", [])
    (pages,) = spool._writer.execute("pragma page_count").fetchone()
    spool._writer.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(SpoolError, match="full"):
        spool.append([(NOW, "trunk", LineState(False, "x" * 500))] * 100)
    assert not (tmp_path / RESERVE).exists()
    assert "make room" in health.fault
    spool._writer.execute(f"pragma max_page_count = {pages + 1000}")
    health.look()
    assert (tmp_path / RESERVE).stat().st_size == 65_536
    assert health.fault == ""
    spool.close()


def test_unrecognised_calls_that_the_spool_refused_are_told_when_it_takes_them(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path, "rx-1", NOW)
    writer = SpoolWriter(spool, lambda: None)
    keeper = ReceptionKeeper(
        writer,
        CallsLog(tmp_path),
        Recordings(tmp_path),
        post=lambda act: act(),
        utc=lambda: NOW,
        on_problem=lambda _: None,
    )
    spool._writer.execute("pragma query_only=1")
    writer.start()
    keeper.start()
    for call in ("first", "second"):
        record = CallRecord(call, "trunk", "", NOW)
        keeper.ended(record, Unrecognised("no known format", ("dual",), "12", ""), AUDIO)
    until(lambda: len(read_calls(tmp_path, 10)) == 2)
    until(lambda: writer.failures and len(keeper._owed) == 2)
    before = writer.failures
    keeper.tell_owed()
    until(lambda: writer.failures > before and len(keeper._owed) == 2)
    spool._writer.execute("pragma query_only=0")
    keeper.tell_owed()
    until(lambda: spool.newest == 2)
    told = [each.what for each in spool.read(0, 9)]
    assert [each.call for each in told if isinstance(each, reception.Unrecognised)] == [
        "first",
        "second",
    ]
    keeper.close()
    writer.close()
    spool.close()


def test_a_log_of_calls_that_cannot_be_kept_stops_no_receiver(tmp_path: Path) -> None:
    (tmp_path / calls_sqlite.FILE).write_bytes(b"no database" * 1000)
    log = CallsLog(tmp_path)
    assert "damaged" in log.damaged
    log.add(CallRecord("a", "trunk", "", NOW))
    assert [each.call for each in read_calls(tmp_path, 9)] == ["a"]
    log.close()
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / calls_sqlite.FILE / "in the way").mkdir(parents=True)
    (elsewhere / f"{calls_sqlite.FILE}.damaged" / "too").mkdir(parents=True)
    log = CallsLog(elsewhere)
    assert "not kept" in log.damaged
    log.add(CallRecord("a", "trunk", "", NOW))
    log.close()


@pytest.mark.parametrize("place", ["a file", "/proc/nowhere"])
def test_a_data_folder_that_cannot_be_used_says_so(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").write_text("x")
    (tmp_path / "receiver.toml").write_text('id = "rx-1"')
    file = str(tmp_path / "receiver.toml")
    said = CliRunner().invoke(app, ["run", "--config", file, "--data", str(tmp_path / place)])
    assert said.exit_code == 1
    assert "that this user may write to" in said.output
