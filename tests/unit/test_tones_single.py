"""Handshake, kiss-off, call progress, pulses and FSK as one line hears them; G.711 by its table."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.tones import impairments
from protocols.tones.bank import ToneBank
from protocols.tones.ear import Ear
from protocols.tones.elements import (
    Digits,
    Fsk,
    FskHeard,
    FskKind,
    Heard,
    Playable,
    Progress,
    ProgressHeard,
    PulseDigitHeard,
    Pulses,
    Silence,
    Tone,
    ToneHeard,
)
from protocols.tones.exchange import PLANS
from protocols.tones.g711 import Law, decode, encode, passed
from protocols.tones.impairments import Samples
from protocols.tones.listening import CENTRE, PANEL, Listen
from protocols.tones.synthesis import Player, render, render_exchange
from tests.support.talkoff_sounds import SOUNDS, scaled

HANDSHAKE: list[Playable] = [Tone(1400, 100), Silence(100), Tone(2300, 100)]


def noisy(audio: Samples, level_dbm0: float = -50.0) -> Samples:
    return impairments.noise_floor(audio, level_dbm0, np.random.default_rng(2))


def tones(heard: list[Heard]) -> list[ToneHeard]:
    return [one for one in heard if isinstance(one, ToneHeard)]


@pytest.mark.parametrize("offset", [-0.05, -0.03, 0.0, 0.03, 0.05])
@pytest.mark.parametrize("level_dbm0", [-35.0, -12.0, 0.0])
@pytest.mark.parametrize("shift", [0, 33])
def test_handshake_within_five_percent(offset: float, level_dbm0: float, shift: int) -> None:
    quiet = Silence(300)
    audio = render([quiet, *HANDSHAKE, quiet], level_dbm0, 0.0, offset)
    audio = noisy(np.concatenate((np.zeros(shift, np.int16), audio)), -60.0)
    found = tones(Ear(PANEL).feed(audio))
    assert [(one.hz, one.on) for one in found] == [
        (1400, True),
        (1400, False),
        (2300, True),
        (2300, False),
    ]
    for told, wanted_ms in zip(found, (None, 400, None, 600), strict=True):
        if wanted_ms is None:
            assert 35 <= told.lasted_ms <= 60
        else:
            assert abs(told.at_ms - (wanted_ms + shift / 8)) <= 4
            assert abs(told.lasted_ms - 100) <= 5


@pytest.mark.parametrize("offset", [-0.08, -0.06, 0.06, 0.08])
def test_a_tone_of_the_wrong_pitch_is_none(offset: float) -> None:
    audio = render([Silence(300), *HANDSHAKE, Tone(1400, 850), Silence(300)], -12.0, 0.0, offset)
    assert not tones(Ear(PANEL).feed(noisy(audio)))


@pytest.mark.parametrize("lasted_ms", [100, 399, 400, 850, 1000])
def test_a_kiss_off_is_measured(lasted_ms: int) -> None:
    ear = Ear(PANEL)
    audio = render([Silence(203), Tone(1400, lasted_ms), Silence(300)], -20.0)
    end = tones(ear.feed(noisy(audio)))[-1]
    assert not end.on
    assert abs(end.lasted_ms - lasted_ms) <= 6


@pytest.mark.parametrize("span_hz", [(1300.0, 1500.0), (1480.0, 1320.0), (2150.0, 2450.0)])
def test_a_whistle_that_glides_through_is_no_kiss_off(span_hz: tuple[float, float]) -> None:
    """It is inside the band for a second, but nowhere long."""
    hz = np.interp(np.arange(11200) / 11200.0, (0.0, 1.0), span_hz)
    wave = 8000.0 * np.sin(2.0 * np.pi * np.cumsum(hz) / 8000.0)
    quiet = np.zeros(2400)
    heard = Ear(PANEL).feed(noisy(np.concatenate((quiet, wave, quiet)).astype(np.int16)))
    assert max((one.lasted_ms for one in tones(heard)), default=0) < 600


@pytest.mark.parametrize(
    "name",
    ["formant speech", "singing", "babble of six", "two-partial vowels", "music chords", "modems"],
)
def test_two_minutes_of_voices_and_music_are_no_kiss_off(name: str) -> None:
    """A false kiss-off loses an alarm: nothing of them lasts 400 ms at 1400 Hz."""
    minutes = [scaled(SOUNDS[name](60.0, np.random.default_rng(seed))) for seed in range(2)]
    told = ToneBank(2, Listen(tones_hz=(1400, 2300))).feed(np.stack(minutes))
    found = [one for _, one in told if isinstance(one, ToneHeard) and one.hz == 1400]
    assert max((one.lasted_ms for one in found), default=0) < 400


@pytest.mark.parametrize("snr_db", [4.0, 6.0])
@pytest.mark.parametrize("offset", [-0.05, 0.0, 0.05])
def test_a_kiss_off_in_noise_is_long_enough(snr_db: float, offset: float) -> None:
    chance = np.random.default_rng(5)
    for _ in range(10):
        audio = render([Silence(203), Tone(1400, 850), Silence(300)], -25.0, 0.0, offset)
        end = tones(Ear(PANEL).feed(impairments.noise(audio, snr_db, chance)))[-1]
        assert end.hz == 1400
        assert abs(end.lasted_ms - 850) <= 120


@pytest.mark.parametrize("begin", range(0, 640, 80))
def test_a_lost_packet_does_not_cut_a_tone(begin: int) -> None:
    audio = render([Silence(200), Tone(1400, 100), Silence(200)], -12.0)
    audio[1600 + begin : 1760 + begin] = 0
    found = tones(Ear(PANEL).feed(noisy(audio, -60.0)))
    assert [one.on for one in found] == [True, False]


@pytest.mark.parametrize("loss_db", [6, 14, 25])
@pytest.mark.parametrize("twist_db", [-6.0, 0.0, 6.0])
@pytest.mark.parametrize("low_gain_db", [0.0, -6.0])
def test_an_echo_of_dialled_digits_is_no_handshake(
    loss_db: int, twist_db: float, low_gain_db: float
) -> None:
    """1336 and 1477 Hz lie within reach of 1400 Hz."""
    dialled = render(
        [Silence(100), Digits("1234567890*#ABCD", 60, 60), Silence(300)], -9.0, twist_db
    )
    back = impairments.twist(impairments.echo_alone(dialled, 35, loss_db), -low_gain_db)
    assert not tones(Ear(PANEL).feed(noisy(back, -55.0)))


@pytest.mark.parametrize("plan", ["CN", "EU", "US"])
@pytest.mark.parametrize(
    "state", [Progress.DIAL_TONE, Progress.RINGING, Progress.BUSY, Progress.CONGESTION]
)
@pytest.mark.parametrize("level_dbm0", [-25.0, -10.0])
def test_progress_by_cadence(plan: str, state: Progress, level_dbm0: float) -> None:
    ear = Ear(PANEL)
    ear.feed(render(Silence(300)))
    if state is not Progress.DIAL_TONE:
        ear.dialled()
    audio = noisy(render_exchange(PLANS[plan][state], 8000, level_dbm0), -50.0)
    told = [one for one in ear.feed(audio) if isinstance(one, ProgressHeard)]
    assert [one.progress for one in told] == [state]
    assert told[0].at_ms < 4000


def test_silence_and_voice() -> None:
    ear = Ear(PANEL)
    assert ear.feed(render(Silence(2500))) == [ProgressHeard(Progress.SILENCE, 2000)]
    at = np.arange(8000 * 2)
    talk = sum(np.sin(at * 2 * np.pi * hz / 8000) for hz in (180, 720, 1080, 1980, 2520))
    assert isinstance(talk, np.ndarray)
    told = ear.feed((talk * 2000 * (np.sin(at / 800) > -0.5)).astype(np.int16))
    assert [one.progress for one in told if isinstance(one, ProgressHeard)] == [Progress.VOICE]


@pytest.mark.parametrize("hz", [1800, 1900])
@pytest.mark.parametrize("per_s", [10, 20, 40])
@pytest.mark.parametrize("law", list(Law))
def test_pulse_digits(hz: int, per_s: int, law: Law) -> None:
    items: list[Playable] = [Silence(203)]
    for count in range(1, 16):
        items += [Pulses(count, hz, per_s), Silence(max(200, 2500 // per_s))]
    audio = passed(noisy(render([*items, Silence(200)], -20.0), -45.0), law)
    told = [one for one in Ear(CENTRE).feed(audio) if isinstance(one, PulseDigitHeard)]
    assert [(one.count, one.hz) for one in told] == [(count, hz) for count in range(1, 16)]


@pytest.mark.parametrize("kind", list(FskKind))
@pytest.mark.parametrize("baud", [110, 300])
@pytest.mark.parametrize("offset", [-0.01, 0.0, 0.01])
def test_fsk_bytes(kind: FskKind, baud: int, offset: float) -> None:
    data = bytes(range(256))[:: 3 if baud == 300 else 17]
    audio = noisy(
        render([Silence(203), Fsk(data, kind, baud), Silence(300)], -22.0, 0, offset), -45.0
    )
    told = Ear(Listen(fsk=((kind, 300), (kind, 110)))).feed(audio)
    found = [one for one in told if isinstance(one, FskHeard)]
    assert b"".join(one.data for one in found) == data
    assert {one.baud for one in found} == {baud}


@pytest.mark.parametrize("law", list(Law))
def test_g711_tables(law: Law) -> None:
    codes = np.arange(256, dtype=np.uint8)
    again = encode(decode(codes, law), law)
    # mu-law has two zeros.
    assert set(codes[again != codes].tolist()) <= {0x7F, 0xFF}
    samples = np.arange(-32768, 32768).astype(np.int16)
    out = passed(samples, law).astype(int)
    assert (np.diff(out) >= 0).all()
    inside = np.abs(samples.astype(int)) < 32000
    error = np.abs(out - samples.astype(int))[inside]
    assert (error <= np.maximum(16, np.abs(samples.astype(int))[inside] / 28)).all()


def test_g711_known_codes() -> None:
    """ITU-T G.711: silence and the largest values."""
    assert decode(b"\xd5\x55\xaa\x2a", Law.A).tolist() == [8, -8, 32256, -32256]
    assert decode(b"\xff\x80\x00", Law.MU).tolist() == [0, 32124, -32124]


def test_keys_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="no DTMF key"):
        render(Digits("12E"))
    player = Player()
    with pytest.raises(ValueError, match="no DTMF key"):
        player.play([Digits("x")])
    assert player.idle
