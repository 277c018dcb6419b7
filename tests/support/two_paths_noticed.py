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
    """The network path, lost and back; at a loss the last heartbeat that owed nothing by phone."""
    life = _Life(premises)
    for start, end in premises.mqtt_down:
        noticed = start + LOST_AFTER_S - premises.chance.uniform(0, 60)
        if noticed < end and start < until:
            quiet = premises.phase + math.floor((start - premises.phase) / BEAT_S) * BEAT_S
            for _ in range(100):
                if not life.owed(quiet) and up(quiet, premises.mqtt_down) == quiet:
                    yield from life.beat(quiet, noticed - 0.001)
                    break
                quiet -= BEAT_S
            for at, q in ((noticed, Qualifier.NEW), (end + 0.01, Qualifier.RESTORE)):
                yield at, PanelEvent(Code.PANEL_LOST, q, detail="path=mqtt")


def heartbeats(premises: Premises) -> Told:
    """The first one 5 s after a report by phone that arrives, or that of the next connection, and
    the first that owes nothing by phone any more (intake/supervision.py).
    """
    life = _Life(premises)
    debts = life.debts
    beats = {
        _beat(premises, at + 5.0)
        for at, _, arrival in premises.arrivals
        if arrival.path == PATH_PHONE
    }
    for beat in list(beats):
        now = bisect.bisect(debts, (beat, 2))
        while life.owing[now]:
            now += 1
            if now == len(life.owing):
                break
            after = _beat(premises, debts[now - 1][0])
            now = max(now, bisect.bisect(debts, (after, 2)))
            if not life.owing[now]:
                beats.add(after)
    for beat in sorted(beats):
        yield from life.beat(beat, beat + 0.05)


class _Life:
    """What a panel would say at any time."""

    def __init__(self, premises: Premises) -> None:
        self.starts = premises.starts
        self.journaled = sorted(premises.journaled)
        self.debts = sorted(premises.debts)
        self.owing = [0, *itertools.accumulate(change for _, change in self.debts)]

    def owed(self, at: float) -> int:
        """By phone."""
        return self.owing[bisect.bisect(self.debts, (at, 2))]

    def beat(self, sent_at: float, told_at: float) -> Told:
        """A heartbeat, told of then; none from a program that is down."""
        sent = bisect.bisect(self.journaled, (sent_at, math.inf, 0))
        if sent and not any(one - 6.0 < sent_at < one for one in self.starts):
            started = self.starts[bisect.bisect(self.starts, sent_at) - 1]
            _, epoch, seq = self.journaled[sent - 1]
            under_way_s = max(0.0, told_at - sent_at - 0.05)
            detail = f"epoch={epoch};seq={seq};up_s={sent_at - started:.1f}"
            detail += f";under_way_s={under_way_s:.1f};owed={self.owed(sent_at)}"
            yield told_at, PanelEvent(Code.PATH_PROVEN, Qualifier.STATUS, detail=detail)


def _beat(premises: Premises, after: float) -> float:
    """When the next heartbeat is sent that arrives."""
    beat = premises.phase + math.ceil((after - premises.phase) / BEAT_S) * BEAT_S
    heard = up(beat, premises.mqtt_down)
    return beat if heard == beat else heard + 0.03
