"""Bad lines as arithmetic: what each does to the audio of many calls at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from protocols.tones.elements import RATE_HZ, Digits
from protocols.tones.synthesis import amplitude, render

Waves = NDArray[np.float32]
KEYS = "0123456789*#ABC"
LEVEL_DBM0 = -9.0
RMS = amplitude(LEVEL_DBM0)
"""Of both tones of a digit together; a single tone is 3 dB weaker."""
BEGINS = 1600
"""Samples of silence before a message."""
REST = 5000
"""And behind it, at least."""
DTMF_BLOCK = 12_800


class Dice:
    """Seeded chance, of both kinds."""

    def __init__(self, seed: int) -> None:
        self.plain = random.Random(seed)
        self.waves = np.random.default_rng(seed)

    def places(self, wave: Waves, mean: float) -> list[int]:
        """Sample positions within a message, about `mean` in the time of 16 DTMF digits."""
        end = wave.shape[1] - REST
        count = int(self.waves.poisson(mean * (end - BEGINS) / DTMF_BLOCK))
        return self.waves.integers(BEGINS, end, count).tolist()


def hiss(wave: Waves, dice: Dice, snr_db: float) -> Waves:
    """White noise over 0-4 kHz below the digits."""
    size = np.float32(RMS * 10 ** (-snr_db / 20))
    return wave + size * dice.waves.standard_normal(wave.shape, np.float32)


def crackle(wave: Waves, dice: Dice, level_db: float) -> Waves:
    """Bursts of noise of 10 to 120 ms."""
    for row in wave:
        for at in dice.places(wave, 3):
            part = row[at : at + int(dice.waves.integers(80, 960))]
            part += RMS * 10 ** (level_db / 20) * dice.waves.standard_normal(len(part))
    return wave


def packets(wave: Waves, dice: Dice, loss: float, conceal: str) -> Waves:
    """20 ms packets lost: silence instead, or the one before again, up to three times."""
    frames = wave.reshape(len(wave), -1, 160)
    lost = dice.waves.random(frames.shape[:2]) < loss
    for row, at in np.argwhere(lost).tolist():
        repeats = conceal == "repeat" and at > 3 and not lost[row, at - 3 : at].all()
        frames[row, at] = frames[row, at - 1] if repeats else 0.0
    return wave


def slips(wave: Waves, dice: Dice) -> Waves:
    """A jitter buffer that drops 20 ms here and puts in 20 ms there."""
    for row in wave:
        for at in dice.places(wave, 2):
            if dice.plain.random() < 0.5:
                row[at:-160] = row[at + 160 :].copy()
            else:
                row[at + 160 :] = row[at:-160].copy()
    return wave


def breaks(wave: Waves, dice: Dice, longest_ms: int) -> Waves:
    """Holes of 20 ms and more."""
    for row in wave:
        for at in dice.places(wave, 1.5):
            row[at : at + int(dice.waves.integers(160, 8 * longest_ms))] = 0.0
    return wave


def late_talker(wave: Waves, dice: Dice) -> Waves:
    """The line opens within the block."""
    for row, ends in zip(
        wave, dice.waves.integers(BEGINS, wave.shape[1] - REST, len(wave)), strict=True
    ):
        row[:ends] = 0.0
    return wave


def echo(wave: Waves, dice: Dice, ms: int, level_db: float) -> Waves:
    """The line's own voice again."""
    back = np.zeros_like(wave)
    back[:, 8 * ms :] = wave[:, : -8 * ms] * np.float32(10 ** (level_db / 20))
    return wave + back


def crosstalk(wave: Waves, dice: Dice, level_db: float) -> Waves:
    """Another panel's digits on the same wire, at its own rhythm."""
    others = [_other(on_ms) for on_ms in (45, 50, 50, 50, 60)]
    for row in wave:
        other = others[dice.plain.randrange(len(others))]
        begin = dice.plain.randrange(len(other) - wave.shape[1])
        row += np.float32(10 ** (level_db / 20)) * other[begin : begin + wave.shape[1]]
    return wave


@cache
def _other(on_ms: int) -> Waves:
    keys = random.Random(on_ms).choices(KEYS, k=2000)
    return render(Digits("".join(keys), on_ms, on_ms), LEVEL_DBM0).astype(np.float32)


def talk_over(wave: Waves, dice: Dice, level_db: float) -> Waves:
    """Somebody speaks into the digits."""
    voice = _voice()
    for row in wave:
        begin = dice.plain.randrange(len(voice) - wave.shape[1])
        row += np.float32(10 ** (level_db / 20)) * voice[begin : begin + wave.shape[1]]
    return wave


@cache
def _voice() -> Waves:
    """Minutes of vowels that come and go: harmonics under moving formants."""
    dice = np.random.default_rng(8)
    count = RATE_HZ * 120
    at = np.arange(count) / RATE_HZ
    knots = np.arange(0, 121, 0.4)
    pitch = np.interp(at, knots, dice.uniform(90, 280, len(knots)))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    formants = [np.interp(at, knots, dice.uniform(low, high, len(knots))) for low, high in
                ((250, 900), (800, 2300), (2000, 3200))]  # fmt: skip
    wave = np.zeros(count)
    for harmonic in range(1, 25):
        hz = harmonic * pitch
        size = sum(1 / (1 + ((hz - formant) / 90) ** 2) for formant in formants)
        wave += size * (hz < 3600) * np.sin(harmonic * phase)
    wave *= np.interp(at, knots, dice.uniform(0, 1, len(knots)))
    scaled: Waves = (wave * RMS / np.sqrt(np.mean(wave**2))).astype(np.float32)
    return scaled


LINES: dict[str, Callable[[Waves, Dice], Waves]] = {
    "noise 2 dB": partial(hiss, snr_db=2),
    "noise 1 dB": partial(hiss, snr_db=1),
    "crackle": partial(crackle, level_db=3),
    "loud crackle": partial(crackle, level_db=12),
    "10 % of packets lost": partial(packets, loss=0.1, conceal="zero"),
    "10 % concealed": partial(packets, loss=0.1, conceal="repeat"),
    "25 % concealed": partial(packets, loss=0.25, conceal="repeat"),
    "slips": slips,
    "breaks": partial(breaks, longest_ms=120),
    "long breaks": partial(breaks, longest_ms=600),
    "opens late": late_talker,
    "echo 60 ms": partial(echo, ms=60, level_db=-4),
    "echo 75 ms": partial(echo, ms=75, level_db=-6),
    "echo 100 ms": partial(echo, ms=100, level_db=-3),
    "crosstalk -12 dB": partial(crosstalk, level_db=-12),
    "crosstalk -6 dB": partial(crosstalk, level_db=-6),
    "crosstalk 0 dB": partial(crosstalk, level_db=0),
    "talk -8 dB": partial(talk_over, level_db=-8),
    "talk 0 dB": partial(talk_over, level_db=0),
}
