"""Playables to samples: int16, 8 kHz, exact to the sample and continuous in phase.

`render` gives a whole array; `Player` gives the same samples frame by frame, for a line that plays
while it listens. Levels are dBm0 of one tone; DTMF twist is split evenly over the two groups.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.tones.elements import (
    DTMF_SYMBOLS,
    RATE_HZ,
    Digits,
    Fsk,
    Playable,
    Pulses,
    Silence,
    Tone,
)
from protocols.tones.exchange import ExchangeTone

Samples = NDArray[np.int16]
FULL_SCALE_DBM0: Final = 3.14
"""Level of a full-scale sine."""
ROWS_HZ: Final = (697.0, 770.0, 852.0, 941.0)
COLUMNS_HZ: Final = (1209.0, 1336.0, 1477.0, 1633.0)
KEYPAD: Final = "123A456B789C*0#D"
"""Keys by 4 * row + column."""
_PAIR: Final = {key: (ROWS_HZ[at // 4], COLUMNS_HZ[at % 4]) for at, key in enumerate(KEYPAD)}


@dataclass(frozen=True, slots=True)
class Voicing:
    """How playables sound. `offset` is a ratio (+0.018 = 1.8 % high) on every frequency."""

    level_dbm0: float = -9.0
    twist_db: float = 0.0
    offset: float = 0.0


NOMINAL: Final = Voicing()


def amplitude(level_dbm0: float) -> float:
    """Peak sample value of a sine of that level."""
    return float(32767.0 * 10.0 ** ((level_dbm0 - FULL_SCALE_DBM0) / 20.0))


def samples_of(ms: float) -> int:
    """Whole samples of a time."""
    return round(ms * RATE_HZ / 1000.0)


def render(
    played: Playable | Iterable[Playable],
    level_dbm0: float = -9.0,
    twist_db: float = 0.0,
    offset: float = 0.0,
) -> Samples:
    """All of `played`, one after the other. Raises ValueError for a key that is no DTMF symbol."""
    items = [played] if isinstance(played, Playable) else list(played)
    voice = _Voice(Voicing(level_dbm0, twist_db, offset))
    parts = [voice.samples(item) for item in items]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def render_exchange(tone: ExchangeTone, ms: int, level_dbm0: float = -12.0) -> Samples:
    """`ms` of an exchange tone with its cadence."""
    voice = _Voice(Voicing(level_dbm0))
    wanted = samples_of(ms)
    parts: list[Samples] = []
    have = 0
    while have < wanted:
        part = voice.period(tone)
        parts.append(part)
        have += len(part)
    return np.concatenate(parts)[:wanted] if parts else np.zeros(0, np.int16)


class Player:
    """What a line plays, taken piece by piece. Not finished: queue more at any time."""

    def __init__(self, voicing: Voicing = NOMINAL, exchange_dbm0: float = -12.0) -> None:
        """Levels of playables by `voicing`, of exchange tones by `exchange_dbm0`."""
        self._voice = _Voice(voicing)
        self._exchange_voice = _Voice(Voicing(exchange_dbm0))
        self._queue: deque[Playable] = deque()
        self._current: Samples = np.zeros(0, np.int16)
        self._exchange: ExchangeTone | None = None

    @property
    def idle(self) -> bool:
        """Nothing left but silence (an exchange tone never ends by itself)."""
        return not len(self._current) and not self._queue and self._exchange is None

    def play(self, items: Iterable[Playable]) -> None:
        """Add to the end of the queue. Ends an exchange tone. Raises ValueError for a bad key."""
        items = list(items)
        for item in items:
            if isinstance(item, Digits):
                _pairs(item.keys)
        if self._exchange is not None:
            self.clear()
        self._queue.extend(items)

    def play_exchange(self, tone: ExchangeTone) -> None:
        """This tone, over and over, in place of all that was queued."""
        self.clear()
        self._exchange = tone

    def clear(self) -> None:
        """Be silent from the next sample on."""
        self._queue.clear()
        self._exchange = None
        self._current = self._current[:0]

    def read(self, count: int) -> Samples:
        """The next `count` samples; silence where nothing is queued."""
        out = np.zeros(count, np.int16)
        at = 0
        while at < count:
            if not len(self._current) and not self._next():
                break
            take = min(count - at, len(self._current))
            out[at : at + take] = self._current[:take]
            self._current = self._current[take:]
            at += take
        return out

    def _next(self) -> bool:
        if self._exchange is not None:
            self._current = self._exchange_voice.period(self._exchange)
            return True
        while self._queue:
            self._current = self._voice.samples(self._queue.popleft())
            if len(self._current):
                return True
        return False


class _Voice:
    """Two oscillators that keep their phase from element to element."""

    def __init__(self, voicing: Voicing) -> None:
        self._one = amplitude(voicing.level_dbm0)
        self._low = amplitude(voicing.level_dbm0 - voicing.twist_db / 2.0)
        self._high = amplitude(voicing.level_dbm0 + voicing.twist_db / 2.0)
        self._ratio = 1.0 + voicing.offset
        self._phase = [0.0, 0.0]

    def samples(self, item: Playable) -> Samples:
        match item:
            case Silence(ms):
                return np.zeros(samples_of(ms), np.int16)
            case Tone(hz, ms):
                return _whole(self._sine(0, hz, samples_of(ms), self._one))
            case Digits():
                return self._digits(item)
            case Pulses():
                return self._pulses(item)
            case Fsk():
                return self._fsk(item)

    def period(self, tone: ExchangeTone) -> Samples:
        parts: list[NDArray[np.float64]] = []
        for at, ms in enumerate(tone.cadence_ms or (1000,)):
            count = samples_of(ms)
            part = np.zeros(count)
            if at % 2 == 0:
                for oscillator, hz in enumerate(tone.hz[:2]):
                    part += self._sine(oscillator, hz, count, self._one)
            parts.append(part)
        return _whole(np.concatenate(parts))

    def _sine(self, oscillator: int, hz: float, count: int, peak: float) -> NDArray[np.float64]:
        step = 2.0 * np.pi * hz * self._ratio / RATE_HZ
        begun = self._phase[oscillator]
        self._phase[oscillator] = (begun + step * count) % (2.0 * np.pi)
        wave: NDArray[np.float64] = peak * np.sin(begun + step * np.arange(count))
        return wave

    def _digits(self, item: Digits) -> Samples:
        on, off = samples_of(item.on_ms), samples_of(item.off_ms)
        parts: list[Samples] = []
        for row_hz, column_hz in _pairs(item.keys):
            low = self._sine(0, row_hz, on, self._low)
            parts.append(_whole(low + self._sine(1, column_hz, on, self._high)))
            parts.append(np.zeros(off, np.int16))
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def _pulses(self, item: Pulses) -> Samples:
        parts: list[Samples] = []
        for at in range(item.count):
            begin = samples_of(1000.0 * at / item.per_s)
            middle = samples_of(1000.0 * (at + 0.5) / item.per_s)
            end = samples_of(1000.0 * (at + 1) / item.per_s)
            parts.append(_whole(self._sine(0, item.hz, middle - begin, self._one)))
            parts.append(np.zeros(end - middle, np.int16))
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def _fsk(self, item: Fsk) -> Samples:
        bits = [bit for byte in item.data for bit in (0, *((byte >> at) & 1 for at in range(8)), 1)]
        edges = np.round(np.arange(len(bits) + 1) * (RATE_HZ / item.baud)).astype(np.int64)
        lead = samples_of(item.lead_ms)
        mark_hz, space_hz = item.kind.value
        hz = np.full(lead + int(edges[-1]), float(mark_hz))
        hz[lead:] = np.repeat(np.where(bits, mark_hz, space_hz), np.diff(edges)) if bits else 0.0
        turns = np.cumsum(hz * (2.0 * np.pi * self._ratio / RATE_HZ))
        wave = self._one * np.sin(self._phase[0] + np.concatenate(([0.0], turns[:-1])))
        if len(turns):
            self._phase[0] = float((self._phase[0] + turns[-1]) % (2.0 * np.pi))
        return _whole(wave[: len(hz)])


def _pairs(keys: Sequence[str]) -> list[tuple[float, float]]:
    try:
        return [_PAIR[key] for key in keys]
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} is no DTMF key; there are: {DTMF_SYMBOLS}") from None


def _whole(wave: NDArray[np.float64]) -> Samples:
    return np.clip(np.round(wave), -32768, 32767).astype(np.int16)
