"""Everything that is heard on many lines at once, in windows of 20 ms at a hop of 10 ms.

`ToneBank.feed` takes int16 audio of all lines, or of those named, in whole blocks of 80 samples;
`Ear` is one line and takes audio in any pieces. Events do not depend on how audio was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.tones.digits import FREQUENCIES_HZ, DigitMachine
from protocols.tones.elements import Heard
from protocols.tones.listening import CENTRE, PANEL, Listen
from protocols.tones.spectrum import ENERGY_WEIGHTS, HOP, HOP_MS, WINDOW, columns

Samples = NDArray[np.int16]
Lines = Sequence[int] | NDArray[np.intp]
_LAG_MS: Final = 60
"""Everything told by a digit that ended is known this long after its end, at most."""


class ToneBank:
    """`lines` lines that listen for the same things. Each has its own time, from 0 at `reset`.

    A feed of some lines only does not touch the others: their time stands still.
    """

    def __init__(self, lines: int, listen: Listen = CENTRE) -> None:
        self.lines = lines
        self.listen = listen
        self._carry = np.zeros((lines, HOP), np.int16)
        self._clock = np.zeros(lines, np.int64)
        self._digits = DigitMachine(lines) if listen.digits else None
        self._matrix = columns(FREQUENCIES_HZ if listen.digits else ())

    def reset(self, line: int) -> None:
        """A new call on this line: silence before it, time 0."""
        self._carry[line] = 0
        self._clock[line] = 0
        if self._digits is not None:
            self._digits.reset(line)

    def dialled(self, line: int) -> None:
        """This line has dialled: ringing is expected now, a dial tone only if it does not end."""

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
        carry = self._carry if which is None else self._carry[which]
        wide = np.concatenate((carry, samples), axis=1).astype(np.float32)
        if which is None:
            self._carry = samples[:, -HOP:].copy()
        else:
            self._carry[which] = samples[:, -HOP:]
        squares = wide * wide
        heard: list[tuple[int, Heard]] = []
        for begin in range(0, samples.shape[1], HOP):
            if which is None:
                self._clock += HOP_MS
                clock = self._clock
            else:
                self._clock[which] += HOP_MS
                clock = self._clock[which]
            window = wide[:, begin : begin + WINDOW]
            energy = squares[:, begin : begin + WINDOW] @ ENERGY_WEIGHTS
            heard += self._window(self._matrix @ window.T, energy, which, clock)
        return heard

    def _window(
        self,
        fit: NDArray[np.float32],
        energy: NDArray[np.float32],
        which: NDArray[np.intp] | None,
        clock: NDArray[np.int64],
    ) -> list[tuple[int, Heard]]:
        quarter = len(fit) // 4
        cosine, sine = fit[:quarter], fit[quarter : 2 * quarter]
        power = cosine * cosine + sine * sine
        lean = cosine * fit[2 * quarter : 3 * quarter] + sine * fit[3 * quarter :]
        heard: list[tuple[int, Heard]] = []
        if self._digits is not None:
            heard += self._digits.step(power[:8], lean[:8], energy, which, clock)
        return heard


class Ear:
    """One line's hearing. `feed` takes bytes (int16, little endian) or samples, in any pieces."""

    def __init__(self, listen: Listen = PANEL) -> None:
        self._bank = ToneBank(1, listen)
        self._rest = np.zeros(0, np.int16)
        self._odd = b""

    @property
    def now_ms(self) -> int:
        """How much audio was judged, in whole 10 ms."""
        return self._bank.now_ms(0)

    def reset(self) -> None:
        """A new call."""
        self._bank.reset(0)
        self._rest, self._odd = self._rest[:0], b""

    def dialled(self) -> None:
        """We have dialled: see ToneBank.dialled."""
        self._bank.dialled(0)

    def feed(self, audio: bytes | Samples) -> list[Heard]:
        """What is heard by the end of this piece."""
        if isinstance(audio, bytes):
            data = self._odd + audio
            whole = len(data) & ~1
            self._odd = data[whole:]
            audio = np.frombuffer(data[:whole], "<i2").astype(np.int16, copy=False)
        rest = np.concatenate((self._rest, audio)) if len(self._rest) else audio
        count = len(rest) - len(rest) % HOP
        self._rest = rest[count:].copy()
        return [heard for _, heard in self._bank.feed(rest[None, :count])]
