"""A receiver's link under load, on a line set wrongly, and with a store that is slow."""

from __future__ import annotations

from protocols.automation.ademco685 import Ademco685
from protocols.automation.bosch import BoschSia, framed
from protocols.automation.effects import Arrived, Back, Effect, Lost, Malformed, Send
from protocols.automation.machine import MAX_STORING, Automation, seven_bits
from protocols.automation.surgard import SurGard, packed
from protocols.instants import Instant, later
from protocols.mqtt.reception import Report, Unrecognised

ALARM = b"5011 181234E13001005\x14"
BEAT = b"1011           @    \x14"
ACK, NAK = Send(b"\x06"), Send(b"\x15")
START = Instant(1_000_000_000_000)


def at(seconds: float) -> Instant:
    return later(START, seconds)


def connected(machine: Automation) -> Automation:
    machine.connected(at(0))
    return machine


def even(data: bytes) -> bytes:
    """As 7E1 looks to who reads 8N1."""
    return bytes(byte | (byte.bit_count() % 2) << 7 for byte in data)


def tokens(effects: list[Effect]) -> list[int]:
    return [one.token for one in effects if isinstance(one, Arrived)]


def bosch(number: int) -> bytes:
    return framed(f"a{number:04d}0102[#1234|18113001005]")


def test_a_numbered_frame_is_acknowledged_whenever_it_is_stored() -> None:
    """Its ACK names it, and a D6500 that hears none in time stops telling the computer."""
    one = connected(Automation(BoschSia()))
    one.receive(bosch(1), at(0))
    one.receive(bosch(2), at(30))
    assert one.stored(1, at(60)) == [Send(framed("\t00010102[]"))]
    assert one.stored(2, at(61)) == [Send(framed("\t00020102[]"))]


def test_a_numbered_frame_of_a_connection_that_is_gone_waits_for_its_repeat() -> None:
    one = connected(Automation(BoschSia()))
    one.receive(bosch(1), at(0))
    one.disconnected("hung up", at(1))
    one.connected(at(2))
    assert one.stored(1, at(3)) == []
    assert one.receive(bosch(1), at(4)) == [Send(framed("\t00010102[]"))]


def test_a_685_waits_two_seconds_and_no_longer() -> None:
    """An answer that meets it at its next message would acknowledge that one."""
    frame = b"\n11 1234 18 E130 01 C005\r"
    one = connected(Automation(Ademco685()))
    one.receive(frame, at(0))
    assert one.stored(1, at(1.9)) == []
    assert one.receive(frame, at(3.5)) == [ACK]
    two = connected(Automation(SurGard()))
    two.receive(ALARM, at(0))
    assert two.stored(1, at(3)) == [ACK]


def test_who_sends_more_than_is_stored_waits_for_the_store() -> None:
    one = connected(Automation(SurGard()))
    frames = [b"5011 181234E13001%03d\x14" % number for number in range(100)]
    taken = tokens([effect for frame in frames for effect in one.receive(frame, at(0))])
    assert len(taken) == MAX_STORING
    assert one.held == 100 - MAX_STORING
    assert tokens(one.receive(frames[-1], at(1))) == []
    one.stored(taken[0], at(1))
    assert len(tokens(one.receive(frames[-1], at(2)))) == 1


def test_a_store_that_never_answers_does_not_stop_the_link_for_ever() -> None:
    one = connected(Automation(SurGard()))
    for number in range(100):
        one.receive(b"5011 181234E13001%03d\x14" % number, at(0))
    assert len(tokens(one.receive(ALARM, at(21)))) == 1


def test_strange_lines_are_known_again_though_others_come_between() -> None:
    one = connected(Automation(SurGard()))
    first, second = b"J011      1234101E  \x14", b"Y011 12345678 82\x14"
    for line in (first, second, BEAT):
        one.receive(line, at(0))
    effects = one.receive(first, at(30))
    (arrived,) = [each for each in effects if isinstance(each, Arrived)]
    assert isinstance(arrived.what[0], Unrecognised)
    assert arrived.what[0].reason == "FBI line"
    assert tokens(one.receive(second, at(200))) == []  # too long ago: asked for again


def test_noise_that_looks_like_no_line_never_becomes_one() -> None:
    one = connected(Automation(SurGard()))
    for noise in (b"\xff\x14", b"\x00\xfe\x81\x9d\xfc\xa3\xb7\x14", b"ab\x14"):
        effects = [effect for _ in range(5) for effect in one.receive(noise, at(0))]
        assert {type(effect) for effect in effects} <= {Malformed, Send}, noise


def test_seven_bits_with_parity_are_read_by_who_expects_eight() -> None:
    """Every byte's parity is right: no noise is that, and an alarm is not lost to a setting."""
    one = connected(Automation(SurGard()))
    back, arrived = one.receive(even(ALARM), at(0))
    assert back == Back()
    assert isinstance(arrived, Arrived)
    assert isinstance(arrived.what[0], Report)
    assert arrived.what[0].raw == ALARM[:-1].decode()
    spoilt = bytearray(even(ALARM))
    spoilt[7] ^= 1
    assert isinstance(one.receive(bytes(spoilt), at(1))[0], Malformed)
    assert seven_bits(ALARM[:-1]) is None


def test_a_line_set_wrongly_says_so() -> None:
    one = connected(Automation(Ademco685()))
    (bad,) = one.receive(even(b"\n11 1234 18 E130 01 C005\r"), at(0)) or one.tick(at(3))[:1]
    assert isinstance(bad, Malformed)
    assert "look at `mode` (7E1?) and `baud`" in bad.reason
    two = connected(Automation(SurGard()))
    (plain, _) = two.receive(b"5011 18123?E13001005\x14", at(0))
    assert isinstance(plain, Malformed)
    assert "mode" not in plain.reason


def test_a_receiver_that_speaks_and_is_not_understood_is_not_called_silent() -> None:
    """A wrong dialect or CRC: nothing is acknowledged, and people are told why."""
    one = connected(Automation(BoschSia()))
    one.receive(b"\n0000a00120102[#1234|18113001005]\r", at(50))
    (lost,) = one.tick(at(95))
    assert isinstance(lost, Lost)
    assert lost.cause.startswith("nothing readable comes: CRC 0000, computed")
    assert one.receive(bosch(1), at(100))[0] == Back()
    assert one.tick(at(195)) == [Lost("silent")]


def test_a_frame_whose_first_byte_is_lost_is_read_and_other_text_is_not_answered() -> None:
    for dialect, frame in ((Ademco685(), b"\n11 1234 18 E130 01 C005\r"), (BoschSia(), bosch(1))):
        one = connected(Automation(dialect))
        assert one.receive(b"login: \r\n\r\n", at(0)) == [
            Malformed("no start", dialect.name, b"login: ")
        ]
        assert len(tokens(one.receive(frame[1:], at(1)))) == 1
        assert len(tokens(one.receive(frame[2:], at(2)))) == 0  # two bytes lost are too many
        assert one.malformed == 2


def test_a_packet_with_its_length_is_asked_for_again_in_its_own_way() -> None:
    one = connected(Automation(SurGard(head_digits=5)))
    effects = one.receive(packed(b"501100 181234E1300100?\x14"), at(0))
    assert effects[-1] == Send(packed(b"\x15"))
    (_, arrived) = one.receive(packed(b"501100 181234E13001005\x14"), at(1))
    assert isinstance(arrived, Arrived)
    assert one.stored(arrived.token, at(1)) == [Send(packed(b"\x06"))]
