"""Stage 2: Signals in ledger order -> Occurrences -> Cases -> Handovers, by a stored cursor.

One step is one transaction: what the machines made, their snapshots and the cursor. A crash
anywhere repeats the step with the same result. Time is the Signals' stored time of receipt: before
a Signal is fed, every timer due by then is fired at its own time, earliest first; when nothing
comes, timers are fired and the time reached (`horizon`) is stored, and no later Signal is ever
dated before it. So a replay of the ledger gives the same history.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol, assert_never

import msgspec

from collector.adapters.ledger_statements import Statement
from collector.adapters.ledger_store import Draft, LedgerStore, StoreError
from collector.dedupe import (
    Effect,
    Joined,
    Joiner,
    Opened,
    Policy,
    Repeated,
    Retired,
    absorbed,
    joined,
    opened,
    retired,
)
from collector.dispatch.gate import Released, release
from collector.intake.deadlines import Deadlines
from collector.records.case import Case, Handover, OperatorAct
from collector.records.changed import Changed
from collector.records.ledger_entry import EntryKind, FaultBody
from collector.records.placement import Anchor, anchor_of, place
from collector.records.signal import Occurrence, Signal
from collector.verification.machine import CaseChanged, CaseEffect, HandOver
from protocols.instants import UtcTime
from protocols.mqtt.payloads import SiteCard
from protocols.panel_event import Code

log = logging.getLogger(__name__)
CURSOR: Final = "judging"
DEDUPE: Final = "dedupe"
CASES: Final = "verification"
MAX_PANELS: Final = 10_000
"""Panels whose machines stay in memory between steps."""
MAX_FIRED: Final = 10_000
"""Timers fired in one transaction."""
_encode = msgspec.json.Encoder().encode


class Cases(Protocol):
    """What this stage needs of a panel's case machine (`collector.verification`)."""

    def receive(self, occurrence: Occurrence, now: UtcTime) -> list[CaseEffect]:
        """Take an Occurrence."""
        ...

    def retract(self, gone: int, kept: Occurrence, now: UtcTime) -> list[CaseEffect]:
        """`gone` tells of the same as `kept`, which stays."""
        ...

    def operator(
        self, act: OperatorAct, now: UtcTime, stored: Case | None = None
    ) -> list[CaseEffect]:
        """Take an operator's act; `stored`: the ledger's copy of the case."""
        ...

    def tick(self, now: UtcTime) -> list[CaseEffect]:
        """Fire what is due."""
        ...

    def deadline(self) -> UtcTime | None:
        """When `tick` is due."""
        ...

    def set_card(self, card: SiteCard | None) -> None:
        """The site card from now on."""
        ...

    def snapshot(self) -> bytes:
        """The whole state."""
        ...


MakeCases = Callable[[str, SiteCard | None, bytes | None], Cases]
"""(panel, card, snapshot or None) -> its case machine."""


class CasesState(msgspec.Struct, frozen=True):
    """Stored state of a case machine, with the site card it judges by."""

    card: str
    snapshot: bytes


class _Panel:
    """The machines of one panel."""

    __slots__ = ("card", "cases", "joiner")

    def __init__(self, joiner: Joiner, cases: Cases, card: str) -> None:
        self.joiner = joiner
        self.cases = cases
        self.card = card


class Judging:
    """Owned by the writer thread."""

    def __init__(self, policy: Policy, store: LedgerStore, make_cases: MakeCases) -> None:
        self._policy = policy
        self._store = store
        self._make_cases = make_cases
        self._panels: OrderedDict[str, _Panel] = OrderedDict()
        self._anchors: dict[tuple[str, str], Anchor | None] = {}
        self._deadlines: Deadlines[tuple[str, str]] = Deadlines()
        self._dirty: set[str] = set()
        self._draft = Draft(UtcTime(0))
        self._occurrences: dict[int, Occurrence] = {}
        self._made_cases: dict[int, Case] = {}
        self._handovers: list[Handover] = []
        self._careful = 0
        self._catching = False
        self.faults = 0
        self.cursor, self.horizon = 0, UtcTime(0)
        self.reload()

    def reload(self) -> None:
        """Forget all that is not stored."""
        self._panels.clear()
        self._anchors.clear()
        self._begin(UtcTime(0))
        self._deadlines = Deadlines()
        for panel, name, at in self._store.machine_deadlines():
            self._deadlines.set((panel, name), at)
        self.cursor, self.horizon = self._store.cursor(CURSOR)

    def deadline(self) -> UtcTime | None:
        """When `idle` has timers to fire."""
        first = self._deadlines.first()
        return None if first is None else UtcTime(first)

    def step(self, limit: int) -> Changed | None:
        """Judge up to `limit` Signals in one transaction. None: there are none."""
        signals = self._store.signals_after(self.cursor, 1 if self._careful else limit)
        if not signals:
            return None
        return self._attempt(signals, signals[-1][0].received)

    def idle(self, now: UtcTime) -> Changed | None:
        """Fire the timers due by `now`; every stored Signal must have been judged."""
        due = self.deadline()
        if due is None or due > now:
            return None
        return self._attempt([], now)

    def _attempt(self, signals: list[tuple[Signal, bool]], until: UtcTime) -> Changed:
        """One transaction. What fails is repeated in the smallest steps, then with the fault
        stored: one input a machine cannot take costs no other (A2).
        """
        self._catching = self._careful > 0
        try:
            changed = self._transact(signals, until)
        except StoreError:
            self.reload()
            raise
        except Exception:
            self.reload()
            if self._catching:
                raise
            log.exception("judging failed; going on step by step")
            self._careful = max(len(signals), 1)
            return Changed()
        self._careful = max(self._careful - 1, 0)
        return changed

    def _transact(self, signals: list[tuple[Signal, bool]], until: UtcTime) -> Changed:
        until = max(until, self.horizon)
        self._begin(until)
        for signal, timed in signals:
            self._fire(signal.received, MAX_FIRED * MAX_FIRED)
            self._take(signal, timed=timed)
        if not signals:
            until = self._fire(until, 1 if self._catching else MAX_FIRED)
        cursor = signals[-1][0].id if signals else self.cursor
        draft = self._draft
        for occurrence in self._occurrences.values():
            body = _encode(occurrence)
            event = occurrence.event
            row = (occurrence.id, occurrence.panel, event.code, occurrence.at, occurrence.received)
            draft.add(Statement.OCCURRENCE, (*row, body))
            draft.enter(EntryKind.OCCURRENCE, str(occurrence.id), body)
        for case in self._made_cases.values():
            body = _encode(case)
            row_ = (case.id, case.panel, case.state.value, case.kind.value)
            draft.add(Statement.CASE, (*row_, case.opened_at, case.updated_at, body))
        for panel in sorted(self._dirty):
            self._save(panel)
        draft.add(Statement.CURSOR, (CURSOR, cursor, until))
        self._store.commit(draft)
        self.cursor, self.horizon = cursor, until
        changed = Changed(
            tuple(self._occurrences.values()),
            tuple(self._made_cases.values()),
            tuple(self._handovers),
        )
        while len(self._panels) > MAX_PANELS:
            self._panels.popitem(last=False)
        return changed

    def _begin(self, at: UtcTime) -> None:
        self._draft = Draft(at)
        self._dirty = set()
        self._occurrences = {}
        self._made_cases = {}
        self._handovers = []

    def _fire(self, until: UtcTime, limit: int) -> UtcTime:
        """Fire timers due by `until`, each at its own time; how far it came."""
        for fired, (at, (panel, name)) in enumerate(self._deadlines.due(until), 1):
            now = UtcTime(at)
            self._dirty.add(panel)
            self._guarded(panel, name, partial(self._tick, panel, name, now))
            due = self._machines(panel)
            again = (due.joiner if name == DEDUPE else due.cases).deadline()
            # A timer that does not move on would fire for ever.
            self._deadlines.set((panel, name), again if again is None or again > at else None)
            if fired >= limit:
                return now
        return until

    def _tick(self, panel: str, name: str, now: UtcTime) -> None:
        machines = self._machines(panel)
        if name == DEDUPE:
            self._meant(machines, machines.joiner.tick(now), now)
        else:
            self._ruled(machines.cases.tick(now), now)

    def _take(self, signal: Signal, *, timed: bool) -> None:
        panel, now = signal.panel, signal.received
        signal = self._placed(signal, timed=timed)
        machines = self._machines(panel)
        self._dirty.add(panel)
        event = signal.event
        if event.code == Code.OPERATOR_ACT and not signal.epoch:

            def act() -> None:
                done = msgspec.json.decode(event.detail, type=OperatorAct)
                stored = self._store.case(done.case)
                self._ruled(machines.cases.operator(done, now, stored), now)

            self._guarded(panel, CASES, act)
            self._deadlines.set((panel, CASES), self._machines(panel).cases.deadline())
            return
        if event.code == Code.SITE_CHANGED and not signal.epoch:
            machines.card = event.detail.removeprefix("card=")
            card = self._store.card(panel, machines.card)
            self._guarded(panel, CASES, lambda: machines.cases.set_card(card))
            machines.joiner.offer_marks(
                card is not None and card.phone_marks,
                always=card is not None and card.phone_always,
            )
        effects: list[Effect] = []

        def join() -> None:
            effects.extend(machines.joiner.receive(signal, now))

        if not self._guarded(panel, DEDUPE, join):
            effects = [Opened(opened(signal))]
        self._meant(self._machines(panel), effects, now)
        self._deadlines.set((panel, DEDUPE), self._machines(panel).joiner.deadline())
        self._deadlines.set((panel, CASES), self._machines(panel).cases.deadline())

    def _meant(self, machines: _Panel, effects: Iterable[Effect], now: UtcTime) -> None:
        """What dedupe decided, on to verification."""
        for effect in effects:
            match effect:
                case Opened(occurrence=occurrence):
                    pass
                case Joined(occurrence_id=id_, signal=signal):
                    known = self._known(id_)
                    occurrence = joined(known, signal) if known is not None else opened(signal)
                case Retired(occurrence_id=id_, same_as=same_as):
                    self._retire(machines, id_, same_as, now)
                    continue
                case Repeated(signal_id=id_, same_as=same_as):
                    self._repeat(id_, same_as)
                    continue
                case _:
                    assert_never(effect)
            self._occurrences[occurrence.id] = occurrence
            self._guarded(
                occurrence.panel, CASES, partial(self._rule, machines.cases, occurrence, now)
            )
            self._deadlines.set((occurrence.panel, CASES), machines.cases.deadline())

    def _known(self, id_: int) -> Occurrence | None:
        return self._occurrences.get(id_) or self._store.occurrence(id_)

    def _retire(self, machines: _Panel, id_: int, same_as: tuple[int, ...], now: UtcTime) -> None:
        """An Occurrence shown twice is one from now on; its case goes to the other's."""
        gone, kept = self._known(id_), self._known(same_as[0])
        if gone is None or kept is None:
            return
        self._occurrences[id_] = retired(gone, same_as)
        whole = absorbed(kept, gone) if len(same_as) == 1 else kept
        if whole != kept:
            self._occurrences[kept.id] = whole

        def rule() -> None:
            self._ruled(machines.cases.retract(id_, whole, now), now)

        self._guarded(gone.panel, CASES, rule)
        self._deadlines.set((gone.panel, CASES), self._machines(gone.panel).cases.deadline())

    def _repeat(self, id_: int, same_as: tuple[int, ...]) -> None:
        """It never comes on the screen; the ledger holds what it tells of (users.md M3)."""
        for signal, _ in self._store.signals_after(id_ - 1, 1):
            if signal.id == id_:
                self._occurrences[id_] = retired(opened(signal), same_as)

    def _rule(self, cases: Cases, occurrence: Occurrence, now: UtcTime) -> None:
        self._ruled(cases.receive(occurrence, now), now)

    def _ruled(self, effects: list[CaseEffect], now: UtcTime) -> None:
        """What verification decided, into the ledger; a hand-over through the gate (R71)."""
        for effect in effects:
            case = effect.case
            match effect:
                case CaseChanged():
                    self._made_cases[case.id] = case
                    self._draft.enter(EntryKind.CASE, str(case.id), _encode(case))
                case HandOver(handover=handover):
                    id_ = self._store.allot("handovers")
                    verdict = release(case, handover)
                    said = "released"
                    if not isinstance(verdict, Released):
                        said = f"withheld: {verdict.reason} ({verdict.clause})"
                    body = _encode(handover)
                    row = (id_, case.id, case.panel, handover.to.value, handover.at, said, body)
                    self._draft.add(Statement.HANDOVER, row)
                    self._draft.enter(EntryKind.HANDOVER, str(id_), said.encode() + b"\n" + body)
                    self._handovers.append(handover)
                case _:
                    assert_never(effect)

    def _placed(self, signal: Signal, *, timed: bool) -> Signal:
        """Put Records without a wall time on the UTC line, beside the originals (D16, N2)."""
        if not signal.boot:
            return signal
        key = (signal.panel, signal.boot)
        if signal.event.code == Code.CLOCK_SET:
            anchor = anchor_of(signal.id, signal.panel, signal.boot, signal.event)
            if anchor is not None and self._anchor(key) is None:
                self._anchors[key] = anchor
                self._draft.add(Statement.ANCHOR, (*key, _encode(anchor)))
                for id_, mono in self._store.untimed(*key, signal.id):
                    self._place(id_, mono, anchor)
        if timed or signal.mono is None:
            return signal
        anchor = self._anchor(key)
        if anchor is None:
            return signal
        at, err_us = self._place(signal.id, signal.mono, anchor)
        return msgspec.structs.replace(signal, at=at, err_us=err_us)

    def _place(self, id_: int, mono: int, anchor: Anchor) -> tuple[UtcTime, int]:
        placement = place(id_, mono, anchor)
        row = (id_, placement.panel, placement.at, placement.err_us, placement.by)
        self._draft.add(Statement.PLACEMENT, row)
        self._draft.enter(EntryKind.PLACEMENT, str(id_), _encode(placement))
        return placement.at, placement.err_us

    def _anchor(self, key: tuple[str, str]) -> Anchor | None:
        if key not in self._anchors:
            if len(self._anchors) > MAX_PANELS:
                self._anchors.clear()
            self._anchors[key] = self._store.anchor(*key)
        return self._anchors[key]

    def _machines(self, panel: str) -> _Panel:
        machines = self._panels.get(panel)
        if machines is None:
            machines = self._load(panel)
            self._panels[panel] = machines
        self._panels.move_to_end(panel)
        return machines

    def _load(self, panel: str) -> _Panel:
        stored = self._store.machine(DEDUPE, panel)
        joiner = Joiner(self._policy) if stored is None else Joiner.restore(self._policy, stored)
        state = CasesState("", b"")
        stored = self._store.machine(CASES, panel)
        if stored is not None:
            state = msgspec.msgpack.decode(stored, type=CasesState)
        card = self._store.card(panel, state.card) if state.card else None
        try:
            cases = self._make_cases(panel, card, state.snapshot or None)
        except Exception as error:
            if not self._catching:
                raise
            self._fault(panel, CASES, error)
            cases = self._make_cases(panel, card, None)
        return _Panel(joiner, cases, state.card)

    def _save(self, panel: str) -> None:
        machines = self._machines(panel)
        joiner, cases = machines.joiner, machines.cases
        state = msgspec.msgpack.encode(CasesState(machines.card, cases.snapshot()))
        self._draft.add(Statement.MACHINE, (DEDUPE, panel, joiner.deadline(), joiner.snapshot()))
        self._draft.add(Statement.MACHINE, (CASES, panel, cases.deadline(), state))

    def _guarded(self, panel: str, stage: str, act: Callable[[], object]) -> bool:
        """Run one machine on one input. When judging Signal by Signal, a failure is stored."""
        try:
            act()
        except StoreError:
            raise
        except Exception as error:
            if not self._catching:
                raise
            self._fault(panel, stage, error)
            self._panels.pop(panel, None)
            return False
        return True

    def _fault(self, panel: str, stage: str, error: Exception) -> None:
        log.error("%s of panel %s failed: %r", stage, panel, error)
        self.faults += 1
        body = _encode(FaultBody(stage, panel, repr(error)[:500]))
        self._draft.enter(EntryKind.FAULT, panel, body)
