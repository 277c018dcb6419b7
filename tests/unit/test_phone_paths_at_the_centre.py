"""Both paths at the whole collector: one case by network and phone, in words, replayed alike."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from collector.__main__ import app
from collector.adapters.rule_files import preset
from collector.app import Collector
from collector.cli.replay import judge_again
from collector.config import CollectorConfig
from collector.intake import Account, AccountBook
from collector.records.case import Case, Kind, Outcome, State
from collector.records.sentence import plain
from collector.records.signal import PATH_MQTT, PATH_PHONE, Occurrence
from protocols.instants import UtcTime
from protocols.mqtt.topics import HEARTBEAT, topic
from protocols.panel_event import Code, PanelEvent
from protocols.phone_batch import MARK_CODE, Batch, Sent, batch_event
from tests.support.case_story import CARD, PANEL
from tests.support.centre_rig import Everybody, Panel, Wire, centre, judged
from tests.support.collector_rig import reader_of, until
from tests.support.panel_records import heartbeat
from tests.support.phone_receiver import PhoneReceiver

TRIP = PanelEvent(Code.INTERIOR, area=1, zone=2)
PRESS = PanelEvent(Code.HOLDUP_SILENT, area=1, zone=9)


@pytest.fixture(autouse=True)
def book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Everybody, "accounts", AccountBook([Account("1234", PANEL)]))


class Story:
    """A panel and a receiver at one collector; `seen` is what an operator has before him."""

    def __init__(
        self, folder: Path, collector: Collector, wire: Wire, *, marks: bool = True
    ) -> None:
        now = time.time_ns() // 1000
        self.folder = folder
        self.wire = wire
        self.collector = collector
        self.began = time.monotonic() - 1000
        self.panel = Panel(collector, PANEL, UtcTime(now))
        self.receiver = PhoneReceiver(collector.offer, now)
        card = msgspec.structs.replace(CARD, account="1234", phone_marks=marks, phone_always=True)
        self.panel.card(card)
        self.signals = 1
        judged(folder, 1)

    def network(self, event: PanelEvent, at_s: float) -> bytes:
        """A Record written, not yet sent."""
        return self.panel.write(
            event.code, at_s, event.q, zone=event.zone, area=event.area, detail=event.detail
        )

    def phone(self, event: PanelEvent, at_s: float, mark: int | None = None) -> None:
        """A report taken and judged."""
        before = len(self.receiver.entries)
        self.receiver.send(self.receiver.report("1234", event, at_s, index=before, mark=mark))
        until(lambda: self.receiver.upto(self.wire.sent) == before + 1)
        self.come()

    def beat(self) -> None:
        """A heartbeat of a program that runs for a while."""
        up_s = time.monotonic() - self.began
        beat = heartbeat(PANEL, self.panel.seq, self.panel.prev, boot="b1", uptime_s=up_s)
        self.collector.offer(topic(PANEL, HEARTBEAT), beat)

    def send(self, *raws: bytes) -> None:
        """Records arrive and are judged."""
        self.panel.send(*raws)
        self.come(len(raws))

    def come(self, more: int = 1) -> None:
        """So many Signals more are judged."""
        self.signals += more
        judged(self.folder, self.signals)

    def seen(self, event: PanelEvent) -> list[Occurrence]:
        """Occurrences of this kind on the screen."""
        reader = reader_of(self.folder)
        found = [o for o in reader.occurrences() if o.event.code == event.code and not o.same_as]
        reader.close()
        return found

    def cases(self) -> list[Case]:
        """Every case."""
        reader = reader_of(self.folder)
        found = list(reader.cases())
        reader.close()
        return found


def test_the_record_that_comes_after_the_phone_report_makes_no_second_one(tmp_path: Path) -> None:
    with centre(tmp_path) as (collector, wire):
        story = Story(tmp_path, collector, wire)
        trip = story.network(TRIP, 1)
        story.phone(TRIP, 30)
        assert [o.paths for o in story.seen(TRIP)] == [(PATH_PHONE,)]
        batch = story.network(batch_event(Batch((Sent(1, 1, kissed=True),))), 31)
        story.phone(PanelEvent(MARK_CODE), 35, mark=2)
        story.send(batch)
        story.send(trip)
        (one,) = story.seen(TRIP)
        assert (one.paths, one.seq) == ((PATH_PHONE, PATH_MQTT), 1)
    (case,) = story.cases()
    assert case.occurrences[0].paths == (PATH_PHONE, PATH_MQTT)
    assert "Reported by network and phone." in plain(case, CARD, "en").text
    assert "经网络和电话上报" in plain(case, CARD, "zh").text
    count, again = judge_again(CollectorConfig(data_dir=tmp_path), preset("bs8243"))
    assert (count, again) == (story.signals, [case])
    said = CliRunner().invoke(app, ["panels", "--data", str(tmp_path)])
    assert "phone: in order, last report" in said.stdout


def test_without_marks_a_later_heartbeat_makes_one_of_what_was_told_by_both(tmp_path: Path) -> None:
    with centre(tmp_path) as (collector, wire):
        story = Story(tmp_path, collector, wire, marks=False)
        story.beat()
        story.send(story.network(PRESS, 1))
        story.phone(PRESS, 20)
        story.phone(PRESS, 24)  # the kiss-off was lost: the panel repeats
        story.send(story.network(PRESS, 26), story.network(TRIP, 27))

        def told() -> bool:
            story.beat()
            reader = reader_of(tmp_path)
            again = [one for one in reader.occurrences() if one.same_as]
            reader.close()
            return len(again) == 2

        until(told)
        first, second = story.seen(PRESS)
        assert (first.paths, second.paths) == ((PATH_MQTT,), (PATH_MQTT,)), "which, nobody knows"
    held_up = next(case for case in story.cases() if case.kind is Kind.HOLDUP)
    said = CliRunner().invoke(app, ["case", str(held_up.id), "--data", str(tmp_path)])
    assert said.stdout.count("one of these, told again") == 2
    said = CliRunner().invoke(
        app, ["case", str(held_up.id), "--data", str(tmp_path), "--lang", "zh"]
    )
    assert said.stdout.count("重复报告其中之一") == 2


def test_what_was_shown_twice_becomes_one_case_with_the_mark_of_a_later_call(
    tmp_path: Path,
) -> None:
    with centre(tmp_path) as (collector, wire):
        story = Story(tmp_path, collector, wire)
        press = story.network(PRESS, 1)
        story.phone(PRESS, 20)
        story.phone(PRESS, 24)  # the kiss-off was lost: the panel repeats
        until(lambda: len(story.seen(PRESS)) >= 1)
        batch = story.network(batch_event(Batch((Sent(1, 1, kissed=True, tries=2),))), 31)
        story.send(batch)
        story.send(press)
        story.phone(PanelEvent(MARK_CODE), 35, mark=2)
        (one,) = story.seen(PRESS)
        assert len(one.signals) == 3
    open_cases = [case for case in story.cases() if case.state is not State.CLOSED]
    assert len(open_cases) == 1
    merged = [case for case in story.cases() if case.outcome is Outcome.MERGED]
    assert all(case.merged_into == open_cases[0].id for case in merged)
    _, again = judge_again(CollectorConfig(data_dir=tmp_path), preset("bs8243"))
    assert again == story.cases()


def test_an_unknown_account_says_so_in_words(tmp_path: Path) -> None:
    with centre(tmp_path) as (collector, wire):
        story = Story(tmp_path, collector, wire)
        story.receiver.send(story.receiver.report("77BF", TRIP))
        story.come(2)
    (case,) = [c for c in story.cases() if c.kind.value == "burglary"]
    assert case.panel == "acct-77bf"
    assert "No panel has the account 77BF" in plain(case, None, "en").text
    assert "没有主机登记帐号 77BF" in plain(case, None, "zh").text


def test_the_panel_that_tells_of_its_dead_network_and_the_centre_agree_on_one_fault(
    tmp_path: Path,
) -> None:
    with centre(tmp_path) as (collector, wire):
        story = Story(tmp_path, collector, wire)
        story.panel.beat()
        story.phone(PanelEvent(Code.PATH_IP_FAULT), 30)
        story.phone(TRIP, 35)
    kinds = sorted(case.kind.value for case in story.cases())
    assert kinds == ["burglary", "trouble"]
    (alarm,) = [case for case in story.cases() if case.kind.value == "burglary"]
    assert alarm.verdict is State.CONFIRMED, "a path lost, then an alarm (3.3)"
