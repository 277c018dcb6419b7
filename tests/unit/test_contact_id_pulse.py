"""Pulse formats: two equal rounds, or parity; what cannot be told apart needs a setting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.contact_id.message import Refusal
from protocols.contact_id.profile import EventRule, Profile
from protocols.contact_id.pulse import (
    FORMATS,
    Check,
    NeedRound,
    PulseBlock,
    PulseFormat,
    digit_of,
    encode,
    event_of_block,
    may_be,
    pulses_of,
    recognise,
)
from protocols.panel_event import Code, PanelEvent

HEX = "0123456789BCDEF"


def ways(setting: PulseFormat) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(
        st.text(HEX, min_size=setting.account_digits, max_size=setting.account_digits),
        st.text(HEX, min_size=setting.event_digits, max_size=setting.event_digits),
    )


@pytest.mark.parametrize("setting", FORMATS, ids=lambda one: one.name)
@given(data=st.data())
def test_rounds_and_back(setting: PulseFormat, data: st.DataObject) -> None:
    account, event = data.draw(ways(setting))
    rounds = encode(setting, account, event)
    block = recognise(rounds, setting)
    assert block == PulseBlock(setting, account, event, rounds[-1])
    told = event_of_block(block, Profile())
    assert (told.code, told.detail) == (140, f"event={event}")
    again = [digit_of(count) for one in rounds for count in pulses_of(one)]
    assert "".join(one or "?" for one in again) == "".join(rounds)


def test_one_round_is_not_enough() -> None:
    setting = PulseFormat(4, 2)
    assert recognise([], setting) == NeedRound()
    assert recognise(["123431"], setting) == NeedRound()
    assert recognise(["123431", "123432"], setting) == NeedRound()
    assert isinstance(recognise(["123431", "123432", "123432"], setting), PulseBlock)
    assert isinstance(recognise(["123432", "12343", "123432"], setting), NeedRound)


def test_a_wrong_parity_is_refused_however_often_it_comes() -> None:
    setting = PulseFormat(4, 1, Check.PARITY)
    (good,) = encode(setting, "1234", "3")
    for wrong in HEX.replace(good[-1], ""):
        bad = good[:-1] + wrong
        assert isinstance(recognise([bad, bad], setting), Refusal)


def test_lengths_alone_do_not_tell_formats_apart() -> None:
    (digits,) = encode(PulseFormat(3, 1, Check.PARITY), "123", "4")
    names = {one.name for one in may_be(digits)}
    assert names == {"4+1", "3+1 parity"}
    (digits,) = encode(PulseFormat(4, 1, Check.PARITY), "1234", "5")
    assert {one.name for one in may_be(digits)} == {"4+2", "4+1 parity"}
    # so the setting decides, and the same digits are two different reports
    parity = recognise([digits], PulseFormat(4, 1, Check.PARITY))
    rounds = recognise([digits, digits], PulseFormat(4, 2))
    assert isinstance(parity, PulseBlock)
    assert isinstance(rounds, PulseBlock)
    assert (parity.event, rounds.event) == ("5", digits[4:])


@pytest.mark.parametrize("pulses", [-1, 0, 16, 100])
def test_other_counts_are_no_digit(pulses: int) -> None:
    assert digit_of(pulses) is None


def test_ten_pulses_are_zero_and_count_ten() -> None:
    assert digit_of(10) == "0"
    block = recognise(encode(PulseFormat(3, 1), "100", "0"), PulseFormat(3, 1))
    assert isinstance(block, PulseBlock)
    assert event_of_block(block, Profile()) == PanelEvent(140, zone=10, detail="event=0")


def test_the_accounts_profile_explains_the_digits() -> None:
    profile = Profile(events={"1": EventRule(Code.FIRE, number=0)})
    block = recognise(encode(PulseFormat(4, 1), "1234", "1"), PulseFormat(4, 1))
    assert isinstance(block, PulseBlock)
    assert event_of_block(block, profile) == PanelEvent(Code.FIRE, detail="event=1")


@pytest.mark.parametrize(("account", "event"), [("12", "3"), ("1234", "3"), ("12A", "3")])
def test_nothing_out_of_form_is_sent(account: str, event: str) -> None:
    with pytest.raises(ValueError, match="not the fields"):
        encode(PulseFormat(3, 1), account, event)
