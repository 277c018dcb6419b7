"""Everything that is heard on many lines at once, in windows of 20 ms at a hop of 10 ms.

`ToneBank.feed` takes int16 audio of all lines, or of those named, in whole blocks of 80 samples;
`ear.Ear` is one line and takes audio in any pieces. Events do not depend on how audio was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.tones.digits import FREQUENCIES_HZ, DigitMachine, Windows
from protocols.tones.elements import Heard
from protocols.tones.fsk import FskMachine
from protocols.tones.listening import CENTRE, Listen
from protocols.tones.progress import BAND_HZ, ProgressMachine, Sounding
from protocols.tones.pulses import FREQUENCIES_HZ as PULSE_HZ
from protocols.tones.pulses import PulseMachine
from protocols.tones.spectrum import (
    ENERGY_WEIGHTS,
    HOP,
    HOP_MS,
    WINDOW,
    Floats,
    WindowsOf,
    folded,
)
from protocols.tones.steady import ToneMachine
from protocols.tones.synthesis import FULL_SCALE_DBM0

Samples = NDArray[np.int16]
Lines = Sequence[int] | NDArray[np.intp]
_SOUND_POWER: Final = 32767.0**2 / 2.0 * 10.0 ** ((-40.0 - FULL_SCALE_DBM0) / 10.0)
_CHUNK: Final = 4 * HOP
"""Longer audio is taken in pieces, so that the work stays in the processor's cache."""
_SOME_LINES: Final = 512
"""Lines fitted at once: what they need stays in the processor's cache."""
_OLDER, _NEWER = ENERGY_WEIGHTS[:HOP].copy(), ENERGY_WEIGHTS[HOP:].copy()
_BAND_SHARE: Final = 1.5 * 0.8
"""Fits at every 50 Hz see each tone one and a half times."""


class _Audio:
    """The samples of windows, for those who look twice at a few lines."""

    def __init__(self, carry: Samples, samples: Samples) -> None:
        self._carry, self._samples = carry, samples

    def at(self, hop: int) -> WindowsOf:
        """Gives the windows of a hop, for the rows asked for."""

        def windows(rows: NDArray[np.intp]) -> Floats:
            end = (hop + 1) * HOP
            first = self._carry[rows] if not hop else self._samples[rows, end - WINDOW : end - HOP]
            both = (first, self._samples[rows, end - HOP : end])
            return np.concatenate(both, axis=1, dtype=np.float32)

        return windows


class ToneBank:
    """`lines` lines that listen for the same things. Each has its own time, from 0 at `reset`.

    A feed of some lines only does not touch the others: their time stands still.
    """

    def __init__(self, lines: int, listen: Listen = CENTRE) -> None:
        self.lines = lines
        self.listen = listen
        self._carry = np.zeros((lines, HOP), np.int16)
        self._latter = np.zeros(lines, np.float32)
        self._clock = np.zeros(lines, np.int64)
        self._digits = DigitMachine(lines) if listen.digits else None
        self._tones = ToneMachine(lines, listen.tones_hz) if listen.tones_hz else None
        wanted = list(FREQUENCIES_HZ)
        self._pulses = PulseMachine(lines) if listen.pulses else None
        self._pulse_part = slice(len(wanted), len(wanted) + len(PULSE_HZ))
        if self._pulses is not None:
            wanted += PULSE_HZ
        leaning = list(wanted) if listen.digits or listen.pulses else []
        self._tone_part = slice(len(wanted), len(wanted))
        if self._tones is not None:
            wanted += self._tones.frequencies_hz
            self._tone_part = slice(self._tone_part.start, len(wanted))
        self._fsk = FskMachine(lines, listen.fsk) if listen.fsk else None
        self._fsk_part = slice(len(wanted), len(wanted))
        if self._fsk is not None:
            wanted += self._fsk.frequencies_hz
            self._fsk_part = slice(self._fsk_part.start, len(wanted))
        self._band = slice(len(wanted), len(wanted) + len(BAND_HZ))
        self._progress: list[ProgressMachine] = []
        if listen.progress:
            wanted += BAND_HZ
            self._progress = [ProgressMachine(listen.dial_tone_ms) for _ in range(lines)]
        self._matrix = folded(wanted, leaning)
        self._wanted, self._leaning = len(wanted), len(leaning)

    def reset(self, line: int) -> None:
        """A new call on this line: silence before it, time 0."""
        self._carry[line] = 0
        self._latter[line] = 0.0
        self._clock[line] = 0
        if self._digits is not None:
            self._digits.reset(line)
        if self._tones is not None:
            self._tones.reset(line)
        if self._pulses is not None:
            self._pulses.reset(line)
        if self._fsk is not None:
            self._fsk.reset(line)
        if self._progress:
            self._progress[line].reset()

    def dialled(self, line: int) -> None:
        """This line has dialled: ringing is expected now, a dial tone only if it does not end."""
        if self._progress:
            self._progress[line].dialled()

    def now_ms(self, line: int) -> int:
        """How much audio this line was given."""
        return int(self._clock[line])

    def feed(self, samples: Samples, lines: Lines | None = None) -> list[tuple[int, Heard]]:
        """`samples` (lines, n * 80): a row for each of `lines` (each named once; None: all).

        Returns (line, Heard) in order of time within each line. Raises ValueError for other shapes.
        """
        which = None if lines is None else np.asarray(lines, np.intp)
        rows = self.lines if which is None else len(which)
        if samples.ndim != 2 or samples.shape[0] != rows or samples.shape[1] % HOP:
            raise ValueError(f"audio of shape {samples.shape}: wanted ({rows}, n * {HOP})")
        if not samples.size:
            return []
        heard: list[tuple[int, Heard]] = []
        for begin in range(0, samples.shape[1], _CHUNK):
            heard += self._feed(samples[:, begin : begin + _CHUNK], which)
        return heard

    def _feed(self, samples: Samples, which: NDArray[np.intp] | None) -> list[tuple[int, Heard]]:
        """A few windows of each line: fitted together, judged in order of time."""
        carry = self._carry if which is None else self._carry[which]
        latter = self._latter if which is None else self._latter[which]
        fit, energy, latter = self._fit(carry, samples, latter)
        recent = samples[:, -HOP:].copy()
        if which is None:
            self._carry, self._latter = recent, latter
        else:
            self._carry[which], self._latter[which] = recent, latter
        hops = len(energy)
        clock = self._clock if which is None else self._clock[which]
        now_ms = clock + HOP_MS * np.arange(1, hops + 1)[:, None]
        if which is None:
            self._clock = now_ms[-1].copy()
        else:
            self._clock[which] = now_ms[-1]
        audio = _Audio(carry, samples)
        return self._windows(
            fit.reshape(*fit.shape[:2], -1), audio, energy.reshape(-1), which, now_ms
        )

    def _fit(
        self, carry: Samples, samples: Samples, latter: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Fits (2, rows of the matrix, hops, lines), mean powers (hops, lines), and what is known
        of the next mean power already; `carry`, `latter`: what the feed before left.
        """
        rows, hops = len(samples), samples.shape[1] // HOP
        energy = np.empty((hops, rows), np.float32)
        fit = np.empty((*self._matrix.shape[:2], hops, rows), np.float32)
        left = np.empty(rows, np.float32)
        for begin in range(0, rows, _SOME_LINES):
            some = slice(begin, begin + _SOME_LINES)
            older, known = carry[some].astype(np.float32), latter[some]
            fold = np.empty((2, *older.shape), np.float32)
            for hop in range(hops):
                newer = samples[some, hop * HOP : (hop + 1) * HOP].astype(np.float32)
                mirrored = older[:, ::-1].copy()
                np.add(newer, mirrored, out=fold[0])
                np.subtract(newer, mirrored, out=fold[1])
                np.matmul(self._matrix, fold.transpose(0, 2, 1), out=fit[:, :, hop, some])
                square = np.multiply(newer, newer, out=mirrored)
                np.add(known, square @ _NEWER, out=energy[hop, some])
                older, known = newer, square @ _OLDER
            left[some] = known
        return fit, energy, left

    def _windows(
        self,
        fit: Floats,
        audio: _Audio,
        energy: Floats,
        which: NDArray[np.intp] | None,
        now_ms: NDArray[np.int64],
    ) -> list[tuple[int, Heard]]:
        count, some = self._wanted, self._leaning
        power = fit[0, :count] * fit[0, :count]
        power += fit[1, :count] * fit[1, :count]
        lean = fit[0, :some] * fit[0, count : count + some]
        lean += fit[1, :some] * fit[1, count : count + some]
        digits = Windows(power[:8], lean[:8], energy) if self._digits is not None else None
        rows = power[:4].max(axis=0)
        tones = None
        if self._tones is not None:
            tones = self._tones.looked(power[self._tone_part], energy, rows)
        heard: list[list[tuple[int, Heard]]] = [[] for _ in now_ms]
        count = now_ms.shape[1]
        for hop, clock in enumerate(now_ms):
            part = slice(hop * count, (hop + 1) * count)
            if self._digits is not None and digits is not None:
                self._digits.step(digits, hop, which, clock)
            known: NDArray[np.bool_] | None = None
            if self._tones is not None and tones is not None:
                told, known = self._tones.step(tones, hop, audio.at(hop), which, clock)
                heard[hop] += told
            if self._pulses is not None:
                bins = self._pulse_part
                heard[hop] += self._pulses.step(
                    power[bins, part], lean[bins, part], energy[part], audio.at(hop), which, clock
                )
            if self._fsk is not None:
                bins = self._fsk_part
                heard[hop] += self._fsk.step(
                    power[bins, part], energy[part], audio.at(hop), which, clock
                )
            if self._progress:
                heard[hop] += self._cadence(power[:, part], energy[part], known, which, clock)
        for hop, line, digit in self._digits.told() if self._digits is not None else ():
            heard[hop].append((line, digit))
        return [one for told in heard for one in told]

    def _cadence(
        self,
        power: Floats,
        energy: Floats,
        known: NDArray[np.bool_] | None,
        which: NDArray[np.intp] | None,
        clock: NDArray[np.int64],
    ) -> list[tuple[int, Heard]]:
        loud = energy > _SOUND_POWER
        exchange = loud & (power[self._band].sum(axis=0) > _BAND_SHARE * energy)
        other = loud & ~exchange
        # A digit or a handshake is not a voice.
        other &= power[:4].max(axis=0) + power[4:8].max(axis=0) < 0.5 * energy
        if known is not None:
            other &= ~known
        heard: list[tuple[int, Heard]] = []
        for at in range(len(energy)):
            line = at if which is None else int(which[at])
            sounding = Sounding(bool(exchange[at]), bool(other[at]))
            heard += (
                (line, event) for event in self._progress[line].step(sounding, int(clock[at]))
            )
        return heard
