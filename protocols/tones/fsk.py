"""Asynchronous FSK (Bell 103, V.21) to bytes: one start bit, 8 data bits, one stop bit or more.

Each tone is correlated over one bit; the stronger one is the bit. A byte is timed from the edge of
its start bit. Where both 300 and 110 baud are listened for, runs of mark or space shorter than a
bit of 110 decide which it is, once for each carrier: noise and lost packets make such runs too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols.tones.elements import RATE_HZ, FskHeard, FskKind
from protocols.tones.spectrum import HOP, Floats, WindowsOf
from protocols.tones.synthesis import FULL_SCALE_DBM0

Doubles = NDArray[np.float64]
_MIN_POWER: Final = 32767.0**2 / 2.0 * 10.0 ** ((-45.0 - FULL_SCALE_DBM0) / 10.0)
_WAKE_SHARE: Final = 0.6
_WAKE_HOPS: Final = 6
_CARRIER_SHARE: Final = 0.45
_BIT_SHARE: Final = 0.4
_LOST_HOPS: Final = 10
_FAST_RUN_MS: Final = (2.0, 7.9)
"""A run shorter than this is no bit of 110 baud (9.1 ms); one still shorter is no bit at all."""
_FAST_RUNS: Final = 2
_STEADY: Final = 0.6
"""So much of a run must be a tone at the carrier's own level..."""
_FADED: Final = 0.25
"""...which is this share of its greatest power, at least."""
_BITS: Final = 10


@dataclass(slots=True)
class _Taken:
    """Bytes not told yet."""

    data: bytearray = field(default_factory=bytearray)
    errors: int = 0


class Demodulator:
    """One line, one kind, one baud. `take` wants samples in order, in any pieces."""

    def __init__(self, kind: FskKind, baud: int) -> None:
        self.kind = kind
        self.baud = baud
        self._spb = RATE_HZ / baud
        self._span = round(self._spb)
        self._turn = np.array([-2j * np.pi * hz / RATE_HZ for hz in kind.value])
        self._at = 0
        """Index of the next sample."""
        self._mixed = np.zeros((2, self._span), np.complex128)
        self._squares = np.zeros(self._span)
        self._bit = True
        self._run_from = 0
        self._run_steady = 0
        self._loudest = 0.0
        self._start: float | None = None
        self._seen: list[bool] = []
        self._break = False
        """No stop bit: wait for mark before the next start bit."""
        self.fast = 0
        """Runs that are too short for 110 baud."""
        self.carrier = 0.0

    def take(self, samples: Floats) -> tuple[bytes, int]:
        """Bytes that became complete, and how many of them had no stop bit."""
        count = len(samples)
        if not count:
            return b"", 0
        steps = np.arange(self._at, self._at + count)
        mixed = samples * np.exp(self._turn[:, None] * steps)
        self._mixed = np.concatenate((self._mixed[:, -self._span :], mixed), axis=1)
        self._squares = np.concatenate(
            (self._squares[-self._span :], samples.astype(np.float64) ** 2)
        )
        power = np.abs(_boxcar(self._mixed, self._span)) ** 2
        energy = _boxcar(self._squares, self._span) * self._span / 2.0
        clear = power.sum(axis=0) > _BIT_SHARE * energy
        share = float(power.sum() / (energy.sum() + 1e-9))
        loud = float(energy.mean()) > _MIN_POWER * self._span**2 / 2.0
        self.carrier += ((share if loud else 0.0) - self.carrier) * min(1.0, count / 320.0)
        taken = _Taken()
        self._loudest = max(self._loudest, float(energy.mean()))
        marks = power[0] > power[1]
        self._runs(marks, clear & (energy > _FADED * self._loudest))
        self._slice(marks, clear, taken)
        self._at += count
        return bytes(taken.data), taken.errors

    def _slice(self, marks: NDArray[np.bool_], clear: NDArray[np.bool_], taken: _Taken) -> None:
        """Bits by their times. At each sample, for the bit that would end there: mark or space,
        and whether it is either.
        """
        at = 0
        while at < len(marks):
            if self._start is None:
                found = np.flatnonzero(clear[at:] & (marks[at:] == self._break))
                if not len(found):
                    return
                at += int(found[0])
                if self._break:
                    self._break = False
                    continue
                # A correlation over one bit crosses half a bit after the edge.
                self._start = self._at + at + self._spb / 2.0
                self._seen = []
            wanted = round(self._start + self._spb * len(self._seen)) - self._at
            if wanted >= len(marks):
                return
            at = max(at, wanted)
            if clear[at]:
                self._seen.append(bool(marks[at]))
                self._byte(taken)
            else:
                self._start, self._break = None, True

    def _byte(self, taken: _Taken) -> None:
        if self._seen[0]:
            self._start = None
        elif len(self._seen) == _BITS:
            bits = self._seen[1:9]
            taken.data.append(sum(bit << at for at, bit in enumerate(bits)))
            self._break = not self._seen[9]
            taken.errors += self._break
            self._start = None

    def _runs(self, marks: NDArray[np.bool_], steady: NDArray[np.bool_]) -> None:
        edges = np.flatnonzero(np.diff(marks, prepend=self._bit))
        begin = 0
        for edge in edges.tolist():
            at = self._at + edge
            held = self._run_steady + int(steady[begin:edge].sum())
            run_ms = (at - self._run_from) * 1000.0 / RATE_HZ
            short = _FAST_RUN_MS[0] < run_ms < _FAST_RUN_MS[1]
            self.fast += short and held > _STEADY * (at - self._run_from)
            self._run_from, self._run_steady, begin = at, 0, edge
        self._run_steady += int(steady[begin:].sum())
        self._bit = bool(marks[-1])


class FskMachine:
    """All lines and kinds; only a line with a carrier costs more than a look."""

    def __init__(self, lines: int, wanted: Sequence[tuple[FskKind, int]]) -> None:
        self._bauds: dict[FskKind, list[int]] = {}
        for kind, baud in wanted:
            self._bauds.setdefault(kind, []).append(baud)
        self.frequencies_hz = tuple(float(kind.value[0]) for kind in self._bauds)
        self._marked = np.zeros((len(self._bauds), lines), np.int64)
        self._carriers: dict[tuple[int, FskKind], _Carrier] = {}

    def reset(self, line: int) -> None:
        """Forget carriers of this line."""
        self._marked[:, line] = 0
        for kind in self._bauds:
            self._carriers.pop((line, kind), None)

    def step(
        self,
        power: Floats,
        energy: Floats,
        windows: WindowsOf,
        lines: NDArray[np.intp] | None,
        now_ms: NDArray[np.int64],
    ) -> list[tuple[int, FskHeard]]:
        """Fits of `frequencies_hz` (kinds, n), mean power (n), and samples on demand."""
        mark = (power > _WAKE_SHARE * energy) & (energy > _MIN_POWER)
        marked = self._marked if lines is None else self._marked[:, lines]
        marked = np.where(mark, marked + 1, 0)
        if lines is None:
            self._marked = marked
        else:
            self._marked[:, lines] = marked
        if not self._carriers and not (marked == _WAKE_HOPS).any():
            return []
        kinds = list(self._bauds)
        for number, at in np.argwhere(marked == _WAKE_HOPS).tolist():
            line = at if lines is None else int(lines[at])
            kind = kinds[number]
            self._carriers.setdefault((line, kind), _Carrier(kind, self._bauds[kind]))
        places = None if lines is None else {line: at for at, line in enumerate(lines.tolist())}
        heard: list[tuple[int, FskHeard]] = []
        for (line, kind), carrier in list(self._carriers.items()):
            place = line if places is None else places.get(line)
            if place is None:
                continue
            recent = windows(np.array([place]))[0, -HOP:]
            heard += ((line, event) for event in carrier.step(recent, int(now_ms[place])))
            if carrier.lost:
                del self._carriers[line, kind]
        return heard


class _Carrier:
    """From the first mark to the loss of carrier: one demodulator for each baud."""

    def __init__(self, kind: FskKind, bauds: Sequence[int]) -> None:
        self._demodulators = [Demodulator(kind, baud) for baud in sorted(bauds)]
        self._held = [_Taken() for _ in bauds]
        self._weak = 0
        self._chosen: int | None = None
        self.lost = False

    def step(self, samples: Floats, now_ms: int) -> list[FskHeard]:
        for held, demodulator in zip(self._held, self._demodulators, strict=True):
            data, errors = demodulator.take(samples)
            if demodulator.carrier >= _CARRIER_SHARE * 0.5:
                held.data += data
                held.errors += errors
        carrier = max(one.carrier for one in self._demodulators)
        self._weak = 0 if carrier >= _CARRIER_SHARE else self._weak + 1
        self.lost = self._weak > _LOST_HOPS
        chosen = self._choose() if self._chosen is None else self._chosen
        held = self._held[chosen]
        if not held.data:
            return []
        self._chosen = chosen
        demodulator = self._demodulators[chosen]
        event = FskHeard(bytes(held.data), demodulator.kind, demodulator.baud, held.errors, now_ms)
        self._held = [_Taken() for _ in self._held]
        return [event]

    def _choose(self) -> int:
        """The fastest baud if runs as short as its bit were seen; else the slowest."""
        fastest = self._demodulators[-1]
        return len(self._demodulators) - 1 if fastest.fast >= _FAST_RUNS else 0


def _boxcar(values: NDArray[Any], span: int) -> NDArray[Any]:
    """Sums over `span` samples that end at each sample after the first `span`."""
    total = np.cumsum(values, axis=-1)
    out: NDArray[Any] = total[..., span:] - total[..., :-span]
    return out
