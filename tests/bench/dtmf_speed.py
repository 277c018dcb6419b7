"""P10: lines decoded per core, ours and the peers in turns, on the same audio and by CPU time."""

from __future__ import annotations

import resource
import time
from statistics import median

import numpy as np
from dtmf_grid import GRID, audio, strings
from numpy.typing import NDArray

from protocols.tones.bank import ToneBank
from protocols.tones.ear import Ear
from protocols.tones.listening import PANEL, Listen
from tests.support import tone_peers

Samples = NDArray[np.int16]
LISTEN = Listen(digits=True, tones_hz=(1400, 2300))
LENGTH = 14_400
FRAME = 160


def lines_of_audio(lines: int) -> Samples:
    """Digits at 50/50 ms without end, SNR 20 dB, each line at its own place in them."""
    chance = np.random.default_rng(1)
    rows = audio(strings(lines, chance), 50, GRID[2], chance)[:, :LENGTH]
    return np.stack([np.roll(row, chance.integers(0, LENGTH)) for row in rows])


def ours(rows: Samples) -> float:
    """Lines per core, by frames of 20 ms."""
    bank = ToneBank(len(rows), LISTEN)
    begun = time.process_time()
    for at in range(0, rows.shape[1], FRAME):
        bank.feed(rows[:, at : at + FRAME])
    return rows.size / 8000.0 / (time.process_time() - begun)


def spandsp(rows: Samples) -> float:
    """The same frames, a call for each line and frame."""
    receivers = [tone_peers.SpandspReceiver() for _ in rows]
    begun = time.process_time()
    for at in range(0, rows.shape[1], FRAME):
        for receiver, row in zip(receivers, rows, strict=True):
            receiver.feed(row[at : at + FRAME])
    taken = time.process_time() - begun
    for receiver in receivers:
        receiver.close()
    return rows.size / 8000.0 / taken


def spandsp_bare(rows: Samples) -> float:
    """The least that ctypes can cost: all addresses are made before the clock starts."""
    receivers = [tone_peers.SpandspReceiver() for _ in rows]
    feed = tone_peers.spandsp().dtmf_rx
    first, step = rows.ctypes.data, rows.strides[0]
    places = [(each.state, first + at * step) for at, each in enumerate(receivers)]
    begun = time.process_time()
    for at in range(0, rows.shape[1], FRAME):
        for state, place in places:
            feed(state, place + 2 * at, FRAME)
    taken = time.process_time() - begun
    for receiver in receivers:
        receiver.close()
    return rows.size / 8000.0 / taken


def multimon(rows: Samples) -> float:
    """sox and multimon-ng over one long line; CPU time of both processes."""
    long = rows.reshape(-1)
    before = _children()
    tone_peers.multimon(long)
    return len(long) / 8000.0 / (_children() - before)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ratios(lines: int, pairs: int) -> dict[str, object]:
    """Median and range of ours over theirs, in turns."""
    rows = np.ascontiguousarray(lines_of_audio(lines))
    few = rows[: max(1, min(lines, 200))]
    ours(rows)
    taken = [(ours(rows), spandsp(rows), spandsp_bare(rows), multimon(few)) for _ in range(pairs)]
    names = ("tocsin", "spandsp", "spandsp_bare", "multimon")
    columns = dict(zip(names, zip(*taken, strict=True), strict=True))
    mine = columns["tocsin"]
    return {
        "lines": lines,
        "pairs": pairs,
        "lines_per_core": {name: round(median(column)) for name, column in columns.items()},
        **{
            f"over_{name}": _spread([a / b for a, b in zip(mine, columns[name], strict=True)])
            for name in names[1:]
        },
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(median(values), 2),
        "least": round(min(values), 2),
        "most": round(max(values), 2),
    }


def one_line_us() -> dict[str, float]:
    """Microseconds for 10 ms of one line, best of five runs: digits all the time; a panel's ear."""
    row = lines_of_audio(1)[0]
    out: dict[str, float] = {}
    for name, listen in (("digits", LISTEN), ("panel", PANEL)):
        best = 1e9
        for _ in range(5):
            ear = Ear(listen)
            begun = time.process_time()
            for at in range(0, len(row), FRAME):
                ear.feed(row[at : at + FRAME])
            best = min(best, (time.process_time() - begun) / (len(row) / 80.0) * 1e6)
        out[name] = round(best, 1)
    return out
