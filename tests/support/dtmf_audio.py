"""Strings of DTMF digits as audio, each digit with phases of its own and each group with its own
offset; many strings at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protocols.tones.bank import ToneBank
from protocols.tones.elements import DTMF_SYMBOLS, DigitHeard
from protocols.tones.g711 import Law, passed
from protocols.tones.listening import Listen
from protocols.tones.synthesis import COLUMNS_HZ, KEYPAD, ROWS_HZ, amplitude

Samples = NDArray[np.int16]


def strings(count: int, chance: np.random.Generator, keys: int = 16) -> list[str]:
    """Random strings of keys."""
    return ["".join(chance.choice(list(DTMF_SYMBOLS), keys)) for _ in range(count)]


def played(
    texts: Sequence[str],
    chance: np.random.Generator,
    on_ms: int = 40,
    off_ms: int = 40,
    weaker_dbm0: float = -15.0,
    twist_db: float = 0.0,
    offsets: tuple[float, float] = (0.0, 0.0),
    snr_db: float | None = None,
    law: Law | None = None,
) -> Samples:
    """(texts, samples), texts of one length. `weaker_dbm0` is the level of the weaker tone;
    `offsets` are those of the low and the high group; noise is white, 0-4 kHz.
    """
    keys = np.array([[KEYPAD.index(key) for key in text] for text in texts])[..., None]
    at = np.arange(on_ms * 8) * (2.0 * np.pi / 8000.0)
    low = amplitude(weaker_dbm0 + max(0.0, -twist_db))
    high = amplitude(weaker_dbm0 + max(0.0, twist_db))
    tones = np.zeros((*keys.shape[:2], len(at)))
    for peak, hz, offset in (
        (low, np.array(ROWS_HZ)[keys // 4], offsets[0]),
        (high, np.array(COLUMNS_HZ)[keys % 4], offsets[1]),
    ):
        phase = chance.uniform(0.0, 2.0 * np.pi, keys.shape)
        tones += peak * np.sin(hz * (1.0 + offset) * at + phase)
    digits = np.pad(tones, ((0, 0), (0, 0), (0, off_ms * 8))).reshape(len(texts), -1)
    lead = int(chance.integers(1200, 1280))
    wave = np.pad(digits, ((0, 0), (lead, 1200 + -(lead + digits.shape[1] + 1200) % 80)))
    if snr_db is not None:
        power = (low**2 + high**2) / 2.0 * 10.0 ** (-snr_db / 10.0)
        wave += chance.normal(0.0, np.sqrt(power), wave.shape)
    audio = np.clip(np.round(wave), -32768, 32767).astype(np.int16)
    return audio if law is None else passed(audio, law)


def heard(rows: Samples) -> list[str]:
    """The keys of each row."""
    rows = np.pad(rows, ((0, 0), (0, 1600 + -rows.shape[1] % 80)))
    bank = ToneBank(len(rows), Listen(digits=True))
    found: list[list[str]] = [[] for _ in rows]
    for begin in range(0, rows.shape[1], 1600):
        for line, one in bank.feed(rows[:, begin : begin + 1600]):
            if isinstance(one, DigitHeard):
                found[line].append(one.key)
    return ["".join(keys) for keys in found]
