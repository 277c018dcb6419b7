"""PanelEvent <-> Contact ID, and messages at the edge of the form."""

from __future__ import annotations

import itertools

import pytest

from protocols import phone_batch
from protocols.contact_id.codes import wording
from protocols.contact_id.mapping import (
    event_of,
    mark_in,
    mark_message,
    message_of,
    phone_code_of,
)
from protocols.contact_id.message import (
    HEX_BASE,
    Message,
    Refusal,
    decode,
    digits_of,
    encode,
    keys_of,
)
from protocols.panel_event import Code, PanelEvent, Qualifier

HEX = "0123456789BCDEF"
ALL_TRIPLES = tuple("".join(each) for each in itertools.product(HEX, repeat=3))
NOT_ON_THE_PHONE = {
    Code.ZONE_STATE,
    Code.ENTRY_DELAY,
    Code.EXIT_DELAY,
    Code.ALARM_MEMORY,
    Code.ARMING_REFUSED,
    Code.ENTRY_DOOR_OPENED,
    Code.SIREN_SILENCED,
    Code.NODE_RESTARTED,
    Code.NODE_UPDATED,
    Code.PHONE_BATCH,  # told by its mark
    *(code for code in Code if 1100 <= code < 1200),  # the centre's own
}


def test_a_message_from_the_standards_example() -> None:
    message = decode("1234181131010158")
    assert message == Message("1234", "1", "131", "01", "015")
    assert event_of(message) == PanelEvent(Code.PERIMETER, area=1, zone=15)


@pytest.mark.parametrize("mt", ["18", "98"])
def test_both_message_types(mt: str) -> None:
    message = Message("B12F", "3", "401", "02", "017", mt)
    assert decode(encode(message)) == message
    assert event_of(message) == PanelEvent(401, Qualifier.RESTORE, area=2, user=17)


@pytest.mark.parametrize("mt", ["18", "98", "58"])
def test_ten_digit_accounts(mt: str) -> None:
    message = Message("0123456789", "1", "130", "01", "001", mt)
    digits = encode(message)
    assert len(digits) == 22
    assert decode(digits) == message


@pytest.mark.parametrize(
    ("digits", "reason"),
    [
        ("", "0 digits, wanted 16 or 22"),
        ("123418113101015", "15 digits, wanted 16 or 22"),
        ("1234171131010158", "message type 17, wanted 18 or 98"),
        ("1234581131010158", "message type 58, wanted 18 or 98"),
        ("1234181131010157", "checksum"),
        ("A234181131010158", "a digit outside 0-9, B-F"),
        ("1234181131010158000000", "message type 01, wanted 18 or 98 or 58"),
    ],
)
def test_refusals_say_why(digits: str, reason: str) -> None:
    refusal = decode(digits)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason


@pytest.mark.parametrize(
    "message",
    [
        Message("123", "1", "130"),
        Message("123A", "1", "130"),
        Message("1234", "1", "13"),
        Message("1234", "1", "130", mt="17"),
        Message("1234", "1", "130", mt="58"),
        Message("1234", "1", "130", "1"),
    ],
)
def test_nothing_out_of_form_is_sent(message: Message) -> None:
    with pytest.raises(ValueError, match="not the fields"):
        encode(message)


def test_keys_are_as_on_a_phone() -> None:
    assert keys_of("0123456789BCDEF") == "0123456789*#ABC"
    assert digits_of("*#ABCD") == "BCDEFA"


def test_unknown_things_survive() -> None:
    odd = Message("1234", "1", "1B3", "0F", "0FC")
    event = event_of(odd)
    assert event.code == HEX_BASE + 0x1B3
    assert event.zone == HEX_BASE + 0x0FC
    assert message_of(event, "1234") == odd
    strange = Message("1234", "2", "485", "00", "007")  # a Chinese maker's "RS-485 broken"
    event = event_of(strange)
    assert (event.code, event.q, event.detail) == (485, Qualifier.NEW, "cid_q=2")
    assert message_of(event, "1234") == strange


@pytest.mark.parametrize("code", list(Code))
def test_each_kind_of_ours_has_its_decided_way(code: Code) -> None:
    message = message_of(PanelEvent(code, area=1, zone=2, user=3), "1234")
    assert (message is None) == (code in NOT_ON_THE_PHONE)
    if message is not None:
        assert isinstance(decode(encode(message)), Message)
        assert int(message.code) == phone_code_of(code)


def test_the_number_is_the_codes_not_the_events() -> None:
    event = PanelEvent(Code.ABORT, area=1, zone=5, user=7)
    assert message_of(event, "1234") == Message("1234", "1", "406", "01", "007")
    event = PanelEvent(Code.BURGLARY, area=1, zone=5, user=7)
    assert message_of(event, "1234") == Message("1234", "1", "130", "01", "005")


def test_numbers_that_do_not_fit_cost_the_number_not_the_alarm() -> None:
    message = message_of(PanelEvent(130, area=100, zone=1000), "1234")
    assert message == Message("1234", "1", "130", "00", "000")


@pytest.mark.parametrize("seq", [0, 1, 9_999, 10_000, 123_456_789])
def test_marks(seq: int) -> None:
    message = mark_message(seq, "1234")
    assert mark_in(message) == seq % phone_batch.MARK_MODULUS
    assert isinstance(decode(encode(message)), Message)
    other = Message(
        "1234", "1", message.code, message.area, f"{(int(message.number) + 1) % 1000:03d}"
    )
    assert mark_in(other) is None
    assert mark_in(message, code=781) is None
    restored = Message("1234", "3", message.code, message.area, message.number)
    assert mark_in(restored) is None


def test_a_code_in_the_marks_place_that_is_none_stays_an_event() -> None:
    message = Message("1234", "1", "780", "00", "00B")
    assert mark_in(message) is None
    assert message_of(event_of(message), "1234") == message


def test_every_code_there_can_be_comes_back_with_every_qualifier() -> None:
    """3,375 codes, of which 1,000 are decimal, by 15 qualifiers; also what the standard has not."""
    events = set()
    for code, q in itertools.product(ALL_TRIPLES, HEX):
        message = Message("1234", q, code, "01", "015")
        event = event_of(message)
        assert message_of(event, "1234") == message
        events.add((event.code, event.q, event.detail))
        assert all(wording(event.code, event.q))
    assert len(events) == len(ALL_TRIPLES) * len(HEX)


@pytest.mark.parametrize("account", ["1234", "FEDCB98765"])
def test_every_number_and_area_there_can_be_comes_back(account: str) -> None:
    """Zones 000 to FFF of a code of zones and users of a code of users, areas 00 to FF."""
    areas = itertools.cycle("".join(each) for each in itertools.product(HEX, repeat=2))
    for code in ("130", "401", "485", "1B3"):
        for number, area in zip(ALL_TRIPLES, areas, strict=False):
            message = Message(account, "1", code, area, number)
            assert message_of(event_of(message), account) == message
            assert decode(encode(message)) == message
