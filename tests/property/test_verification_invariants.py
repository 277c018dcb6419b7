"""Nothing is lost, nothing waits that must not, nobody is told what is not proven.

The checks know nothing of how the machine judges: they count what went in and came out.
"""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collector.dispatch import Released, Withheld, release
from collector.records.case import Case, Destination, Handover, Kind, OperatorAct, Outcome, State
from collector.records.signal import Occurrence
from collector.verification import CaseChanged, CaseEffect, CaseMachine, HandOver
from collector.verification.kinds import KIND_OF, role_of
from protocols.instants import UtcTime
from protocols.panel_event import Code, Qualifier
from tests.support.case_story import BS, CARD, PANEL, SHANGHAI, START, S, occurrence

ALARMS = (
    Code.BURGLARY,
    Code.INTERIOR,
    Code.ENTRY_EXIT,
    Code.HOLDUP_SILENT,
    Code.DURESS,
    Code.FIRE,
    Code.MEDICAL,
    Code.GAS,
    Code.WATER,
    Code.ZONE_TAMPER,
    Code.PANEL_TAMPER,
    Code.MAINS_FAIL,
    Code.PATH_IP_FAULT,
    Code.PATH_PHONE_FAULT,
    Code.PATHS_TAMPERED,
    Code.ARMING_REFUSED,
    777,
    4242,
)
CONTEXT = (
    Code.OPEN_CLOSE,
    Code.ARMED_STAY,
    Code.ALARM_CANCEL,
    Code.ABORT,
    Code.ENTRY_DOOR_OPENED,
    Code.PANEL_ON_TEST,
    Code.RECENT_CLOSE,
    Code.ZONE_STATE,
    Code.BOOT,
)
RANK = {State.UNCONFIRMED: 0, State.CANCELLED: 0, State.CONFIRMED: 0, State.HANDED_OVER: 1}


class Centre(RuleBasedStateMachine):
    """One panel's reports, late and in order, and an operator."""

    @initialize(rules=st.sampled_from((BS, SHANGHAI)))
    def begin(self, rules: object) -> None:
        self.rules = BS if rules is BS else SHANGHAI
        self.machine = CaseMachine(self.rules, PANEL, CARD)
        self.now_s = 0.0
        self.seq = 0
        self.ids = 0
        self.alarms: list[Occurrence] = []
        self.held_back: list[dict[str, object]] = []
        self.cases: dict[int, Case] = {}
        self.handovers: list[Handover] = []
        self.told: Counter[tuple[int, str, int]] = Counter()
        self.closed: Counter[int] = Counter()
        self.seen: dict[int, int] = {}

    def _take(self, effects: list[CaseEffect]) -> None:
        for effect in effects:
            match effect:
                case CaseChanged(case):
                    before = self.cases.get(case.id)
                    if before is not None and before.state is State.HANDED_OVER:
                        assert case.state in {State.HANDED_OVER, State.CLOSED}
                    self.cases[case.id] = case
                    forged = _forged(case)
                    proven = any(d.outcome == "confirmed" for d in case.decisions)
                    if case.kind is Kind.BURGLARY and (case.test or not proven):
                        assert isinstance(release(case, forged), Withheld)
                    if case.kind is Kind.HOLDUP:
                        assert isinstance(release(case, forged), Released)
                case HandOver(handover, case):
                    assert self.cases[handover.case] == case
                    assert isinstance(release(case, handover), Released)
                    self.handovers.append(handover)
                    key = (handover.case, handover.to.value, self.closed[handover.case])
                    self.told[key] += 1
                    assert self.told[key] == 1, "told twice"

    def _give(self, one: Occurrence) -> None:
        effects = self.machine.receive(one, one.received)
        if one.event.q is not Qualifier.RESTORE and role_of(one.event.code) in KIND_OF:
            self.alarms.append(one)
            assert effects, "an alarm without an effect"
        self._take(effects)
        role = role_of(one.event.code)
        if one.event.q is not Qualifier.RESTORE and KIND_OF.get(role) is Kind.HOLDUP:
            holding = [case for case in self.cases.values() if _holds(case, one.id)]
            assert any(case.kind is Kind.HOLDUP for case in holding)
            told = {handover.case for handover in self.handovers if handover.to.value == "110"}
            assert any(case.id in told for case in holding), "a hold-up waits"

    def _record(self, code: int, q: Qualifier, more: dict[str, object]) -> dict[str, object]:
        self.seq += 1
        return {"seq": self.seq, "code": code, "at_s": self.now_s, "q": q, **more}

    def _send(self, record: dict[str, object]) -> None:
        self.ids += 1
        late = self.now_s + 0.2
        self._give(occurrence(**record, id_=self.ids, received_s=late))  # type: ignore[arg-type]

    @rule(
        code=st.sampled_from(ALARMS + CONTEXT),
        q=st.sampled_from((Qualifier.NEW, Qualifier.NEW, Qualifier.NEW, Qualifier.RESTORE)),
        zone=st.integers(0, 9),
        area=st.sampled_from((0, 1, 1, 2)),
        test=st.sampled_from((False, False, False, True)),
        err_us=st.sampled_from((0, 1_000, 40 * S)),
        gap_s=st.sampled_from((0, 1, 20, 200, 1900, 5000)),
        hold=st.sampled_from((False, False, True)),
    )
    def report(
        self,
        code: int,
        q: Qualifier,
        zone: int,
        area: int,
        test: bool,
        err_us: int,
        gap_s: int,
        hold: bool,
    ) -> None:
        self.now_s += gap_s
        more: dict[str, object] = {
            "zone": zone,
            "area": area,
            "test": test,
            "err_us": err_us,
            "user": 2,
            "mono": err_us < S,
        }
        record = self._record(int(code), q, more)
        if hold:
            self.held_back.append(record)
        else:
            self._send(record)

    @precondition(lambda self: self.held_back)
    @rule(place=st.integers(0, 10**6))
    def arrive_late(self, place: int) -> None:
        self._send(self.held_back.pop(place % len(self.held_back)))

    @rule(gap_s=st.sampled_from((0, 60, 3000)), q=st.sampled_from(tuple(Qualifier)))
    def centre_notices(self, gap_s: int, q: Qualifier) -> None:
        self.now_s += gap_s
        self.ids += 1
        event = occurrence(0, Code.PANEL_LOST, self.now_s, q, area=0, epoch=0, id_=self.ids)
        self._give(event)

    @rule(gap_s=st.sampled_from((1, 3000)))
    def time_passes(self, gap_s: int) -> None:
        self.now_s += gap_s
        now = UtcTime(START + round(self.now_s * S))
        due = self.machine.deadline()
        self._take(self.machine.tick(now))
        after = self.machine.deadline()
        assert after is None or after > now
        assert due is None or after is None or after >= due

    @rule()
    def restart(self) -> None:
        saved = self.machine.snapshot()
        self.machine = CaseMachine.restore(self.rules, PANEL, CARD, saved)
        assert self.machine.snapshot() == saved

    @precondition(lambda self: self.cases)
    @rule(place=st.integers(0, 10**6), outcome=st.sampled_from((Outcome.FALSE, Outcome.REAL)))
    def operator_closes(self, place: int, outcome: Outcome) -> None:
        case = list(self.cases)[place % len(self.cases)]
        now = UtcTime(START + round(self.now_s * S))
        effects = self.machine.operator(OperatorAct(case, "close", "Li", outcome), now)
        if effects:
            self.closed[case] += 1
            self.seen[case] = self.ids
        self._take(effects)

    @invariant()
    def no_alarm_without_a_case(self) -> None:
        if not hasattr(self, "alarms"):
            return
        held = Counter(
            piece.occurrence
            for case in self.cases.values()
            if case.outcome is not Outcome.MERGED
            for piece in case.occurrences
        )
        spare = sum(case.more for case in self.cases.values() if case.outcome is not Outcome.MERGED)
        missing = [one for one in self.alarms if not held[one.id]]
        assert len(missing) <= spare, missing

    @invariant()
    def a_closed_case_holds_only_what_was_seen(self) -> None:
        if not hasattr(self, "alarms"):
            return
        for case in self.cases.values():
            if case.state is State.CLOSED and case.closed_at is not None:
                seen = self.seen[case.id]
                late = [piece for piece in case.occurrences if piece.occurrence > seen]
                assert not [
                    piece
                    for piece in late
                    if KIND_OF.get(role_of(piece.event.code)) is case.kind
                    and piece.event.q is not Qualifier.RESTORE
                ]

    @invariant()
    def police_are_told_of_burglary_only_with_proof(self) -> None:
        if not hasattr(self, "alarms"):
            return
        known = {one.id: one for one in self.alarms}
        for handover in self.handovers:
            if handover.kind is not Kind.BURGLARY or handover.to.value != "110":
                continue
            pieces = [known[id_].event for id_ in handover.evidence if id_ in known]
            zones = {event.zone for event in pieces if 130 <= event.code < 150 and event.zone}
            beside = {event.code for event in pieces} & {
                Code.PATH_IP_FAULT,
                Code.PATH_PHONE_FAULT,
                Code.PATHS_TAMPERED,
                Code.PANEL_LOST,
                Code.DURESS,
            }
            assert len(zones) >= 2 or beside, handover
            assert not any(event.test for event in pieces if event.code != Code.DURESS)
            assert 6 not in zones, "an outside detector confirmed"


def _forged(case: Case) -> Handover:
    """A hand-over to the police that no rule has asked for."""
    whom = Destination.POLICE
    return Handover(case.id, case.panel, case.kind, case.opened_at, whom, "forged", "", "")


def _holds(case: Case, occurrence_id: int) -> bool:
    return any(piece.occurrence == occurrence_id for piece in case.occurrences)


TestCentre = Centre.TestCase
TestCentre.settings = settings(
    deadline=None, derandomize=True, max_examples=120, stateful_step_count=40
)
