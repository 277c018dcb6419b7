"""The copper pair as a pure machine: pacing, collisions, cable faults."""

from __future__ import annotations

import random

import pytest

from hil.drivers.bus_wire_line import Heard, Line, LineFaults

CHAR_S = 10 / 38_400


def run(line: Line, until_s: float) -> list[Heard]:
    """Advance exactly when the line asks to."""
    heard: list[Heard] = []
    while (due_s := line.deadline_s()) is not None and due_s <= until_s:
        heard += line.advance(due_s)
    return heard


def text(heard: list[Heard], listener: str = "") -> bytes:
    return b"".join(item.data(listener) for item in heard)


def test_a_character_is_heard_when_its_stop_bit_is_over_and_not_before() -> None:
    line = Line(38_400, fifo=1)
    line.speak("a", b"xyz", 1.0)
    assert line.advance(1.0 + 0.98 * CHAR_S) == []
    times = [(item.data(), item.until_s) for item in run(line, 2.0)]
    assert [data for data, _ in times] == [b"x", b"y", b"z"]
    assert [at for _, at in times] == pytest.approx([1.0 + n * CHAR_S for n in (1, 2, 3)])


def test_the_last_character_of_a_speech_is_never_kept_back_by_the_fifo() -> None:
    line = Line(38_400, fifo=16)
    line.speak("a", bytes(21), 0.0)
    heard = run(line, 1.0)
    assert [len(item.data()) for item in heard] == [16, 5]
    assert heard[-1].until_s == pytest.approx(21 * CHAR_S)
    assert [item.over for item in heard] == [False, True]


@pytest.mark.parametrize("baud", [9600, 38_400, 230_400, 0])
@pytest.mark.parametrize("wakes", [1, 3, 50])
def test_pace_does_not_depend_on_how_often_the_thread_wakes(baud: int, wakes: int) -> None:
    line = Line(baud)
    dice = random.Random(wakes)
    sent = dice.randbytes(100)
    line.speak("a", sent, 5.0)
    whole_s = 100 * line.char_s
    heard: list[Heard] = []
    for at in sorted([dice.random() for _ in range(wakes)] + [1.0]):
        heard += line.advance(5.0 + at * whole_s)
    assert text(heard) == sent
    assert heard[-1].until_s == pytest.approx(5.0 + whole_s)


def test_later_words_of_one_talker_follow_on_without_a_gap() -> None:
    line = Line(38_400)
    line.speak("a", b"abcd", 0.0)
    line.advance(CHAR_S)
    line.speak("a", b"ef", CHAR_S)
    run(line, 1.0)
    (said,) = line.log
    assert (said.data, said.garbled) == (b"abcdef", False)
    assert said.until_s == pytest.approx(6 * CHAR_S)


def test_two_at_once_garble_exactly_the_characters_that_overlap() -> None:
    line = Line(38_400, seed=3)
    line.speak("a", b"A" * 10, 0.0)
    line.advance(5.5 * CHAR_S)
    line.speak("b", b"B" * 10, 5.5 * CHAR_S)
    heard = run(line, 1.0)
    by_a = [item for item in heard if item.sender == "a"]
    by_b = [item for item in heard if item.sender == "b"]
    pieces_a = [piece for item in by_a for piece in item.pieces]
    pieces_b = [piece for item in by_b for piece in item.pieces]
    assert pieces_a[:5] == [b"A"] * 5
    assert b"A" not in pieces_a[5:]
    assert pieces_b[5:] == [b"B"] * 5
    assert b"B" not in pieces_b[:5]
    assert line.collisions >= 2
    assert {said.sender: said.garbled for said in line.log} == {"a": True, "b": True}


def test_speeches_that_only_touch_do_not_collide() -> None:
    line = Line(38_400)
    line.speak("a", b"A" * 10, 0.0)
    heard = run(line, 10 * CHAR_S)
    line.speak("b", b"B" * 10, 10 * CHAR_S)
    heard += run(line, 1.0)
    assert text(heard) == b"A" * 10 + b"B" * 10
    assert line.collisions == 0


def test_who_talks_hears_nothing_of_what_overlaps() -> None:
    line = Line(38_400)
    line.speak("a", b"A" * 10, 0.0)
    line.advance(6 * CHAR_S)
    line.speak("b", b"B", 6 * CHAR_S)
    heard = [item for item in run(line, 1.0) if item.sender == "a"]
    assert text(heard, "b") == b"A" * 9


@pytest.mark.parametrize(
    ("fault", "low", "high"),
    [("lose", 8_700, 9_300), ("double", 10_700, 11_300), ("flip", 10_000, 10_000)],
)
def test_lost_doubled_and_turned_characters_come_at_their_rate(
    fault: str, low: int, high: int
) -> None:
    line = Line(0, seed=1)
    line.set_faults(LineFaults(**{fault: 0.1}), 0.0)
    sent = bytes(random.Random(2).randbytes(10_000))
    line.speak("a", sent, 0.0)
    heard = text(run(line, 1.0))
    assert low <= len(heard) <= high
    if fault == "flip":
        wrong = [a ^ b for a, b in zip(sent, heard, strict=True) if a != b]
        assert 800 < len(wrong) < 1200
        assert all(bits.bit_count() == 1 for bits in wrong)
    assert line.log[0].garbled


def test_noise_comes_at_its_rate_on_an_idle_line_and_stops_with_its_dial() -> None:
    line = Line(38_400, seed=4)
    line.set_faults(LineFaults(noise_per_s=50), 0.0)
    heard = run(line, 20.0)
    assert 850 < sum(item.over for item in heard) < 1150
    assert {item.sender for item in heard} == {"~noise"}
    line.set_faults(LineFaults(), 20.0)
    run(line, 21.0)
    assert line.deadline_s() is None


def test_noise_garbles_what_is_said_meanwhile() -> None:
    line = Line(38_400, seed=5)
    line.set_faults(LineFaults(noise_per_s=100), 0.0)
    whole = 0
    for number in range(200):
        at_s = number * 0.02
        run(line, at_s)
        line.advance(at_s)
        line.speak("a", bytes(15), at_s)
    run(line, 10.0)
    whole = sum(not said.garbled for said in line.log if said.sender == "a")
    assert 80 < whole < 170


def test_the_same_seed_is_the_same_line() -> None:
    def once() -> list[tuple[str, bytes, float]]:
        line = Line(38_400, seed=9)
        line.set_faults(LineFaults(noise_per_s=200, lose=0.05, double=0.05, flip=0.05), 0.0)
        line.speak("a", bytes(range(256)), 0.0)
        return [(item.sender, item.data(), item.until_s) for item in run(line, 0.5)]

    assert once() == once()
