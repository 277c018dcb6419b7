"""SIA level: blocks, event text as makers write it, and the codes' meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.contact_id import dc03
from protocols.contact_id.codes import code_of
from protocols.contact_id.dc03 import Block, Gathering, Reader, Setting, Told
from protocols.contact_id.message import Refusal
from protocols.contact_id.sia_codes import SIA_CODES, SiaCode, letters_of, sia_code
from protocols.contact_id.sia_text import SiaBlocks, read_data
from protocols.panel_event import PanelEvent, Qualifier
from tests.support.field_lines import line

NEW, RESTORE = Qualifier.NEW, Qualifier.RESTORE


def field(name: str) -> SiaBlocks:
    return read_data(line(name).decode().strip("[]").replace(" N", "|N"))


@pytest.mark.parametrize(
    ("name", "account", "events"),
    [
        (
            "fm-225",
            "002112",
            [PanelEvent(130, area=1, zone=1021, detail="sia=BA1021;text=+INTRUDER.")],
        ),
        ("fm-228", "000010", [PanelEvent(110, area=4, zone=2, detail="sia=FA2;ti=10:15")]),
        (
            "fm-232",
            "4875",
            [
                PanelEvent(602, detail="sia=RP0"),
                PanelEvent(110, zone=4, detail="sia=FA4;old"),
                PanelEvent(373, zone=3, detail="sia=FT3;old"),
            ],
        ),
        (
            "fm-235",
            "0000",
            [
                PanelEvent(137, zone=10, detail="sia=TT10"),
                PanelEvent(330, detail="sia=IA;text=B0 Z10 Zone 10"),
                PanelEvent(330, detail="sia=IA;text=B0"),
            ],
        ),
        ("fm-238", "7541", [PanelEvent(401, area=1, user=2, detail="sia=OP002;text=Supervisor")]),
        ("fm-243", "3333", [PanelEvent(130, RESTORE, area=1, zone=5, detail="sia=BR0005;text=PB")]),
        ("fm-246", "3333", [PanelEvent(443, RESTORE, detail="sia=CW")]),
    ],
)
def test_texts_from_the_field(name: str, account: str, events: list[PanelEvent]) -> None:
    assert field(name) == SiaBlocks(account, tuple(events))


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("#1|NBA12FA13", [(130, 12), (110, 13)]),
        ("#1|NBA0FC", [(130, 10_000 + 0x0FC)]),
        ("#1|NBA1/BA2/BA3", [(130, 1), (130, 2), (130, 3)]),
        ("#1|Nri1CL0^front^", [(401, 0)]),
        ("#1|NBA*'x/y/BA2'NM", [(130, 0)]),
        ("#1|NPE501", [(20_000 + 26 * 15 + 4, 501)]),
        ("#1|NXA7", [(140, 7)]),
        ("#1|N", [(140, 0)]),
        ("#1|", [(140, 0)]),
        ("", [(140, 0)]),
    ],
)
def test_texts_in_awkward_shapes(text: str, events: list[tuple[int, int]]) -> None:
    assert [(one.code, one.zone) for one in read_data(text).events] == events


def test_what_was_not_understood_stays_readable() -> None:
    (event,) = read_data("#1|NBA3 Küche 厨房;x").events
    assert event.detail == "sia=BA3;text=Küche 厨房 x"
    (event,) = read_data("#1|hello").events
    assert event == PanelEvent(140, detail="sia=?;text=hello")


def test_the_users_and_areas_of_a_code() -> None:
    assert read_data("#1|Nri2/id7/CL").events == (
        PanelEvent(401, RESTORE, area=2, user=7, detail="sia=CL"),
    )
    assert read_data("#1|NCA3").events == (PanelEvent(403, RESTORE, area=3, detail="sia=CA3"),)
    assert read_data("#1|NBA4/ri2").events == (PanelEvent(130, area=2, zone=4, detail="sia=BA4"),)


def test_every_code_leads_to_a_contact_id_code() -> None:
    assert len(SIA_CODES) > 230
    for letters, one in SIA_CODES.items():
        assert letters.isalpha()
        assert letters.isupper()
        assert code_of(one.code) is not None, letters


@pytest.mark.parametrize(
    ("letters", "code", "q"),
    [
        ("BA", 130, NEW), ("BR", 130, RESTORE), ("BH", 130, RESTORE), ("BB", 573, NEW),
        ("BU", 573, RESTORE), ("BT", 380, NEW), ("BJ", 380, RESTORE), ("FA", 110, NEW),
        ("FT", 373, NEW), ("HA", 122, NEW), ("PA", 120, NEW), ("TA", 137, NEW), ("GA", 151, NEW),
        ("OP", 401, NEW), ("CL", 401, RESTORE), ("OC", 406, NEW), ("AT", 301, NEW),
        ("AR", 301, RESTORE), ("YT", 302, NEW), ("YR", 302, RESTORE), ("RP", 602, NEW),
        ("RX", 601, NEW), ("LT", 351, NEW), ("LR", 351, RESTORE), ("YC", 354, NEW),
        ("WA", 154, NEW), ("KA", 114, NEW), ("MA", 100, NEW), ("ZA", 159, NEW), ("HV", 129, NEW),
    ],
)  # fmt: skip
def test_common_codes(letters: str, code: int, q: Qualifier) -> None:
    assert (sia_code(letters).code, sia_code(letters).q) == (code, q)


def test_codes_nobody_knows_stay_apart() -> None:
    one, two = sia_code("NP"), sia_code("PE")
    assert one.code != two.code
    assert (letters_of(one.code), letters_of(two.code)) == ("NP", "PE")
    assert letters_of(130) is None
    own = Setting(codes={**SIA_CODES, "NP": SiaCode(403, RESTORE)})
    gathering = Gathering(own)
    gathering.receive(Block("#", b"1"))
    gathering.receive(Block("N", b"NP501"))
    assert gathering.end() == Told(
        "1", (PanelEvent(403, RESTORE, user=501, detail="sia=NP501"),), "#1|NNP501"
    )


def test_the_block_of_a_galaxy() -> None:
    assert Reader().feed(line("fm-222")) == [Block("#", b"123456")]
    assert dc03.encode(Block("#", b"123456")) == line("fm-222")


BLOCKS = st.builds(
    Block,
    st.sampled_from("#NOA0@"),
    st.binary(max_size=63),
    st.sampled_from([0x00, 0x40, 0x80, 0xC0]),
)


@given(st.lists(BLOCKS, max_size=5))
def test_blocks_and_back(blocks: list[Block]) -> None:
    reader = Reader()
    assert reader.feed(b"".join(map(dc03.encode, blocks))) == blocks
    assert reader.quiet() == []


@given(BLOCKS, st.integers(0), st.integers(1, 255))
def test_a_wrong_byte_never_gives_another_block(block: Block, at: int, flip: int) -> None:
    """One wrong byte breaks the parity, unless it is the length: then the block is cut short, or
    too long, and what follows is refused until silence.
    """
    data = bytearray(dc03.encode(block))
    at %= len(data)
    data[at] ^= flip
    reader = Reader()
    told = reader.feed(bytes(data)) + list(reader.quiet())
    assert block not in told
    if at > 0:
        assert [one for one in told if isinstance(one, Block)] == []


def test_after_a_broken_block_nothing_is_believed_until_silence() -> None:
    good = dc03.encode(Block("#", b"1234"))
    broken = bytearray(dc03.encode(Block("N", b"BA5")))
    broken[3] ^= 1
    reader = Reader()
    assert reader.feed(bytes(broken) + good) == [Refusal("parity", dc03.CLAUSE)]
    assert reader.feed(good) == []
    assert reader.quiet() == []
    assert reader.feed(good) == [Block("#", b"1234")]
    assert reader.feed(good[:3]) == []
    assert reader.quiet() == [Refusal("cut short", dc03.CLAUSE)]
    assert reader.feed(good) == [Block("#", b"1234")]


def test_strange_heads_are_refused_at_once() -> None:
    assert Reader().feed(b"\x41\x01") == [Refusal("function 01", dc03.CLAUSE)]
    strict = Setting(flags=frozenset({0x40}))
    assert Reader(strict).feed(b"\xc1N") == [Refusal("header C1", dc03.CLAUSE)]


def test_a_call_gathers_by_account() -> None:
    gathering = Gathering()
    blocks = [
        Block("#", b"1234"), Block("N", b"ri1/BA5"), Block("A", b"HALL"), Block("#", b"5678"),
        Block("O", b"CL3"), Block("0", b""), Block("N", b"OP3"),
    ]  # fmt: skip
    told = [gathering.receive(block) for block in blocks] + [gathering.end(), gathering.end()]
    assert [one for one in told if one] == [
        Told("1234", (PanelEvent(130, area=1, zone=5, detail="sia=BA5;text=HALL"),),
             "#1234|Nri1/BA5|AHALL"),
        Told("5678", (PanelEvent(401, RESTORE, user=3, detail="sia=CL3;old"),), "#5678|OCL3"),
        Told("5678", (PanelEvent(401, user=3, detail="sia=OP3"),), "NOP3"),
    ]  # fmt: skip


def test_answers_and_limits() -> None:
    assert Reader().feed(dc03.answer(True, Setting())) == [Block("8", b"", 0)]
    assert Reader().feed(dc03.answer(False, Setting())) == [Block("9", b"", 0)]
    with pytest.raises(ValueError, match="at most 63"):
        dc03.encode(Block("N", b"x" * 64))
