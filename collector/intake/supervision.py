"""Is a panel's path alive? Judged by the collector's own monotonic time of receipt (G1).

A will only makes the wait shorter: a panel that was killed is back within seconds. A restart of
the collector neither clears a loss nor invents one: the verdict is stored, and everyone gets one
fresh interval of grace.
"""

from __future__ import annotations

import msgspec

from collector.intake.deadlines import Deadlines
from protocols.instants import Instant, later
from protocols.mqtt.payloads import Heartbeat, Will
from protocols.panel_event import Code, PanelEvent, Qualifier

FRESH_S = 2.0
"""A will this soon after a heartbeat is that of the connection the panel has just left: for panels
that name no session."""


class Policy(msgspec.Struct, frozen=True):
    """`margin_s` on top of the panel's own heartbeat period; `will_grace_s` after a last will."""

    margin_s: float = 30.0
    will_grace_s: float = 10.0


class Verdict(msgspec.Struct, frozen=True):
    """What is stored of one panel's path."""

    panel: str
    boot: str
    period_s: float
    lost: bool


class PathChanged(msgspec.Struct, frozen=True):
    """The path was lost (NEW) or is back (RESTORE)."""

    panel: str
    event: PanelEvent


class Supervisor:
    """One machine for all panels. `now` is the collector's monotonic time of receipt."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known: dict[str, Verdict] = {}
        self._seen: dict[str, Instant] = {}
        self._sessions: dict[str, str] = {}
        self._deadlines: Deadlines[str] = Deadlines()

    def restore(self, verdict: Verdict, now: Instant) -> None:
        """Take over what was stored before a restart."""
        self._known[verdict.panel] = verdict
        self._watch(verdict, now)

    def verdict(self, panel: str) -> Verdict | None:
        """What is known of a panel that ever sent a heartbeat."""
        return self._known.get(panel)

    def receive(self, sign: Heartbeat | Will, now: Instant) -> list[PathChanged]:
        """A heartbeat proves the path; a will of the running boot shortens the wait."""
        before = self._known.get(sign.panel)
        if isinstance(sign, Will):
            if before is not None and before.boot == sign.boot and not before.lost:
                session = self._sessions.get(sign.panel, "")
                if sign.session and session and sign.session != session:
                    return []  # of a connection that has a successor
                fresh = now - self._seen.get(sign.panel, Instant(0)) < later(Instant(0), FRESH_S)
                if not fresh or sign.panel not in self._seen:
                    self._deadlines.set(sign.panel, later(now, self._policy.will_grace_s))
            return []
        verdict = Verdict(sign.panel, sign.boot, sign.period_s, lost=False)
        self._known[sign.panel] = verdict
        self._seen[sign.panel] = now
        self._sessions[sign.panel] = sign.session
        self._watch(verdict, now)
        if before is not None and before.lost:
            return [PathChanged(sign.panel, _lost(Qualifier.RESTORE))]
        return []

    def tick(self, now: Instant) -> list[PathChanged]:
        """Those whose heartbeat is overdue."""
        changed: list[PathChanged] = []
        for _, panel in self._deadlines.due(now):
            self._known[panel] = msgspec.structs.replace(self._known[panel], lost=True)
            changed.append(PathChanged(panel, _lost(Qualifier.NEW)))
        return changed

    def deadline(self) -> Instant | None:
        """When the next panel is overdue."""
        first = self._deadlines.first()
        return None if first is None else Instant(first)

    def forgive(self, now: Instant) -> None:
        """We were deaf ourselves (our broker or our disk): everyone gets a fresh interval."""
        for verdict in self._known.values():
            self._watch(verdict, now)

    def forget(self, panel: str) -> None:
        """The panel is no longer registered: nobody waits for it."""
        self._known.pop(panel, None)
        self._sessions.pop(panel, None)
        self._deadlines.set(panel, None)

    def _watch(self, verdict: Verdict, now: Instant) -> None:
        wait_s = verdict.period_s + self._policy.margin_s
        self._deadlines.set(verdict.panel, None if verdict.lost else later(now, wait_s))


def _lost(q: Qualifier) -> PanelEvent:
    return PanelEvent(code=Code.PANEL_LOST, q=q, detail="path=mqtt")
