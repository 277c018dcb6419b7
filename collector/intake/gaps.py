"""Holes in the numbering: asked for, told when nobody can fill them, told again when they fill."""

from __future__ import annotations

import msgspec

from collector.intake.run import Run
from protocols.instants import Instant, later
from protocols.mqtt.payloads import Heartbeat, Resend
from protocols.panel_event import Code, PanelEvent, Qualifier

MAX_ASK = 4096
"""Longest range asked for at once."""
MAX_HOLES = 64
"""Holes of one run worked on at a time; the next ones follow when these are settled."""


class Policy(msgspec.Struct, frozen=True):
    """Ask `ask_after_s` after a hole was seen, then ever more slowly; tell after `tell_after_s`.

    `tail_after_s`: how long Records the panel says it has written may still be on their way.
    """

    ask_after_s: float = 2.0
    ask_at_most_s: float = 600.0
    tell_after_s: float = 60.0
    tail_after_s: float = 60.0


class Ask(msgspec.Struct, frozen=True):
    """Send this command to the panel."""

    panel: str
    resend: Resend


class Noticed(msgspec.Struct, frozen=True):
    """Something the centre noticed itself, to be stored as a Signal of path `centre`."""

    panel: str
    event: PanelEvent


class _Hole:
    """Timers of one hole, known by the seq just after it."""

    __slots__ = ("next_ask", "next_wait_s", "tell")

    def __init__(self, next_ask: Instant, wait_s: float, tell: Instant | None) -> None:
        self.next_ask = next_ask
        self.next_wait_s = wait_s
        self.tell = tell


class GapWatch:
    """The holes of one run. The tail (told of by heartbeats) is a hole that is never told alone."""

    def __init__(self, policy: Policy, run: Run) -> None:
        self._policy = policy
        self._run = run
        self._holes: dict[int, _Hole] = {}
        self._tail = 0
        self._tail_since: Instant | None = None

    @property
    def busy(self) -> bool:
        """A timer runs."""
        return bool(self._holes) or self._tail_since is not None

    def heartbeat(self, beat: Heartbeat, now: Instant) -> list[Ask | Noticed]:
        """Settle the baseline; a hole below `floor` can never be filled, so it is told at once."""
        run, state = self._run, self._run.state
        if not state.greeted:
            run.start_at(beat.floor)
            state.greeted = True
        self._tail = beat.seq
        effects: list[Ask | Noticed] = []
        floor = min(beat.floor, beat.seq + 1)
        below = [*run.holes(), (run.newest + 1, floor - 1)]
        for first, last in below:
            if first < floor and first <= last:
                effects += self.unavailable(first, min(last, floor - 1))
        self._tail_since = None if beat.seq <= run.newest else self._tail_since or now
        self.changed(now)
        return effects

    def unavailable(self, first: int, last: int) -> list[Ask | Noticed]:
        """The panel cannot send these. Told once; what is held of the range is left out."""
        run = self._run
        ends = [*run.holes(), (run.newest + 1, min(last, self._tail))]
        effects: list[Ask | Noticed] = []
        for f, e in ends:
            lo, hi = max(f, first), min(e, last)
            if lo <= hi and run.lose(lo, hi, final=True):
                effects.append(self._told(lo, hi, Qualifier.NEW))
        return effects

    def changed(self, now: Instant) -> None:
        """Records came: forget filled holes, start the timers of new ones."""
        rights = {last + 1 for _, last in self._open()}
        for right in [r for r in self._holes if r not in rights]:
            del self._holes[right]
        policy = self._policy
        for right in rights:
            if right not in self._holes:
                wait = policy.ask_after_s
                self._holes[right] = _Hole(
                    later(now, wait), 2 * wait, later(now, policy.tell_after_s)
                )

    def filled(self, seq: int) -> list[Ask | Noticed]:
        """A late Record came: tell when it makes a told gap whole."""
        whole = self._run.found(seq)
        if whole is None:
            return []
        return [self._told(whole.first, whole.last, Qualifier.RESTORE)]

    def tick(self, now: Instant) -> list[Ask | Noticed]:
        """Ask for and tell of what is due."""
        effects: list[Ask | Noticed] = []
        policy = self._policy
        for first, last in list(self._open()):
            hole = self._holes.get(last + 1)
            if hole is None:
                continue
            if hole.next_ask <= now:
                effects.append(self._ask(first, last))
                hole.next_ask = later(now, hole.next_wait_s)
                hole.next_wait_s = min(2 * hole.next_wait_s, policy.ask_at_most_s)
            if hole.tell is not None and hole.tell <= now:
                hole.tell = None
                if self._run.lose(first, last, final=False):
                    effects.append(self._told(first, last, Qualifier.NEW))
        tail = self._tail_due()
        if tail is not None and tail <= now:
            effects.append(self._ask(self._run.newest + 1, self._tail))
            self._tail_since = now
        return effects

    def deadline(self) -> Instant | None:
        """When the next hole is to be asked for or told."""
        dues = [hole.next_ask for hole in self._holes.values()]
        dues += [hole.tell for hole in self._holes.values() if hole.tell is not None]
        tail = self._tail_due()
        if tail is not None:
            dues.append(tail)
        return min(dues, default=None)

    def _tail_due(self) -> Instant | None:
        if self._tail <= self._run.newest or self._tail_since is None:
            return None
        return later(self._tail_since, self._policy.tail_after_s)

    def _open(self) -> list[tuple[int, int]]:
        """The holes somebody may still fill."""
        final = [x for x in self._run.state.lost if x.final]
        open_: list[tuple[int, int]] = []
        for first, last in self._run.holes():
            pieces = [(first, last)]
            for gone in final:
                pieces = [
                    part
                    for f, e in pieces
                    for part in ((f, min(e, gone.first - 1)), (max(f, gone.last + 1), e))
                    if part[0] <= part[1]
                ]
            open_ += pieces
            if len(open_) >= MAX_HOLES:
                break
        return open_

    def _ask(self, first: int, last: int) -> Ask:
        state = self._run.state
        resend = Resend(epoch=state.epoch, first=first, last=min(last, first + MAX_ASK - 1))
        return Ask(state.panel, resend)

    def _told(self, first: int, last: int, q: Qualifier) -> Noticed:
        # NEW and RESTORE of one gap carry the same detail: that is how they are paired.
        state = self._run.state
        detail = f"epoch={state.epoch};first={first};last={last}"
        return Noticed(state.panel, PanelEvent(code=Code.SEQUENCE_GAP, q=q, detail=detail))
