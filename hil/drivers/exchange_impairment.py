"""What a telephone network does to audio, frame by frame, each with a dial.

`Impaired` is one direction. `SimulatedLine` joins two ends by two of them and adds echo; it has no
clock: whoever calls `step` is the clock, so hundreds of calls run in seconds.

    line = SimulatedLine(Dials(loss=0.01), seed=7)
    to_a, to_b = line.step(frame_a, frame_b)          # 160 samples int16 each, 20 ms

Order in one direction: level, twist, shift, noise, law, loss, jitter, delay.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hil.drivers.exchange_tones import SILENT_FRAME, Pcm, rms
from protocols.tones.elements import FRAME_MS, FRAME_SAMPLES, RATE_HZ
from protocols.tones.g711 import Law, passed

Wave = npt.NDArray[np.float64]
TAPS: Final = 129
CROSSOVER_HZ: Final = 1075.0
"""Half-way between the low group (to 941 Hz) and the high one (from 1209 Hz)."""
NOISE_FLOOR_DBM0: Final = -45.0
PEAK_DECAY: Final = 0.995
"""A frame: the level that SNR refers to halves its power in about 1.4 s without signal."""


@dataclass(frozen=True, slots=True)
class Dials:
    """One direction. What is not given does nothing.

    `snr_db` is white noise over 0-4 kHz so far below the strongest frame of the last seconds;
    `loss` the share of 20 ms frames lost, `burst` the mean number lost in a row; `jitter_ms` the
    greatest extra delay of a frame (each drawn evenly), lost when above `buffer_ms`.
    """

    gain_db: float = 0.0
    twist_db: float = 0.0
    """High-group gain minus low-group gain."""
    shift_hz: float = 0.0
    """Every frequency moved by so much, as in carrier systems."""
    noise_dbm0: float | None = None
    snr_db: float | None = None
    law: str = ""
    """`a` or `u`: coded and decoded by G.711 once."""
    loss: float = 0.0
    burst: float = 1.0
    conceal: str = "zero"
    """What stands in for a lost frame: `zero` or `repeat` of the one before."""
    jitter_ms: float = 0.0
    buffer_ms: float = 40.0
    delay_ms: int = 0
    echo_db: float | None = None
    """This end hears its own audio so much weaker (say -12)."""
    echo_ms: int = 20

    def __post_init__(self) -> None:
        if self.law not in ("", "a", "u"):
            raise ValueError(f"law {self.law!r}: '', 'a' or 'u'")
        if self.conceal not in ("zero", "repeat"):
            raise ValueError(f"conceal {self.conceal!r}: 'zero' or 'repeat'")
        if not 0 <= self.loss <= 1 or self.burst < 1:
            raise ValueError("loss is a share from 0 to 1, burst at least 1")
        if self.delay_ms < 0 or self.echo_ms < 0 or self.jitter_ms < 0:
            raise ValueError("a delay is not negative")


class Impaired:
    """One direction of a line: frames in, frames out. `dials` may be changed at any frame."""

    def __init__(self, dials: Dials, dice: np.random.Generator) -> None:
        self.lost = 0
        """Frames lost so far."""
        self._dice = dice
        self._dials = dials
        self._history: Wave = np.zeros(TAPS - 1)
        self._at = 0
        self._peak = 0.0
        self._last = SILENT_FRAME
        self._in_burst = False
        self._taps: npt.NDArray[np.complex128] | None = None
        self._delayed: deque[Pcm] = deque()
        self.dials = dials

    @property
    def dials(self) -> Dials:
        """What it does."""
        return self._dials

    @dials.setter
    def dials(self, dials: Dials) -> None:
        self._dials = dials
        shaped = dials.twist_db or dials.shift_hz
        self._taps = _taps(dials.twist_db, analytic=bool(dials.shift_hz)) if shaped else None
        wanted = round(dials.delay_ms / FRAME_MS)
        while len(self._delayed) < wanted:
            self._delayed.append(SILENT_FRAME)
        while len(self._delayed) > wanted:
            self._delayed.popleft()

    def frame(self, pcm: Pcm) -> Pcm:
        """What 20 ms become."""
        dials = self._dials
        if (
            dials.gain_db
            or self._taps is not None
            or dials.noise_dbm0 is not None
            or dials.snr_db is not None
        ):
            pcm = self._analogue(pcm, dials)
        if dials.law:
            pcm = passed(pcm, Law.A if dials.law == "a" else Law.MU)
        if dials.loss or dials.jitter_ms:
            pcm = self._network(pcm, dials)
        if self._delayed:
            self._delayed.append(pcm)
            pcm = self._delayed.popleft()
        return pcm

    def _analogue(self, pcm: Pcm, dials: Dials) -> Pcm:
        wave: Wave = pcm.astype(float)
        if dials.gain_db:
            wave *= 10 ** (dials.gain_db / 20)
        if self._taps is not None:
            wave = self._shape(wave, self._taps, dials.shift_hz)
        noise = 0.0 if dials.noise_dbm0 is None else rms(dials.noise_dbm0)
        if dials.snr_db is not None:
            self._peak = max(float(np.sqrt(np.mean(wave**2))), self._peak * PEAK_DECAY)
            below = max(self._peak, rms(NOISE_FLOOR_DBM0)) * 10 ** (-dials.snr_db / 20)
            noise = float(np.hypot(noise, below))
        if noise:
            wave = wave + noise * self._dice.standard_normal(FRAME_SAMPLES)
        return np.clip(np.rint(wave), -32768, 32767).astype(np.int16)

    def _shape(self, wave: Wave, taps: npt.NDArray[np.complex128], shift_hz: float) -> Wave:
        whole = np.concatenate((self._history, wave))
        self._history = whole[-(TAPS - 1) :]
        if not shift_hz:
            plain: Wave = np.convolve(whole, taps.real, "valid")
            return plain
        at = np.arange(self._at, self._at + FRAME_SAMPLES)
        self._at = (self._at + FRAME_SAMPLES) % (RATE_HZ * 1000)
        turned = np.convolve(whole, taps, "valid") * np.exp(2j * np.pi * shift_hz / RATE_HZ * at)
        real: Wave = turned.real
        return real

    def _network(self, pcm: Pcm, dials: Dials) -> Pcm:
        lost = self._loses(dials)
        if dials.jitter_ms and self._dice.random() * dials.jitter_ms > dials.buffer_ms:
            lost = True
        if lost:
            self.lost += 1
            return self._last if dials.conceal == "repeat" else SILENT_FRAME
        self._last = pcm
        return pcm

    def _loses(self, dials: Dials) -> bool:
        """Independent frames, or Gilbert's two states when bursts are dialled."""
        if not dials.loss:
            return False
        if dials.burst == 1.0:
            return self._dice.random() < dials.loss
        if self._in_burst:
            self._in_burst = self._dice.random() >= 1 / dials.burst
        else:
            begins = dials.loss / max(1e-9, dials.burst * (1 - dials.loss))
            self._in_burst = self._dice.random() < begins
        return self._in_burst


def _taps(twist_db: float, *, analytic: bool) -> npt.NDArray[np.complex128]:
    """Linear-phase filter: half of the twist up above the crossover, half down below it."""
    points = 1024
    hz = np.fft.fftfreq(points, 1 / RATE_HZ)
    step = np.clip((np.abs(hz) - (CROSSOVER_HZ - 60)) / 120, 0, 1)
    gain = 10 ** ((step - 0.5) * twist_db / 20)
    if analytic:
        gain = np.where(hz > 0, 2 * gain, np.where(hz == 0, gain, 0))
    response = np.roll(np.fft.ifft(gain), TAPS // 2)[:TAPS]
    shaped: npt.NDArray[np.complex128] = response * np.hamming(TAPS)
    return shaped


class SimulatedLine:
    """Two ends joined. `ab` impairs what A sends to B, `ba` the other way (default: the same).

    `cut` = silence both ways.
    """

    def __init__(self, ab: Dials | None = None, ba: Dials | None = None, seed: int = 0) -> None:
        ab = ab or Dials()
        self.cut = False
        self.frames = 0
        """Steps so far, 20 ms each."""
        self.ab = Impaired(ab, np.random.default_rng((seed, 1)))
        self.ba = Impaired(ba or ab, np.random.default_rng((seed, 2)))
        self._echo_a = _Echo()
        self._echo_b = _Echo()

    def step(self, frame_a: Pcm, frame_b: Pcm) -> tuple[Pcm, Pcm]:
        """20 ms: what A and B say -> what A and B hear."""
        self.frames += 1
        to_a, to_b = self.ba.frame(frame_b), self.ab.frame(frame_a)
        to_a = self._echo_a.add(to_a, frame_a, self.ab.dials)
        to_b = self._echo_b.add(to_b, frame_b, self.ba.dials)
        if self.cut:
            return SILENT_FRAME, SILENT_FRAME
        return to_a, to_b

    def dial(self, **changes: float | str | None) -> None:
        """Change dials of both directions by name."""
        for way in (self.ab, self.ba):
            way.dials = replace(way.dials, **changes)  # type: ignore[arg-type]


class _Echo:
    """Own audio, later and weaker."""

    def __init__(self) -> None:
        self._tail: Wave = np.zeros(0)

    def add(self, heard: Pcm, said: Pcm, dials: Dials) -> Pcm:
        if dials.echo_db is None:
            self._tail = np.zeros(0)
            return heard
        late = dials.echo_ms * RATE_HZ // 1000
        if len(self._tail) != late:
            self._tail = np.zeros(late)
        whole = np.concatenate((self._tail, said * 10 ** (dials.echo_db / 20)))
        self._tail = whole[FRAME_SAMPLES:]
        sum_ = np.rint(heard + whole[:FRAME_SAMPLES])
        return np.clip(sum_, -32768, 32767).astype(np.int16)
