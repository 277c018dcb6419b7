"""All points of a panel: from pin edges and converter samples to Readings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from edge.config import Loop, PanelConfig, Wiring
from edge.field.debounce import Counters, Debounce
from edge.field.eol import READINGS, LoopState, Overlap, Window, decode, of_level, windows
from edge.field.reading import Reading, ReadingState
from protocols.instants import Instant


@dataclass(frozen=True, slots=True)
class PinEdge:
    """Pin `gpio` went to `level`."""

    gpio: int
    level: int


@dataclass(frozen=True, slots=True)
class Resync:
    """Pin `gpio` was read and stands at `level`: heals an edge that was lost on the way."""

    gpio: int
    level: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Converter input `channel` ("<chip>.<channel>") reads this."""

    channel: str
    millivolts: int


@dataclass(frozen=True, slots=True)
class Lost:
    """`input` (as in `Loop.input`) cannot be read."""

    input: str
    reason: str


FieldInput = PinEdge | Resync | Sample | Lost


@dataclass(slots=True)
class _Point:
    name: str
    input: str
    wiring: Wiring
    table: tuple[Window, ...]
    debounce: Debounce
    last: ReadingState | None = None
    loss: str = ""


def loops(config: PanelConfig) -> Iterator[tuple[str, Loop]]:
    """Name and loop of every point on the panel's own inputs, zones first; buses are not ours.

    The second loop of a pair is "zone:<n>/pair".
    """
    for zone in config.zones:
        yield from _wired(f"zone:{zone.number}", zone.loop)
        if zone.pair is not None:
            yield from _wired(f"zone:{zone.number}/pair", zone.pair)
    for point in config.points:
        yield from _wired(point.role, point.loop)


def _wired(name: str, loop: Loop) -> Iterator[tuple[str, Loop]]:
    if not loop.input.startswith("bus:"):
        yield name, loop


class FieldMachine:
    """Debounces and decodes every configured point.

    Inputs may come late but carry the time at which they happened; each point is judged by those
    times alone. `sample_ms` is how often a sampled converter is read, 0 if it tells every change.

    Sampled activations are measured from the first active sample to the first one at rest, so to
    within one interval either way. To keep "shorter never", one interval is asked for on top; an
    activation of min_pulse + 2 intervals is then always seen: 300 + 2 x 20 = 340 ms <= 400 ms. The
    configuration check refuses intervals that break it (EN 50131).
    """

    def __init__(self, config: PanelConfig, sample_ms: int = 0) -> None:
        """Raises ValueError when an end-of-line network cannot be told apart (config check)."""
        self._supply_mv = config.hardware.supply_mv
        self._points: dict[str, list[_Point]] = {}
        self._pending: dict[str, tuple[Instant, _Point]] = {}
        for name, loop in loops(config):
            table: tuple[Window, ...] = ()
            extra_ms = 0
            if loop.wiring not in (Wiring.NC, Wiring.NO):
                found = windows(loop.wiring, config.hardware)
                if isinstance(found, Overlap):
                    raise ValueError(f"{name}: {found.lower} and {found.upper} overlap")
                table, extra_ms = found, sample_ms
            debounce = Debounce(loop.debounce_ms, loop.min_pulse_ms + extra_ms)
            self._points.setdefault(loop.input, []).append(
                _Point(name, loop.input, loop.wiring, table, debounce)
            )

    def receive(self, arrival: FieldInput, now: Instant) -> list[Reading]:
        """One input that happened at `now`. Inputs no point is wired to are ignored."""
        match arrival:
            case PinEdge(gpio, _) | Resync(gpio, _):
                key = f"gpio:{gpio}"
            case Sample(channel, _):
                key = f"adc:{channel}"
            case Lost(key, _):
                pass
            case _:
                assert_never(arrival)
        readings: list[Reading] = []
        for point in self._points.get(key, ()):
            readings += self._receive(point, arrival, now)
            self._note(point)
        return readings

    def _receive(self, point: _Point, arrival: FieldInput, now: Instant) -> list[Reading]:
        debounce = point.debounce
        match arrival:
            case PinEdge(_, level):
                told = debounce.edge(of_level(level, point.wiring), now)
            case Resync(_, level):
                told = debounce.resync(of_level(level, point.wiring), now)
            case Sample(_, millivolts):
                raw = decode(millivolts, self._supply_mv, point.table)
                told = debounce.tick(now) if raw is debounce.raw else debounce.edge(raw, now)
            case Lost(_, reason):
                readings = self._tell(point, debounce.lose(now))
                point.loss = reason
                if point.last is not ReadingState.LOST:
                    point.last = ReadingState.LOST
                    readings.append(Reading(point.name, ReadingState.LOST))
                return readings
        point.loss = ""
        return self._tell(point, told, ended=debounce.raw is LoopState.NORMAL)

    def tick(self, now: Instant) -> list[Reading]:
        """What has become certain by `now`, the earliest first."""
        readings: list[Reading] = []
        due = [item for item in self._pending.values() if item[0] <= now]
        for _, point in sorted(due, key=lambda item: item[0]):
            readings += self._tell(point, point.debounce.tick(now))
            self._note(point)
        return readings

    def deadline(self) -> Instant | None:
        """When `tick` has something to do, if nothing comes before."""
        return min((due for due, _ in self._pending.values()), default=None)

    def settling(self) -> list[int]:
        """Pins that moved and have not yet stood still: worth reading again before `tick`."""
        return [
            int(point.input.removeprefix("gpio:"))
            for _, point in self._pending.values()
            if point.input.startswith("gpio:") and point.debounce.settling
        ]

    def _note(self, point: _Point) -> None:
        due = point.debounce.deadline()
        if due is None:
            self._pending.pop(point.name, None)
        else:
            self._pending[point.name] = (due, point)

    def counters(self) -> dict[str, Counters]:
        """Pulses and lost edges of each point, by its name."""
        return {
            point.name: point.debounce.counters
            for points in self._points.values()
            for point in points
        }

    def losses(self) -> dict[str, str]:
        """Why each lost point cannot be read, by its name."""
        return {
            point.name: point.loss
            for points in self._points.values()
            for point in points
            if point.loss
        }

    @staticmethod
    def _tell(point: _Point, told: list[LoopState], *, ended: bool = False) -> list[Reading]:
        readings: list[Reading] = []
        for loop_state in told:
            for state in READINGS[loop_state]:
                if state is not point.last:
                    point.last = state
                    pulse = ended and state is not ReadingState.NORMAL
                    readings.append(Reading(point.name, state, pulse=pulse))
        return readings
