"""What phone receivers send: taken once, in order, acknowledged after the commit, told when odd."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from collector.app import Collector
from collector.intake import Account, AccountBook
from collector.records.ledger_entry import EntryKind
from collector.records.signal import PATH_CENTRE, PATH_PHONE, Signal
from protocols.mqtt.payloads import SiteCard
from protocols.mqtt.reception import LineState, Reception, Unrecognised
from protocols.mqtt.topics import RECEPTION, REPORT, SITE_CARD, topic
from protocols.panel_event import Code, PanelEvent, Qualifier
from tests.support.collector_rig import Everyone, NotedLink, collector_in, reader_of, until
from tests.support.panel_records import chain_of, report_of
from tests.support.phone_receiver import PhoneReceiver

TRIP = PanelEvent(Code.BURGLARY, area=1, zone=3)
BOOK = AccountBook(
    [
        Account("1234", "shop-1", caller="02155501234"),
        Account("0000005678", "shop-2", caller="02155505678"),
        Account("0000015678", "shop-3"),
    ]
)


@dataclass
class Centre:
    """A running collector with one receiver."""

    folder: Path
    collector: Collector
    link: NotedLink
    receiver: PhoneReceiver

    def signals(self, path: str = "") -> list[Signal]:
        """What is stored, of one path or all."""
        reader = reader_of(self.folder)
        try:
            return [one for one in reader.signals() if not path or one.path == path]
        finally:
            reader.close()

    def acked(self, upto: int) -> None:
        """Wait for the acknowledgement and for judging."""
        until(lambda: self.receiver.upto(self.link.sent) >= upto)
        until(lambda: self.collector.status().not_judged == 0)

    def notices(self, code: int) -> list[Signal]:
        """What the centre noticed itself."""
        return [one for one in self.signals(PATH_CENTRE) if one.event.code == code]


@pytest.fixture
def centre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Centre]:
    monkeypatch.setattr(Everyone, "accounts", BOOK)
    link = NotedLink()
    collector = collector_in(tmp_path, link)
    collector.start()
    receiver = PhoneReceiver(collector.offer, time.time_ns() // 1000)
    try:
        yield Centre(tmp_path, collector, link, receiver)
    finally:
        collector.stop()


def test_a_report_becomes_a_signal_of_its_panel_and_comes_up(centre: Centre) -> None:
    rx = centre.receiver
    rx.send(rx.report("1234", TRIP, index=2, caller="55501234"))
    centre.acked(1)
    (signal,) = centre.signals(PATH_PHONE)
    assert (signal.panel, signal.event, signal.epoch) == ("shop-1", TRIP, 0)
    assert signal.phone is not None
    assert (signal.phone.call, signal.phone.index, signal.phone.line) == ("c1", 2, "line-1")
    assert 30e6 < signal.received - signal.at < 60e6
    assert 40e6 < signal.err_us < 60e6
    reader = reader_of(centre.folder)
    (case,) = reader.cases()
    assert (case.panel, case.occurrences[0].paths) == ("shop-1", (PATH_PHONE,))
    assert reader.verify().ok
    reader.close()


def test_entries_sent_again_are_taken_once(centre: Centre) -> None:
    rx = centre.receiver
    entries = [rx.report("1234", TRIP, at_s=n) for n in range(5)]
    for part in (entries[:2], entries[:3], entries, entries[1:4], entries):
        rx.send(*part)
    centre.acked(5)
    assert len(centre.signals(PATH_PHONE)) == 5


def test_beyond_a_hole_nothing_is_taken_or_acknowledged(centre: Centre) -> None:
    rx = centre.receiver
    entries = [rx.report("1234", TRIP, at_s=n) for n in range(4)]
    rx.send(entries[0])
    centre.acked(1)
    rx.send(entries[2], entries[3], floor=1)
    rx.send()
    until(lambda: centre.collector.status().messages >= 3)
    assert rx.upto(centre.link.sent) == 1
    assert len(centre.signals(PATH_PHONE)) == 1
    rx.send(*entries[1:])
    centre.acked(4)
    assert len(centre.signals(PATH_PHONE)) == 4


def test_what_the_spool_no_longer_holds_is_passed_over_and_told(centre: Centre) -> None:
    rx = centre.receiver
    entries = [rx.report("1234", TRIP, at_s=n) for n in range(9)]
    rx.send(*entries[5:], floor=6)
    centre.acked(9)
    assert len(centre.signals(PATH_PHONE)) == 4
    (gap,) = centre.notices(Code.SEQUENCE_GAP)
    assert "first=1;last=5" in gap.event.detail


def test_a_spool_set_back_swallows_nothing(centre: Centre) -> None:
    rx = centre.receiver
    rx.send(rx.report("1234", TRIP))
    centre.acked(1)
    rx.entries.clear()
    rx.send(rx.report("1234", PanelEvent(Code.HOLDUP_SILENT, zone=9), at_s=50))
    until(lambda: len(centre.signals(PATH_PHONE)) == 2)
    assert len(centre.notices(Code.IDENTITY_CONFLICT)) == 1


def test_an_entry_that_cannot_be_read_holds_up_nothing_and_is_shown(centre: Centre) -> None:
    rx = centre.receiver
    first, bad, last = (rx.report("1234", TRIP, at_s=n) for n in range(3))
    broken = msgspec.json.encode(bad).replace(b'"is":"report"', b'"is":"telegram"')
    head = msgspec.json.encode(Reception(rx.name, rx.epoch))[:-1]
    pieces = b",".join((msgspec.json.encode(first), broken, msgspec.json.encode(last)))
    centre.collector.offer(topic(rx.name, RECEPTION), head + b',"entries":[' + pieces + b"]}")
    centre.acked(3)
    assert len(centre.signals(PATH_PHONE)) == 2
    (told,) = centre.notices(Code.UNRECOGNISED_CALL)
    assert "not readable" in told.event.detail


@pytest.mark.parametrize(
    ("account", "caller", "panel", "code"),
    [
        ("9999", "", "acct-9999", Code.ACCOUNT_UNKNOWN),
        ("5678", "", "acct-5678", Code.ACCOUNT_COLLISION),
        ("5678", "+862155505678", "shop-2", None),
        ("0000015678", "", "shop-3", None),
        ("1234", "", "shop-1", None),
    ],
)
def test_whose_account_it_is(
    centre: Centre, account: str, caller: str, panel: str, code: int | None
) -> None:
    rx = centre.receiver
    rx.send(rx.report(account, TRIP, caller=caller), rx.report(account, TRIP, caller=caller))
    centre.acked(2)
    assert {one.panel for one in centre.signals(PATH_PHONE)} == {panel}
    told = [one for one in centre.signals(PATH_CENTRE) if one.panel.startswith("acct-")]
    assert [one.event.code for one in told] == ([] if code is None else [code])
    reader = reader_of(centre.folder)
    assert panel in {case.panel for case in reader.cases()}
    reader.close()
    if code == Code.ACCOUNT_COLLISION:
        assert "panels=shop-2+shop-3" in told[0].event.detail
        assert "panels=shop-2+shop-3" in centre.signals(PATH_PHONE)[0].event.detail


def test_a_call_nothing_could_be_made_of_comes_up_with_its_file_and_caller(centre: Centre) -> None:
    rx = centre.receiver
    call = Unrecognised("c7", tried="1400/2300, 1400", caller="02155501234", audio="c7.wav")
    rx.send(rx.take(call), rx.take(msgspec.structs.replace(call, call="c8", caller="0771")))
    centre.acked(2)
    known, stranger = centre.notices(Code.UNRECOGNISED_CALL)
    assert (known.panel, stranger.panel) == ("shop-1", "rx-1")
    assert "audio=c7.wav" in known.event.detail
    assert "caller=02155501234" in known.event.detail
    reader = reader_of(centre.folder)
    assert {case.panel for case in reader.cases()} == {"shop-1", "rx-1"}
    assert sum(entry.kind is EntryKind.RECEPTION for entry in reader.entries()) == 2
    reader.close()


def test_each_line_is_a_fault_of_its_own_and_ends_with_its_return(centre: Centre) -> None:
    rx = centre.receiver
    down = rx.take(LineState(False, "no carrier"))
    other = msgspec.structs.replace(rx.take(LineState(False)), line="line-2")
    rx.send(down, other, rx.take(LineState(True)))
    centre.acked(3)
    reader = reader_of(centre.folder)
    states = {case.occurrences[0].event.detail: case.state.value for case in reader.cases()}
    assert states == {
        "line=line-1;cause=no carrier": "closed",
        "line=line-2;cause=": "unconfirmed",
    }
    reader.close()


def test_a_receivers_full_disk_is_told_by_its_heartbeat_once_and_over_a_restart(
    centre: Centre,
) -> None:
    rx = centre.receiver
    for lines in ({"trunk": "idle"}, {"spool": "disk full; 4=5"}, {"spool": "disk full; 4=5"}):
        rx.send(lines=lines)
    until(lambda: len(centre.notices(Code.LINE_FAULT)) == 1)
    centre.collector.stop()
    again = collector_in(centre.folder, centre.link)
    again.start()
    try:
        rx.offer = again.offer
        rx.send(lines={"spool": "disk full"})
        rx.send(lines={})
        until(lambda: len(centre.notices(Code.LINE_FAULT)) == 2)
    finally:
        again.stop()
    lost, back = centre.notices(Code.LINE_FAULT)
    assert (lost.event.q, back.event.q) == (Qualifier.NEW, Qualifier.RESTORE)
    assert lost.event.detail == "line=spool;cause=disk full 4 5"


@pytest.mark.parametrize("years", [-20, 20])
def test_a_clock_that_is_years_off_or_was_set_does_not_misdate_a_report(
    centre: Centre, years: int
) -> None:
    rx, now = centre.receiver, time.time_ns() // 1000
    off = years * 365 * 86_400 * 10**6
    rx.start = now + off
    rx.send(rx.report("1234", TRIP), sent=now + off, ages=[600.0])  # wrong all the time
    rx.send(rx.report("1234", TRIP, index=1), sent=now, ages=[600.0])  # set right meanwhile
    rx.send(rx.report("1234", TRIP, index=2), sent=now)  # the same, after a restart
    centre.acked(3)
    known, mended, unknown = centre.signals(PATH_PHONE)
    for one in (known, mended):
        assert 630e6 < one.received - one.at < 660e6
        assert one.err_us < 60e6
    if years > 0:
        assert unknown.err_us > off * 0.99


def test_a_silent_receiver_is_told_after_three_periods_and_its_return_too(centre: Centre) -> None:
    rx = centre.receiver
    rx.send(period_s=0.1)
    until(lambda: len(centre.notices(Code.RECEIVER_LOST)) == 1)
    rx.send(period_s=60)
    until(lambda: len(centre.notices(Code.RECEIVER_LOST)) == 2)
    assert [one.event.q for one in centre.notices(Code.RECEIVER_LOST)] == [
        Qualifier.NEW,
        Qualifier.RESTORE,
    ]


def test_a_receiver_does_not_speak_for_panels_nor_a_panel_for_receivers(centre: Centre) -> None:
    rx = centre.receiver
    centre.collector.offer(topic("rx-1", REPORT), report_of(*chain_of("rx-1", 1)))
    entry = PhoneReceiver(centre.collector.offer, 0, name="shop-1")
    entry.send(entry.report("1234", TRIP))
    rx.send(rx.report("1234", TRIP))
    centre.acked(1)
    assert centre.collector.status().refused == 2
    assert len(centre.signals(PATH_PHONE)) == 1


def test_a_card_that_claims_an_account_of_another_is_told_not_obeyed(centre: Centre) -> None:
    for panel, account in (("shop-1", "1234"), ("shop-2", "1234"), ("shop-4", "4444")):
        card = SiteCard(panel, panel, {}, [], account=account)
        centre.collector.offer(topic(panel, SITE_CARD), msgspec.json.encode(card))
    until(lambda: len(centre.notices(Code.ACCOUNT_UNKNOWN)) == 1)
    (told,) = centre.notices(Code.ACCOUNT_COLLISION)
    assert told.panel == "shop-2"
    assert "panels=shop-1" in told.event.detail


def test_a_ledger_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    link = NotedLink()
    first = collector_in(tmp_path, link)
    first.start()
    first.stop()
    connection = sqlite3.connect(tmp_path / "ledger.db")
    for table in ("receptions", "spools", "receivers", "phone_paths"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.commit()
    connection.close()
    again = collector_in(tmp_path, link)
    again.start()
    receiver = PhoneReceiver(again.offer, 0)
    receiver.send(receiver.report("1234", TRIP))
    until(lambda: receiver.upto(link.sent) == 1)
    again.stop()
