"""Is a panel's path alive? Judged by the collector's own monotonic time of receipt (G1).

A will only makes the wait shorter: a panel that was killed is back within seconds. A restart of
the collector neither clears a loss nor invents one: the verdict is stored, and everyone gets one
fresh interval of grace.
"""

from __future__ import annotations

import math

import msgspec

from collector.intake.deadlines import Deadlines
from protocols.instants import NS_PER_S, Instant, later
from protocols.mqtt.payloads import Heartbeat, Will
from protocols.panel_event import Code, PanelEvent, Qualifier

PROOF_S = 5.0
"""A heartbeat this long after a report by phone was sent when its event had long been journaled."""
DRIFT = 2e-4
"""How fast a panel's own monotonic clock may run apart from ours."""
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
    """The path was lost (NEW), is back (RESTORE), or is up as was asked (PATH_PROVEN): told of the
    first heartbeat after a report by phone, of the first that owes nothing by phone any more, and
    at a loss of the last one that owed nothing.
    """

    panel: str
    event: PanelEvent


class Supervisor:
    """One machine for all panels. `now` is the collector's monotonic time of receipt."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known: dict[str, Verdict] = {}
        self._seen: dict[str, Instant] = {}
        self._sessions: dict[str, str] = {}
        self._asked: dict[str, tuple[Instant, Instant]] = {}
        self._owing: set[str] = set()
        self._quiet: dict[str, tuple[Heartbeat, Instant]] = {}
        """The last heartbeat of each panel that owed nothing by phone, and when it was sent."""
        self._quickest: dict[str, tuple[str, float, float, Instant]] = {}
        self._deadlines: Deadlines[str] = Deadlines()

    def restore(self, verdict: Verdict, now: Instant) -> None:
        """Take over what was stored before a restart."""
        self._known[verdict.panel] = verdict
        self._watch(verdict, now)

    def verdict(self, panel: str) -> Verdict | None:
        """What is known of a panel that ever sent a heartbeat."""
        return self._known.get(panel)

    def ask(self, panel: str, now: Instant) -> None:
        """A report of it came by phone: tell when a later heartbeat shows the other path up."""
        if panel in self._known:
            self._asked[panel] = (self._asked.get(panel, (now, now))[0], now)

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
        changed = []
        if before is not None and before.lost:
            changed.append(PathChanged(sign.panel, _lost(Qualifier.RESTORE)))
        under_way_s = self._under_way_s(sign, now)
        sent = later(now, -under_way_s)
        first, last = self._asked.get(sign.panel, (now, now))
        asked = sent >= later(first, PROOF_S)
        owed = None if sign.phone is None else sign.phone.owed
        if owed == 0:
            self._quiet[sign.panel] = (sign, sent)
        if asked or (owed == 0 and sign.panel in self._owing):
            if asked:
                del self._asked[sign.panel]
            if asked and sent < later(last, PROOF_S):
                self._asked[sign.panel] = (last, last)
            (self._owing.add if owed else self._owing.discard)(sign.panel)
            changed.append(_proven(sign, under_way_s))
        return changed

    def _under_way_s(self, beat: Heartbeat, now: Instant) -> float:
        """How much longer than the quickest of its connection this one took: a stalled one may
        deliver after a report by phone what was said before its event.
        """
        here_s = now / NS_PER_S - beat.uptime_s
        session, uptime_s, quickest_s, at = self._quickest.get(beat.panel, ("", math.inf, 0.0, now))
        if session != beat.session or beat.uptime_s < uptime_s:
            quickest_s = here_s
        quickest_s = min(here_s, quickest_s + DRIFT * (now - at) / NS_PER_S)
        self._quickest[beat.panel] = (beat.session, beat.uptime_s, quickest_s, now)
        return here_s - quickest_s

    def tick(self, now: Instant) -> list[PathChanged]:
        """Those whose heartbeat is overdue."""
        changed: list[PathChanged] = []
        for _, panel in self._deadlines.due(now):
            self._known[panel] = msgspec.structs.replace(self._known[panel], lost=True)
            quiet = self._quiet.pop(panel, None)
            if quiet is not None:  # what is told by phone from now on is of later Records
                changed.append(_proven(quiet[0], (now - quiet[1]) / NS_PER_S))
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
        self._asked.pop(panel, None)
        self._owing.discard(panel)
        self._quiet.pop(panel, None)
        self._quickest.pop(panel, None)
        self._deadlines.set(panel, None)

    def _watch(self, verdict: Verdict, now: Instant) -> None:
        wait_s = verdict.period_s + self._policy.margin_s
        self._deadlines.set(verdict.panel, None if verdict.lost else later(now, wait_s))


def _proven(beat: Heartbeat, under_way_s: float) -> PathChanged:
    detail = f"epoch={beat.epoch};seq={beat.seq}"
    detail += f";up_s={beat.uptime_s:.1f};under_way_s={under_way_s:.1f}"
    detail += "" if beat.phone is None else f";owed={beat.phone.owed}"
    event = PanelEvent(code=Code.PATH_PROVEN, q=Qualifier.STATUS, detail=detail)
    return PathChanged(beat.panel, event)


def _lost(q: Qualifier) -> PanelEvent:
    return PanelEvent(code=Code.PANEL_LOST, q=q, detail="path=mqtt")
