"""The dialler's marks: what each list holds, and when a call is made for one (D12)."""

from __future__ import annotations

from edge.config_phone import PolicyKind
from edge.reporting.phone.call_types import Cause
from protocols.contact_id.mapping import mark_in
from protocols.panel_event import Code, PanelEvent
from tests.support.phone_site import (
    BURGLARY,
    DUAL,
    HOLDUP,
    TROUBLE,
    PhoneSite,
    phone_config,
)
from tests.support.phone_world import FarEnd


def test_phone_only_sends_no_marks() -> None:
    site = PhoneSite(phone_config(policy=PolicyKind.PHONE_ONLY))
    site.dialler = type(site.dialler)(site.config, 1, mqtt=False)
    site.record(BURGLARY)
    site.run(25)
    assert site.codes_received() == [130]


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


def test_no_list_of_hold_ups_is_longer_than_a_list_can_be() -> None:
    site = PhoneSite(phone_config(policy=DUAL))
    for n in range(150):
        site.record(PanelEvent(Code.HOLDUP_SILENT, area=1, zone=1 + n % 3))
    site.run(900, lambda: bool(site.ends()))
    codes = [code for code in site.codes_received() if code != 602]
    runs = "".join("m" if code == 780 else "r" for code in codes).split("m")
    assert max(map(len, runs)) <= 64
