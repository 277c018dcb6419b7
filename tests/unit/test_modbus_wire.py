"""Finding the one right reply in what came, and the silence between frames."""

from __future__ import annotations

import random

import pytest

from edge.adapters.modbus_wire import begun, gap_s, sort
from tests.support.modbus_rig import crc16_modbus, framed

REQUEST = framed(5, 2, 0, 0, 0, 16)
REPLY = framed(5, 2, 2, 0x81, 0x40)


def test_the_right_reply_is_found_between_any_garbage() -> None:
    dice = random.Random(7)
    for _ in range(300):
        before, behind = (dice.randbytes(dice.randint(0, 40)) for _ in range(2))
        assert sort(before + REPLY + behind, REQUEST, len(REPLY)).good == REPLY


def test_no_single_damage_to_a_reply_gets_through() -> None:
    for bit in range(len(REPLY) * 8):
        damaged = bytearray(REPLY)
        damaged[bit // 8] ^= 1 << bit % 8
        found = sort(bytes(damaged), REQUEST, len(REPLY))
        assert found.good == b""
        assert found.exception == 0
    for length in range(len(REPLY)):
        assert sort(REPLY[:length], REQUEST, len(REPLY)).good == b""


@pytest.mark.parametrize(
    "frame",
    [framed(6, 2, 2, 0, 0), framed(5, 1, 2, 0, 0), framed(6, 0x82, 2), framed(5, 0x81, 2)],
    ids=["other module", "other function", "its exception", "exception to another function"],
)
def test_a_frame_of_another_question_is_foreign(frame: bytes) -> None:
    found = sort(frame, REQUEST, len(REPLY))
    assert (found.good, found.exception, found.foreign) == (b"", 0, 1)
    assert sort(frame + REPLY, REQUEST, len(REPLY)).good == REPLY


def test_our_own_echo_is_neither_reply_nor_noise() -> None:
    found = sort(REQUEST + REPLY, REQUEST, len(REPLY))
    assert found.good == REPLY
    assert (found.noise_bytes, found.foreign, found.wrong_length) == (0, 0, 0)


def test_only_what_may_become_the_reply_is_waited_for() -> None:
    for length in range(1, len(REPLY)):
        assert begun(b"\xff\x00" + REPLY[:length], REQUEST, len(REPLY))
    assert not begun(REQUEST, REQUEST, len(REPLY)), "our echo"
    assert not begun(framed(6, 2, 2, 0, 0), REQUEST, len(REPLY))
    assert not begun(REPLY[:3] + bytes(len(REPLY)), REQUEST, len(REPLY)), "it would be over"


def test_an_exception_and_a_wrong_length_are_told_apart_from_a_reply() -> None:
    assert sort(framed(5, 0x82, 4), REQUEST, len(REPLY)).exception == 4
    found = sort(framed(5, 2, 1, 0xFF), REQUEST, len(REPLY))
    assert (found.good, found.wrong_length) == (b"", 1)


def test_of_two_replies_the_first_counts_and_the_other_is_foreign() -> None:
    other = framed(5, 2, 2, 0, 0)
    found = sort(REPLY + other, REQUEST, len(REPLY))
    assert (found.good, found.foreign) == (REPLY, 1)


def test_random_bytes_never_raise_and_hardly_ever_mean_anything() -> None:
    dice = random.Random(3)
    found = [sort(dice.randbytes(dice.randint(0, 64)), REQUEST, len(REPLY)) for _ in range(2000)]
    assert not any(one.good for one in found)


@pytest.mark.parametrize(
    ("baud", "least_s"), [(1200, 0.0291), (9600, 0.00364), (19_200, 0.00182), (38_400, 0.00175)]
)
def test_the_gap_is_three_and_a_half_characters_but_never_less_than_the_fixed_one(
    baud: int, least_s: float
) -> None:
    assert least_s <= gap_s(baud, 10 / baud) < least_s * 1.01


def test_the_second_hand_computes_the_published_check_value() -> None:
    assert crc16_modbus(b"123456789") == 0x4B37
