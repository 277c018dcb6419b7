"""What an exchange and people on the phone sound like: progress tones, playables, speech.

A `Sound` gives frames of 160 samples (int16, 8 kHz), one after another, for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from protocols.tones.elements import FRAME_SAMPLES, RATE_HZ, Playable, Progress
from protocols.tones.exchange import PLANS as PLAN_TABLES
from protocols.tones.exchange import ExchangeTone
from protocols.tones.synthesis import Player, amplitude

Pcm = npt.NDArray[np.int16]
Plan = dict[Progress, ExchangeTone]
SILENT_FRAME: Final[Pcm] = np.zeros(FRAME_SAMPLES, np.int16)
SILENT_FRAME.flags.writeable = False

PLANS: Final[dict[str, Plan]] = {
    **PLAN_TABLES,
    # a dial tone with a cadence, as Czech exchanges have it (users.md L3)
    "CZ": {
        **PLAN_TABLES["EU"],
        Progress.DIAL_TONE: ExchangeTone((425.0,), (330, 330, 660, 660)),
        Progress.BUSY: ExchangeTone((425.0,), (330, 330)),
        Progress.CONGESTION: ExchangeTone((425.0,), (165, 165)),
    },
}
"""Tones by country: what this exchange can play."""


class Sound(Protocol):
    """Something that can be heard."""

    def frame(self) -> Pcm:
        """The next 20 ms."""
        ...


def rms(level_dbm0: float) -> float:
    """Root mean square sample value of a signal of this level."""
    return float(amplitude(level_dbm0) / 2.0**0.5)


class Quiet:
    """Nothing."""

    def frame(self) -> Pcm:
        """20 ms of it."""
        return SILENT_FRAME


class Played:
    """Playables once, then silence; or an exchange tone for ever."""

    def __init__(self, what: ExchangeTone | Iterable[Playable]) -> None:
        self._player = Player()
        if isinstance(what, ExchangeTone):
            self._player.play_exchange(what)
        else:
            self._player.play(what)

    def frame(self) -> Pcm:
        """The next 20 ms."""
        return self._player.read(FRAME_SAMPLES)


class Voice:
    """Speech-like: a buzz of changing pitch through three formants that move with each syllable,
    hissed consonants between them, pauses between words. Same `seed`, same sound.
    """

    def __init__(self, seed: int = 0, level_dbm0: float = -18.0) -> None:
        self._dice = np.random.default_rng(seed)
        self._rms = rms(level_dbm0)
        self._rest = np.zeros(0, np.int16)

    def frame(self) -> Pcm:
        """The next 20 ms."""
        while len(self._rest) < FRAME_SAMPLES:
            self._rest = np.concatenate((self._rest, self._syllable()))
        out, self._rest = self._rest[:FRAME_SAMPLES], self._rest[FRAME_SAMPLES:]
        return out

    def _syllable(self) -> Pcm:
        dice = self._dice
        count = int(dice.uniform(0.09, 0.26) * RATE_HZ)
        pitch_hz = np.linspace(dice.uniform(90, 220), dice.uniform(90, 220), count)
        phase = np.cumsum(pitch_hz) / RATE_HZ
        formants_hz = (dice.uniform(300, 850), dice.uniform(900, 2200), dice.uniform(2300, 3000))
        wave = np.zeros(count)
        for harmonic in range(1, int(3400 / pitch_hz.min())):
            hz = harmonic * pitch_hz.mean()
            gain = sum(
                1 / (1 + ((hz - at) / width) ** 2) / (1 + number)
                for number, (at, width) in enumerate(zip(formants_hz, (60, 90, 140), strict=True))
            )
            wave += gain * np.sin(2 * np.pi * harmonic * phase + dice.uniform(0, 6.28))
        wave *= np.hanning(count)
        hiss = dice.standard_normal(int(dice.uniform(0.02, 0.08) * RATE_HZ))
        hiss = np.diff(hiss, prepend=0.0) * 0.2 * wave.std()
        pause = np.zeros(int(dice.uniform(0.0, 0.5) ** 2 * RATE_HZ))
        whole = np.concatenate((hiss, wave, pause))
        return _samples(whole * (self._rms / max(float(whole.std()), 1e-9)))


def _samples(wave: npt.NDArray[np.float64]) -> Pcm:
    return np.clip(np.rint(wave), -32768, 32767).astype(np.int16)
