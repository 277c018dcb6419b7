"""Are the phone receivers there, and does each panel still phone? By the time of receipt only.

A receiver is lost after three of its periods (1109). A panel with an account is expected to phone
within its test interval (R103: daily by default); what is overdue is PANEL_LOST with `path=phone`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from collector.intake.deadlines import Deadlines
from collector.intake.detail import value
from collector.intake.supervision import PathChanged
from protocols.instants import US_PER_S, Instant, UtcTime, later
from protocols.mqtt.reception import SPOOL_LINE, Reception
from protocols.panel_event import Code, PanelEvent, Qualifier

PERIODS: Final = 3


class ReceiverVerdict(msgspec.Struct, frozen=True):
    """What is stored of one receiver's path."""

    receiver: str
    period_s: float
    lost: bool
    spool: str = ""
    """What it says is wrong with its own store; empty: nothing."""


class ReceiverWatch:
    """One machine for all receivers; `now` is the collector's monotonic time of receipt."""

    def __init__(self) -> None:
        self._known: dict[str, ReceiverVerdict] = {}
        self._deadlines: Deadlines[str] = Deadlines()

    def restore(self, verdict: ReceiverVerdict, now: Instant) -> None:
        """Take over what was stored before a restart, with one fresh interval."""
        self._known[verdict.receiver] = verdict
        self._watch(verdict, now)

    def receive(self, header: Reception, now: Instant) -> list[PathChanged]:
        """Anything it sends proves it is there. What it cannot store it cannot tell by its spool: a
        full or failing disk is told by its heartbeat.
        """
        name, fault = header.receiver, header.lines.get(SPOOL_LINE, "")
        before = self._known.get(name)
        verdict = ReceiverVerdict(name, header.period_s, lost=False, spool=fault)
        self._known[name] = verdict
        self._watch(verdict, now)
        changed: list[PathChanged] = []
        if before is not None and before.lost:
            changed.append(PathChanged(name, _lost(Qualifier.RESTORE)))
        if bool(fault) != bool(before is not None and before.spool):
            changed.append(PathChanged(name, _spool(fault)))
        return changed

    def tick(self, now: Instant) -> list[PathChanged]:
        """Those overdue."""
        changed: list[PathChanged] = []
        for _, receiver in self._deadlines.due(now):
            self._known[receiver] = msgspec.structs.replace(self._known[receiver], lost=True)
            changed.append(PathChanged(receiver, _lost(Qualifier.NEW)))
        return changed

    def deadline(self) -> Instant | None:
        """When the next receiver is overdue."""
        first = self._deadlines.first()
        return None if first is None else Instant(first)

    def forgive(self, now: Instant) -> None:
        """We were deaf ourselves: everyone gets a fresh interval."""
        for verdict in self._known.values():
            self._watch(verdict, now)

    def forget(self, receiver: str) -> None:
        """Revoked: nobody waits for it."""
        self._known.pop(receiver, None)
        self._deadlines.set(receiver, None)

    def _watch(self, verdict: ReceiverVerdict, now: Instant) -> None:
        due = None if verdict.lost else later(now, PERIODS * verdict.period_s)
        self._deadlines.set(verdict.receiver, due)


class PhonePath(msgspec.Struct, frozen=True):
    """What is stored of one panel's phone path. `heard`: its last report, by the ledger's clock."""

    panel: str
    heard: UtcTime
    lost: bool
    since: UtcTime


class PhoneWatch:
    """Which panels have not phoned for too long. Works in the ledger's time, over restarts."""

    def __init__(self) -> None:
        self._known: dict[str, PhonePath] = {}
        self._deadlines: Deadlines[str] = Deadlines()
        self._test_us: dict[str, int] = {}

    def restore(self, path: PhonePath) -> None:
        """As stored before a restart."""
        self._known[path.panel] = path
        self._watch(path)

    def expect(self, test_h: dict[str, float], now: UtcTime) -> list[PhonePath]:
        """Panels that must phone, and within how many hours. Rows to store for new ones."""
        wanted = {panel: round(h * 3600 * US_PER_S) for panel, h in test_h.items() if h > 0}
        if wanted == self._test_us:
            return []
        self._test_us = wanted
        new = [PhonePath(p, now, lost=False, since=now) for p in wanted if p not in self._known]
        for path in new:
            self._known[path.panel] = path
        for path in self._known.values():
            self._watch(path)
        return new

    def heard(self, panel: str, now: UtcTime) -> tuple[PhonePath, list[PathChanged]]:
        """A report came by phone: the row to store, and the return of a lost path."""
        before = self._known.get(panel)
        back = before is not None and before.lost
        since = now if before is None or back else before.since
        path = PhonePath(panel, now, lost=False, since=since)
        self._known[panel] = path
        self._watch(path)
        return path, [PathChanged(panel, _silent(Qualifier.RESTORE))] if back else []

    def tick(self, now: UtcTime) -> list[tuple[PhonePath, PathChanged]]:
        """Those overdue: the row to store and what to tell."""
        made: list[tuple[PhonePath, PathChanged]] = []
        for _, panel in self._deadlines.due(now):
            path = msgspec.structs.replace(self._known[panel], lost=True, since=now)
            self._known[panel] = path
            made.append((path, PathChanged(panel, _silent(Qualifier.NEW))))
        return made

    def deadline(self) -> UtcTime | None:
        """When the next panel is overdue."""
        first = self._deadlines.first()
        return None if first is None else UtcTime(first)

    def _watch(self, path: PhonePath) -> None:
        within = self._test_us.get(path.panel)
        due = None if within is None or path.lost else path.heard + within
        self._deadlines.set(path.panel, due)


def _lost(q: Qualifier) -> PanelEvent:
    return PanelEvent(code=Code.RECEIVER_LOST, q=q)


def _spool(fault: str) -> PanelEvent:
    q = Qualifier.NEW if fault else Qualifier.RESTORE
    detail = f"line={SPOOL_LINE};cause={value(fault)}" if fault else f"line={SPOOL_LINE}"
    return PanelEvent(code=Code.LINE_FAULT, q=q, detail=detail)


def _silent(q: Qualifier) -> PanelEvent:
    return PanelEvent(code=Code.PANEL_LOST, q=q, detail="path=phone;why=overdue")
