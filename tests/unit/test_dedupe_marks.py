"""Dedupe with marks: what waits, for how long, and what is never hidden."""

from __future__ import annotations

import msgspec

from collector.dedupe import Effect, Joined, Repeated, Retired
from collector.dedupe.calls import Calls, Told
from collector.dedupe.seen import Seen
from collector.records.signal import PATH_CENTRE, PATH_MQTT, PATH_PHONE, PhoneCall
from protocols.instants import UtcTime
from protocols.panel_event import Code, PanelEvent, Qualifier
from protocols.phone_batch import MARK_CODE, MAX_SENT, Batch, Sent, batch_event
from tests.unit.test_dedupe_joining import T0, TRIP, S, joins, opens
from tests.unit.test_dedupe_joining import Centre as Bare

HOLDUP = PanelEvent(code=Code.HOLDUP_SILENT, area=1, zone=9)
OTHER = PanelEvent(code=Code.OPEN_CLOSE, area=1, user=2)


class Centre(Bare):
    """A panel whose card offers marks."""

    def __init__(self, *, dual: bool = True) -> None:
        super().__init__()
        self.joiner.offer_marks(True, always=dual)

    def told(
        self,
        received_s: float,
        event: PanelEvent = TRIP,
        call: str = "c1",
        mark: int | None = None,
    ) -> list[Effect]:
        taken = UtcTime(T0 + round(received_s * S))
        signal = self.signal(PATH_PHONE, received_s - 40, received_s, event, 43)
        phone = PhoneCall("rx-1", "l1", call, self.next_id, "1234", "contact_id", taken, mark=mark)
        return self.feed(msgspec.structs.replace(signal, phone=phone))

    def mark(self, received_s: float, number: int, call: str = "c1") -> list[Effect]:
        return self.told(received_s, PanelEvent(MARK_CODE), call, number)

    def batch(
        self, seq: int, received_s: float, *sent: int, at_s: float | None = None
    ) -> list[Effect]:
        event = batch_event(Batch(tuple(Sent(1, one, True) for one in sent)))
        return self.mqtt(seq, received_s if at_s is None else at_s, received_s, event)

    def up(self, received_s: float, seq: int) -> list[Effect]:
        event = PanelEvent(Code.PATH_PROVEN, Qualifier.STATUS, detail=f"epoch=1;seq={seq}")
        return self.feed(self.signal(PATH_CENTRE, received_s, received_s, event, 0))


def test_the_report_of_a_record_on_the_screen_waits_for_its_mark() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1)
    assert centre.told(20) == []
    assert centre.batch(2, 24, 1) == []
    assert joins(centre.mark(27, 2)) == [(1, 2)]


def test_a_hold_up_told_again_is_shown_in_45_s_when_nothing_shows_that_the_path_lives() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1, HOLDUP)
    assert centre.told(20, HOLDUP) == []
    assert centre.wait(64.9) == []
    assert opens(centre.wait(65)) == [2]


def test_a_heartbeat_shows_that_a_second_press_would_have_come() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1, HOLDUP)
    assert centre.told(20, HOLDUP) == []
    assert centre.up(40, 1) == []
    assert centre.wait(119.9) == []
    assert joins(centre.wait(120)) == [(1, 2)]


def test_a_heartbeat_that_names_an_unknown_record_shows_nothing() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1, HOLDUP)
    centre.told(20, HOLDUP)
    centre.up(40, 2)
    assert opens(centre.wait(65)) == [2]


def test_one_report_stands_for_one_record() -> None:
    centre = Centre()
    assert opens(centre.told(20, HOLDUP)) == [1]
    assert centre.mqtt(1, 0, 22, HOLDUP) == []
    assert opens(centre.mqtt(2, 1, 23, HOLDUP)) == [3]


def test_one_record_stands_for_one_report() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1, HOLDUP)
    assert centre.told(20, HOLDUP) == []
    centre.told(23, OTHER)
    assert opens(centre.told(26, HOLDUP)) == [4]


def test_a_repeat_in_its_call_says_nothing_new_while_the_network_is_up() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1)
    assert centre.told(20) == []
    assert centre.told(23) == []
    assert opens(centre.lost(30, Qualifier.NEW)) == [2, 3, 4]


def test_a_lost_path_sets_free_what_was_held() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1)
    assert centre.told(20) == []
    assert opens(centre.lost(50, Qualifier.NEW)) == [2, 3]


def test_a_mark_that_only_its_own_record_is_missing_for_needs_no_network() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1, HOLDUP)
    assert centre.told(20, HOLDUP) == []
    assert centre.mark(27, 2) == []
    assert opens(centre.lost(50, Qualifier.NEW)) == [4]
    centre.lost(7200, Qualifier.RESTORE)
    assert joins(centre.batch(2, 7201, 1, at_s=24)) == [(1, 2)]


def test_an_old_record_hides_no_new_report_of_a_panel_that_phones_only_when_it_must() -> None:
    centre = Centre(dual=False)
    centre.mqtt(1, 0, 1)
    assert opens(centre.told(3600)) == [2]


def test_a_record_that_a_later_list_leaves_behind_hides_no_new_report() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1)
    centre.mqtt(2, 10, 11, OTHER)
    centre.batch(3, 30, 2)
    assert opens(centre.told(60, call="c2")) == [4]


def test_a_report_is_shown_and_its_record_hours_later_joins_by_the_mark() -> None:
    centre = Centre()
    centre.mqtt(1, -7000, -7000, OTHER)
    centre.lost(60, Qualifier.NEW)
    assert opens(centre.told(100)) == [3]
    centre.mark(107, 3)
    centre.lost(7200, Qualifier.RESTORE)
    assert centre.batch(3, 7200.1, 2, at_s=104) == []
    assert joins(centre.mqtt(2, 50, 7201)) == [(3, 7)]
    assert [one for one in centre.effects if isinstance(one, Retired)] == []


def test_a_mark_nobody_heard_is_made_up_for_by_the_next() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1, HOLDUP)
    centre.told(20, HOLDUP)
    centre.batch(2, 24, 1)
    assert opens(centre.wait(65)) == [2]
    centre.mqtt(3, 80_000, 80_001, OTHER)
    centre.told(80_020, OTHER, "c2")
    centre.batch(4, 80_024, 1, 3)
    centre.mark(80_027, 4, "c2")
    gone = [one for one in centre.effects if isinstance(one, Retired)]
    assert gone == [Retired(2, (1,))]
    assert [one for one in centre.effects if isinstance(one, Joined)][-1].occurrence_id > 2


def test_the_number_of_a_mark_may_come_again_in_another_epoch() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1)
    centre.batch(97, 24, 1)
    centre.lost(50_000, Qualifier.NEW)
    assert opens(centre.told(50_100)) == [4]
    assert centre.mark(50_107, 97) == [], "the list of that number is of long ago"


def test_the_next_number_long_after_the_last_record_may_be_of_a_new_epoch_and_hides_nothing() -> (
    None
):
    centre = Centre()
    centre.mqtt(1, 0, 1)
    centre.lost(100, Qualifier.NEW)
    assert centre.told(7200) == [], "a panel that owes this by phone told it at last, or again"
    assert opens(centre.mark(7207, 2)) == [3]


def test_a_list_whose_number_came_before_vouches_only_for_what_its_records_say() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1, OTHER)
    centre.lost(10, Qualifier.NEW)
    assert opens(centre.told(20)) == [3], "of an epoch that a kill takes away with its list"
    centre.mark(27, 10)
    centre.lost(100, Qualifier.RESTORE)
    event = batch_event(Batch((Sent(2, 9, True),)))
    listed = centre.signal(PATH_MQTT, 90, 101, event, 0.1, epoch=2, seq=10, digest="a" * 64)
    assert centre.feed(listed) == []
    press = centre.signal(PATH_MQTT, 80, 102, HOLDUP, 0.1, epoch=2, seq=9, digest="b" * 64)
    assert opens(centre.feed(press)) == [press.id]


def test_a_full_list_may_be_followed_by_another_and_proves_nothing_by_itself() -> None:
    for count, known in ((MAX_SENT - 1, 1), (MAX_SENT, 0)):
        calls = Calls()
        sent = tuple(Sent(1, seq, True) for seq in range(1, count + 1))
        record = Seen(0, (0, 0, 0, 0), 0, 10 * S, 10 * S, 1, 70, "", ())
        calls.note_batch(Batch(sent), record)
        calls.add(Told(1, (130, 1, 1, 3), 5 * S, 5 * S, 1))
        calls.add(Told(2, (780, 1, 0, 0), 9 * S, 9 * S, 1, mark=70))
        assert len(calls.segments()) == known


def test_what_was_sent_again_after_a_kill_is_not_taken_for_what_the_list_has_more() -> None:
    centre = Centre()
    centre.lost(0, Qualifier.NEW)
    assert opens(centre.told(20)) == [2]
    centre.mark(27, 2)
    other = PanelEvent(code=Code.PERIMETER, area=1, zone=3)
    assert opens(centre.told(120, call="c2")) == [4]
    assert opens(centre.told(123, other, call="c2")) == [5]
    centre.mark(130, 5, call="c2")
    centre.lost(900, Qualifier.RESTORE)
    centre.batch(2, 901, 1, at_s=24)
    assert centre.batch(5, 901, 1, 3, at_s=127) == []
    assert Retired(4, (2,)) in centre.mqtt(1, 0, 902), "Record 3 says the other"
    assert joins(centre.mqtt(3, 115, 903, other)) == [(5, 11)]


def test_a_missing_record_that_is_no_list_leaves_doubt_at_the_mark() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1, HOLDUP)
    centre.mqtt(3, 12, 13, OTHER)
    assert centre.told(20, HOLDUP) == []
    assert centre.mark(27, 4) == []
    assert opens(centre.wait(65)) == [3], "Record 2 may be a second press"


def test_a_report_that_is_certainly_nothing_new_leaves_after_a_day() -> None:
    centre = Centre()
    centre.mqtt(1, 0, 1)
    centre.mqtt(2, 3, 4)
    assert centre.told(20) == []
    assert centre.wait(3600) == []
    (last,) = centre.wait(2 * 86_400)
    assert last == Repeated(3, (2, 1))
