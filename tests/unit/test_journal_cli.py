"""`tocsin-edge journal`: what a technician and an auditor see, with the panel running."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.adapters.journal_sqlite import JournalStore
from edge.cli.journal import app, newest_records
from edge.config import JournalConfig
from edge.journal.record_types import Stamped, Stored
from protocols.instants import Instant, UtcTime
from protocols.panel_event import Code, PanelEvent

UTC = 1_790_000_000_000_000
CONFIG = JournalConfig(reserve_bytes=65_536)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Path, list[Stored]]]:
    """A panel that started without time and got it later, still running."""
    store = JournalStore.open(CONFIG, tmp_path, "p1", "boot-1")
    anchor = PanelEvent(Code.CLOCK_SET, detail=f"mono=9000000000;utc={UTC};err=500")
    events = [
        Stamped(PanelEvent(Code.BURGLARY, zone=3), Instant(5_000_000_000)),
        Stamped(anchor, Instant(9_000_000_000), UtcTime(UTC), 500),
        Stamped(PanelEvent(Code.BURGLARY, zone=4), Instant(10_000_000_000), UtcTime(UTC + 10), 500),
    ]
    yield tmp_path, store.append(events, b"s")
    store.close()


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_sound_journal(running: tuple[Path, list[Stored]]) -> None:
    directory, stored = running
    code, text = run("verify", "--data", str(directory), "--json")
    report = json.loads(text)
    assert code == 0
    assert (report["records"], report["flaws"]) == (3, [])
    assert report["newest_digest"] == stored[-1].key.digest
    assert run("verify", "--data", str(directory))[0] == 0


def test_time_found_later_stands_beside_the_original(running: tuple[Path, list[Stored]]) -> None:
    directory, stored = running
    early, _, late = newest_records(directory, 10, None)
    assert early.record.utc is None
    assert early.placed_utc == UTC - 4_000_000
    assert early.placed_err_us is not None
    assert early.placed_err_us > 1_000_000
    assert (late.record.utc, late.placed_utc) == (UTC + 10, None)
    assert b'"utc"' not in stored[0].raw
    code, text = run("show", "--data", str(directory), "--tz", "Asia/Shanghai", "--last", "3")
    assert code == 0
    assert "≈ 2026-09-21 22:13:16" in text
    only = newest_records(directory, 10, 4)
    assert [each.record.event.zone for each in only] == [4]
    code, text = run("show", "--data", str(directory), "--json", "--last", "1")
    assert code == 0
    assert json.loads(text)["record"]["event"]["zone"] == 4


def test_export_is_byte_for_byte(running: tuple[Path, list[Stored]], tmp_path: Path) -> None:
    directory, stored = running
    out = tmp_path / "out.jsonl"
    assert run("export", "--data", str(directory), "--out", str(out))[0] == 0
    assert out.read_bytes().splitlines() == [each.raw for each in stored]
    assert run("export", "--data", str(directory), "--out", str(out))[0] == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("DELETE FROM records WHERE (id & 0xff) = 2", "missing"),
        ("DELETE FROM records WHERE (id & 0xff) = 3", "not here"),
        ("DELETE FROM records WHERE (id & 0xff) = 1", "missing"),
        ("UPDATE records SET raw = replace(raw, '\"zone\":3', '\"zone\":5')", "unreadable"),
        ("UPDATE records SET id = id + 10 WHERE (id & 0xff) = 3", "misplaced"),
        ("INSERT INTO acked_beyond VALUES ('mqtt', 77, x'00')", "of no Record"),
    ],
)
def test_tampering_is_found(running: tuple[Path, list[Stored]], change: str, says: str) -> None:
    """By someone who knows SQLite well enough to drop the guards (R17, R70)."""
    directory, _ = running
    connection = sqlite3.connect(directory / "journal-0001.db", isolation_level=None)
    for trigger in ("records_stay", "records_rotate"):
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute(change)
    connection.close()
    code, text = run("verify", "--data", str(directory))
    assert code == 1
    assert says in text


def test_no_journal(tmp_path: Path) -> None:
    assert run("verify", "--data", str(tmp_path))[0] == 2
    assert run("show", "--data", str(tmp_path))[0] == 2
    (tmp_path / "journal-0001.db").write_bytes(b"garbage" * 1000)
    assert run("verify", "--data", str(tmp_path))[0] == 2
    assert run("show", "--data", str(tmp_path), "--tz", "No/Where")[0] == 2
