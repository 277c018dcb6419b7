"""The code table against facts stated elsewhere: how many, whose number, in which edition."""

from __future__ import annotations

import re

import pytest

from protocols.contact_id.codes import CODES, Edition, Number, code_of, meaning_of, wording
from protocols.contact_id.message import HEX_BASE
from protocols.panel_event import Code, Qualifier

HAN = re.compile("[\u4e00-\u9fff]")
USER_CODES = (
    "121 126 313 400-409 411-415 421 422 424 425 429-431 435 436 441-444 450-459 462-464 466 574"
    " 604 607 625 642 652 653 655 913-916 920 921 928 929"
)


def numbers(text: str) -> set[int]:
    out: set[int] = set()
    for part in text.split():
        first, _, last = part.partition("-")
        out |= set(range(int(first), int(last or first) + 1))
    return out


def test_all_codes_of_both_editions() -> None:
    of_1999 = {code for code, one in CODES.items() if Edition.E1999 in one.editions}
    of_2016 = {code for code, one in CODES.items() if Edition.E2016 in one.editions}
    assert (len(of_1999), len(of_2016)) == (231, 322)
    assert of_1999 - of_2016 == {999}
    assert set(range(750, 790)) <= of_2016 - of_1999


def test_the_users_codes_are_those_of_the_standard() -> None:
    users = {code for code, one in CODES.items() if one.number is Number.USER}
    assert users == numbers(USER_CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_has_names_in_both_languages(code: int) -> None:
    one = CODES[code]
    assert one.code == code
    for english in (one.en, one.en_restore):
        assert english.isascii()
        assert english[:1].isupper() or english[:1].isdigit()
    for chinese in (one.zh, one.zh_restore):
        assert HAN.search(chinese)
    assert one.en_restore != one.en or code == 456  # part armed both ways


def test_names_tell_codes_apart() -> None:
    for language in ("en", "zh"):
        names = [getattr(one, language) for one in CODES.values()]
        twice = {name for name in names if names.count(name) > 1}
        assert twice == set()


def test_every_code_our_panel_makes_is_known() -> None:
    assert [code for code in Code if code < 1000 and code_of(code) is None] == []


def test_opening_is_new_and_closing_is_restore() -> None:
    assert wording(401, Qualifier.NEW) == ("Disarmed by a user", "用户撤防")
    assert wording(401, Qualifier.RESTORE) == ("Armed by a user", "用户布防")
    assert wording(130, Qualifier.RESTORE) == ("Burglary alarm: restored", "盗窃报警：恢复")
    assert wording(301, Qualifier.STATUS) == (
        "Mains power lost, still present",
        "市电断电（仍存在）",
    )


def test_an_unknown_code_is_called_by_the_digits_the_panel_sent() -> None:
    assert wording(HEX_BASE + 0x1B3, Qualifier.NEW) == ("Unknown event 1B3", "未知事件 1B3")
    assert wording(7, Qualifier.NEW) == ("Unknown event 007", "未知事件 007")
    assert meaning_of(485) is Number.UNKNOWN
    assert wording(485, Qualifier.NEW) == ("Unknown event 485", "未知事件 485")
