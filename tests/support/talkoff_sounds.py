"""What is on a line and is no digit: seeded sounds by class, int16 at 8 kHz, for talk-off.

Each generator takes seconds and chance; `scaled` makes samples of a wave. Made here, so that
nobody's recordings are needed; `speech` is voiced by formants, not by a speech engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
Wave = NDArray[np.float64]
Chance = np.random.Generator
RATE: Final = 8000


def scaled(wave: Wave, rms_dbfs: float = -18.0) -> Samples:
    """At one level over what sounds; peaks clip."""
    loud = wave[np.abs(wave) > 0.02 * np.abs(wave).max()] if len(wave) else wave
    gain = 32768.0 * 10.0 ** (rms_dbfs / 20.0) / (np.sqrt(np.mean(loud**2)) if len(loud) else 1.0)
    return np.clip(np.round(wave * gain), -32768, 32767).astype(np.int16)


def _joined(seconds: float, part: Callable[[], Wave]) -> Wave:
    """Parts one after another until there is enough."""
    wanted, have, parts = round(seconds * RATE), 0, list[Wave]()
    while have < wanted:
        parts.append(part())
        have += len(parts[-1])
    return np.concatenate(parts)[:wanted]


def _silence(seconds: float) -> Wave:
    return np.zeros(round(seconds * RATE))


def _sine(hz: float | Wave, count: int, chance: Chance) -> Wave:
    turns = np.cumsum(np.broadcast_to(hz, count)) * (2.0 * np.pi / RATE)
    return np.sin(turns + chance.uniform(0.0, 2.0 * np.pi))


def _swelling(count: int, rise_ms: float = 15.0) -> Wave:
    rise = min(count // 2, round(rise_ms * RATE / 1000.0))
    edge = np.sin(np.linspace(0.0, np.pi / 2.0, rise)) ** 2
    return np.concatenate((edge, np.ones(count - 2 * rise), edge[::-1]))


def _resonant(wave: Wave, hz: float, width_hz: float) -> Wave:
    """Through one resonance, by its impulse response."""
    at = np.arange(min(len(wave), round(3.0 * RATE / width_hz)))
    ring = np.exp(-np.pi * width_hz * at / RATE) * np.sin(2.0 * np.pi * hz * (at + 1) / RATE)
    size = 1 << (len(wave) + len(ring)).bit_length()
    both = np.fft.rfft(wave, size) * np.fft.rfft(ring, size)
    return np.fft.irfft(both, size)[: len(wave)]


def _pitch(count: int, chance: Chance, low_hz: float = 80.0, high_hz: float = 320.0) -> Wave:
    """Gliding, with vibrato and jitter."""
    at = np.arange(count) / RATE
    hz = np.exp(chance.uniform(np.log(low_hz), np.log(high_hz)))
    glide = 1.0 + chance.uniform(-0.3, 0.3) * at
    vibrato = 1.0 + chance.uniform(0, 0.03) * np.sin(2 * np.pi * chance.uniform(4.5, 7) * at)
    return (
        hz
        * glide
        * vibrato
        * (1.0 + 0.005 * np.interp(at, at[::80], chance.normal(size=len(at[::80]))))
    )


def _vowel(chance: Chance, seconds: float, low_hz: float = 80.0, high_hz: float = 320.0) -> Wave:
    """A glottal pulse train through three or four formants."""
    count = round(seconds * RATE)
    phase = np.cumsum(_pitch(count, chance, low_hz, high_hz)) / RATE
    pulse = np.diff(np.floor(phase), prepend=0.0)
    slow = np.exp(-np.arange(40) / chance.uniform(4.0, 12.0))
    wave = np.convolve(pulse, slow)[:count]
    total = np.zeros(count)
    formants = (
        (chance.uniform(270, 900), 60, 1.0),
        (chance.uniform(850, 2400), 80, 0.6),
        (chance.uniform(2300, 3000), 120, 0.3),
    )
    for hz, width_hz, gain in formants:
        part = _resonant(wave, hz, width_hz)
        total += gain * part / (np.abs(part).max() + 1e-9)
    return total * _swelling(count, chance.uniform(5.0, 40.0))


def _hiss(chance: Chance, seconds: float) -> Wave:
    count = round(seconds * RATE)
    wave = _resonant(chance.normal(size=count), chance.uniform(1500, 3500), 500.0)
    return 0.3 * wave / np.abs(wave).max() * _swelling(count)


def speech(seconds: float, chance: Chance) -> Wave:
    """Vowels, hisses, pauses."""

    def part() -> Wave:
        drawn = chance.random()
        if drawn < 0.7:
            return _vowel(chance, chance.uniform(0.06, 0.35))
        return (
            _hiss(chance, chance.uniform(0.04, 0.15))
            if drawn < 0.85
            else _silence(chance.exponential(0.15))
        )

    return _joined(seconds, part)


def singing(seconds: float, chance: Chance) -> Wave:
    """Held vowels of a high voice: few partials, long."""
    return _joined(seconds, lambda: _vowel(chance, chance.uniform(0.3, 1.2), 200.0, 900.0))


def babble(seconds: float, chance: Chance) -> Wave:
    """Six voices at once."""
    return np.sum([speech(seconds, chance) for _ in range(6)], axis=0)


def two_partial_vowels(seconds: float, chance: Chance) -> Wave:
    """Voiced harmonics of a gliding pitch, falling 6 dB an octave, shaped by three narrow formants:
    often little but two partials is left.
    """

    def part() -> Wave:
        count = int(chance.uniform(0.06, 0.35) * RATE)
        at = np.arange(count) / RATE
        pitch = chance.uniform(85, 260) * (1.0 + chance.uniform(-0.25, 0.25) * at)
        turns = 2 * np.pi * np.cumsum(pitch) / RATE
        formants = (chance.uniform(300, 850), chance.uniform(900, 2300), chance.uniform(2300, 3100))
        wave = np.zeros(count)
        for harmonic in range(1, int(3400 / pitch.max()) + 1):
            hz = harmonic * pitch.mean()
            gain = sum(1.0 / np.hypot(1.0, (hz - formant) / 60.0) for formant in formants)
            gain *= 500.0 / (hz + 200.0)
            wave += gain * np.sin(harmonic * turns + chance.uniform(0, 6.28))
        wave *= np.sin(np.pi * np.arange(count) / count) ** 0.5
        wave += chance.normal(0, 0.05, count)
        return np.concatenate((wave, _silence(chance.exponential(0.05))))

    return _joined(seconds, part)


def bare_two_partials(seconds: float, chance: Chance) -> Wave:
    """Nothing but two steady partials of one random pitch, one in each group's band."""

    def part() -> Wave:
        count = round(chance.uniform(0.05, 0.3) * RATE)
        pitch = chance.uniform(80, 400) * (1 + chance.uniform(-0.1, 0.1) * np.arange(count) / RATE)
        low = round(chance.uniform(650, 1000) / pitch[0])
        high = round(chance.uniform(1150, 1700) / pitch[0])
        wave = _sine(low * pitch, count, chance)
        wave += 10 ** (chance.uniform(-12, 3) / 20) * _sine(high * pitch, count, chance)
        wave *= _swelling(count, chance.uniform(5, 40))
        return np.concatenate((wave, _silence(chance.exponential(0.08))))

    return _joined(seconds, part)


def two_random_tones(seconds: float, chance: Chance) -> Wave:
    """Two unrelated sines, AM and FM upon them."""

    def part() -> Wave:
        count = round(chance.uniform(0.05, 0.4) * RATE)
        at = np.arange(count) / RATE
        wave = np.zeros(count)
        for low, high in ((500, 1100), (1000, 2000)):
            hz = chance.uniform(low, high)
            hz = hz + chance.uniform(0, 60) * np.sin(2 * np.pi * chance.uniform(1, 20) * at)
            depth = chance.uniform(0, 0.9)
            beat = 1.0 + depth * np.sin(2 * np.pi * chance.uniform(2, 40) * at)
            wave += 10 ** (chance.uniform(-10, 0) / 20) * beat * _sine(hz, count, chance)
        return np.concatenate((wave * _swelling(count), _silence(chance.exponential(0.05))))

    return _joined(seconds, part)


def multitone(seconds: float, chance: Chance) -> Wave:
    """Three to eight sines, each with its own AM and FM."""

    def part() -> Wave:
        count = round(chance.uniform(0.1, 0.6) * RATE)
        at = np.arange(count) / RATE
        wave = np.zeros(count)
        for _ in range(int(chance.integers(3, 9))):
            hz = np.exp(chance.uniform(np.log(200), np.log(3400)))
            hz = hz * (1 + 0.03 * np.sin(2 * np.pi * chance.uniform(1, 10) * at))
            beat = 1.0 + chance.uniform(0, 1) * np.sin(2 * np.pi * chance.uniform(1, 30) * at)
            wave += 10 ** (chance.uniform(-15, 0) / 20) * beat * _sine(hz, count, chance)
        return wave * _swelling(count)

    return _joined(seconds, part)


def chords(seconds: float, chance: Chance) -> Wave:
    """Music on hold: one to four notes at a time in equal temperament, falling harmonics."""

    def part() -> Wave:
        count = round(chance.choice([0.125, 0.25, 0.5, 1.0]) * RATE)
        at = np.arange(count) / RATE
        wave = np.zeros(count)
        rolloff, decay = chance.uniform(0.5, 3.0), chance.uniform(0.5, 8.0)
        for _ in range(int(chance.integers(1, 5))):
            note = 440.0 * 2 ** (int(chance.integers(-24, 25)) / 12)
            for number in range(1, int(min(3500 / note, 10)) + 1):
                wave += number**-rolloff * _sine(note * number, count, chance)
        return wave * np.exp(-decay * at) * _swelling(count, 4.0)

    return _joined(seconds, part)


def sweeps(seconds: float, chance: Chance) -> Wave:
    """One or two sines that glide through the band at any speed: sirens, whistles, chirps."""

    def part() -> Wave:
        count = round(chance.uniform(0.2, 4.0) * RATE)
        wave = np.zeros(count)
        for _ in range(int(chance.integers(1, 3))):
            wave += _sine(np.linspace(*chance.uniform(300, 3400, 2), count), count, chance)
        return wave

    return _joined(seconds, part)


def slow_pair_sweeps(seconds: float, chance: Chance) -> Wave:
    """Two sines that glide slowly, one through each group: the worst case of all sweeps."""

    def part() -> Wave:
        count = round(chance.uniform(1.0, 8.0) * RATE)
        low = _sine(np.linspace(*chance.uniform(600, 1000, 2), count), count, chance)
        return low + _sine(np.linspace(*chance.uniform(1100, 1750, 2), count), count, chance)

    return _joined(seconds, part)


def buzzers(seconds: float, chance: Chance) -> Wave:
    """Square, triangle and saw-tooth waves of any pitch, without the aliases."""

    def part() -> Wave:
        count = round(chance.uniform(0.08, 0.8) * RATE)
        hz = np.exp(chance.uniform(np.log(60), np.log(1200)))
        kind = int(chance.integers(3))
        step, power = ((2, 1.0), (2, 2.0), (1, 1.0))[kind]
        wave = np.zeros(count)
        for number in range(1, max(2, int(3600 / hz) + 1), step):
            wave += number**-power * np.sin(2 * np.pi * hz * number * np.arange(count) / RATE)
        return np.concatenate((wave, _silence(chance.exponential(0.05))))

    return _joined(seconds, part)


def clipped(seconds: float, chance: Chance) -> Wave:
    """Speech and music driven far into clipping."""
    wave = np.concatenate((speech(seconds / 2, chance), chords(seconds / 2, chance)))
    return np.clip(wave, *np.quantile(wave, (0.2, 0.8)))


def noises(seconds: float, chance: Chance) -> Wave:
    """White, pink, brown and band noise, steady and in bursts."""

    def part() -> Wave:
        count = round(chance.uniform(0.5, 3.0) * RATE)
        spectrum = np.fft.rfft(chance.normal(size=count))
        hz = np.fft.rfftfreq(count, 1 / RATE) + 20.0
        spectrum *= hz ** chance.choice([0.0, -0.5, -1.0])
        if chance.random() < 0.4:
            low, high = sorted(chance.uniform(300, 3400, 2))
            spectrum *= (hz > low) & (hz < high + 30)
        wave = np.fft.irfft(spectrum, count)
        if chance.random() < 0.3:
            wave = wave * (np.sin(2 * np.pi * chance.uniform(1, 12) * np.arange(count) / RATE) > 0)
        return wave / np.sqrt(np.mean(wave**2) + 1e-12)

    return _joined(seconds, part)


def hum(seconds: float, chance: Chance) -> Wave:
    """50 or 60 Hz and its harmonics, and the 20 or 25 Hz of a ringer."""

    def part() -> Wave:
        count = round(5.0 * RATE)
        hz = chance.choice([16.7, 20, 25, 50, 60, 100, 120]) * (1 + chance.uniform(-0.01, 0.01))
        wave = np.zeros(count)
        for number in range(1, int(min(3000 / hz, 60))):
            wave += number ** -chance.uniform(0.2, 1.5) * _sine(hz * number, count, chance)
        return wave

    return _joined(seconds, part)


EXCHANGE_HZ: Final[tuple[tuple[float, ...], ...]] = (
    (350, 440), (440, 480), (480, 620), (425,), (450,), (400,), (400, 450), (400, 425),
    (330, 440), (600, 120), (1400,), (950,), (1400,), (1800,), (985.2,), (1428.5,),
    (1776.7,), (913.8,), (1370.6,), (2100,), (1100,), (2130, 2750), (1400, 2060, 2450, 2600),
    (697, 940), (1050,), (2040, 2060), (540, 1140), (660, 1020),
)  # fmt: skip
"""Dial, ringing, busy, special information, fax, call waiting, howler."""
MULTI_FREQUENCY_HZ: Final = (
    (700, 900, 1100, 1300, 1500, 1700),
    (1380, 1500, 1620, 1740, 1860, 1980),
    (540, 660, 780, 900, 1020, 1140),
)
"""R1, R2 forward, R2 backward: two tones of one row at a time."""


def exchange_tones(seconds: float, chance: Chance) -> Wave:
    """Call progress of many countries, trunk signalling, fax, special information."""

    def part() -> Wave:
        if chance.random() < 0.5:
            hz: Sequence[float] = EXCHANGE_HZ[int(chance.integers(len(EXCHANGE_HZ)))]
            on, off = chance.uniform(0.1, 1.0), chance.uniform(0.05, 0.5)
        else:
            plan = MULTI_FREQUENCY_HZ[int(chance.integers(3))]
            hz = chance.choice(plan, 2, replace=False).tolist()
            on, off = chance.uniform(0.05, 0.15), 0.06
        count = round(on * RATE)
        wave = np.sum([_sine(one, count, chance) for one in hz], axis=0)
        return np.concatenate((wave, _silence(off)))

    return _joined(seconds, part)


def two_digits_at_once(seconds: float, chance: Chance) -> Wave:
    """Two different keys pressed together, or two lines that leak into each other, level within
    6 dB: no digit can be told.
    """
    rows, columns = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0, 1633.0)

    def part() -> Wave:
        count = round(chance.uniform(0.04, 0.15) * RATE)
        wave = np.zeros(count)
        low, high = chance.permutation(rows)[:2], chance.permutation(columns)[:2]
        for gain_db, one, other in zip((0.0, chance.uniform(-6, 0)), low, high, strict=True):
            pair = _sine(one, count, chance) + _sine(other, count, chance)
            wave += 10 ** (gain_db / 20) * pair
        return np.concatenate((wave, _silence(0.06)))

    return _joined(seconds, part)


def modems(seconds: float, chance: Chance) -> Wave:
    """FSK of V.21, Bell 103, Bell 202 and a fax's, random bits; scrambled carriers."""
    pairs = ((980, 1180), (1650, 1850), (1070, 1270), (2025, 2225), (1200, 2200), (1300, 2100))

    def part() -> Wave:
        one, other = pairs[int(chance.integers(len(pairs)))]
        bits = chance.integers(0, 2, 400)
        baud = 1200 if other > 2000 and one < 1500 else 300
        hz = np.repeat(np.where(bits, one, other), round(RATE / baud)).astype(np.float64)
        return _sine(hz, len(hz), chance)

    return _joined(seconds, part)


SOUNDS: Final[dict[str, Callable[[float, Chance], Wave]]] = {
    "formant speech": speech,
    "singing": singing,
    "babble of six": babble,
    "two-partial vowels": two_partial_vowels,
    "bare two partials": bare_two_partials,
    "two random tones, AM and FM": two_random_tones,
    "3 to 8 tones, AM and FM": multitone,
    "music chords": chords,
    "sweeps": sweeps,
    "slow sweeps of a pair": slow_pair_sweeps,
    "square, triangle, saw": buzzers,
    "clipped speech and music": clipped,
    "noise of all colours": noises,
    "hum and ringing": hum,
    "exchange and trunk tones": exchange_tones,
    "two digits at once": two_digits_at_once,
    "modems": modems,
}
"""By class. In the classes of two tones a few sounds are a DTMF pair by chance."""
