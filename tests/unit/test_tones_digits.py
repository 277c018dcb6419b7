"""Issue test 2: what must be taken for a digit, and what must not."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.tones import impairments
from protocols.tones.ear import Ear
from protocols.tones.elements import DTMF_SYMBOLS, DigitHeard, Digits, Silence
from protocols.tones.g711 import Law
from protocols.tones.impairments import Samples
from protocols.tones.listening import EXCHANGE
from protocols.tones.synthesis import render
from tests.support.dtmf_audio import heard as heard_by_row
from tests.support.dtmf_audio import played, strings
from tests.support.talkoff_sounds import SOUNDS, scaled

KEYS = "1234567890*#ABCD5566"
RATE = 8000


def heard(samples: Samples) -> list[DigitHeard]:
    ear = Ear(EXCHANGE)
    told = ear.feed(samples) + ear.feed(np.zeros(800, np.int16))
    return [one for one in told if isinstance(one, DigitHeard)]


def keys(samples: Samples) -> str:
    return "".join(digit.key for digit in heard(samples))


def message(
    on_ms: int = 40,
    off_ms: int = 40,
    level_dbm0: float = -12.0,
    twist_db: float = 0.0,
    offset: float = 0.0,
    text: str = KEYS,
) -> Samples:
    lead = Silence(137)
    return render([lead, Digits(text, on_ms, off_ms), lead], level_dbm0, twist_db, offset)


@pytest.mark.parametrize("twist_db", [-8.0, 0.0, 6.0])
@pytest.mark.parametrize("offset", [-0.018, 0.0, 0.018])
@pytest.mark.parametrize("law", list(Law))
def test_worst_corner_of_the_acceptance(twist_db: float, offset: float, law: Law) -> None:
    """40/40 ms, weakest level, noise, twist and offset at once, through either law."""
    chance = np.random.default_rng(11)
    # -30 dBm0 is the level of the weaker tone.
    audio = message(40, 40, -30.0 + abs(twist_db) / 2.0, twist_db, offset)
    audio = impairments.companded(impairments.noise(audio, 12.0, chance), law)
    assert keys(audio) == KEYS


@pytest.mark.parametrize("level_dbm0", [-35.0, -20.0, -9.0, -4.0, 0.0])
def test_levels_up_to_clipping(level_dbm0: float) -> None:
    assert keys(message(50, 50, level_dbm0)) == KEYS


@pytest.mark.parametrize("offset", [-0.035, 0.035, -0.05, 0.05])
@pytest.mark.parametrize("on_ms", [40, 50, 100])
def test_tones_off_by_three_and_a_half_percent_are_no_digits(offset: float, on_ms: int) -> None:
    assert keys(message(on_ms, 50, offset=offset)) == ""


@pytest.mark.parametrize("shift", range(0, 80, 7))
def test_times_are_exact_at_any_alignment(shift: int) -> None:
    audio = np.concatenate((np.zeros(shift, np.int16), message(50, 50)))
    begin_ms = 137 + shift / 8.0
    found = heard(audio)
    assert len(found) == len(KEYS)
    for at, digit in enumerate(found):
        assert abs(digit.start_ms - (begin_ms + 100 * at)) <= 2
        assert abs(digit.end_ms - (begin_ms + 100 * at + 50)) <= 2


def test_level_and_twist_are_told() -> None:
    for digit in heard(message(60, 60, -17.0, 6.0)):
        assert abs(digit.level_dbm0 - -20.0) < 1.0
        assert abs(digit.twist_db - 6.0) < 0.5


@pytest.mark.parametrize("begin", range(0, 480, 40))
def test_a_lost_packet_inside_a_digit_neither_doubles_nor_loses_it(begin: int) -> None:
    """20 ms of silence anywhere within 100 ms of tone."""
    audio = message(100, 100, text="77")
    first = 137 * 8 + 80 + begin
    audio[first : first + 160] = 0
    assert keys(audio) == "77"


@pytest.mark.parametrize("begin", range(0, 240, 20))
def test_a_lost_packet_inside_a_short_digit(begin: int) -> None:
    """50 ms of tone less 20 ms anywhere: 30 ms are left, in one piece or two."""
    audio = message(50, 50, text="77")
    first = 137 * 8 + begin
    audio[first : first + 160] = 0
    assert keys(audio) == "77"


@pytest.mark.parametrize("off_ms", [30, 35, 40])
@pytest.mark.parametrize("shift", range(0, 80, 10))
@pytest.mark.parametrize("snr_db", [12.0, 30.0])
def test_equal_digits_with_short_gaps_stay_apart(off_ms: int, shift: int, snr_db: float) -> None:
    chance = np.random.default_rng(shift)
    audio = np.concatenate((np.zeros(shift, np.int16), message(40, off_ms, text="5555*1111")))
    assert keys(impairments.noise(audio, snr_db, chance)) == "5555*1111"


@pytest.mark.parametrize(("delay_ms", "loss_db"), [(60, 20), (30, 12), (100, 15), (250, 20)])
def test_an_echo_is_no_second_digit(delay_ms: int, loss_db: int) -> None:
    assert keys(impairments.echo(message(50, 50), delay_ms, loss_db)) == KEYS


def test_noise_for_a_minute_is_no_digit() -> None:
    chance = np.random.default_rng(5)
    for level_dbm0 in (-40.0, -20.0, -6.0):
        silence = np.zeros(60 * RATE, np.int16)
        assert keys(impairments.noise_floor(silence, level_dbm0, chance)) == ""


@pytest.mark.parametrize("name", sorted(SOUNDS))
def test_a_minute_of_what_is_no_digit(name: str) -> None:
    """Two partials that lie within tolerance by chance, with a pause on both sides, are a digit by
    any receiver's rules: those classes may hold a few (spandsp hears 16, 25, 0 and 0 in
    these, multimon-ng 4, 35, 9 and 0).
    """
    audio = scaled(SOUNDS[name](60.0, np.random.default_rng(7000)))
    assert len(keys(audio)) <= PAIRS_BY_CHANCE.get(name, 0)


PAIRS_BY_CHANCE = {
    "bare two partials": 16,
    "two random tones, AM and FM": 20,
    "3 to 8 tones, AM and FM": 3,
    "exchange and trunk tones": 2,
}


@pytest.mark.parametrize(("name", "seed"), [("square, triangle, saw", 7), ("formant speech", 1001)])
def test_a_long_sound_that_is_never_pure_is_no_digit(name: str, seed: int) -> None:
    """A buzzer and a held vowel, with silence around, whose two strongest partials lie right."""
    assert keys(scaled(SOUNDS[name](60.0, np.random.default_rng(seed)))) == ""


def test_twelve_minutes_of_voices_and_music() -> None:
    """Vowels of little but two partials, held vowels and chords; multimon-ng hears 15
    digits here."""
    for name in ("two-partial vowels", "formant speech", "singing", "music chords"):
        minutes = [scaled(SOUNDS[name](60.0, np.random.default_rng(seed))) for seed in range(3)]
        assert "".join(heard_by_row(np.stack(minutes))) == "", name


@pytest.mark.parametrize("law", list(Law))
@pytest.mark.parametrize("twist_db", [-8.0, 0.0, 6.0])
@pytest.mark.parametrize("low", [-0.018, 0.018])
@pytest.mark.parametrize("high", [-0.018, 0.018])
def test_each_group_off_its_own_way(law: Law, twist_db: float, low: float, high: float) -> None:
    """All that a digit may be at once, at any phase, 40/40 ms: no error in 320 digits."""
    chance = np.random.default_rng(round(300 + twist_db + 1000 * low + 3000 * high))
    texts = strings(20, chance)
    audio = played(texts, chance, 40, 40, -30.0, twist_db, (low, high), 12.0, law)
    assert heard_by_row(audio) == texts


@pytest.mark.parametrize("on_ms", [15, 20, 21])
@pytest.mark.parametrize("snr_db", [None, 20.0])
def test_tones_shorter_than_23_ms_are_no_digits(on_ms: int, snr_db: float | None) -> None:
    chance = np.random.default_rng(on_ms)
    texts = strings(10, chance)
    audio = played(texts, chance, on_ms, 60, snr_db=snr_db)
    assert "".join(heard_by_row(audio)) == ""


@pytest.mark.parametrize("on_ms", [25, 30, 40])
def test_short_tones_are_digits(on_ms: int) -> None:
    chance = np.random.default_rng(on_ms)
    texts = strings(10, chance)
    assert heard_by_row(played(texts, chance, on_ms, 50)) == texts


@pytest.mark.parametrize(
    ("low", "high"), [(0.035, 0.0), (-0.035, 0.0), (0.0, 0.035), (0.0, -0.035)]
)
def test_one_group_off_by_three_and_a_half_percent_is_enough_to_be_no_digit(
    low: float, high: float
) -> None:
    chance = np.random.default_rng(8)
    audio = played(strings(10, chance), chance, 60, 60, offsets=(low, high), snr_db=20.0)
    assert "".join(heard_by_row(audio)) == ""


@pytest.mark.parametrize("delay_ms", [10, 15, 25, 40, 60, 90])
def test_a_loud_echo_neither_doubles_nor_swallows(delay_ms: int) -> None:
    """12 dB under the digit: echo and beginning of the next meet in one window."""
    chance = np.random.default_rng(delay_ms)
    texts = strings(20, chance)
    rows = played(texts, chance, 50, 50)
    assert heard_by_row(np.stack([impairments.echo(row, delay_ms, 12.0) for row in rows])) == texts


def test_digits_over_speech_on_the_far_end_are_heard() -> None:
    """Somebody talks in the room 18 dB below the digits."""
    audio = message(50, 50, -9.0)
    talk = impairments.level(
        scaled(SOUNDS["two-partial vowels"](4.0, np.random.default_rng(9))), -21.0
    )
    assert keys(impairments.mixed(audio, talk)) == KEYS


@pytest.mark.parametrize("ratio", [0.005, 0.01, 0.02])
def test_messages_with_lost_packets(ratio: float) -> None:
    """Nearly all are whole (of 60 by multimon-ng, the best peer: 57), none has a digit more."""
    chance = np.random.default_rng(3)
    whole = 0
    for _ in range(60):
        text = "".join(chance.choice(list(DTMF_SYMBOLS), 16))
        found = keys(impairments.dropped(message(50, 50, text=text), ratio, chance))
        whole += found == text
        assert len(found) <= 16
    assert whole >= 56
