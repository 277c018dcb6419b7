"""The dialler: policy, order, redial, marks, supervision (issue: panel side)."""

from __future__ import annotations

import itertools

import pytest

from edge.config_phone import LineDriver, PhoneLineConfig, PolicyKind
from edge.reporting.phone.call_types import Cause, Ended, Step
from edge.reporting.phone.dialler_types import (
    CallAsked,
    EndListenIn,
    LineVoltage,
    MqttPath,
    NotCommunicated,
)
from edge.reporting.phone.line import Dropped, LineStatus
from edge.reporting.reporter_types import PathState
from protocols.contact_id.mapping import mark_in
from protocols.panel_event import Code, PanelEvent, Qualifier
from protocols.tones.elements import DigitHeard
from tests.support.phone_site import PhoneSite, phone_config
from tests.support.phone_world import FarEnd

DUAL = PolicyKind.DUAL
BURGLARY = PanelEvent(Code.BURGLARY, area=1, zone=3)
HOLDUP = PanelEvent(Code.HOLDUP_SILENT, area=1, zone=7)
OPENING = PanelEvent(Code.OPEN_CLOSE, area=1, user=1)
LOG = PanelEvent(Code.ZONE_STATE, area=1, zone=3)
TAMPER = PanelEvent(Code.ZONE_TAMPER, area=1, zone=5)
TROUBLE = PanelEvent(Code.MAINS_FAIL)


def test_dual_tells_everything_that_contact_id_has_words_for() -> None:
    site = PhoneSite(phone_config(policy=DUAL, marks=False))
    site.record(LOG)
    site.record(OPENING)
    site.record(BURGLARY)
    site.run(60)
    assert site.codes_received() == [130, 401]
    assert site.settled == [LOG]
    assert sorted(e.code for e in site.kissed) == [130, 401]
    assert not site.owed
    assert site.ends()[0].cause is Cause.DONE


def test_fallback_gives_mqtt_its_time_and_no_more() -> None:
    for event, wait_s in ((HOLDUP, 3), (BURGLARY, 10)):
        site = PhoneSite(phone_config())
        site.record(event)
        site.run(29)
        assert site.calls()[0] == (wait_s, "82001")
        assert site.kissed == [event]


def test_fallback_drops_what_mqtt_acknowledged_while_waiting() -> None:
    site = PhoneSite(phone_config())
    key = site.record(BURGLARY)
    site.run(9)
    site.mqtt_acknowledges(key)
    site.run(20)
    assert site.calls() == []
    assert site.settled == [BURGLARY]
    assert not site.owed


def test_dual_does_not_drop_what_mqtt_acknowledged() -> None:
    site = PhoneSite(phone_config(policy=DUAL))
    key = site.record(BURGLARY)
    site.mqtt_acknowledges(key)
    site.run(29)
    assert site.kissed == [BURGLARY]


def test_openings_never_go_by_phone_in_fallback_unless_set() -> None:
    site = PhoneSite(phone_config())
    site.record(OPENING)
    assert site.settled == [OPENING]
    site = PhoneSite(phone_config(wait_open_close_s=5))
    site.record(OPENING)
    site.run(29)
    assert site.kissed == [OPENING]


def test_nothing_waits_for_an_mqtt_path_known_to_be_down() -> None:
    site = PhoneSite(phone_config())
    site.give(MqttPath(False))
    site.record(BURGLARY)
    site.run(1)
    assert site.calls()[0][0] == 0


def test_loss_of_the_mqtt_path_is_told_by_phone_and_its_return_too() -> None:
    site = PhoneSite(phone_config())
    site.record(PanelEvent(Code.PATH_IP_FAULT, detail="mqtt not_acknowledged"))
    site.run(20)
    site.record(PanelEvent(Code.PATH_IP_FAULT, Qualifier.RESTORE, detail="mqtt acknowledged"))
    site.run(60)
    told = [(m.q, m.code) for m in site.line.received if mark_in(m) is None]
    assert told[:2] == [("1", "350"), ("3", "350")]


def test_phone_only_sends_no_marks() -> None:
    site = PhoneSite(phone_config(policy=PolicyKind.PHONE_ONLY))
    site.dialler = type(site.dialler)(site.config, 1, mqtt=False)
    site.record(BURGLARY)
    site.run(25)
    assert site.codes_received() == [130]


def test_the_most_urgent_first_and_a_new_hold_up_goes_at_the_next_block() -> None:
    site = PhoneSite(phone_config(policy=DUAL, marks=False))
    for zone in (1, 2, 3):
        site.record(PanelEvent(Code.BURGLARY, area=1, zone=zone))
    site.run(30, lambda: len(site.line.plays) == 2)
    site.record(HOLDUP)
    site.run(60)
    assert site.codes_received() == [130, 130, 122, 130]
    assert len(site.calls()) == 1


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


def test_a_trouble_waits_while_a_person_is_on_the_phone() -> None:
    far = FarEnd(no_line="in_use")
    site = PhoneSite(phone_config(policy=DUAL), far)
    site.record(PanelEvent(Code.MAINS_FAIL))
    site.run(60)
    assert not any(forced for _, forced in site.line.seizes)
    assert all(end.cause is Cause.IN_USE for end in site.ends())
    assert site.paths() == []
    far.no_line = None
    site.run(40)
    assert [e.code for e in site.kissed] == [301]


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


@pytest.mark.parametrize(
    ("far", "cause"),
    [
        (FarEnd(busy=True), "busy"),
        (FarEnd(answer_ms=None), "no_answer"),
        (FarEnd(dial_tone_ms=None), "no_dial_tone"),
        (FarEnd(kisses=lambda n: False), "no_kiss_off"),
    ],
)
def test_a_dead_phone_path_is_told_within_180_s(far: FarEnd, cause: str) -> None:
    site = PhoneSite(phone_config(policy=DUAL), far)
    site.record(BURGLARY)
    site.run(180)
    assert site.paths() == [PathState(False, cause)]


def test_a_cut_line_is_told_and_its_return_proved_by_a_test_call() -> None:
    site = PhoneSite(phone_config())
    site.give(LineStatus(True))
    site.run(400)  # the first test call after a start
    assert site.paths() == [PathState(True, "kissed_off")]
    site.give(LineStatus(False, "no_voltage"))
    site.run(6)
    assert site.paths()[-1] == PathState(False, "no_voltage")
    calls = len(site.calls())
    site.give(LineStatus(True))
    site.run(60)
    assert len(site.calls()) == calls + 1
    assert site.codes_received()[-2:] == [602, 780]
    assert site.paths()[-1] == PathState(True, "kissed_off")


def test_a_short_dip_of_the_line_is_no_fault() -> None:
    site = PhoneSite(phone_config())
    site.give(LineStatus(True))
    site.give(LineStatus(False, "no_voltage"))
    site.run(4)
    site.give(LineStatus(True))
    site.run(10)
    assert site.paths() == []


def test_a_modem_line_is_listened_to_for_its_dial_tone() -> None:
    modem = PhoneLineConfig(driver=LineDriver.MODEM, device="/dev/ttyACM0")
    site = PhoneSite(phone_config(line=modem))
    site.run(1000)
    site.far.dial_tone_ms = None
    before = site.now
    site.run(180, lambda: bool(site.paths()) and site.paths()[-1].up is False)
    assert site.paths()[-1] == PathState(False, "no_dial_tone")
    assert site.now - before <= 180e9
    site.far.dial_tone_ms = 400
    site.run(180, lambda: site.paths()[-1].up)
    assert site.paths()[-1] == PathState(True, "kissed_off")


def test_a_test_call_daily_by_default_and_when_asked() -> None:
    site = PhoneSite(phone_config())
    site.run(3 * 86_400)
    assert [code for code in site.codes_received() if code != 780] == [602, 602, 602]
    site.give(CallAsked("installer"))
    site.run(30)
    assert site.codes_received()[-2:] == [601, 780]


def test_the_mark_lists_all_that_was_sent_since_the_last_one() -> None:
    site = PhoneSite(phone_config(policy=DUAL))
    first = site.record(BURGLARY)
    second = site.record(HOLDUP)
    site.run(29)
    assert site.batches() == [f"sent=1:{second.seq}*x1,1:{first.seq}*x1"]
    mark = site.line.received[-1]
    assert mark_in(mark) == 3
    assert not site.owed, "the batch itself is not owed by phone"


def test_what_was_sent_in_failed_calls_is_in_the_next_mark_also_after_a_restart() -> None:
    far = FarEnd(kisses=lambda n: False)
    site = PhoneSite(phone_config(policy=DUAL), far)
    key = site.record(BURGLARY)
    site.run(30, lambda: bool(site.ends()))
    assert site.ends()[0].cause is Cause.NO_KISS_OFF
    assert site.batches() == []
    far.kisses = lambda n: True
    site.restart()
    site.run(29)
    assert site.batches() == [f"sent=1:{key.seq}*x5"]


def test_a_mark_that_was_not_kissed_off_is_made_again() -> None:
    far = FarEnd(kisses=lambda n: n == 1)
    site = PhoneSite(phone_config(policy=DUAL), far)
    first = site.record(BURGLARY)
    site.run(29, lambda: bool(site.ends()))
    assert [end.cause for end in site.ends()] == [Cause.NO_KISS_OFF]
    far.kisses = lambda n: True
    second = site.record(HOLDUP)
    site.run(29)
    assert site.batches() == [
        f"sent=1:{first.seq}*x1",
        f"sent=1:{first.seq}*x1,1:{second.seq}*x1",
    ]


def test_a_report_between_a_list_and_its_mark_is_in_the_list_that_is_marked() -> None:
    site = PhoneSite(phone_config(policy=DUAL), journal_ms=900)
    first = site.record(BURGLARY)
    site.run(29, lambda: bool(site.batches()))
    second = site.record(HOLDUP)
    site.run(60)
    codes = [code for code in site.codes_received() if code != 602]
    assert codes == [130, 122, 780], "no mark stands between what its list lacks"
    assert site.batches()[-1] == f"sent=1:{first.seq}*x1,1:{second.seq}*x1"


def test_without_a_record_in_a_second_the_call_ends_without_a_mark() -> None:
    site = PhoneSite(phone_config(policy=DUAL), journal_ms=5000)
    site.record(BURGLARY)
    site.run(28)
    assert site.ends()[0].cause is Cause.DONE
    assert site.codes_received() == [130]
    site.journal_ms = 5
    second = site.record(HOLDUP)
    site.run(30)
    assert site.batches()[-1] == f"sent=1:1*x1,1:{second.seq}*x1"


def test_listen_in_comes_last_and_an_alarm_ends_it() -> None:
    site = PhoneSite(phone_config(policy=DUAL, listen_in_s=300))
    site.record(BURGLARY)
    site.run(60)
    assert site.codes_received() == [130, 780, 606]
    assert site.ends() == []
    site.record(HOLDUP)
    site.run(30)
    assert site.ends()[0].detail == "something to tell"
    assert HOLDUP in site.kissed


def test_listen_in_ends_by_itself() -> None:
    site = PhoneSite(phone_config(policy=DUAL, listen_in_s=100))
    site.record(BURGLARY)
    site.run(150)
    assert [(end.cause, end.detail) for end in site.ends()] == [(Cause.DONE, "listen-in over")]
    assert not site.owed


def _listening(**fields: object) -> PhoneSite:
    site = PhoneSite(phone_config(policy=DUAL, listen_in_s=300, **fields))
    site.run(400)  # the first test call is over
    site.record(BURGLARY)
    site.run(60, lambda: site.dialler.view(site.now).listening)
    assert site.dialler.view(site.now).listening
    return site


def test_the_centre_ends_listening_with_a_key_and_the_command_does() -> None:
    site = _listening()
    site.give(DigitHeard("5", 0, 50))
    assert site.dialler.view(site.now).listening
    site.give(DigitHeard("#", 0, 50))
    site.run(5)
    assert (site.ends()[-1].cause, site.ends()[-1].detail) == (
        Cause.DONE,
        "listen-in ended: # heard",
    )
    site = _listening()
    site.give(EndListenIn("liwei"))
    site.run(5)
    assert site.ends()[-1].detail == "released liwei"
    site.give(EndListenIn("liwei"))
    assert not site.dialler.view(site.now).listening


def test_who_listened_and_hung_up_made_no_failed_call() -> None:
    site = _listening()
    site.line.at(0, Dropped("no_carrier"))
    site.run(5)
    assert site.ends()[-1] == Ended(Cause.DONE, "listen-in ended: no_carrier", Step.VOICE)


@pytest.mark.parametrize(("event", "within_s"), [(HOLDUP, 20), (BURGLARY, 20), (TAMPER, 20)])
def test_an_alarm_ends_listening_at_once(event: PanelEvent, within_s: float) -> None:
    site = _listening()
    before = len(site.kissed)
    site.record(event)
    site.run(within_s, lambda: len(site.kissed) > before)
    assert site.kissed[before:] == [event]


def test_the_loss_of_the_other_path_waits_a_minute_for_who_listens() -> None:
    site = _listening()
    lost = PanelEvent(Code.PATH_IP_FAULT, detail="mqtt not_acknowledged")
    site.record(lost)
    site.run(55)
    assert site.dialler.view(site.now).listening
    site.run(30)
    assert lost in site.kissed


@pytest.mark.parametrize(
    "event",
    [
        PanelEvent(Code.BURGLARY, Qualifier.RESTORE, area=1, zone=3),
        PanelEvent(Code.ALARM_CANCEL, area=1, user=1),
        PanelEvent(Code.BURGLARY, area=1, zone=3, test=True),
        OPENING,
    ],
)
def test_nobody_listens_in_without_an_alarm(event: PanelEvent) -> None:
    site = PhoneSite(phone_config(policy=DUAL, listen_in_s=300))
    site.record(event)
    site.run(29)
    assert event in site.kissed
    assert 606 not in site.codes_received()
    assert site.ends()


def test_a_monitor_beside_the_line_counts_as_the_lines_own_word() -> None:
    site = PhoneSite(phone_config())
    site.give(LineStatus(True))
    site.run(400)
    site.give(LineVoltage(False))
    site.run(4)
    assert site.paths()[-1].up
    site.run(2)
    assert site.paths()[-1] == PathState(False, "no_voltage")
    site.give(LineStatus(True))
    site.run(5)
    assert site.paths()[-1] == PathState(False, "no_voltage"), "the modem alone cannot know"
    calls = len(site.calls())
    site.give(LineVoltage(True))
    site.run(30)
    assert len(site.calls()) == calls + 1
    assert site.paths()[-1] == PathState(True, "kissed_off")


def test_a_monitor_that_flickers_does_not_break_off_a_call() -> None:
    site = PhoneSite(phone_config(policy=DUAL))
    site.record(BURGLARY)
    site.run(30, lambda: bool(site.line.plays))
    site.give(LineVoltage(False))
    site.run(1)
    site.give(LineVoltage(True))
    site.run(20)
    assert [end.cause for end in site.ends()] == [Cause.DONE]


def test_a_call_that_ends_badly_is_told_with_its_cause() -> None:
    site = PhoneSite(phone_config(policy=DUAL), FarEnd(voice=True))
    site.record(BURGLARY)
    site.run(40)
    assert isinstance(site.dialler.view(site.now).last, Ended)
    assert site.ends()[0].cause is Cause.VOICE_ANSWER


def _silent_after(blocks: int) -> FarEnd:
    """A receiver whose kiss-offs are not heard after so many blocks."""
    return FarEnd(kisses=lambda n: n <= blocks)


def test_a_mark_that_was_lost_after_an_alarm_gets_one_call_of_its_own() -> None:
    far = _silent_after(1)
    site = PhoneSite(phone_config(policy=DUAL), far)
    key = site.record(BURGLARY)
    site.run(29, lambda: bool(site.ends()))
    assert site.ends()[0].cause is Cause.NO_KISS_OFF
    far.kisses = lambda n: True
    site.run(29)
    assert len(site.calls()) == 2
    assert site.batches() == [f"sent=1:{key.seq}*x1"] * 2
    assert site.memory.unmarked == ()


def test_a_mark_nobody_ever_hears_costs_one_call_an_alarm_and_no_more() -> None:
    site = PhoneSite(phone_config(policy=DUAL, test_s=86_400), _silent_after(1))
    site.run(400)  # the first test call is over
    site.line.received.clear()
    before = len(site.calls())
    site.record(BURGLARY)
    site.run(6 * 3600)
    assert len(site.calls()) == before + 2
    site.line.received.clear()
    site.record(TROUBLE)
    site.run(6 * 3600)
    assert len(site.calls()) == before + 3, "what is no alarm waits for the next call"


def test_what_a_killed_panel_sent_and_did_not_mark_is_marked_soon_after_its_start() -> None:
    far = _silent_after(1)
    site = PhoneSite(phone_config(policy=DUAL), far)
    site.run(400)
    site.line.received.clear()
    site.record(BURGLARY)
    site.run(60, lambda: BURGLARY in site.kissed)
    site.restart()
    far.kisses = lambda n: True
    site.run(330)
    assert site.batches()[-1].endswith(":3*x1"), site.batches()
    assert site.memory.unmarked == ()


def test_a_panel_killed_in_the_last_digit_knows_that_the_receiver_may_hold_the_block() -> None:
    site = PhoneSite(phone_config(policy=DUAL), FarEnd())
    key = site.record(BURGLARY)
    site.run(30, lambda: bool(site.line.plays))
    site.restart()
    site.run(28)
    assert site.batches() == [f"sent=1:{key.seq}*x2"]


def test_a_long_queue_is_marked_between_its_reports() -> None:
    site = PhoneSite(phone_config(policy=DUAL))
    events = [PanelEvent(Code.BURGLARY, area=1, zone=1 + n) for n in range(150)]
    for event in events:
        site.record(event)
    site.run(900, lambda: bool(site.ends()))
    codes = [code for code in site.codes_received() if code != 602]
    runs = "".join("m" if code == 780 else "r" for code in codes).split("m")
    assert [len(run) for run in runs] == [56, 56, 38, 0]
    listed = [part.split(":")[1].split("*")[0] for text in site.batches() for part in
              text.removeprefix("sent=").split(",")]  # fmt: skip
    assert set(map(str, range(1, 151))) <= set(listed)
    assert len(listed) == len(set(listed)), "each in one list"
    assert len(site.calls()) == 1


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
