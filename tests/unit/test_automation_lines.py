"""Receivers' lines: what each dialect reads, and that each encoder's frames come back whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.automation.ademco685 import Ademco685
from protocols.automation.bosch import BoschSia, crc16, framed
from protocols.automation.dialect import Bad, Beat, Dialect, Line, Reading
from protocols.automation.encoding import (
    Ademco685Encoder,
    BoschEncoder,
    Encoder,
    RadionicsEncoder,
    SurGardEncoder,
)
from protocols.automation.framing import Splitter
from protocols.automation.radionics import Radionics6500
from protocols.automation.reports import Accounts
from protocols.automation.surgard import SurGard
from protocols.contact_id.mapping import event_of, mark_message
from protocols.contact_id.message import Message
from protocols.contact_id.profile import EventRule, Profile
from protocols.mqtt.reception import Report, Unrecognised
from protocols.panel_event import Code, PanelEvent, Qualifier
from tests.support.field_lines import line as field_line

PAIRS: list[tuple[Dialect, Encoder]] = [
    (SurGard(), SurGardEncoder()),
    (SurGard(head_digits=5), SurGardEncoder("01001")),
    (Ademco685(), Ademco685Encoder()),
    (Radionics6500(), RadionicsEncoder()),
    (BoschSia(), BoschEncoder()),
]
NAMES = [dialect.name for dialect, _ in PAIRS]
BIT_BY_BIT = b"123456789"
HEX = "0123456789BCDEF"
MESSAGES = st.builds(
    Message,
    st.sampled_from([4, 10]).flatmap(lambda n: st.text(HEX, min_size=n, max_size=n)),
    q=st.sampled_from("136"),
    code=st.text(HEX, min_size=3, max_size=3),
    area=st.text(HEX, min_size=2, max_size=2),
    number=st.text(HEX, min_size=3, max_size=3),
)


def read(dialect: Dialect, data: bytes) -> Reading:
    (frame,) = Splitter(dialect.framing).feed(data)
    assert isinstance(frame, bytes)
    return dialect.read(frame)


def told(dialect: Dialect, data: bytes) -> list[tuple[str, PanelEvent]]:
    reading = read(dialect, data)
    assert isinstance(reading, Line), reading
    out = []
    for one in reading.what:
        assert isinstance(one, Report)
        out.append((one.account, one.event))
    return out


@pytest.mark.parametrize(("dialect", "encoder"), PAIRS, ids=NAMES)
@given(message=MESSAGES, sequence=st.integers(1, 9999))
def test_contact_id_comes_back_whole(
    dialect: Dialect, encoder: Encoder, message: Message, sequence: int
) -> None:
    ((account, event),) = told(dialect, encoder.contact_id(message, sequence))
    assert (account, event) == (message.account, event_of(message))


@pytest.mark.parametrize(("dialect", "encoder"), PAIRS, ids=NAMES)
def test_what_else_a_receiver_sends(dialect: Dialect, encoder: Encoder) -> None:
    assert isinstance(read(dialect, encoder.beat(7)), Beat)
    channels = encoder.channels("1234", "15355555", "7", 8)
    assert [(one.code, one.q, one.zone) for _, one in told(dialect, channels)] == [
        (140, Qualifier.NEW, 1),
        (140, Qualifier.RESTORE, 3),
    ]
    ((account, event),) = told(dialect, encoder.digits("1234", "31", 9))
    assert (account, event.code) == ("1234", 140)
    if not isinstance(dialect, Ademco685):
        both = told(dialect, encoder.sia("1234", "Nri1/BA5/BR5", 10))
        assert both == [
            ("1234", PanelEvent(130, area=1, zone=5, detail="sia=BA5")),
            ("1234", PanelEvent(130, Qualifier.RESTORE, area=1, zone=5, detail="sia=BR5")),
        ]


@pytest.mark.parametrize(("dialect", "encoder"), PAIRS, ids=NAMES)
def test_answers_are_understood_by_the_receiver(dialect: Dialect, encoder: Encoder) -> None:
    reading = read(dialect, encoder.contact_id(Message("1234", "1", "130"), 77))
    assert isinstance(reading, Line)
    assert encoder.answer(reading.ack.strip(b"\r\n"), 77).value == "ack"
    assert encoder.answer(dialect.nak.strip(b"\r\n"), 77).value == "nak"
    assert encoder.answer(b"?", 77).value == "other"


@pytest.mark.parametrize(("dialect", "encoder"), PAIRS, ids=NAMES)
def test_a_mark_is_told_as_one(dialect: Dialect, encoder: Encoder) -> None:
    reading = read(dialect, encoder.contact_id(mark_message(4711, "1234"), 1))
    assert isinstance(reading, Line)
    (report,) = reading.what
    assert isinstance(report, Report)
    assert report.mark == 4711


@pytest.mark.parametrize(
    ("name", "account", "event"),
    [
        ("fm-277", "1234", PanelEvent(121, area=1, user=1)),
        ("fm-280", "7037", PanelEvent(301, Qualifier.RESTORE)),
        ("fm-283", "0123", PanelEvent(130, zone=1)),
        ("fm-287", "1234", PanelEvent(130, area=1, zone=15)),
    ],
)
def test_sur_gard_lines_from_the_field(name: str, account: str, event: PanelEvent) -> None:
    data = field_line(name).removesuffix(b"\x14") + b"\x14"
    assert told(SurGard(), data) == [(account, event)]


def test_a_sur_gard_line_with_a_link_from_the_field() -> None:
    ((account, event),) = told(SurGard(), field_line("fm-286") + b"\x14")
    assert (account, event.code) == ("8888", 130)
    assert "<LINK>http://10.24.34.23:8899/" in event.detail


@pytest.mark.parametrize(
    ("line", "account", "event"),
    [
        (b"50112 181234E12101001", "1234", None),
        (b"1011      1234 3  ", "1234", PanelEvent(140, zone=3, detail="event=3")),
        (b"1011      1234 A  12", "1234", PanelEvent(140, zone=12, detail="event=A12")),
        (b"1011      0012 C1128", "0012",
         PanelEvent(401, Qualifier.RESTORE, area=1, user=128, detail="event=C128")),
        (b"1011      1234 R  05", "1234",
         PanelEvent(140, Qualifier.RESTORE, zone=5, detail="event=R05")),
        (b"1011      1234 T  05", "1234", PanelEvent(380, zone=5, detail="event=T05")),
        (b"1011      1234 F  05", "1234", PanelEvent(140, zone=5, detail="event=F05")),
        (b"1011      1234   005", "1234", PanelEvent(140, zone=5, detail="event=005")),
        (b"1011    1234 A  12", "1234", PanelEvent(140, zone=12, detail="event=A12")),
        (b"1011      1234 A12", "1234", PanelEvent(140, zone=12, detail="event=A12")),
        (b"8011001234 15555555 7", "001234",
         PanelEvent(140, zone=1, detail="channels=15555555;x=7")),
        (b"8011001234 55555555 155555557", "001234",
         PanelEvent(140, zone=9, detail="channels=15555555;x=7")),
        (b"9011    123415555555", "1234", PanelEvent(140, zone=1, detail="channels=15555555;x=7")),
        (b"60110123456789 T   9", "0123456789", PanelEvent(380, zone=9, detail="event=T9")),
        (b"Q01100 581234567890R13001005", "1234567890",
         PanelEvent(130, Qualifier.RESTORE, area=1, zone=5)),
        (b"5011 18123456E13001005", "123456", PanelEvent(130, area=1, zone=5)),
        (b"T011  1234 U  07", "1234", PanelEvent(401, user=7, detail="event=U07")),
        (b"T011  1234 R  00", "1234", PanelEvent(602, detail="event=R00")),
        (b"T011  1234 O  00", "1234", PanelEvent(140, detail="event=O00")),
        (b"1011      0012 O  7", "0012", PanelEvent(401, user=7, detail="event=O7")),
        (b"3011    001234BA0005", "001234", PanelEvent(130, zone=5, detail="sia=BA0005")),
        (b"80111234 1555 5555 7", "1234",
         PanelEvent(140, zone=1, detail="channels=15555555;x=7")),
        (b"3011      1234BA0005", "1234", PanelEvent(130, zone=5, detail="sia=BA0005")),
        (b"3011      12BABA0005", "12BA", PanelEvent(130, zone=5, detail="sia=BA0005")),
        (b"6011      1234sA0003", "1234", PanelEvent(140, zone=3, detail="event=sA0003")),
    ],
)  # fmt: skip
def test_sur_gard_forms(line: bytes, account: str, event: PanelEvent | None) -> None:
    reading = read(SurGard(), line + b"\x14")
    if event is None:  # neither head fits
        assert isinstance(reading, Bad)
    else:
        assert told(SurGard(), line + b"\x14") == [(account, event)]


def test_a_wrong_head_setting_costs_nothing() -> None:
    short = SurGardEncoder().contact_id(Message("1234", "1", "130", number="005"), 1)
    long = SurGardEncoder("01001").contact_id(Message("1234", "1", "130", number="005"), 1)
    for dialect in (SurGard(3), SurGard(5)):
        assert told(dialect, short) == told(dialect, long)


def test_a_wide_channel_block_numbers_on() -> None:
    events = told(SurGard(), b"80111234 5555 5551 1555 5555 7\x14")
    assert [(one.code, one.zone) for _, one in events] == [(140, 8), (140, 9)]
    events = told(SurGard(), b"80111234 5555 5555 5555 5155 1\x14")  # duress, once
    assert [(one.code, one.zone) for _, one in events] == [(121, 0), (140, 14)]
    events = told(SurGard(), b"80111234 5555 5555 5555 5555 7\x14")
    assert [(one.code, one.zone) for _, one in events] == [(602, 0)]
    events = told(SurGard(), b"80111234 3555 5555 5555 5555 4\x14")
    assert [(one.code, one.user) for _, one in events] == [(401, 3)]


@pytest.mark.parametrize(
    ("line", "account", "event"),
    [
        (b"11 1234 18 E131 01 C015 ", "1234", PanelEvent(131, area=1, zone=15)),
        (b"11 1234 18 R401 01 U003", "1234", PanelEvent(401, Qualifier.RESTORE, area=1, user=3)),
        (b"11 1234 18 E485 00 U003", "1234", PanelEvent(485, user=3)),
        (b"11 1234 3", "1234", PanelEvent(140, zone=3, detail="event=3")),
        (b"11 1234 3 1", "1234", PanelEvent(140, zone=1, detail="event=31")),
        (b"11 1234 5155 5555 7", "1234", PanelEvent(140, zone=2, detail="channels=51555555;x=7")),
    ],
)
def test_ademco_685_forms(line: bytes, account: str, event: PanelEvent) -> None:
    assert told(Ademco685(), b"\n" + line + b"\r") == [(account, event)]


@pytest.mark.parametrize("line", [b"11 OKAY @", b"11 OKAY @ ", b"012 OKAY @"])
def test_ademco_685_heartbeats(line: bytes) -> None:
    assert read(Ademco685(), b"\n" + line + b"\r") == Beat(b"\x06")


def test_bosch_frames() -> None:
    assert crc16(BIT_BY_BIT) == 0xBB3D  # the check value of this CRC-16
    reading = read(BoschSia(), framed("a00120102[#1234|18113101015]"))
    assert isinstance(reading, Line)
    assert reading.sequence
    assert reading.ack == framed("\t00120102[]")
    (report,) = reading.what
    assert isinstance(report, Report)
    assert report.event == PanelEvent(131, area=1, zone=15)
    assert read(BoschSia(), framed("\t001201 []")) == Beat(framed("\t00120100[]"))
    other = told(BoschSia(), framed("p00130102[#1234|EEEEdata]"))
    assert other == [("1234", PanelEvent(140, detail="type=p;data=EEEEdata"))]


def test_bosch_crc_is_checked_unless_told_not_to() -> None:
    data = framed("a00120102[#1234|18113101015]")
    spoilt = data[:1] + b"0000" + data[5:]
    assert isinstance(read(BoschSia(), spoilt), Bad)
    assert isinstance(read(BoschSia(check=False), spoilt), Line)


@pytest.mark.parametrize(
    ("dialect", "line"),
    [
        (SurGard(), b"0011      0000 status 4"),
        (SurGard(), b"T0111234 A  12"),
        (Ademco685(), b"11 PRINTER OFF LINE"),
        (Radionics6500(), b"X011 5551234"),
    ],
)
def test_unknown_kinds_are_kept_when_they_come_again(dialect: Dialect, line: bytes) -> None:
    frame = b"\n" + line + b"\r" if isinstance(dialect, Ademco685) else line + b"\x14"
    reading = read(dialect, frame)
    assert isinstance(reading, Bad)  # once it may be noise; the same bytes twice are no noise
    assert reading.else_ is not None
    assert reading.else_.what == (
        Unrecognised(
            call="", tried=dialect.name, heard=line.decode(), reason="unknown kind of line"
        ),
    )


@pytest.mark.parametrize(("dialect", "encoder"), PAIRS, ids=NAMES)
def test_a_wrong_byte_in_an_alarm_is_never_taken_for_something_harmless(
    dialect: Dialect, encoder: Encoder
) -> None:
    """Dialects without a checksum cannot see digits exchanged for digits; a letter, a sign or a cut
    where digits belong is asked for again.
    """
    data = encoder.contact_id(Message("1234", "1", "130", "01", "005"), 5)
    start = 1 if data[:1] in {b"\n", b" "} else 0
    for at in range(start + 1, len(data) - 1):
        if data[at : at + 1] == b" ":
            continue
        spoilt = data[:at] + b"?" + data[at + 1 :]
        assert isinstance(read(dialect, spoilt), Bad), spoilt


def test_profiles_are_by_account() -> None:
    accounts = Accounts(profiles={"1234": Profile(events={"3": EventRule(Code.FIRE, number=0)})})
    dialect = SurGard(accounts=accounts)
    assert told(dialect, b"1011      1234 3\x14") == [
        ("1234", PanelEvent(Code.FIRE, detail="event=3"))
    ]
    assert told(dialect, b"1011      1235 3\x14") == [
        ("1235", PanelEvent(140, zone=3, detail="event=3"))
    ]
