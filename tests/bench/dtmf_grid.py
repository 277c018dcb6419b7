"""P8: digit errors on the grid, ours and the peers on the same audio; and what must be refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.tones.bank import ToneBank
from protocols.tones.elements import DTMF_SYMBOLS, DigitHeard
from protocols.tones.listening import Listen
from protocols.tones.synthesis import COLUMNS_HZ, KEYPAD, ROWS_HZ
from tests.support import tone_peers

Samples = NDArray[np.int16]
SYMBOLS = 16
EDGE = 1200
"""Samples of silence (with noise) before and after each string."""
RMS = 32768.0 * 10.0 ** (-15.0 / 20.0)


@dataclass(frozen=True, slots=True)
class Condition:
    """SNR over 0-4 kHz, None: no noise; twist is high minus low group; offset is a ratio."""

    name: str
    snr_db: float | None = None
    twist_db: float = 0.0
    offset: float = 0.0


GRID = (
    Condition("clean"),
    Condition("SNR 30 dB", 30.0),
    Condition("SNR 20 dB", 20.0),
    Condition("SNR 15 dB", 15.0),
    Condition("SNR 10 dB", 10.0),
    Condition("SNR 6 dB", 6.0),
    Condition("twist +4, SNR 20", 20.0, 4.0),
    Condition("twist -4, SNR 20", 20.0, -4.0),
    Condition("twist +8, SNR 20", 20.0, 8.0),
    Condition("twist -8, SNR 20", 20.0, -8.0),
    Condition("offset +1.5 %, SNR 20", 20.0, 0.0, 0.015),
    Condition("offset -1.5 %, SNR 20", 20.0, 0.0, -0.015),
    Condition("offset +1.5 %, twist -4, SNR 15", 15.0, -4.0, 0.015),
    Condition("twist -8, SNR 10", 10.0, -8.0),
)
BEYOND = (
    Condition("SNR 3 dB", 3.0),
    Condition("offset +1.8 %, twist +6, SNR 12", 12.0, 6.0, 0.018),
    Condition("offset -1.8 %, twist -8, SNR 12", 12.0, -8.0, -0.018),
)
REFUSED = tuple(
    Condition(f"offset {offset:+.1f} %, SNR 20", 20.0, 0.0, offset / 100.0)
    for offset in (2.5, -2.5, 3.5, -3.5)
)
LENGTHS_MS = (50, 40)


def strings(count: int, chance: np.random.Generator) -> list[str]:
    """`count` random strings of 16 keys."""
    keys = list(DTMF_SYMBOLS)
    return ["".join(chance.choice(keys, SYMBOLS)) for _ in range(count)]


def audio(texts: list[str], ms: int, condition: Condition, chance: np.random.Generator) -> Samples:
    """(strings, samples): each digit with its own phases, `ms` on and off."""
    on = ms * 8
    pair = 10.0 ** (condition.twist_db / 20.0)
    low_rms = RMS / np.sqrt(1.0 + pair * pair)
    at = np.arange(on) * (2.0 * np.pi / 8000.0 * (1.0 + condition.offset))
    keys = np.array([[KEYPAD.index(key) for key in text] for text in texts])
    shape = (*keys.shape, 1)
    low = np.array(ROWS_HZ)[keys // 4][..., None] * at + chance.uniform(0, 2 * np.pi, shape)
    high = np.array(COLUMNS_HZ)[keys % 4][..., None] * at + chance.uniform(0, 2 * np.pi, shape)
    tones = np.sqrt(2.0) * low_rms * (np.sin(low) + pair * np.sin(high))
    digits = np.concatenate((tones, np.zeros_like(tones)), axis=2).reshape(len(texts), -1)
    wave = np.pad(digits, ((0, 0), (EDGE, EDGE + (-digits.shape[1]) % 80)))
    if condition.snr_db is not None:
        wave += chance.normal(0.0, RMS * 10.0 ** (-condition.snr_db / 20.0), wave.shape)
    return np.clip(np.round(wave), -32768, 32767).astype(np.int16)


def ours(rows: Samples) -> str:
    """All digits, string after string."""
    rows = rows[:, : rows.shape[1] // 80 * 80]
    bank = ToneBank(len(rows), Listen(digits=True))
    found: list[list[str]] = [[] for _ in rows]
    quiet = np.zeros((len(rows), 800), np.int16)
    for piece in (rows, quiet):
        for line, heard in bank.feed(piece):
            if isinstance(heard, DigitHeard):
                found[line].append(heard.key)
    return "".join(key for line in found for key in line)


DECODERS = {
    "tocsin": ours,
    "multimon-ng": lambda rows: tone_peers.multimon(rows.reshape(-1)),
    "spandsp": lambda rows: tone_peers.spandsp_digits(rows.reshape(-1)),
    "pydtmf": lambda rows: tone_peers.pydtmf(rows.reshape(-1)),
}


def distance(one: str, other: str) -> int:
    """Levenshtein."""
    a, b = np.frombuffer(one.encode(), np.uint8), np.frombuffer(other.encode(), np.uint8)
    steps = np.arange(len(b) + 1)
    row = steps.copy()
    for at, char in enumerate(a, 1):
        best = np.minimum(row[:-1] + (b != char), row[1:] + 1)
        row = np.concatenate(([at], best))
        row = np.minimum.accumulate(row - steps) + steps
    return int(row[-1])


def cell(
    condition: Condition, ms: int, count: int, names: list[str], seed: int
) -> dict[str, float]:
    """Digit errors in percent by decoder."""
    chance = np.random.default_rng(seed)
    texts = strings(count, chance)
    rows = audio(texts, ms, condition, chance)
    truth = "".join(texts)
    return {name: 100.0 * distance(truth, DECODERS[name](rows)) / len(truth) for name in names}


def accepted(
    condition: Condition, ms: int, count: int, names: list[str], seed: int
) -> dict[str, float]:
    """Digits heard in percent of those played, for what ought to be refused."""
    chance = np.random.default_rng(seed)
    rows = audio(strings(count, chance), ms, condition, chance)
    return {name: 100.0 * len(DECODERS[name](rows)) / (count * SYMBOLS) for name in names}
