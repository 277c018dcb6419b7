"""Any digits, pulses and bytes from a phone line: documented outcomes only, in any pieces."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.contact_id import dc03, pulse
from protocols.contact_id.family import Format, NeedMore, Recognised, events_of, recognise
from protocols.contact_id.mapping import event_of, mark_in, message_of
from protocols.contact_id.message import Message, Refusal, decode, digits_of, encode
from protocols.contact_id.profile import Profile
from protocols.contact_id.sia_text import MAX_DETAIL, MAX_EVENTS, read_data
from protocols.panel_event import Code, PanelEvent

KEYS = st.text("0123456789*#ABCD", max_size=40)
ANY_TEXT = st.text(max_size=40)
SETS = st.sets(st.sampled_from(Format)).map(frozenset)


@settings(max_examples=500)
@given(KEYS | ANY_TEXT)
def test_digits(keys: str) -> None:
    answer = decode(digits_of(keys))
    assert isinstance(answer, Message | Refusal)
    if isinstance(answer, Message):
        assert encode(answer) == digits_of(keys)
        assert isinstance(event_of(answer), PanelEvent)
        mark_in(answer)
    else:
        assert answer.reason
        assert answer.clause


@settings(max_examples=500)
@given(KEYS | ANY_TEXT, SETS, st.booleans())
def test_the_family(keys: str, allowed: frozenset[Format], ended: bool) -> None:
    answer = recognise(digits_of(keys), allowed=allowed, ended=ended)
    if not ended:
        assert isinstance(answer, NeedMore)
    elif isinstance(answer, Recognised):
        assert answer.format in allowed
        assert events_of(answer, Profile())
    else:
        assert isinstance(answer, Refusal)
        assert len(answer.reason) < 300


@given(
    st.lists(st.text("0123456789ABCDEF?", max_size=9), max_size=4), st.sampled_from(pulse.FORMATS)
)
def test_pulses(rounds: list[str], setting: pulse.PulseFormat) -> None:
    answer = pulse.recognise(rounds, setting)
    assert isinstance(answer, pulse.PulseBlock | pulse.NeedRound | Refusal)
    if isinstance(answer, pulse.PulseBlock):
        assert pulse.event_of_block(answer, Profile()).code == 140
    for one in rounds:
        if one:
            pulse.may_be(one)


@given(
    st.integers(-(2**40), 2**40) | st.sampled_from(Code),
    st.integers(-(2**40), 2**40),
    st.integers(-(2**40), 2**40),
    st.text(max_size=20),
)
def test_any_event_gives_a_sendable_message_or_none(
    code: int, area: int, number: int, detail: str
) -> None:
    event = PanelEvent(code, area=area, zone=number, user=number, detail=detail)
    message = message_of(event, "1234")
    assert message is None or isinstance(decode(encode(message)), Message)


def blocks_of(pieces: list[bytes]) -> list[dc03.Block | Refusal]:
    reader = dc03.Reader()
    told = [one for piece in pieces for one in reader.feed(piece)]
    return told + list(reader.quiet())


GOOD = [dc03.encode(dc03.Block(letter, b"ri1/BA5")) for letter in "#NOA0"]


@settings(max_examples=500)
@given(st.lists(st.binary(max_size=30) | st.sampled_from(GOOD), max_size=6))
def test_sia_blocks_in_any_pieces(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    whole = blocks_of([data])
    assert blocks_of([bytes((byte,)) for byte in data]) == whole
    assert blocks_of(pieces) == whole
    gathering = dc03.Gathering()
    for one in whole:
        if isinstance(one, dc03.Block):
            told = gathering.receive(one)
            assert told is None or told.events
    gathering.end()


SIA_WORDS = st.sampled_from(
    ["#1234", "|", "N", "O", "A", "/", "ri1", "id7", "ti10:15", "BA5", "CL", "NM", "*'", "'NM", "^",
     "*\"", '"', "FC", "0FC", "ZZ99", "[", "]", " ", ";"]
)  # fmt: skip


@settings(max_examples=500)
@given(st.text(max_size=300) | st.lists(SIA_WORDS, max_size=60).map("".join))
def test_sia_text(text: str) -> None:
    told = read_data(text)
    assert told.events
    assert len(told.events) <= MAX_EVENTS
    for event in told.events:
        assert len(event.detail) <= MAX_DETAIL + 200
        assert event.detail.isprintable()
