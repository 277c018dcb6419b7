"""The dialler under load: redial, quotas, long queues, lines that come and go (users.md L3, L4)."""

from __future__ import annotations

import itertools
import time

from edge.journal.record_types import OwedKey
from edge.reporting.phone.dialler_types import (
    NotCommunicated,
    OwePhone,
    Reportable,
)
from edge.reporting.phone.line import LineStatus
from protocols.panel_event import Code, PanelEvent, Qualifier, priority_of
from tests.support.phone_site import (
    BURGLARY,
    DUAL,
    HOLDUP,
    TAMPER,
    TROUBLE,
    PhoneSite,
    phone_config,
)
from tests.support.phone_world import FarEnd


def test_a_hold_up_cuts_the_back_off_short_and_takes_the_line_from_a_person() -> None:
    far = FarEnd(answer_ms=None)
    site = PhoneSite(phone_config(policy=DUAL), far)
    site.record(PanelEvent(Code.MAINS_FAIL))
    site.run(600)
    failed = len(site.calls())
    far.answer_ms, far.no_line = 1000, "in_use"
    site.record(HOLDUP)
    site.run(3)
    assert len(site.calls()) == failed + 1
    assert site.line.seizes[-1][1] is True
    site.run(30)
    assert HOLDUP in site.kissed


def test_redial_alternates_numbers_slows_to_fifteen_minutes_and_never_stops() -> None:
    site = PhoneSite(phone_config(policy=DUAL, line_check_s=None), FarEnd(busy=True))
    site.record(BURGLARY)
    site.run(8 * 3600)
    times = [at for at, _ in site.calls()]
    assert [number for _, number in site.calls()][:4] == ["82001", "82002", "82001", "82002"]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert max(gaps) <= 900 + 60
    assert min(gaps[-8:]) >= 600
    assert gaps[0] < 10
    assert (1, 1) in site.owed, "an alarm is never given up"
    troubles = [e for _, e in site.log if isinstance(e, NotCommunicated)]
    assert troubles == [NotCommunicated(True, "phone busy")]
    site.far.busy = False
    site.run(1000)
    assert BURGLARY in site.kissed
    assert [e.on for _, e in site.log if isinstance(e, NotCommunicated)] == [True, False]


def test_no_storm_however_many_alarms_come() -> None:
    site = PhoneSite(phone_config(policy=DUAL), FarEnd(no_line="no_voltage"))
    for n in range(400):
        site.record(PanelEvent(Code.HOLDUP_SILENT if n % 3 else Code.BURGLARY, zone=1 + n % 9))
        site.run(20)
    times = [at for at, _ in site.calls()]
    busiest = max(sum(1 for at in times if start <= at < start + 3600) for start in times)
    assert busiest <= site.config.failed_calls_per_hour


def test_failed_to_communicate_is_over_also_when_a_restart_lay_between() -> None:
    far = FarEnd(busy=True)
    site = PhoneSite(phone_config(policy=DUAL), far)
    site.record(BURGLARY)
    site.run(3600)
    told = [e.on for _, e in site.log if isinstance(e, NotCommunicated)]
    assert told == [True]
    site.restart()
    far.busy = False
    site.run(60)
    told = [e.on for _, e in site.log if isinstance(e, NotCommunicated)]
    assert told == [True, False]


def test_after_a_dead_line_the_alarm_goes_at_once_however_often_it_was_tried() -> None:
    far = FarEnd(no_line="no_voltage")
    site = PhoneSite(phone_config(policy=DUAL), far)
    site.give(LineStatus(False, "no_voltage"))
    for zone in range(1, 9):
        site.record(PanelEvent(Code.BURGLARY, area=1, zone=zone))
        site.run(30)
    far.no_line = None
    site.give(LineStatus(True))
    site.run(20)
    assert [e for e in site.kissed if e.code == Code.BURGLARY], "not after a quarter of an hour"


def test_a_line_that_flaps_makes_no_more_calls_than_it_may() -> None:
    site = PhoneSite(phone_config(policy=DUAL), FarEnd(cut_in_play_ms=700))
    site.record(BURGLARY)
    for _ in range(240):
        site.give(LineStatus(False, "no_voltage"))
        site.run(6)
        site.give(LineStatus(True))
        site.run(24)
    times = [at for at, _ in site.calls()]
    busiest = max(sum(1 for at in times if start <= at < start + 3600) for start in times)
    assert busiest <= site.config.failed_calls_per_hour
    assert (1, 1) in site.owed


def test_a_tamper_does_not_queue_behind_the_calls_of_troubles() -> None:
    site = PhoneSite(phone_config(policy=DUAL))
    site.run(400)
    for _ in range(12):
        site.record(TROUBLE)
        site.run(25)
    site.record(TAMPER)
    site.run(60)
    assert TAMPER in site.kissed


def test_a_new_tamper_does_not_sit_out_the_back_off_of_a_trouble() -> None:
    far = FarEnd(answer_ms=None)
    site = PhoneSite(phone_config(policy=DUAL), far)
    site.record(TROUBLE)
    site.run(1200)
    far.answer_ms = 1000
    site.record(TAMPER)
    site.run(20)
    assert TAMPER in site.kissed
    assert site.line.seizes[-1][1] is True, "and takes the line from a person"


def test_a_line_that_stays_in_use_though_an_alarm_takes_it_is_a_failed_call() -> None:
    far = FarEnd(no_line="in_use", keeps_line=True)
    site = PhoneSite(phone_config(policy=DUAL), far)
    site.record(HOLDUP)
    site.run(3600)
    assert len(site.calls()) <= site.config.failed_calls_per_hour
    assert [e.on for _, e in site.log if isinstance(e, NotCommunicated)] == [True]


def test_a_hold_up_does_not_queue_behind_hours_of_its_own_zone() -> None:
    far = FarEnd(no_line="no_voltage")
    site = PhoneSite(phone_config(policy=DUAL), far)
    for n in range(300):
        site.record(PanelEvent(Code.ZONE_TROUBLE, Qualifier.RESTORE if n % 2 else Qualifier.NEW,
                               area=1, zone=HOLDUP.zone))  # fmt: skip
    site.record(HOLDUP)
    far.no_line = None
    site.give(LineStatus(False, "no_voltage"))
    site.run(6)
    site.give(LineStatus(True))
    site.run(30, lambda: HOLDUP in site.kissed)
    assert HOLDUP in site.kissed
    site.run(2000, lambda: not site.owed)
    told = [event.q for event in site.kissed if event.code == Code.ZONE_TROUBLE]
    assert told == [Qualifier.NEW, Qualifier.RESTORE] * 150, "order is kept within the zone"


def test_a_few_older_reports_of_a_zone_go_before_its_alarm() -> None:
    site = PhoneSite(phone_config(policy=DUAL), FarEnd(no_line="no_voltage"))
    trouble = PanelEvent(Code.ZONE_TROUBLE, area=1, zone=HOLDUP.zone)
    site.record(trouble)
    site.record(HOLDUP)
    site.far.no_line = None
    site.run(60)
    assert [e for e in site.kissed if e.code < 600] == [trouble, HOLDUP]


def test_ten_thousand_owed_cost_no_tick_and_few_calls() -> None:
    far = FarEnd(no_line="no_voltage")
    site = PhoneSite(phone_config(policy=DUAL), far)
    items = []
    for n in range(10_000):
        event = PanelEvent(Code.BURGLARY if n % 3 else Code.HOLDUP_SILENT, area=1, zone=1 + n % 8)
        site.seq += 1
        key = OwedKey(1, site.seq, "0" * 64, int(priority_of(event.code)), event.zone)
        site.owed[1, site.seq] = site.events[site.seq] = event
        items.append(Reportable(key, event))
    site.give(OwePhone(tuple(items)))
    site.run(3600)
    assert len(site.calls()) <= site.config.failed_calls_per_hour
    assert len(site.owed) >= 10_000
    began, steps = time.process_time(), len(site.log)
    site.run(3600)
    spent_ms = 1000 * (time.process_time() - began) / (1 + len(site.log) - steps)
    assert spent_ms < 5, "a step does not grow with the queue"
