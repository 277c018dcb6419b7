"""The ledger as evidence: append-only, chained, and every change of a row is found (R17, R70)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from collector.adapters.ledger_schema import metadata
from collector.adapters.ledger_store import LedgerStore, StoreError, connect_engine, migrate
from collector.records.case import OperatorAct, Outcome
from protocols.mqtt.payloads import digest_of, genesis
from protocols.mqtt.topics import HEARTBEAT, REPORT, SITE_CARD, topic
from protocols.panel_event import Code, PanelEvent
from tests.support.collector_rig import NotedLink, collector_in, reader_of, settled, tamper, until
from tests.support.panel_records import heartbeat, record_bytes, report_of

PANEL = "shop-1"
CARD = b'{"panel":"shop-1","name":"Shop","areas":{"1":"Sales"},"zones":[]}'


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with one of everything."""
    folder, link = tmp_path_factory.mktemp("ledger"), NotedLink()
    collector = collector_in(folder, link)
    collector.start()
    collector.offer(topic(PANEL, SITE_CARD), CARD)
    collector.offer(topic(PANEL, REPORT), b"rubbish")
    prev, raws = genesis(PANEL, 1), []
    events = [
        PanelEvent(code=Code.ZONE_STATE, area=1, zone=1),
        PanelEvent(code=Code.CLOCK_SET, detail="mono=1500000000;utc=1700000000000000;err=50000"),
        PanelEvent(code=Code.HOLDUP_SILENT, area=1, zone=9),
        PanelEvent(code=Code.BURGLARY, area=1, zone=2),
    ]
    for seq, event in enumerate(events, 1):
        fields: dict[str, object] = {"utc": None, "err_us": None} if seq == 1 else {}
        raws.append(record_bytes(PANEL, seq, prev, event, **fields))
        prev = digest_of(raws[-1])
    collector.offer(topic(PANEL, HEARTBEAT), heartbeat(PANEL, 4, prev))
    for raw in raws:
        collector.offer(topic(PANEL, REPORT), report_of(raw))
    settled(collector, link, PANEL, 4)
    case = next(reader_of(folder).cases())
    assert collector.operate(OperatorAct(case.id, "close", "ann", Outcome.REAL)) is None
    until(lambda: collector.status().not_judged == 0)
    collector.stop()
    return folder


def copy_of(written: Path, folder: Path) -> Path:
    source = sqlite3.connect(written / "ledger.db")
    target = sqlite3.connect(folder / "ledger.db")
    source.backup(target)
    source.close()
    target.close()
    return folder


def test_an_untouched_ledger_verifies_and_holds_one_of_everything(written: Path) -> None:
    reader = reader_of(written)
    report = reader.verify()
    assert report.flaws == ()
    kinds = {entry.kind.value for entry in reader.entries()}
    assert kinds >= {
        "signals",
        "occurrence",
        "case",
        "handover",
        "placement",
        "refusal",
        "site_card",
        "operator",
    }
    (placement,) = reader.placements()
    assert placement.at == 1_700_000_000_000_000 - 500_000
    assert placement.err_us >= 50_000
    assert [bad.raw for bad in reader.refused()] == [b"rubbish"]
    assert next(reader.cases()).closed_by == "ann"
    reader.close()


@pytest.mark.parametrize("table", ["signals", "ledger"])
@pytest.mark.parametrize("act", ["UPDATE {} SET at = 1", "DELETE FROM {}"])
def test_the_database_itself_refuses_to_change_what_was_written(
    written: Path, tmp_path: Path, table: str, act: str
) -> None:
    connection = sqlite3.connect(copy_of(written, tmp_path) / "ledger.db")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(act.format(table))
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE signals SET received = received + 1 WHERE id = 3",
        "UPDATE signals SET at = at - 1 WHERE path = 'mqtt' AND id = 4",
        (
            "UPDATE signals SET body = CAST(replace(body, '\"zone\":9', '\"zone\":8') AS BLOB)"
            " WHERE code = 122"
        ),
        "UPDATE signals SET conflict = 1 WHERE id = 3",
        "UPDATE signals SET panel = 'shop-2' WHERE id = 3",
        "UPDATE signals SET id = 999 WHERE id = 3",
        "DELETE FROM signals WHERE id = 3",
        "DELETE FROM signals WHERE id = (SELECT max(id) FROM signals)",
        (
            "INSERT INTO signals SELECT id + 100, panel, path, received, 0, 0, '', at, err_us,"
            " boot, mono, timed, recorded, conflict, code, body FROM signals WHERE id = 1"
        ),
        "UPDATE ledger SET body = body || ' ' WHERE id = 3",
        "UPDATE ledger SET at = at + 1 WHERE id = 2",
        "DELETE FROM ledger WHERE id = 2",
        "DELETE FROM ledger WHERE id = (SELECT max(id) FROM ledger)",
        "UPDATE occurrences SET body = CAST(replace(body, 'shop-1', 'shop-2') AS BLOB)",
        "DELETE FROM occurrences WHERE id = (SELECT max(id) FROM occurrences)",
        (
            "UPDATE cases SET body = CAST(replace(body, '\"ann\"', '\"bob\"') AS BLOB)"
            " WHERE id = (SELECT min(id) FROM cases)"
        ),
        "DELETE FROM cases",
        "UPDATE handovers SET verdict = 'withheld'",
        "DELETE FROM handovers",
        "UPDATE placements SET at = at + 1",
        "UPDATE refused SET raw = X'00'",
        "DELETE FROM refused",
        "UPDATE site_cards SET body = X'7B7D'",
        "DELETE FROM site_cards",
    ],
)
def test_any_change_is_found(written: Path, tmp_path: Path, statement: str) -> None:
    folder = copy_of(written, tmp_path)
    tamper(folder, statement)
    reader = reader_of(folder)
    assert not reader.verify().ok
    reader.close()


def test_the_migration_makes_exactly_the_schema(tmp_path: Path) -> None:
    engine = connect_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    with engine.connect() as connection:
        migrate(connection)
        migrate(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_a_file_that_is_no_ledger_is_refused_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database" * 1000)
    store = LedgerStore(f"sqlite:///{tmp_path / 'ledger.db'}")
    with pytest.raises(StoreError, match="cannot open the ledger"):
        store.open()
    store.close()


def test_commits_are_synchronous(tmp_path: Path) -> None:
    engine = connect_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(sqlalchemy.text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(sqlalchemy.text("PRAGMA wal_autocheckpoint")).scalar() == 0
    engine.dispose()
