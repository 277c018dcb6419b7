"""What lines do to audio: pure functions, int16 in, int16 out; where chance is needed, a Generator.

Used by the simulated exchange, tests and benches. Order them as the real path would: the sender's
twist and offset first, then noise and echo, then the law, then lost frames and jitter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.tones.elements import FRAME_SAMPLES, RATE_HZ
from protocols.tones.g711 import Law, passed

Samples = NDArray[np.int16]


def level(samples: Samples, gain_db: float) -> Samples:
    """Louder or quieter; clipped at full scale."""
    return _whole(samples * 10.0 ** (gain_db / 20.0))


def twist(samples: Samples, twist_db: float) -> Samples:
    """High group (over 1075 Hz) stronger than the low one by `twist_db`, without change of delay.

    The step lies between 960 and 1190 Hz. Works on the whole array: hand over whole recordings.
    """
    if not len(samples):
        return samples
    spectrum = np.fft.rfft(samples.astype(np.float64))
    hz = np.fft.rfftfreq(len(samples), 1.0 / RATE_HZ)
    slope = np.clip((hz - 960.0) / 230.0, 0.0, 1.0) - 0.5
    return _whole(np.fft.irfft(spectrum * 10.0 ** (slope * twist_db / 20.0), len(samples)))


def noise(samples: Samples, snr_db: float, chance: np.random.Generator) -> Samples:
    """White noise, 0-4 kHz. The signal's power is taken over the samples that are not zero."""
    sounding = samples[samples != 0].astype(np.float64)
    if not len(sounding):
        return samples
    power = float(np.mean(sounding**2)) / 10.0 ** (snr_db / 10.0)
    return _whole(samples + chance.normal(0.0, np.sqrt(power), len(samples)))


def noise_floor(samples: Samples, level_dbm0: float, chance: np.random.Generator) -> Samples:
    """White noise of a fixed level."""
    rms = 32767.0 / np.sqrt(2.0) * 10.0 ** ((level_dbm0 - 3.14) / 20.0)
    return _whole(samples + chance.normal(0.0, rms, len(samples)))


def echo(samples: Samples, delay_ms: float, loss_db: float) -> Samples:
    """The signal comes back weaker by `loss_db` after `delay_ms`. Length stays."""
    return mixed(samples, echo_alone(samples, delay_ms, loss_db))


def echo_alone(samples: Samples, delay_ms: float, loss_db: float) -> Samples:
    """Only the echo: what the sender's own ear gets of its playing."""
    delay = round(delay_ms * RATE_HZ / 1000.0)
    out = np.zeros(len(samples))
    if delay < len(samples):
        out[delay:] = samples[: len(samples) - delay] * 10.0 ** (-loss_db / 20.0)
    return _whole(out)


def mixed(one: Samples, other: Samples) -> Samples:
    """Two sounds on one line; the length of `one`."""
    wide = one.astype(np.float64)
    count = min(len(one), len(other))
    wide[:count] += other[:count]
    return _whole(wide)


def dropped(
    samples: Samples, ratio: float, chance: np.random.Generator, frame_samples: int = FRAME_SAMPLES
) -> Samples:
    """Each frame is silence with probability `ratio` (a lost packet, not concealed)."""
    out = samples.copy()
    for at in np.flatnonzero(chance.random(-(-len(samples) // frame_samples)) < ratio):
        out[at * frame_samples : (at + 1) * frame_samples] = 0
    return out


def jittered(samples: Samples, ratio: float, chance: np.random.Generator) -> Samples:
    """A jitter buffer at work: with probability `ratio` each, a frame is left out or 20 ms of
    silence put in. Length may change.
    """
    out: list[Samples] = []
    for at in range(0, len(samples), FRAME_SAMPLES):
        drawn = chance.random()
        if drawn < ratio:
            continue
        if drawn < 2.0 * ratio:
            out.append(np.zeros(FRAME_SAMPLES, np.int16))
        out.append(samples[at : at + FRAME_SAMPLES])
    return np.concatenate(out) if out else samples[:0]


def companded(samples: Samples, law: Law) -> Samples:
    """Through a line of that law."""
    return passed(samples, law)


def _whole(wave: NDArray[np.float64]) -> Samples:
    return np.clip(np.round(wave), -32768, 32767).astype(np.int16)
