"""Supervision by the collector's own monotonic time (users.md G1)."""

from __future__ import annotations

import msgspec

from collector.intake import SupervisionPolicy, Supervisor, Verdict
from protocols.instants import Instant, later
from protocols.mqtt.payloads import Heartbeat, PhoneState, Will
from protocols.panel_event import Code, Qualifier
from tests.support.panel_records import heartbeat

START = Instant(10**12)
BEAT = msgspec.json.decode(heartbeat("shop-1", 1), type=Heartbeat)
WILL = Will("shop-1", "boot-1")


def watching() -> Supervisor:
    supervisor = Supervisor(SupervisionPolicy())
    assert supervisor.receive(BEAT, START) == []
    return supervisor


def test_silence_of_a_period_and_the_margin_is_a_loss_and_not_sooner() -> None:
    supervisor = watching()
    assert supervisor.tick(later(START, 89.999)) == []
    (lost,) = supervisor.tick(later(START, 90))
    assert (lost.panel, lost.event.code, lost.event.q) == ("shop-1", Code.PANEL_LOST, Qualifier.NEW)
    assert supervisor.tick(later(START, 1000)) == []


def test_the_next_heartbeat_restores_once() -> None:
    supervisor = watching()
    supervisor.tick(later(START, 90))
    (back,) = supervisor.receive(BEAT, later(START, 100))
    assert back.event.q == Qualifier.RESTORE
    assert supervisor.receive(BEAT, later(START, 160)) == []


def test_a_will_shortens_the_wait_but_is_no_verdict() -> None:
    supervisor = watching()
    assert supervisor.receive(WILL, later(START, 20)) == []
    assert supervisor.tick(later(START, 29)) == []
    assert len(supervisor.tick(later(START, 30))) == 1


def test_the_late_will_of_a_half_open_connection_says_nothing() -> None:
    supervisor = watching()
    beat = msgspec.structs.replace(BEAT, session="s-2")
    supervisor.receive(beat, later(START, 10))
    supervisor.receive(Will("shop-1", "boot-1", "s-1"), later(START, 20))
    assert supervisor.tick(later(START, 60)) == []
    supervisor.receive(Will("shop-1", "boot-1", "s-2"), later(START, 61))
    assert len(supervisor.tick(later(START, 71))) == 1


def test_a_restart_within_the_grace_leaves_no_trace() -> None:
    supervisor = watching()
    supervisor.receive(WILL, later(START, 20))
    again = msgspec.structs.replace(BEAT, boot="boot-2")
    assert supervisor.receive(again, later(START, 25)) == []
    assert supervisor.tick(later(START, 100)) == []


def test_the_will_of_an_earlier_boot_says_nothing() -> None:
    supervisor = watching()
    supervisor.receive(Will("shop-1", "boot-0"), later(START, 20))
    assert supervisor.tick(later(START, 60)) == []


def test_the_will_of_the_connection_just_replaced_says_nothing() -> None:
    supervisor = watching()
    supervisor.receive(BEAT, later(START, 20))
    supervisor.receive(WILL, later(START, 20.5))
    assert supervisor.tick(later(START, 60)) == []


def test_a_collector_restart_neither_clears_nor_invents_a_loss() -> None:
    supervisor = Supervisor(SupervisionPolicy())
    supervisor.restore(Verdict("gone", "b", 60.0, lost=True), START)
    supervisor.restore(Verdict("here", "b", 60.0, lost=False), START)
    assert supervisor.tick(later(START, 89)) == []
    assert [change.panel for change in supervisor.tick(later(START, 90))] == ["here"]
    (back,) = supervisor.receive(msgspec.structs.replace(BEAT, panel="gone"), later(START, 91))
    assert back.event.q == Qualifier.RESTORE


def test_our_own_deafness_is_not_held_against_panels() -> None:
    supervisor = watching()
    supervisor.forgive(later(START, 85))
    assert supervisor.tick(later(START, 170)) == []
    assert len(supervisor.tick(later(START, 175))) == 1


def test_nobody_waits_for_a_panel_that_was_removed() -> None:
    supervisor = watching()
    supervisor.forget("shop-1")
    assert supervisor.deadline() is None


def beat_at(sent_s: float) -> Heartbeat:
    return msgspec.structs.replace(BEAT, uptime_s=1000 + sent_s)


def proving() -> Supervisor:
    supervisor = Supervisor(SupervisionPolicy())
    assert supervisor.receive(beat_at(0), START) == []
    return supervisor


def test_a_heartbeat_after_a_report_by_phone_is_told_once() -> None:
    supervisor = proving()
    supervisor.ask("shop-1", later(START, 10))
    assert supervisor.receive(beat_at(14.9), later(START, 14.9)) == []
    (proven,) = supervisor.receive(beat_at(15), later(START, 15.1))
    assert (proven.event.code, proven.event.q) == (Code.PATH_PROVEN, Qualifier.STATUS)
    said = f"epoch={BEAT.epoch};seq={BEAT.seq};up_s=1015.0;under_way_s=0.1"
    assert proven.event.detail == said
    assert supervisor.receive(beat_at(45), later(START, 45)) == []


def test_a_report_just_before_that_heartbeat_waits_for_another() -> None:
    supervisor = proving()
    supervisor.ask("shop-1", later(START, 10))
    supervisor.ask("shop-1", later(START, 28))
    assert len(supervisor.receive(beat_at(30), later(START, 30))) == 1
    assert len(supervisor.receive(beat_at(60), later(START, 60))) == 1
    assert supervisor.receive(beat_at(90), later(START, 90)) == []


def test_a_heartbeat_that_was_held_up_on_its_way_proves_nothing_of_what_came_meanwhile() -> None:
    supervisor = proving()
    supervisor.ask("shop-1", later(START, 40))
    assert supervisor.receive(beat_at(30), later(START, 50)) == []
    assert supervisor.receive(beat_at(30), later(START, 51)) == [], "replayed"
    assert len(supervisor.receive(beat_at(60), later(START, 60))) == 1


def test_a_panel_that_owes_by_phone_is_told_of_once_more_when_it_owes_nothing() -> None:
    supervisor = proving()
    supervisor.ask("shop-1", later(START, 10))
    told: list[str] = []
    for at, owed in ((30, 2), (60, 1), (90, 0), (120, 0)):
        beat = msgspec.structs.replace(beat_at(at), phone=PhoneState(owed=owed))
        told += [one.event.detail for one in supervisor.receive(beat, later(START, at))]
    assert [one.rpartition(";")[2] for one in told] == ["owed=2", "owed=0"]


def test_a_loss_tells_of_the_last_heartbeat_that_owed_nothing_by_phone() -> None:
    supervisor = proving()
    for at, owed in ((30, 0), (60, 3)):
        beat = msgspec.structs.replace(beat_at(at), phone=PhoneState(owed=owed))
        assert supervisor.receive(beat, later(START, at)) == []
    quiet, lost = supervisor.tick(later(START, 200))
    assert quiet.event.code == Code.PATH_PROVEN
    assert quiet.event.detail.endswith("up_s=1030.0;under_way_s=170.0;owed=0")
    assert lost.event.code == Code.PANEL_LOST


def test_a_restarted_panel_counts_its_time_anew() -> None:
    supervisor = proving()
    supervisor.ask("shop-1", later(START, 10))
    assert len(supervisor.receive(beat_at(-990), later(START, 20))) == 1
    supervisor.ask("shop-1", later(START, 2000))
    restarted = msgspec.structs.replace(beat_at(600), session="another")
    assert len(supervisor.receive(restarted, later(START, 2010))) == 1


def test_nobody_is_asked_who_never_sent_a_heartbeat() -> None:
    supervisor = Supervisor(SupervisionPolicy())
    supervisor.ask("shop-1", START)
    assert supervisor.receive(BEAT, later(START, 30)) == []
