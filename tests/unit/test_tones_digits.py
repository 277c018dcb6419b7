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


def speech(seconds: int, chance: np.random.Generator) -> Samples:
    """Like speech: voiced harmonics of a gliding pitch, falling 6 dB an octave and shaped by three
    formants; breath; pauses.
    """
    parts: list[np.ndarray] = []
    while sum(len(part) for part in parts) < seconds * RATE:
        count = int(chance.uniform(0.06, 0.35) * RATE)
        at = np.arange(count) / RATE
        pitch = chance.uniform(85, 260) * (1.0 + chance.uniform(-0.25, 0.25) * at)
        turns = 2 * np.pi * np.cumsum(pitch) / RATE
        formants = (chance.uniform(300, 850), chance.uniform(900, 2300), chance.uniform(2300, 3100))
        wave = np.zeros(count)
        for harmonic in range(1, int(3400 / pitch.max()) + 1):
            hz = harmonic * pitch.mean()
            near = [1.0 / np.hypot(1.0, (hz - formant) / 60.0) for formant in formants]
            gain = sum(near) * 500.0 / (hz + 200.0)
            wave += gain * np.sin(harmonic * turns + chance.uniform(0, 6.28))
        wave *= np.sin(np.pi * np.arange(count) / count) ** 0.5
        wave += chance.normal(0, 0.05, count)
        parts += [wave, np.zeros(int(chance.exponential(0.05) * RATE))]
    whole = np.concatenate(parts)[: seconds * RATE]
    return (whole / np.abs(whole).max() * 20000).astype(np.int16)


def test_ten_minutes_of_speech() -> None:
    """Harder than recorded or espeak speech (0 in 3 h there): vowels of little but two partials.
    multimon-ng hears six digits in these ten minutes.
    """
    found = [keys(speech(60, np.random.default_rng(seed))) for seed in range(10)]
    assert len("".join(found)) <= 2


def test_digits_over_speech_on_the_far_end_are_heard() -> None:
    """Somebody talks in the room 18 dB below the digits."""
    audio = message(50, 50, -9.0)
    talk = impairments.level(speech(4, np.random.default_rng(9)), -25.0)
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
