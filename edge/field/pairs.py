"""Two detectors on one zone: dual technology from two devices (R103). Pure.

The zone "zone:<n>" has two loops, whose Readings come in as "zone:<n>" and "zone:<n>/pair".

* An activation of one loop is the zone's when the other is active at some moment of the last
  `timers.pair_s`, and lasts until that loop is at rest again. A detector that never falls back
  therefore leaves the other to alarm alone each time, and hides nothing.
* Trouble of either (tamper, short, open, masked, lost, low battery) is the zone's at once, the
  newest first; when it is over, what the other still says. It ends the zone's activation as a cut
  loop does.
* A loop that cannot be read does not hold the other back: whoever blinds one detector would else
  have switched off both (GB 50394 5.2.2: no missed alarm). A low battery still can be read.
* An activation that stays alone is evidence: it is told as ALARM of "zone:<n>/<which>", `which`
  being "loop" or "pair", at the moment it comes.

* The zone is not told at rest before both loops were heard.

What happened before a restart is not known: a pulse that was over by then completes no pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from edge.config import PanelConfig
from edge.field.reading import Reading, ReadingState
from protocols.instants import NS_PER_S, Instant

PAIR: Final = "/pair"
LOOP: Final = "/loop"

_BLIND: Final = frozenset(
    {
        ReadingState.TAMPER,
        ReadingState.SHORT,
        ReadingState.OPEN,
        ReadingState.MASKED,
        ReadingState.LOST,
    }
)
_TROUBLE: Final = _BLIND | {ReadingState.LOW_BATTERY}


@dataclass(slots=True)
class _Half:
    state: ReadingState | None = None
    ended: Instant | None = None
    """When its last activation was over."""
    counts: bool = False
    """Its present activation is the zone's."""


@dataclass(slots=True)
class _Zone:
    name: str
    loop: _Half = field(default_factory=_Half)
    pair: _Half = field(default_factory=_Half)
    told: ReadingState | None = None


class Pairs:
    """All paired zones of a panel; Readings of other points pass as they are."""

    def __init__(self, config: PanelConfig) -> None:
        self._window_ns = round(config.timers.pair_s * NS_PER_S)
        self._zones = {
            f"zone:{zone.number}": _Zone(f"zone:{zone.number}")
            for zone in config.zones
            if zone.pair is not None
        }

    def receive(self, reading: Reading, now: Instant) -> list[Reading]:
        """One Reading of a loop; what the panel is to be told."""
        name, _, half_name = reading.point.partition("/")
        zone = self._zones.get(name)
        if zone is None or half_name not in ("", "pair"):
            return [reading]
        half, other = (zone.pair, zone.loop) if half_name else (zone.loop, zone.pair)
        told: list[Reading] = []
        if reading.state is half.state:
            if not (reading.pulse and reading.state is ReadingState.ALARM):
                return told
            told += self._change(zone, half, other, Reading(reading.point, _NORMAL), now)
        return told + self._change(zone, half, other, reading, now)

    def _change(
        self, zone: _Zone, half: _Half, other: _Half, reading: Reading, now: Instant
    ) -> list[Reading]:
        if half.state is ReadingState.ALARM:
            half.ended = now
        half.state, half.counts = reading.state, False
        if reading.state is ReadingState.ALARM:
            if self._met(other, now):
                half.counts = True
                return self._tell(zone, ReadingState.ALARM, pulse=reading.pulse)
            which = LOOP if half is zone.loop else PAIR
            alone = Reading(zone.name + which, ReadingState.ALARM, pulse=reading.pulse)
            return [alone, *self._tell(zone, _rest(other))]
        if reading.state in _TROUBLE:
            return self._tell(zone, reading.state)
        return self._tell(zone, _rest(other))

    def _met(self, other: _Half, now: Instant) -> bool:
        if other.state is ReadingState.ALARM or other.state in _BLIND:
            return True
        return other.ended is not None and now - other.ended <= self._window_ns

    @staticmethod
    def _tell(zone: _Zone, state: ReadingState, *, pulse: bool = False) -> list[Reading]:
        unknown = zone.loop.state is None or zone.pair.state is None
        if zone.told is state or (unknown and state is ReadingState.NORMAL):
            return []
        zone.told = state
        return [Reading(zone.name, state, pulse=pulse)]


_NORMAL: Final = ReadingState.NORMAL


def _rest(other: _Half) -> ReadingState:
    """What the zone says when only `other` has something to say."""
    if other.counts:
        return ReadingState.ALARM
    return other.state if other.state is not None and other.state in _TROUBLE else _NORMAL
