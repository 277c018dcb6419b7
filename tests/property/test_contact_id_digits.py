"""Properties of the digits: nothing is lost on the way; what the checksum sees and cannot see."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.contact_id.mapping import (
    digits_of_number,
    event_of,
    mark_in,
    mark_message,
    message_of,
    number_of_digits,
)
from protocols.contact_id.message import (
    Message,
    Refusal,
    check_digit,
    decode,
    digits_of,
    encode,
    keys_of,
)
from protocols.panel_event import PanelEvent, Qualifier

HEX = "0123456789BCDEF"


def hexes(*sizes: int) -> st.SearchStrategy[str]:
    return st.sampled_from(sizes).flatmap(lambda n: st.text(HEX, min_size=n, max_size=n))


SHORT = st.builds(
    Message,
    hexes(4),
    q=hexes(1),
    code=hexes(3),
    area=hexes(2),
    number=hexes(3),
    mt=st.sampled_from(["18", "98"]),
)
LONG = st.builds(
    Message,
    hexes(10),
    q=hexes(1),
    code=hexes(3),
    area=hexes(2),
    number=hexes(3),
    mt=st.sampled_from(["18", "98", "58"]),
)
MESSAGES = SHORT | LONG


@given(MESSAGES)
def test_digits_and_back(message: Message) -> None:
    digits = encode(message)
    assert decode(digits) == message
    assert digits_of(keys_of(digits)) == digits


@given(MESSAGES)
def test_any_message_is_an_event_and_back(message: Message) -> None:
    assert message_of(event_of(message), message.account, message.mt) == message


@given(
    st.integers(0, 999),
    st.sampled_from(Qualifier),
    st.integers(0, 99),
    st.integers(0, 999),
    st.text("ABCabc=;:0123456789 ", max_size=20),
)
def test_an_event_is_a_message_and_back(
    code: int, q: Qualifier, area: int, number: int, detail: str
) -> None:
    event = PanelEvent(code, q, area=area, zone=number, user=number, detail=detail)
    message = message_of(event, "1234")
    assert message is not None
    back = event_of(message)
    assert (back.code, back.q, back.area) == (code, q, area)
    assert {back.zone, back.user} == {0, number}


@given(hexes(1, 2, 3))
def test_fields_are_numbers_and_back(digits: str) -> None:
    assert digits_of_number(number_of_digits(digits), len(digits)) == digits


@given(st.integers(0, 2**53), st.sampled_from([0, 700, 780, 999]))
def test_marks_come_back(seq: int, code: int) -> None:
    assert mark_in(mark_message(seq, "1234", code), code) == seq % 10_000


@settings(max_examples=50)
@given(MESSAGES)
def test_every_single_wrong_digit_is_seen(message: Message) -> None:
    """All 15 digits count differently modulo 15, so one wrong digit never adds up."""
    digits = encode(message)
    for at, right in enumerate(digits):
        for wrong in HEX.replace(right, ""):
            spoilt = digits[:at] + wrong + digits[at + 1 :]
            assert isinstance(decode(spoilt), Refusal)


@settings(max_examples=50)
@given(MESSAGES)
def test_every_lost_or_doubled_digit_is_seen(message: Message) -> None:
    digits = encode(message)
    for at in range(len(digits)):
        assert isinstance(decode(digits[:at] + digits[at + 1 :]), Refusal)
        assert isinstance(decode(digits[:at] + digits[at] + digits[at:]), Refusal)


@settings(max_examples=50)
@given(SHORT)
def test_a_sum_does_not_see_two_exchanged_digits(message: Message) -> None:
    """Of the 15 exchanges of neighbours that differ, only those that spoil the type are seen: at
    most 3 (places 4-5, 5-6, 6-7). No receiver can do better: the standard's check is a plain sum.
    """
    digits = encode(message)
    seen = unseen = 0
    for at in range(len(digits) - 1):
        one, two = digits[at], digits[at + 1]
        if one == two:
            continue
        swapped = digits[:at] + two + one + digits[at + 2 :]
        if isinstance(decode(swapped), Refusal):
            seen += 1
            assert at in {3, 4, 5}
        else:
            unseen += 1
    different = sum(a != b for a, b in itertools.pairwise(digits))
    assert seen + unseen == different
    assert seen <= 3


@given(st.text(HEX, min_size=0, max_size=30))
def test_the_check_digit_always_adds_up(digits: str) -> None:
    total = sum(10 if one == "0" else int(one, 16) for one in digits + check_digit(digits))
    assert total % 15 == 0
