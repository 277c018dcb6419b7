"""A draft and what was done about it -> the Case as it is stored."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from collector.records.case import Case, Decision, Destination, Outcome, State
from collector.verification.draft import Draft
from collector.verification.rules import Rules
from collector.verification.transitions import Lane
from protocols.instants import UtcTime


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """What was done about a case: acts, which no later judgement undoes.

    `closed_upto`: highest alarm in the case when it was closed; 0 is not closed. `seen`: highest
    Occurrence here when it was first closed; what came later makes a case of its own. `told`: who
    was told in this round; a reopened case is told anew. `revised`: verdicts changed by late ones.
    """

    case: int
    taken_by: str = ""
    closed_by: str = ""
    closed_at: UtcTime | None = None
    closed_upto: int = 0
    seen: int = 0
    outcome: Outcome = Outcome.OPEN
    note: str = ""
    told: tuple[Destination, ...] = ()
    window_over: bool = False
    reopened: int = 0
    revised: tuple[tuple[str, UtcTime], ...] = ()
    acted_at: UtcTime = UtcTime(0)


def case_of(panel: str, draft: Draft, mark: Mark, rules: Rules) -> Case:
    """The Case of a draft under its mark."""
    closed = mark.closed_upto >= draft.top
    restored = draft.verdict is State.CLOSED
    outcome = Outcome.RESTORED if restored else Outcome.OPEN
    verified = draft.lane == Lane.VERIFIED.value
    until = window_end(draft, rules)
    return Case(
        id=draft.id,
        panel=panel,
        areas=draft.areas,
        kind=draft.kind,
        state=_state(draft, mark, closed=closed),
        verdict=draft.verdict,
        opened_at=draft.first.at,
        updated_at=UtcTime(max(draft.received, mark.acted_at)),
        occurrences=draft.evidence,
        decisions=(*draft.decisions, *_revisions(draft, mark, rules)),
        handed_to=mark.told,
        test=draft.test,
        grade=draft.grade,
        outcome=mark.outcome if closed else outcome,
        taken_by=mark.taken_by,
        closed_by=mark.closed_by if closed else "",
        closed_at=mark.closed_at if closed else None,
        note=mark.note,
        window_until=until if verified else None,
        window_over=mark.window_over,
        more=draft.more,
        runaway=draft.runaway,
        unknown_code=draft.unknown_code,
        context=draft.context,
    )


def window_end(draft: Draft, rules: Rules) -> UtcTime:
    """When no trip can be inside the window any more; an alarm is never later than its receipt."""
    first = draft.first
    return UtcTime(min(first.at + first.err_us, first.received) + rules.window_us)


def _state(draft: Draft, mark: Mark, *, closed: bool) -> State:
    if closed:
        return State.CLOSED
    if any(to is not Destination.GUARDS for to in mark.told):
        return State.HANDED_OVER
    return draft.verdict


def _revisions(draft: Draft, mark: Mark, rules: Rules) -> tuple[Decision, ...]:
    made = [("late_evidence", change, at) for change, at in mark.revised]
    if mark.reopened and mark.closed_upto == 0:
        made.append(("reopened", "evidence_after_close", draft.received))
    plain = Decision(
        rule="",
        outcome="revised",
        why="",
        at=draft.received,
        evidence=(draft.top,),
        rules=rules.version,
        sha256=rules.sha256,
    )
    return tuple(replace(plain, rule=rule, why=why, at=at) for rule, why, at in made)
