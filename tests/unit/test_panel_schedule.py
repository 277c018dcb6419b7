"""Late, early, missed and out-of-schedule opening and closing (R27)."""

from __future__ import annotations

from edge.config import Schedule
from edge.panel.inputs import Arm, ArmMode, Disarm, LocalTime
from edge.panel.schedule import periods
from tests.support.panel_site import DOOR, KEY, Site, site_config

WEEKDAYS = Schedule(days=(1, 2, 3, 4, 5), open_at="08:00", close_at="18:00")
MONDAY, TUESDAY, SATURDAY, NEXT_MONDAY = 0, 1, 5, 7


class Shop(Site):
    """Tells the panel the local time, a minute at a time is not needed: it judges what is."""

    def __init__(self, plan: Schedule = WEEKDAYS) -> None:
        super().__init__(site_config(schedules=(plan,)))

    def clock(self, day: int, hhmm: str) -> list[str]:
        hours, minutes = map(int, hhmm.split(":"))
        minute = hours * 60 + minutes
        return self.give(LocalTime((day % 7) * 1440 + minute, 20_000 + day))

    def key(self) -> list[str]:
        return [text for text in self.pulse(KEY) if "CLOSE" in text or "OPEN" in text]


def closed_shop() -> Shop:
    shop = Shop()
    shop.clock(MONDAY, "06:00")
    shop.key()
    return shop


def test_on_time_says_nothing() -> None:
    shop = closed_shop()
    assert shop.clock(MONDAY, "07:30") == []
    assert shop.key() == ["+OPEN_CLOSE_KEYSWITCH a1 z14 (was:armed_full)"]
    assert shop.clock(MONDAY, "17:30") == []
    assert shop.key() == ["-OPEN_CLOSE_KEYSWITCH a1 z14"]
    assert shop.clock(MONDAY, "20:00") == []
    assert shop.clock(TUESDAY, "03:00") == []


def test_too_early() -> None:
    shop = closed_shop()
    shop.clock(MONDAY, "07:29")
    assert shop.key()[1] == "+EARLY_OPEN_CLOSE a1 (out_of_schedule)"
    shop.clock(MONDAY, "17:29")
    assert shop.key()[1] == "-EARLY_OPEN_CLOSE a1"


def test_not_opened_is_told_once_and_then_late() -> None:
    shop = closed_shop()
    assert shop.clock(MONDAY, "08:30") == []
    assert shop.clock(MONDAY, "08:31") == ["+FAILED_TO_OPEN a1"]
    assert shop.clock(MONDAY, "08:32") == []
    assert shop.key()[1] == "+LATE_OPEN_CLOSE a1"


def test_coming_back_from_lunch_is_not_late() -> None:
    shop = closed_shop()
    shop.clock(MONDAY, "08:00")
    shop.key()
    shop.clock(MONDAY, "12:00")
    assert shop.key()[1] == "-EARLY_OPEN_CLOSE a1"
    assert shop.clock(MONDAY, "12:59") == []
    assert shop.key() == ["+OPEN_CLOSE_KEYSWITCH a1 z14 (was:armed_full)"]


def test_not_closed_is_told_once_and_then_late() -> None:
    shop = closed_shop()
    shop.clock(MONDAY, "08:00")
    shop.key()
    assert shop.clock(MONDAY, "18:30") == []
    assert shop.clock(MONDAY, "18:31") == ["+FAILED_TO_CLOSE a1"]
    assert shop.clock(MONDAY, "23:59") == []
    assert shop.key()[1] == "-LATE_OPEN_CLOSE a1"


def test_opening_on_a_free_day_is_out_of_schedule() -> None:
    shop = closed_shop()
    shop.clock(MONDAY, "09:00")
    shop.key()
    shop.clock(MONDAY, "18:00")
    shop.key()
    shop.clock(MONDAY, "19:00")
    shop.clock(SATURDAY, "10:00")
    assert "+EARLY_OPEN_CLOSE a1 (out_of_schedule)" in shop.key()


def test_a_step_of_the_clock_neither_hides_nor_repeats() -> None:
    shop = closed_shop()
    assert shop.clock(MONDAY, "13:00") == ["+FAILED_TO_OPEN a1"]
    assert shop.clock(MONDAY, "07:00") == []
    assert shop.clock(MONDAY, "14:00") == []
    assert shop.clock(TUESDAY, "14:00") == ["+FAILED_TO_OPEN a1"]


def test_no_verdict_once_the_clock_is_no_longer_trusted() -> None:
    shop = closed_shop()
    shop.clock(MONDAY, "02:00")
    shop.wait(151)
    assert shop.key() == ["+OPEN_CLOSE_KEYSWITCH a1 z14 (was:armed_full)"]


def test_user_and_mode_are_named() -> None:
    shop = Shop()
    shop.clock(MONDAY, "17:00")
    shop.types(Arm((1,), ArmMode.NIGHT))
    shop.pulse(DOOR)
    assert "-EARLY_OPEN_CLOSE a1 u1" in shop.wait(60)
    shop.clock(MONDAY, "22:00")
    assert "+EARLY_OPEN_CLOSE a1 u1 (out_of_schedule)" in shop.types(Disarm((1,)))


def test_night_business_closes_on_the_next_day() -> None:
    shop = Shop(Schedule(days=(5,), open_at="20:00", close_at="04:00"))
    shop.clock(SATURDAY, "01:00")
    assert shop.clock(SATURDAY, "04:30") == []
    assert shop.clock(SATURDAY, "04:31") == ["+FAILED_TO_CLOSE a1"]


def test_periods_run_from_last_week_to_tomorrow() -> None:
    found = periods(Shop().config.areas[0], NEXT_MONDAY, 0)
    assert [period.open // 1440 for period in found] == [-1 + n for n in (1, 2, 3, 4, 5, 8, 9)]
    assert all(period.shut - period.open == 600 for period in found)


def test_an_area_without_schedule_is_never_judged() -> None:
    site = Site()
    for minute in range(0, 7 * 1440, 30):
        assert site.give(LocalTime(minute, 1)) == []
