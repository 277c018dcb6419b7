"""The DTMF family: each format read, and nothing taken for what it is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.contact_id import message
from protocols.contact_id.family import (
    AUTOMATIC,
    QUIET_MS,
    QUIET_SHORT_MS,
    Format,
    NeedMore,
    Recognised,
    encode,
    events_of,
    recognise,
)
from protocols.contact_id.message import Message, Refusal
from protocols.contact_id.profile import EventRule, Profile
from protocols.panel_event import Code, PanelEvent, Qualifier

HEX = "0123456789BCDEF"
PROFILE = Profile()
EVERYTHING = frozenset(Format)
LAYOUTS = {
    Format.CONTACT_ID: (4, 9, "18"),
    Format.CONTACT_ID_10: (10, 9, "18"),
    Format.EXPRESS_4_1: (4, 1, "17"),
    Format.EXPRESS_4_2: (4, 2, "27"),
    Format.EXPRESS_4_1_PLAIN: (4, 1, "17"),
    Format.EXPRESS_4_2_PLAIN: (4, 2, "27"),
    Format.HIGH_SPEED: (4, 9, "55"),
    Format.SUPER_FAST: (4, 9, "56"),
}
MESSAGES = st.builds(
    Message,
    st.text(HEX, min_size=4, max_size=4),
    q=st.sampled_from("136"),
    code=st.integers(100, 999).map(str),
    area=st.integers(0, 99).map("{:02d}".format),
    number=st.integers(0, 999).map("{:03d}".format),
)


def event(digits: str, profile: Profile = PROFILE) -> tuple[PanelEvent, ...]:
    block = recognise(digits, allowed=EVERYTHING, ended=True)
    assert isinstance(block, Recognised)
    return events_of(block, profile)


@pytest.mark.parametrize("kind", Format)
@given(data=st.data())
def test_each_format_is_recognised_only_by_itself(kind: Format, data: st.DataObject) -> None:
    size, length, mt = LAYOUTS[kind]
    account = data.draw(st.text(HEX, min_size=size, max_size=size))
    digits = encode(kind, account, data.draw(st.text(HEX, min_size=length, max_size=length)), mt)
    block = recognise(digits, allowed=frozenset({kind}), ended=True)
    assert block == Recognised(kind, account, digits, block.weak)  # type: ignore[union-attr]
    for other in EVERYTHING - {kind, Format.CONTACT_ID_10}:
        if kind is not Format.CONTACT_ID_10:
            assert isinstance(recognise(digits, allowed=frozenset({other}), ended=True), Refusal)


def test_nothing_is_decided_before_the_silence() -> None:
    digits = "1234181131010158"
    for end in range(20):
        answer = recognise((digits + "000000")[:end], allowed=AUTOMATIC)
        assert answer == NeedMore(QUIET_MS if end >= 16 else QUIET_SHORT_MS)
    longer = AUTOMATIC | {Format.CONTACT_ID_10}
    assert recognise(digits, allowed=longer) == NeedMore(QUIET_SHORT_MS)
    assert QUIET_SHORT_MS < 1250  # the panel repeats by then (protocols.md 1.1)


@settings(max_examples=300)
@given(MESSAGES)
def test_no_piece_of_a_contact_id_block_is_proof_of_another_format(one: Message) -> None:
    """Whatever end is lost, and wherever the hearing begins."""
    digits = message.encode(one)
    for start in range(16):
        for end in range(start + 1, 17):
            if end - start == 16:
                continue
            answer = recognise(digits[start:end], allowed=AUTOMATIC, ended=True)
            if isinstance(answer, Recognised):
                assert answer.weak
                assert start > 0  # a cut end alone never gives even that
            pinned = frozenset({Format.CONTACT_ID})
            assert isinstance(recognise(digits[start:end], allowed=pinned, ended=True), Refusal)


@settings(max_examples=100)
@given(MESSAGES)
def test_no_single_garbled_digit_passes_in_any_format(one: Message) -> None:
    digits = message.encode(one)
    for at, right in enumerate(digits):
        for wrong in (HEX + "A").replace(right, ""):
            spoilt = digits[:at] + wrong + digits[at + 1 :]
            assert isinstance(recognise(spoilt, allowed=AUTOMATIC, ended=True), Refusal)


@settings(max_examples=100)
@given(MESSAGES, st.sampled_from(["17", "27", "55", "56"]))
def test_garbled_type_digits_never_make_a_shorter_format(one: Message, mt: str) -> None:
    """The type garbled to another format's, whole or cut where that format would end."""
    digits = message.encode(one)
    spoilt = digits[:4] + mt + digits[6:]
    answer = recognise(spoilt, allowed=AUTOMATIC, ended=True)
    if mt == "55":  # same length: 1 in 15 adds up, but two digits must be wrong in one way
        assert isinstance(answer, Refusal) or answer.format is Format.HIGH_SPEED  # type: ignore[union-attr]
    else:
        assert isinstance(answer, Refusal)
    for end in range(1, 16):
        answer = recognise(spoilt[:end], allowed=AUTOMATIC, ended=True)
        assert isinstance(answer, Refusal) or answer.weak  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("digits", "reason"),
    [
        ("", "0 digits, type missing: none of the allowed formats"),
        ("1234", "4 digits, type missing: none of the allowed formats"),
        ("12341811310101", "14 digits, wanted 16 (contact-id)"),
        ("1234181131010157", "checksum of contact-id"),
        ("123417311", "9 digits, wanted 7 (express-4-1-plain) or 8 (express-4-1)"),
        ("123A181131010158", "a digit outside 0-9, B-F"),
    ],
)
def test_refusals_say_what_was_wanted(digits: str, reason: str) -> None:
    allowed = EVERYTHING - {Format.CONTACT_ID_10}
    answer = recognise(digits, allowed=allowed, ended=True)
    assert isinstance(answer, Refusal)
    assert answer.reason == reason


def test_an_event_digit_nobody_explained_is_an_alarm() -> None:
    digits = encode(Format.EXPRESS_4_1, "1234", "3")
    assert event(digits) == (PanelEvent(140, zone=3, detail="event=3"),)
    digits = encode(Format.EXPRESS_4_2, "1234", "0F")
    assert event(digits) == (PanelEvent(140, zone=15, detail="event=0F"),)


def test_a_profile_explains_event_digits() -> None:
    profile = Profile(
        events={
            "3": EventRule(Code.BURGLARY),
            "9": EventRule(Code.BURGLARY, Qualifier.RESTORE),
            "B": EventRule(Code.OPEN_CLOSE, by_user=True),
            "35": EventRule(Code.HOLDUP_SILENT, number=12),
        }
    )
    assert event(encode(Format.EXPRESS_4_2, "1234", "34"), profile) == (
        PanelEvent(Code.BURGLARY, zone=4, detail="event=34"),
    )
    assert event(encode(Format.EXPRESS_4_2, "1234", "35"), profile) == (
        PanelEvent(Code.HOLDUP_SILENT, zone=12, detail="event=35"),
    )
    assert event(encode(Format.EXPRESS_4_2, "1234", "B2"), profile) == (
        PanelEvent(Code.OPEN_CLOSE, user=2, detail="event=B2"),
    )
    assert event(encode(Format.EXPRESS_4_1, "1234", "9"), profile) == (
        PanelEvent(Code.BURGLARY, Qualifier.RESTORE, zone=9, detail="event=9"),
    )


@pytest.mark.parametrize(
    ("channels", "x", "told"),
    [
        ("15555555", "7", [(140, Qualifier.NEW, 1, 0)]),
        ("55355551", "7", [(140, Qualifier.RESTORE, 3, 0), (140, Qualifier.NEW, 8, 0)]),
        ("65555555", "7", [(140, Qualifier.STATUS, 1, 0)]),
        ("52555555", "7", [(401, Qualifier.NEW, 0, 2)]),
        ("54555555", "7", [(401, Qualifier.RESTORE, 0, 2)]),
        ("05555555", "7", [(380, Qualifier.NEW, 1, 0)]),
        ("35555555", "2", [(401, Qualifier.NEW, 0, 3)]),
        ("35555555", "4", [(401, Qualifier.RESTORE, 0, 3)]),
        ("51553555", "3", [(570, Qualifier.NEW, 2, 0), (570, Qualifier.RESTORE, 5, 0)]),
        ("51555555", "5", [(380, Qualifier.NEW, 2, 0)]),
        ("55555555", "1", [(121, Qualifier.NEW, 0, 0)]),
        ("55555555", "6", [(300, Qualifier.NEW, 0, 0)]),
        ("55555555", "8", [(302, Qualifier.NEW, 0, 0)]),
        ("55555555", "9", [(602, Qualifier.NEW, 0, 0)]),
        ("55555555", "7", [(602, Qualifier.STATUS, 0, 0)]),
        ("55555555", "B", [(140, Qualifier.NEW, 0, 0)]),
    ],
)
@pytest.mark.parametrize("kind", [Format.HIGH_SPEED, Format.SUPER_FAST])
def test_channels(
    kind: Format, channels: str, x: str, told: list[tuple[int, Qualifier, int, int]]
) -> None:
    events = event(encode(kind, "1234", channels + x))
    assert [(one.code, one.q, one.zone, one.user) for one in events] == told


@given(st.text(HEX, min_size=9, max_size=9))
def test_any_channel_block_tells_something(digits: str) -> None:
    events = event(encode(Format.HIGH_SPEED, "1234", digits))
    alarms = [at for at, status in enumerate(digits[:8], start=1) if status == "1"]
    if digits[8] == "7":
        assert {one.zone for one in events if one.code == 140 and one.q is Qualifier.NEW} >= set(
            alarms
        )
    assert events


def test_nothing_out_of_form_is_encoded() -> None:
    for kind, account, data in (
        (Format.EXPRESS_4_1, "123", "31"),
        (Format.EXPRESS_4_1, "1234", "A"),
        (Format.CONTACT_ID, "1234", "11310101"),
    ):
        with pytest.raises(ValueError, match="not the fields"):
            encode(kind, account, data)
