"""Receivers' lines as manuals and public code print them, and what was learnt from them."""

from __future__ import annotations

import pytest

from protocols.automation.ademco685 import Ademco685
from protocols.automation.bosch import BoschSia, crc16, framed
from protocols.automation.dialect import Bad, Beat, Dialect, Line, Reading
from protocols.automation.encoding import BoschEncoder
from protocols.automation.framing import Splitter
from protocols.automation.radionics import Radionics6500
from protocols.automation.surgard import SurGard, packed, unpacked
from protocols.contact_id.mapping import number_of_digits
from protocols.contact_id.message import Message
from protocols.mqtt.reception import Report, Unrecognised
from protocols.panel_event import PanelEvent, Qualifier
from tests.support.field_lines import line as field_line
from tests.support.field_lines import lines

RESTORE, STATUS = Qualifier.RESTORE, Qualifier.STATUS
DUR = ("1234", PanelEvent(121, area=1, user=1))
SUR_GARD = {
    "rx-001": [DUR],
    "rx-002": [("1234", PanelEvent(130, zone=1, detail="sia=BA01"))],
    "rx-003": [
        ("1234", PanelEvent(401, RESTORE, user=22, detail="sia=CL;da=04-22-94;ti=16:02:15")),
        ("1234", PanelEvent(120, zone=31, user=22, detail="sia=PA31;da=04-22-94;ti=16:02:15")),
    ],
    "rx-004": [("0012", PanelEvent(401, RESTORE, area=1, user=128, detail="event=C128"))],
    "rx-005": [("0000", PanelEvent(606, zone=3, detail="event=P"))],
    "rx-006": [("0000", PanelEvent(20_320, detail="sia=MI00"))],
    "rx-007": [DUR],
    "rx-008": [("001234", PanelEvent(140, zone=12, detail="event=A12"))],
    "rx-009": [DUR],
    "rx-010": [("7112", PanelEvent(380, zone=9, detail="event=T9"))],
    "rx-011": [("112", PanelEvent(110, zone=1, detail="event=F1"))],
    "rx-012": [("112", PanelEvent(110, zone=1, detail="event=F1"))],
}
BOSCH = {
    "rx-020": ("123456", PanelEvent(140, detail="type=m;data=HA00")),
    "rx-021": ("7654", PanelEvent(140, detail="type=m;data= A01")),
    "rx-022": ("000257", PanelEvent(140, detail="type=n;data=1090000000110000000")),
    "rx-023": ("4444", PanelEvent(401, detail="sia=OP")),
    "rx-024": ("1234", PanelEvent(130, zone=98, detail="sia=BA98")),
    "rx-025": ("1234", PanelEvent(130, zone=9, detail="sia=BA9")),
}
LINE_2, LINE_5 = "LINE=51555555;x=7", "LINE=53556555;x=7"
ADEMCO = {
    "rx-030": [("0000", PanelEvent(351, zone=2, detail=LINE_2))],
    "rx-031": [
        ("0000", PanelEvent(351, RESTORE, zone=2, detail=LINE_5)),
        ("0000", PanelEvent(351, STATUS, zone=5, detail=LINE_5)),
    ],
    "rx-032": [("0000", PanelEvent(300, zone=6, detail="RCVB=55555155;x=7"))],
    "rx-033": [
        ("8531", PanelEvent(140, zone=1, detail="channels=15155555;x=7")),
        ("8531", PanelEvent(140, zone=3, detail="channels=15155555;x=7")),
    ],
}


def read(dialect: Dialect, data: bytes) -> Reading:
    (frame,) = Splitter(dialect.framing).feed(data)
    assert isinstance(frame, bytes)
    return dialect.read(frame)


def reports(reading: Reading | None) -> list[Report]:
    assert isinstance(reading, Line), reading
    out = []
    for one in reading.what:
        assert isinstance(one, Report)
        out.append(one)
    return out


def told(dialect: Dialect, data: bytes) -> list[tuple[str, PanelEvent]]:
    return [(one.account, one.event) for one in reports(read(dialect, data))]


def test_every_line_printed_somewhere_is_in_one_of_these_tables() -> None:
    listed = {*SUR_GARD, *BOSCH, *ADEMCO, "rx-034", "rx-035"}
    formats = ("surgard", "surgard-b32", "bosch-sia", "ademco685")
    assert {name for name in lines(*formats) if name.startswith("rx-")} == listed


@pytest.mark.parametrize("name", SUR_GARD)
def test_sur_gard_as_printed(name: str) -> None:
    for head_digits in (3, 5):
        assert told(SurGard(head_digits), field_line(name)) == SUR_GARD[name]


@pytest.mark.parametrize("name", BOSCH)
def test_bosch_as_printed_with_its_own_crc_and_length(name: str) -> None:
    data = field_line(name)
    assert told(BoschSia(), data) == [BOSCH[name]]
    reading = read(BoschSia(), data)
    assert isinstance(reading, Line)
    sequence = data[8:12].decode()
    assert reading.ack == framed(f"\t{sequence}0101[]")
    for at in range(1, len(data) - 1):  # every wrong byte is seen
        spoilt = data[:at] + bytes((data[at] ^ 0x01,)) + data[at + 1 :]
        for frame in Splitter(BoschSia().framing).feed(spoilt):
            assert not isinstance(frame, bytes) or isinstance(BoschSia().read(frame), Bad), spoilt


@pytest.mark.parametrize("name", ADEMCO)
def test_685_as_printed(name: str) -> None:
    assert told(Ademco685(), field_line(name)) == ADEMCO[name]


def test_a_685_may_end_its_lines_with_escape() -> None:
    assert told(Ademco685(), field_line("rx-030")[:-1] + b"\x1b") == ADEMCO["rx-030"]
    assert read(Ademco685(), field_line("rx-035")) == Beat(b"\x06")


def test_a_zone_of_two_digits_must_come_twice_for_one_may_be_lost() -> None:
    reading = read(Ademco685(), field_line("rx-034"))
    assert isinstance(reading, Bad)
    (report,) = reports(reading.else_)
    assert (report.account, report.event) == ("1111", PanelEvent(134, area=1, zone=8))


def test_an_account_of_an_odd_length_must_come_twice_for_a_digit_may_be_lost() -> None:
    reading = read(SurGard(), b"5011 18123E13001005\x14")
    assert isinstance(reading, Bad)
    (report,) = reports(reading.else_)
    assert (report.account, report.event.zone) == ("123", 5)


def test_a_crc_without_the_length_is_taken_and_answered_in_kind() -> None:
    encoder = BoschEncoder(head=4)
    data = encoder.contact_id(Message("1234", "1", "130", "01", "005"), 12)
    reading = read(BoschSia(), data)
    assert reports(reading)[0].event == PanelEvent(130, area=1, zone=5)
    assert isinstance(reading, Line)
    assert encoder.answer(reading.ack.strip(), 12).value == "ack"
    assert BoschEncoder().answer(reading.ack.strip(), 12).value == "other"
    assert crc16(data[5:-1]) == int(data[1:5], 16)
    for head in (4, 6):
        data = BoschEncoder(head=head).sia("1234", "Nri1/BA5", 13)
        spoilt = data[:1] + b"0000" + data[5:]
        assert isinstance(read(BoschSia(), spoilt), Bad)
        assert reports(read(BoschSia(check=False), spoilt))[0].event.zone == 5


def test_what_a_bosch_tells_of_itself_is_told_on() -> None:
    (report,) = reports(read(BoschSia(), framed("\t00120100[NJT]")))
    assert (report.account, report.format) == ("0000", "receiver")
    assert report.event == PanelEvent(625, detail="sia=JT")
    reading = read(BoschSia(), framed("\t00130100[REJECT COMMAND]"))
    assert isinstance(reading, Line)
    (other,) = reading.what
    assert isinstance(other, Unrecognised)
    assert "REJECT COMMAND" in other.heard


@pytest.mark.parametrize(
    ("body", "event"),
    [
        ("b00120102[#1234|3]", PanelEvent(140, zone=3, detail="event=3")),
        ("c00120102[#1234|31]", PanelEvent(140, zone=1, detail="event=31")),
        ("f00120102[#1234|1555 5555 7]",
         PanelEvent(140, zone=1, detail="channels=15555555;x=7")),
        ("i00120102[#1234|A;B]", PanelEvent(140, detail="type=i;data=A B")),
        ("\t0012010a[#  34|NBA5]", PanelEvent(130, zone=5, detail="sia=BA5")),
    ],
)  # fmt: skip
def test_bosch_types(body: str, event: PanelEvent) -> None:
    (report,) = reports(read(BoschSia(), framed(body)))
    assert report.event == event


@pytest.mark.parametrize(
    ("line", "account", "event"),
    [
        (b" 1011      1234 R 005\x14", "1234",
         PanelEvent(140, RESTORE, zone=5, detail="event=R005")),
        (b"\n1011      1234F 0005\r", "1234", PanelEvent(110, zone=5, detail="event=F0005")),
        (b"1011      1234 N 005\x14", "1234", PanelEvent(570, zone=5, detail="event=N005")),
        (b"1011      1234 T D08\x14", "1234",
         PanelEvent(380, zone=number_of_digits("D08"), detail="event=TD08")),
        (b"10111234567890 O   7\x14", "1234567890", None),
        (b"f011  1234 1555 5555 7\x14", "1234",
         PanelEvent(140, zone=1, detail="channels=15555555;x=7")),
        (b"b011      1234 3   1\x14", "1234", PanelEvent(140, zone=1, detail="event=31")),
    ],
)  # fmt: skip
def test_radionics_lines(line: bytes, account: str, event: PanelEvent | None) -> None:
    reading = read(Radionics6500(), line)
    (report,) = reports(reading)
    assert report.account == account
    if event is not None:
        assert report.event == event


@pytest.mark.parametrize(
    ("dialect", "line"),
    [
        (SurGard(), b"6011      1234sA1 2"),
        (SurGard(), b"1011      1234 A1 2"),
        (Radionics6500(), b"1011      1234sA1 2"),
    ],
)
def test_a_blank_within_a_number_is_no_number(dialect: Dialect, line: bytes) -> None:
    """Such a line once ended the thread that read it."""
    assert isinstance(dialect.read(line), Bad)


def test_a_packet_with_its_length_is_answered_so() -> None:
    line = b"501100 181234E12101001"
    head = bytes.fromhex("00000027")
    assert packed(line + b"\x14") == head + line + b"\x14"
    assert unpacked(head.lstrip(b"\x00") + line) == line
    assert unpacked(line) is None
    dialect = SurGard(head_digits=5)
    beat = b"101000           @    \x14"
    assert read(dialect, packed(beat)) == Beat(bytes.fromhex("0000000506"))
    spoilt = read(dialect, packed(b"501100 181234E1210100?\x14"))
    assert isinstance(spoilt, Bad)
    assert spoilt.nak == bytes.fromhex("0000000515")
    long = b"S01001[#1234|NBA1*'" + b"x" * 120 + b"'NM]\x14"
    assert told(dialect, packed(long))[0][0] == "1234"
    short = packed(line[:-1] + b"\x14")  # a byte lost within: the length tells
    assert isinstance(read(dialect, short[:10] + short[11:]), Bad)
