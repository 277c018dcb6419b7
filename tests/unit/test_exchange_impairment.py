"""Each dial of the simulated line does what it says, measured, and in its own direction only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hil.drivers.exchange_impairment import Dials, SimulatedLine
from hil.drivers.exchange_tones import rms
from protocols.tones.elements import FRAME_SAMPLES, RATE_HZ
from protocols.tones.g711 import Law, passed
from protocols.tones.synthesis import COLUMNS_HZ, ROWS_HZ, amplitude

Wave = npt.NDArray[Any]
SECONDS = 4
SETTLED = 1600
"""Samples until filters are full."""


def tone(*hz: float, dbm0: float = -15.0, seconds: float = SECONDS) -> Wave:
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave = sum(np.sin(2 * np.pi * each * at + place) for place, each in enumerate(hz))
    return np.rint(amplitude(dbm0) * wave).astype(np.int16)


def through(line: SimulatedLine, a: Wave, b: Wave | None = None) -> tuple[Wave, Wave]:
    """(what A hears, what B hears)."""
    b = np.zeros(len(a), np.int16) if b is None else b
    heard = [
        line.step(a[at : at + FRAME_SAMPLES], b[at : at + FRAME_SAMPLES])
        for at in range(0, len(a), FRAME_SAMPLES)
    ]
    return np.concatenate([one for one, _ in heard]), np.concatenate([two for _, two in heard])


def level_db(wave: Wave, hz: float) -> float:
    """Of the sine of this frequency in it, re 1."""
    part = wave[SETTLED:].astype(float)
    at = np.arange(len(part)) / RATE_HZ
    window = np.hanning(len(part))
    found = 2 * abs(np.sum(part * window * np.exp(-2j * np.pi * hz * at))) / window.sum()
    return float(20 * np.log10(max(found, 1e-9)))


def both_ways(dials: Dials, check: Callable[[Wave, Wave], None], sent: Wave) -> None:
    """The dial in one direction, the other one untouched; then the other way round."""
    line = SimulatedLine(ab=dials, ba=Dials(), seed=5)
    to_a, to_b = through(line, sent, sent)
    check(sent, to_b)
    assert np.array_equal(to_a, sent)
    line = SimulatedLine(ab=Dials(), ba=dials, seed=5)
    to_a, to_b = through(line, sent, sent)
    check(sent, to_a)
    assert np.array_equal(to_b, sent)


@pytest.mark.parametrize("gain_db", [-20.0, -6.0, 6.0])
def test_level(gain_db: float) -> None:
    def check(sent: Wave, heard: Wave) -> None:
        assert level_db(heard, 1000) - level_db(sent, 1000) == pytest.approx(gain_db, abs=0.05)

    both_ways(Dials(gain_db=gain_db), check, tone(1000))


@pytest.mark.parametrize("twist_db", [-8.0, 4.0, 6.0])
def test_twist_of_every_pair_of_dtmf(twist_db: float) -> None:
    def check(sent: Wave, heard: Wave) -> None:
        rows = [level_db(heard, hz) - level_db(sent, hz) for hz in ROWS_HZ]
        columns = [level_db(heard, hz) - level_db(sent, hz) for hz in COLUMNS_HZ]
        for low in rows:
            for high in columns:
                assert high - low == pytest.approx(twist_db, abs=0.3)

    both_ways(Dials(twist_db=twist_db), check, tone(*ROWS_HZ, *COLUMNS_HZ, dbm0=-22.0))


def test_noise_of_a_level() -> None:
    def check(sent: Wave, heard: Wave) -> None:
        noise = heard.astype(float) - sent
        assert 20 * np.log10(noise.std() / rms(-40.0)) == pytest.approx(0, abs=0.2)

    both_ways(Dials(noise_dbm0=-40.0), check, tone(1000))


@pytest.mark.parametrize("snr_db", [12.0, 24.0])
def test_noise_below_the_signal(snr_db: float) -> None:
    def check(sent: Wave, heard: Wave) -> None:
        noise = (heard.astype(float) - sent)[SETTLED:]
        measured_db = 20 * np.log10(sent[SETTLED:].astype(float).std() / noise.std())
        assert measured_db == pytest.approx(snr_db, abs=0.3)

    both_ways(Dials(snr_db=snr_db), check, tone(697, 1209))


@pytest.mark.parametrize("shift_hz", [-7.0, 12.0])
def test_every_frequency_is_moved_and_leaves_no_image(shift_hz: float) -> None:
    def check(sent: Wave, heard: Wave) -> None:
        for hz in (697.0, 1633.0):
            moved = level_db(heard, hz + shift_hz)
            assert moved == pytest.approx(level_db(sent, hz), abs=0.2)
            assert level_db(heard, hz) < moved - 60
            assert level_db(heard, hz - shift_hz) < moved - 40  # the other sideband

    both_ways(Dials(shift_hz=shift_hz), check, tone(697, 1633))


@pytest.mark.parametrize(("letter", "law"), [("a", Law.A), ("u", Law.MU)])
def test_law(letter: str, law: Law) -> None:
    def check(sent: Wave, heard: Wave) -> None:
        assert np.array_equal(heard, passed(sent, law))
        assert not np.array_equal(heard, sent)

    both_ways(Dials(law=letter), check, tone(1000))


@pytest.mark.parametrize("echo_ms", [0, 35])
def test_each_end_hears_its_own_echo(echo_ms: int) -> None:
    sent, silence = tone(1000), np.zeros(SECONDS * RATE_HZ, np.int16)
    late = echo_ms * RATE_HZ // 1000
    line = SimulatedLine(ab=Dials(echo_db=-12.0, echo_ms=echo_ms), ba=Dials())
    to_a, to_b = through(line, sent)
    assert np.array_equal(to_b, sent)
    assert level_db(to_a, 1000) - level_db(sent, 1000) == pytest.approx(-12, abs=0.1)
    assert not to_a[:late].any()
    assert np.abs(to_a[late : late + 80]).max() > 0
    # B's own dial says nothing of an echo, A's is not heard by B
    to_a, to_b = through(SimulatedLine(ab=Dials(echo_db=-12.0), ba=Dials()), silence, sent)
    assert np.array_equal(to_a, sent)
    assert not to_b.any()


@pytest.mark.parametrize(("loss", "burst"), [(0.02, 1.0), (0.05, 4.0)])
def test_drop_outs_are_as_many_and_as_long_as_dialled(loss: float, burst: float) -> None:
    frames = 20_000
    sent = np.full(frames * FRAME_SAMPLES, 1000, np.int16)
    for ab, ba in (
        (Dials(loss=loss, burst=burst), Dials()),
        (Dials(), Dials(loss=loss, burst=burst)),
    ):
        line = SimulatedLine(ab=ab, ba=ba, seed=9)
        to_a, to_b = through(line, sent, sent)
        hit, spared = (to_b, to_a) if ab.loss else (to_a, to_b)
        assert np.array_equal(spared, sent)
        lost = hit[::FRAME_SAMPLES] == 0
        assert lost.mean() == pytest.approx(loss, rel=0.15)
        runs = np.sum(lost & ~np.roll(lost, 1))
        assert lost.sum() / runs == pytest.approx(burst, rel=0.15)
        assert (line.ab.lost + line.ba.lost) == lost.sum()


def test_a_lost_frame_may_be_concealed_by_the_one_before() -> None:
    sent = np.repeat(np.arange(1, 2001, dtype=np.int16), FRAME_SAMPLES)
    _, heard = through(
        SimulatedLine(ab=Dials(loss=0.1, conceal="repeat"), ba=Dials(), seed=2), sent
    )
    numbers = heard[::FRAME_SAMPLES]
    assert numbers[0] in (0, 1)
    assert np.all(np.diff(numbers) >= 0)
    assert 0.05 < np.mean(numbers[1:] == numbers[:-1]) < 0.15


def test_jitter_loses_what_comes_later_than_the_buffer_waits() -> None:
    sent = np.full(5000 * FRAME_SAMPLES, 1000, np.int16)

    def lost(jitter_ms: float) -> float:
        line = SimulatedLine(ab=Dials(jitter_ms=jitter_ms, buffer_ms=40), ba=Dials(), seed=4)
        to_a, to_b = through(line, sent, sent)
        assert np.array_equal(to_a, sent)
        return float(np.mean(to_b[::FRAME_SAMPLES] == 0))

    assert lost(40) == 0
    assert lost(50) == pytest.approx(0.2, abs=0.02)
    assert lost(80) == pytest.approx(0.5, abs=0.03)


def test_delay() -> None:
    sent = tone(1000, seconds=1)
    to_a, to_b = through(SimulatedLine(ab=Dials(delay_ms=60), ba=Dials()), sent, sent)
    assert np.array_equal(to_b[480:], sent[:-480])
    assert not to_b[:480].any()
    assert np.array_equal(to_a, sent)


def test_dials_turned_in_a_call_act_from_the_next_frame_on_both_ways() -> None:
    line = SimulatedLine()
    sent = tone(1000, seconds=1)
    through(line, sent, sent)
    line.dial(gain_db=-6.0)
    for heard in through(line, sent, sent):
        assert level_db(heard, 1000) - level_db(sent, 1000) == pytest.approx(-6, abs=0.05)
    line.cut = True
    assert not any(heard.any() for heard in through(line, sent, sent))


@pytest.mark.parametrize(
    "wrong", [{"law": "x"}, {"loss": 1.5}, {"burst": 0.5}, {"delay_ms": -1}, {"conceal": "music"}]
)
def test_a_dial_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"law|burst|delay|conceal"):
        Dials(**wrong)
