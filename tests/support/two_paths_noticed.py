"""What the centre notices itself of a panel of `two_paths_world`: lost paths and heartbeats."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from collector.records.signal import PATH_PHONE
from protocols.panel_event import Code, PanelEvent, Qualifier

if TYPE_CHECKING:
    from tests.support.two_paths_world import Premises

BEAT_S = 30.0
LOST_AFTER_S = 90.0
Outages = list[tuple[float, float]]
Told = Iterator[tuple[float, PanelEvent]]
"""(when, what), in no order."""


def up(at: float, down: Outages) -> float:
    """`at`, or when the outage at that moment ends."""
    place = bisect.bisect(down, at, key=lambda outage: outage[1])
    if place < len(down) and down[place][0] <= at:
        return down[place][1]
    return at


def losses(premises: Premises, until: float) -> Told:
    """The network path, lost and back."""
    for start, end in premises.mqtt_down:
        noticed = start + LOST_AFTER_S - premises.chance.uniform(0, 60)
        if noticed < end and start < until:
            for at, q in ((noticed, Qualifier.NEW), (end + 0.01, Qualifier.RESTORE)):
                yield at, PanelEvent(Code.PANEL_LOST, q, detail="path=mqtt")


def heartbeats(premises: Premises) -> Told:
    """The first one 5 s after a report by phone that arrives, or that of the next connection, and
    the first that owes nothing by phone any more (intake/supervision.py).
    """
    journaled, debts = sorted(premises.journaled), sorted(premises.debts)
    owed = [0, *itertools.accumulate(change for _, change in debts)]
    beats = {
        _beat(premises, at + 5.0)
        for at, _, arrival in premises.arrivals
        if arrival.path == PATH_PHONE
    }
    for beat in list(beats):
        now = bisect.bisect(debts, (beat, 2))
        while owed[now]:
            now += 1
            if now == len(owed):
                break
            after = _beat(premises, debts[now - 1][0])
            now = max(now, bisect.bisect(debts, (after, 2)))
            if not owed[now]:
                beats.add(after)
    starts = premises.starts
    for beat in sorted(beats):
        sent = bisect.bisect(journaled, (beat, math.inf, 0))
        started = starts[bisect.bisect(starts, beat) - 1]
        dead = any(one - 6.0 < beat < one for one in starts)
        if sent and not dead:
            _, epoch, seq = journaled[sent - 1]
            detail = f"epoch={epoch};seq={seq};up_s={beat - started:.1f};under_way_s=0.0"
            detail += f";owed={owed[bisect.bisect(debts, (beat, 2))]}"
            yield beat + 0.05, PanelEvent(Code.PATH_PROVEN, Qualifier.STATUS, detail=detail)


def _beat(premises: Premises, after: float) -> float:
    """When the next heartbeat is sent that arrives."""
    beat = premises.phase + math.ceil((after - premises.phase) / BEAT_S) * BEAT_S
    heard = up(beat, premises.mqtt_down)
    return beat if heard == beat else heard + 0.03
