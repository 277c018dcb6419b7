"""The Collector as a whole, on a real ledger, without a broker."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from pathlib import Path

import msgspec
import pytest

from collector import CollectorError
from collector.adapters.broker_log import Refusal, Refused
from collector.adapters.ledger_store import LedgerStore
from collector.adapters.rule_files import preset
from collector.app import Collector
from collector.config import LimitsConfig
from collector.dedupe import Policy as DedupePolicy
from collector.intake import AccountBook, SupervisionPolicy
from collector.judging import Judging
from collector.records.case import Case, OperatorAct, State
from collector.records.signal import Occurrence
from collector.verification.machine import CaseMachine
from protocols.instants import UtcTime
from protocols.mqtt.payloads import SiteCard, StandDown, digest_of, genesis
from protocols.mqtt.topics import COMMAND, HEARTBEAT, REPORT, SITE_CARD, topic
from protocols.panel_event import Code, PanelEvent, Qualifier
from tests.support.collector_rig import (
    NotedLink,
    collector_in,
    reader_of,
    settled,
    until,
)
from tests.support.panel_records import START_US, chain_of, heartbeat, record_bytes, report_of

PANEL = "shop-1"
EMPTY = AccountBook()
RAWS = chain_of(PANEL, 60)


def events_of(folder: Path, code: Code) -> list[PanelEvent]:
    reader = reader_of(folder)
    found = [signal.event for signal in reader.signals() if signal.event.code == code]
    reader.close()
    return found


def test_what_is_acknowledged_is_stored_and_becomes_one_occurrence(tmp_path: Path) -> None:
    link = NotedLink()
    collector = collector_in(tmp_path, link)
    collector.start()
    for _ in range(3):
        for raw in RAWS:
            collector.offer(topic(PANEL, REPORT), report_of(raw))
    settled(collector, link, PANEL, len(RAWS))
    until(lambda: collector.status().repeats == 2 * len(RAWS))
    collector.stop()
    reader = reader_of(tmp_path)
    assert [one.seq for one in reader.occurrences()] == list(range(1, len(RAWS) + 1))
    assert reader.verify().ok
    assert link.acks(PANEL)[-1].head == digest_of(RAWS[-1])
    reader.close()


def test_a_second_collector_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = collector_in(tmp_path, NotedLink())
    first.start()
    second = collector_in(tmp_path, NotedLink())
    with pytest.raises(CollectorError, match="another collector"):
        second.start()
    first.stop()


def test_strangers_are_recorded_and_never_answered(tmp_path: Path) -> None:
    link = NotedLink()
    collector = collector_in(tmp_path, link)
    collector.start()
    collector.offer(topic("stranger-1", REPORT), report_of(*chain_of("stranger-1", 2)))
    collector.refused(Refused("127.0.0.1:1", Refusal.REVOKED, "CN=shop-9", UtcTime(1)))
    collector.offer(topic(PANEL, REPORT), report_of(RAWS[0]))
    settled(collector, link, PANEL, 1)
    until(lambda: collector.status().refused == 2)
    collector.stop()
    reader = reader_of(tmp_path)
    assert {(bad.panel, bad.reason) for bad in reader.refused()} == {
        ("stranger-1", "unknown panel"),
        ("", "broker: revoked"),
    }
    assert {who for who, _, _ in link.sent} == {PANEL}
    assert not list(reader.signals(panel="stranger-1"))
    reader.close()


def test_a_full_disk_withholds_acknowledgements_and_recovers_by_itself(tmp_path: Path) -> None:
    link = NotedLink()
    limits = LimitsConfig(queue_messages=40, batch_messages=8)
    collector = collector_in(tmp_path, link, limits=limits, store_retry_s=0.02)
    collector.start()
    collector.offer(topic(PANEL, REPORT), report_of(RAWS[0]))
    settled(collector, link, PANEL, 1)
    store = collector._store
    full = threading.Event()
    full.set()
    connect = store._live

    def live_on_a_full_disk() -> object:
        # SQLite's own limit: the next page it needs is refused with SQLITE_FULL.
        connection = connect()
        pages = 1 if full.is_set() else 2**30
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.rollback()
        return connection

    store._live = live_on_a_full_disk  # type: ignore[method-assign,assignment]
    big, prev = list[bytes](), digest_of(RAWS[0])
    for seq in range(2, 62):
        event = PanelEvent(code=Code.PERIODIC_TEST, detail="x" * 8000)
        big.append(record_bytes(PANEL, seq, prev, event))
        prev = digest_of(big[-1])
    feeder = threading.Thread(
        target=lambda: [collector.offer(topic(PANEL, REPORT), report_of(raw)) for raw in big]
    )
    feeder.start()
    until(lambda: "full" in collector.status().store_fault)
    until(lambda: collector.status().waiting_messages == limits.queue_messages)
    sent = len(link.acks(PANEL))
    assert feeder.is_alive(), "a full inbox must hold the giver back"
    answer = collector.operate(OperatorAct(1, "take", "ann"))
    assert answer is not None
    full.clear()
    feeder.join(20)
    settled(collector, link, PANEL, 61)
    assert collector.status().store_fault == ""
    assert link.acks(PANEL)[sent - 1].upto == 1, "acknowledged while nothing could be stored"
    assert link.acks(PANEL)[-1].head == prev
    collector.stop()
    reader = reader_of(tmp_path)
    assert reader.verify().ok
    reader.close()


def test_a_silent_panel_is_told_lost_once_and_a_restart_changes_nothing(tmp_path: Path) -> None:
    policy = SupervisionPolicy(margin_s=0.2, will_grace_s=0.1)
    beat = heartbeat(PANEL, 0, genesis(PANEL, 1), period_s=0.2)
    for life in range(2):
        collector = collector_in(tmp_path, NotedLink(), supervision=policy)
        collector.start()
        if life == 0:
            collector.offer(topic(PANEL, HEARTBEAT), beat)
        until(lambda: len(events_of(tmp_path, Code.PANEL_LOST)) == 1)
        collector.stop()
    collector = collector_in(tmp_path, NotedLink(), supervision=policy)
    collector.start()
    collector.offer(topic(PANEL, HEARTBEAT), beat)
    until(lambda: len(events_of(tmp_path, Code.PANEL_LOST)) >= 2)
    collector.stop()
    assert [e.q for e in events_of(tmp_path, Code.PANEL_LOST)][:2] == [
        Qualifier.NEW,
        Qualifier.RESTORE,
    ]


def test_a_changed_site_card_is_told_and_the_first_one_is_noted(tmp_path: Path) -> None:
    collector = collector_in(tmp_path, NotedLink())
    collector.start()
    for name in ("Shop", "Shop", "Other shop"):
        card = SiteCard(panel=PANEL, name=name, areas={"1": "a"}, zones=[])
        collector.offer(topic(PANEL, SITE_CARD), msgspec.json.encode(card))
    until(lambda: len(events_of(tmp_path, Code.SITE_CHANGED)) == 2)
    until(lambda: collector.status().not_judged == 0)
    collector.stop()
    told = events_of(tmp_path, Code.SITE_CHANGED)
    assert [event.q for event in told] == [Qualifier.STATUS, Qualifier.NEW]
    reader = reader_of(tmp_path)
    newest = reader.card(PANEL)
    assert newest is not None
    assert newest.name == "Other shop"
    reader.close()


def holdup_case(collector: Collector, link: NotedLink, folder: Path) -> Case:
    raw = record_bytes(
        PANEL, 1, genesis(PANEL, 1), PanelEvent(code=Code.HOLDUP_SILENT, area=1, zone=9)
    )
    collector.offer(topic(PANEL, REPORT), report_of(raw))
    settled(collector, link, PANEL, 1)
    reader = reader_of(folder)
    case = next(reader.cases())
    reader.close()
    return case


def test_operators_work_over_the_control_socket_and_it_stands_in_the_ledger(tmp_path: Path) -> None:
    link = NotedLink()
    collector = collector_in(tmp_path, link)
    collector.start()
    watcher = socket.socket(socket.AF_UNIX)
    watcher.connect(str(collector.config.control_socket))
    watcher.sendall(b'{"do":"watch"}\n')
    lines = watcher.makefile("rb")
    assert json.loads(lines.readline()) == {"ok": True}
    case = holdup_case(collector, link, tmp_path)
    changed = json.loads(lines.readline())
    assert [one["id"] for one in changed["cases"]] == [case.id]
    watcher.close()
    lines.close()

    asked = [
        {"do": "take", "case": case.id, "operator": "ann"},
        {"do": "stand_down", "panel": PANEL, "area": 1, "operator": "ann", "case": case.id},
        {"do": "close", "case": case.id, "operator": "ann", "outcome": "real", "note": "robbery"},
        {"do": "close", "case": 10**6, "operator": "ann", "outcome": "real"},
        {"do": "stand_down", "panel": "stranger-1", "operator": "ann"},
        {"do": "nonsense"},
        {"do": "status"},
    ]
    operator = socket.socket(socket.AF_UNIX)
    operator.connect(str(collector.config.control_socket))
    answers = operator.makefile("rb")
    said = []
    for one in asked:
        operator.sendall(json.dumps(one).encode() + b"\n")
        said.append(json.loads(answers.readline()))
    answers.close()
    operator.close()
    assert [answer["ok"] for answer in said] == [True, True, True, False, False, False, True]
    until(lambda: collector.status().not_judged == 0)
    collector.stop()
    assert link.commands(PANEL) == [StandDown(1, "ann", case.id)]
    reader = reader_of(tmp_path)
    now = reader.case(case.id)
    assert now is not None
    assert (now.state, now.taken_by, now.closed_by, now.note) == (
        State.CLOSED,
        "ann",
        "ann",
        "robbery",
    )
    assert sum(entry.kind.value == "operator" for entry in reader.entries()) == 3
    assert reader.verify().ok
    reader.close()


class Stumbling(CaseMachine):
    """A consumer that cannot take a certain zone."""

    def receive(self, occurrence: Occurrence, now: UtcTime) -> list[object]:  # type: ignore[override]
        if occurrence.event.zone == 13:
            raise ZeroDivisionError("a fault of ours")
        return list(super().receive(occurrence, now))


def test_a_failing_consumer_costs_no_event(tmp_path: Path) -> None:
    link = NotedLink()
    collector = collector_in(tmp_path, link)
    collector._make_cases = (  # type: ignore[method-assign]
        lambda panel, card, snapshot: (
            Stumbling(preset(), panel, card)
            if snapshot is None
            else Stumbling.restore(preset(), panel, card, snapshot)
        )
    )
    collector.start()
    prev, raws = genesis(PANEL, 1), []
    for seq, zone in enumerate((2, 13, 4), 1):
        event = PanelEvent(code=Code.BURGLARY, area=1, zone=zone)
        raws.append(record_bytes(PANEL, seq, prev, event))
        prev = digest_of(raws[-1])
    collector.offer(topic(PANEL, REPORT), report_of(*raws))
    settled(collector, link, PANEL, 3)
    assert collector.status().judging_faults == 1
    collector.stop()
    reader = reader_of(tmp_path)
    assert [one.seq for one in reader.occurrences()] == [1, 2, 3]
    assert {piece.event.zone for case in reader.cases() for piece in case.occurrences} == {2, 4}
    assert [e.kind.value for e in reader.entries()].count("fault") == 1
    reader.close()


def test_judging_again_from_the_start_makes_the_same_history(tmp_path: Path) -> None:
    link = NotedLink()
    collector = collector_in(tmp_path, link)
    collector.start()
    prev = genesis(PANEL, 1)
    for seq in range(1, 200):
        zone = seq % 7 + 1
        q = Qualifier.NEW if seq % 3 else Qualifier.RESTORE
        event = PanelEvent(code=(130, 131, 401, 122)[seq % 4], q=q, area=1, zone=zone)
        raw = record_bytes(PANEL, seq, prev, event, utc=START_US + seq * 400_000_000)
        prev = digest_of(raw)
        collector.offer(topic(PANEL, REPORT), report_of(raw))
    settled(collector, link, PANEL, 199)
    collector.stop()
    reader = reader_of(tmp_path)
    before = (list(reader.occurrences()), list(reader.cases()), reader.handovers())
    reader.close()
    assert before[1]

    connection = sqlite3.connect(tmp_path / "ledger.db")
    for table in ("occurrences", "cases", "handovers", "machine_state", "cursors"):
        connection.execute(f"DELETE FROM {table}")
    connection.commit()
    connection.close()
    store = LedgerStore(f"sqlite:///{tmp_path / 'ledger.db'}")
    store.open()
    rules = preset()
    judging = Judging(
        DedupePolicy(),
        store,
        lambda panel, card, snapshot: (
            CaseMachine(rules, panel, card)
            if snapshot is None
            else CaseMachine.restore(rules, panel, card, snapshot)
        ),
    )
    while judging.step(5) is not None:
        judging.reload()  # as after a crash between any two steps
    store.close()
    reader = reader_of(tmp_path)
    assert (list(reader.occurrences()), list(reader.cases()), reader.handovers()) == before
    reader.close()


def test_the_log_in_front_of_the_database_is_moved_away_while_it_grows(tmp_path: Path) -> None:
    link = NotedLink()
    collector = collector_in(tmp_path, link)
    collector.start()
    wal, database = tmp_path / "ledger.db-wal", tmp_path / "ledger.db"
    began = database.stat().st_size
    seq, prev = 0, genesis(PANEL, 1)
    end = time.monotonic() + 30
    while database.stat().st_size < began + 1_000_000:
        assert time.monotonic() < end
        seq += 1
        raw = record_bytes(PANEL, seq, prev, PanelEvent(code=602, detail="x" * 15_000))
        prev = digest_of(raw)
        collector.offer(topic(PANEL, REPORT), report_of(raw))
    settled(collector, link, PANEL, seq)
    assert wal.stat().st_size > 0
    collector.stop()
    reader = reader_of(tmp_path)
    assert len(list(reader.occurrences())) == seq
    reader.close()


def test_nothing_goes_to_the_panel_but_acknowledgements_and_commands(tmp_path: Path) -> None:
    link = NotedLink()
    collector = collector_in(tmp_path, link)
    collector.start()
    collector.offer(topic(PANEL, REPORT), report_of(RAWS[0], RAWS[3]))
    until(lambda: any(leaf == COMMAND for _, leaf, _ in link.sent))
    collector.stop()
    (resend,) = link.commands(PANEL)
    assert (resend.first, resend.last) == (2, 3)  # type: ignore[union-attr]


def test_a_message_we_fail_on_ourselves_costs_the_others_nothing(tmp_path: Path) -> None:
    link = NotedLink()
    collector = collector_in(tmp_path, link)
    poison = topic("poison-1", REPORT)

    class Registry:
        def is_registered(self, panel: str) -> bool:
            if panel == "poison-1":
                raise ZeroDivisionError("a fault of ours")
            return True

        def is_receiver(self, name: str) -> bool:
            return False

        def book(self) -> AccountBook:
            return EMPTY

    collector._registered = Registry()
    collector.start()
    for raw in RAWS[:20]:
        collector.offer(poison, report_of(*chain_of("poison-1", 1)))
        collector.offer(topic(PANEL, REPORT), report_of(raw))
    settled(collector, link, PANEL, 20)
    collector.stop()
    reader = reader_of(tmp_path)
    assert len(reader.refused()) == 20
    assert reader.verify().ok
    reader.close()


def test_judging_that_fails_as_a_whole_stops_neither_storing_nor_acknowledging(
    tmp_path: Path,
) -> None:
    link = NotedLink()
    collector = collector_in(tmp_path, link)

    def broken(_panel: str, _card: object, _snapshot: object) -> CaseMachine:
        raise ZeroDivisionError("a fault of ours")

    collector._make_cases = broken  # type: ignore[method-assign,assignment]
    collector.start()
    for raw in RAWS:
        collector.offer(topic(PANEL, REPORT), report_of(raw))
    until(lambda: any(ack.upto == len(RAWS) for ack in link.acks(PANEL)))
    until(lambda: "ZeroDivisionError" in collector.status().judging_fault)
    assert collector.status().not_judged == len(RAWS)
    collector.stop()
    second = NotedLink()
    mended = collector_in(tmp_path, second)
    mended.start()
    until(lambda: mended.status().not_judged == 0)
    mended.stop()
    reader = reader_of(tmp_path)
    assert [one.seq for one in reader.occurrences()] == list(range(1, len(RAWS) + 1))
    reader.close()
