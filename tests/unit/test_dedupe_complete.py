"""Dedupe by completeness: a report of a panel whose Records are all here is one of them."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest
from msgspec.structs import replace

from collector.dedupe import Effect, Joined, Joiner, Opened, Repeated, Retired
from collector.records.signal import PATH_CENTRE, PATH_MQTT, PATH_PHONE, PhoneCall
from protocols.instants import UtcTime
from protocols.panel_event import Code, PanelEvent, Qualifier
from tests.support.two_paths_centre import Centre as World
from tests.support.two_paths_world import Premises
from tests.unit.test_dedupe_joining import POLICY, TRIP, S, joins, opens
from tests.unit.test_dedupe_joining import Centre as Bare
from tests.unit.test_dedupe_marks import Centre as Marked

HOLDUP = PanelEvent(code=Code.HOLDUP_SILENT, area=1, zone=9)
OTHER = PanelEvent(code=Code.OPEN_CLOSE, area=1, user=2)
LONG_AGO = -50_000


class Centre(Marked):
    """A panel without marks that runs since long ago; its first Record is here."""

    def __init__(self, *, dual: bool = True) -> None:
        Bare.__init__(self)
        self.joiner.offer_marks(False, always=dual)
        self.mqtt(1, LONG_AGO, LONG_AGO, PanelEvent(Code.BOOT))

    def beat(
        self, received_s: float, seq: int, owed: int | None = None, *, since_s: float = LONG_AGO
    ) -> list[Effect]:
        detail = f"epoch=1;seq={seq};up_s={received_s - since_s:.1f};under_way_s=0.0"
        detail += "" if owed is None else f";owed={owed}"
        event = PanelEvent(Code.PATH_PROVEN, Qualifier.STATUS, detail=detail)
        return self.feed(self.signal(PATH_CENTRE, received_s, received_s, event, 0))


def test_the_report_of_one_record_joins_it_at_the_next_heartbeat() -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1, HOLDUP)
    assert centre.told(20, HOLDUP) == []
    assert joins(centre.beat(30, 2)) == [(2, 3)]


def test_what_was_shown_twice_is_one_at_the_next_heartbeat_and_the_older_stays() -> None:
    centre = Centre()
    centre.lost(0, Qualifier.NEW)
    assert opens(centre.told(20, HOLDUP)) == [3]
    centre.lost(900, Qualifier.RESTORE)
    assert centre.beat(901, 2) == []
    assert joins(centre.mqtt(2, 0, 903, HOLDUP)) == [(3, 6)]


def test_a_report_of_several_records_is_held_and_never_shown() -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1)
    centre.mqtt(3, 10, 11)
    assert centre.told(30) == []
    assert centre.beat(40, 3) == [Repeated(4, (3, 2))]


def test_a_report_of_several_records_that_was_shown_leaves_the_screen() -> None:
    centre = Centre()
    centre.mqtt(2, -3000, -3000)
    centre.lost(0, Qualifier.NEW)
    assert centre.told(30) == []
    assert opens(centre.told(60, call="c2")) == [5], "one report for one Record"
    centre.lost(900, Qualifier.RESTORE)
    centre.beat(901, 3)
    assert opens(centre.wait(1000)) == []
    made = centre.mqtt(3, 20, 1001)
    assert opens(made) == [8], "a second Record is a second event"
    assert [one for one in made if isinstance(one, Retired)] == [
        Retired(4, (8, 2)),
        Retired(5, (8, 2)),
    ]


def test_a_report_no_record_says_stays_for_ever() -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1, OTHER)
    assert opens(centre.told(20)) == [3]
    assert centre.beat(30, 2, 0) == []
    assert centre.mqtt(3, 3000, 3000) != []
    centre.beat(3030, 3, 0)
    assert centre.wait(300_000) == []
    assert [one for one in centre.effects if isinstance(one, Retired | Repeated)] == []


class Watched(World):
    """What was decided, in order."""

    def __init__(self, premises: Premises, restart_every: int) -> None:
        super().__init__(premises, restart_every)
        self.effects: list[Effect] = []

    def _note(self, effects: list[Effect], now: float) -> None:
        self.effects += effects
        super()._note(effects, now)


DOUBTS: dict[str, Callable[[Centre], object]] = {
    "sent too soon": lambda c: c.beat(24, 2),
    "of a program that began later": lambda c: c.beat(40, 2, since_s=25),
    "naming a Record that is missing": lambda c: c.beat(40, 4),
    "naming an older Record: a restored image": lambda c: c.beat(40, 1),
    "of a version that tells no uptime": lambda c: c.up(40, 2),
}


@pytest.mark.parametrize("why", DOUBTS)
def test_no_proof_by_a_heartbeat(why: str) -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1, HOLDUP)
    centre.told(20, HOLDUP)
    DOUBTS[why](centre)
    centre.lost(44, Qualifier.NEW)
    assert opens(centre.effects)[-2:] == [3, centre.next_id - 1]
    assert joins(centre.effects) == []


def test_a_missing_record_leaves_doubt_until_it_comes() -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1, HOLDUP)
    centre.mqtt(4, 12, 13, OTHER)
    centre.told(20, HOLDUP)
    assert centre.beat(30, 4) == []
    assert joins(centre.mqtt(3, 11, 36, OTHER)) == [(2, 4)]


def test_an_epoch_that_was_left_leaves_doubt() -> None:
    centre = Centre()
    centre.mqtt(2, -100, -99, HOLDUP)
    event = PanelEvent(Code.EPOCH_OPENED, detail="after=1:2")
    centre.feed(centre.signal(PATH_MQTT, -50, -49, event, 0.1, epoch=7, seq=1, digest="a" * 64))
    centre.told(20, HOLDUP)
    detail = "epoch=7;seq=1;up_s=9999.0;under_way_s=0.0"
    proven = PanelEvent(Code.PATH_PROVEN, Qualifier.STATUS, detail=detail)
    assert centre.feed(centre.signal(PATH_CENTRE, 30, 30, proven, 0)) == []


def test_an_identity_told_twice_ends_all_proof() -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1, HOLDUP)
    fork = centre.signal(PATH_MQTT, 0, 2, OTHER, 0.1, epoch=1, seq=1, digest="f" * 64)
    centre.feed(replace(fork, conflict=True))
    centre.told(20, HOLDUP)
    assert centre.beat(30, 2, 0) == []


def test_after_the_panel_owed_nothing_by_phone_only_newer_records_are_meant() -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1)
    centre.told(20)
    assert joins(centre.beat(30, 2, 0)) == [(2, 3)]
    centre.lost(3000, Qualifier.NEW)
    assert opens(centre.told(3020, call="c2")) == [6], "what was told hides no new report"
    centre.lost(3600, Qualifier.RESTORE)
    centre.beat(3601, 3, 0)
    assert joins(centre.mqtt(3, 3000, 3603)) == [(6, 9)]


def test_what_is_told_after_a_loss_is_of_records_after_the_last_quiet_heartbeat() -> None:
    centre = Centre(dual=False)
    centre.mqtt(2, -3000, -3000)
    centre.mqtt(3, -60, -59, OTHER)
    detail = "epoch=1;seq=2;up_s=9999.0;under_way_s=90.0;owed=0"
    quiet = PanelEvent(Code.PATH_PROVEN, Qualifier.STATUS, detail=detail)
    assert centre.feed(centre.signal(PATH_CENTRE, 0, 0, quiet, 0)) == []
    centre.lost(0, Qualifier.NEW)
    assert opens(centre.told(300)) == [6]
    centre.lost(900, Qualifier.RESTORE)
    centre.beat(901, 4, 0)
    assert joins(centre.mqtt(4, 280, 903)) == [(6, 9)], "and not of the like one of before"


def test_after_the_call_went_on_to_something_else_the_next_report_is_of_a_later_record() -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1)
    centre.told(20)
    centre.told(23, PanelEvent(code=Code.PERIMETER, area=1, zone=4))
    centre.mqtt(3, 1, 24, PanelEvent(code=Code.PERIMETER, area=1, zone=4))
    centre.beat(30, 3, 1)
    centre.lost(3000, Qualifier.NEW)
    assert opens(centre.told(3020, call="c2")) == [8]
    centre.lost(3600, Qualifier.RESTORE)
    centre.beat(3601, 4, 1)
    assert joins(centre.mqtt(4, 3000, 3603)) == [(8, 11)]


@pytest.mark.parametrize(("code", "later"), [(Code.OPEN_CLOSE, True), (406, False)])
def test_what_would_have_had_to_wait_tells_that_an_alarm_had_been_told(
    code: int, *, later: bool
) -> None:
    """406 tells of an ABORT too, which is as urgent as the alarm."""
    centre = Centre()
    centre.mqtt(2, 0, 1)
    centre.told(20)
    centre.told(120, PanelEvent(code, area=1, user=2), call="c2")
    centre.mqtt(3, 110, 121, PanelEvent(code, area=1, user=2))
    centre.beat(130, 3, 1)
    centre.lost(3000, Qualifier.NEW)
    assert opens(centre.told(3020, call="c3")) == [8]
    centre.lost(3600, Qualifier.RESTORE)
    centre.beat(3601, 4, 1)
    centre.mqtt(4, 3000, 3603)
    retired = [one for one in centre.effects if isinstance(one, Retired)]
    assert retired == ([] if later else [Retired(8, (11, 2))])


def test_a_line_dead_for_days_tells_of_old_records_and_nothing_is_shown_again() -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1)
    centre.mqtt(3, 40_000, 40_001)
    day_s = 86_400.0
    assert centre.told(2 * day_s) == []
    assert centre.told(2 * day_s + 3) == []
    assert [type(one) for one in centre.beat(2 * day_s + 12, 3, 0)] == [Repeated, Repeated]


def test_what_memory_has_let_go_of_is_not_guessed_at() -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1)
    for seq in range(3, 3 + POLICY.keep_count):
        centre.mqtt(seq, seq, seq, PanelEvent(code=Code.BURGLARY, area=1, zone=10 + seq % 500))
    last = 3 + POLICY.keep_count
    centre.mqtt(last, 1000, 1000)
    centre.told(1020)
    assert centre.beat(1030, last) == [], "it may be of the first trip as well"


def test_a_record_from_the_future_is_a_candidate_all_the_same() -> None:
    centre = Centre()
    centre.mqtt(2, 86_400, 1, HOLDUP)
    assert centre.told(20, HOLDUP) == []
    assert joins(centre.beat(30, 2)) == [(2, 3)]


@pytest.mark.parametrize("off_s", [-9e8, -7200.0, 7200.0, 9e8])
def test_a_receiver_whose_clock_is_far_off_orders_nothing_and_hides_nothing(off_s: float) -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1, HOLDUP)
    for at, press in ((20, HOLDUP), (23, TRIP)):
        report = centre.signal(PATH_PHONE, at - 47, at, press, 43)
        taken = UtcTime(report.received + round(off_s * S))
        call = PhoneCall("hardware", "l1", "", 0, "1234", "contact_id", taken)
        centre.feed(replace(report, phone=call))
    assert opens(centre.effects)[-1] == 4, "the trip, of which no Record came"
    assert joins(centre.beat(30, 2)) == [(2, 3)]


def test_a_replay_of_an_old_call_is_a_repeat_when_its_records_are_known() -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1, HOLDUP)
    centre.told(20, HOLDUP)
    centre.beat(30, 2, 1)
    assert opens(centre.told(9000, HOLDUP, "c9")) == [5], "hours later it may be a new one"
    assert centre.beat(9030, 2, 1) == [Retired(5, (2,))]


def test_two_panels_under_one_account_are_told_by_what_no_record_says() -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1)
    centre.told(20)
    centre.beat(30, 2, 0)
    assert centre.told(400, call="foreign") == [], "sent once more, perhaps"
    assert opens(centre.beat(430, 2, 0)) == [5], "it is of none of these"
    assert centre.wait(90_000) == []


@pytest.mark.parametrize("marks", [False, True])
def test_a_flood_from_one_panel_is_bounded_and_decides_every_signal(*, marks: bool) -> None:
    centre, chance = Centre(), random.Random(1)
    seq, largest, told = 1, 0, {1}
    for number in range(2_500):
        at = number * 0.05
        event = PanelEvent(code=Code.BURGLARY, area=1, zone=chance.randrange(1, 400), detail="x")
        told.add(centre.next_id)
        if chance.random() < 0.5:
            seq += 1
            centre.mqtt(seq, at, at, event)
        else:
            centre.told(at, event, f"c{number // 9}")
        if number % 64 == 0:
            if marks:
                seq += 1
                centre.batch(seq, at, *range(max(1, seq - 62), seq))
                centre.mark(at, seq, f"c{number // 9}")
            centre.beat(at, seq, 0)
            largest = max(largest, len(centre.joiner.snapshot()))
    assert largest < 128_000
    centre.wait(400_000)
    decided: list[int] = []
    for one in centre.effects:
        match one:
            case Opened(occurrence=occurrence):
                decided.append(occurrence.id)
            case Joined(signal=signal):
                decided.append(signal.id)
            case Repeated(signal_id=signal_id):
                decided.append(signal_id)
            case Retired():
                pass
    assert len(decided) == len(set(decided))
    assert set(decided) == told


def test_a_snapshot_of_the_version_before_is_taken_up() -> None:
    centre = Centre()
    centre.mqtt(2, 0, 1, HOLDUP)
    centre.told(20, HOLDUP)
    memory = msgspec.msgpack.decode(centre.joiner.snapshot())
    before = memory[:9]
    before[2] = memory[2][:1]  # stretches
    told, batches, marks, always = memory[7][:4]
    before[7] = [[row[:9] for row in told], batches, marks, always]
    centre.joiner = Joiner.restore(POLICY, msgspec.msgpack.encode(before))
    assert joins(centre.beat(30, 2)) == [(2, 3)]


@pytest.mark.parametrize("faults", [False, True])
@pytest.mark.parametrize("marks", [False, True])
def test_a_restart_after_any_signal_changes_nothing(*, marks: bool, faults: bool) -> None:
    premises = Premises(11, 150, marks=marks, faults=faults)
    arrivals = premises.live()
    made: list[list[Effect]] = []
    for restart_every in (1, 1_000_000):
        watched = Watched(premises, restart_every)
        watched.judge(arrivals, premises.truth)
        made.append(watched.effects)
    assert made[0] == made[1]
    assert any(isinstance(one, Joined) for one in made[0])
