"""What two judgements of one history make differently: for `replay`. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from collector.records.case import Case, Decision, State


class Side(msgspec.Struct, frozen=True, omit_defaults=True):
    """A case on one side. `rule` is the one that brought its verdict, `why` its token."""

    state: str = ""
    verdict: str = ""
    handed_to: tuple[str, ...] = ()
    rule: str = ""
    why: str = ""
    rules: str = ""


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """One case that differs. `what` names the fields; an absent side has an empty `state`."""

    case: int
    panel: str
    kind: str
    opened_at: int
    what: tuple[str, ...]
    before: Side = Side()
    after: Side = Side()


class Tally(msgspec.Struct, frozen=True):
    """Counts of both sides."""

    cases: int = 0
    confirmed: int = 0
    handed_over: int = 0
    cancelled: int = 0


def differences(before: Iterable[Case], after: Iterable[Case]) -> list[Difference]:
    """Cases that differ in what they hold, what was decided or who was told; by case id."""
    old, new = {case.id: case for case in before}, {case.id: case for case in after}
    found: list[Difference] = []
    for id_ in sorted(old.keys() | new.keys()):
        was, now = old.get(id_), new.get(id_)
        what = ("existence",) if was is None or now is None else _fields(was, now)
        case = was if was is not None else now
        if not what or case is None:
            continue
        found.append(
            Difference(
                case=id_,
                panel=case.panel,
                kind=case.kind.value,
                opened_at=case.opened_at,
                what=what,
                before=_side(was),
                after=_side(now),
            )
        )
    return found


def tally(cases: Iterable[Case]) -> Tally:
    """How many there are of what matters."""
    known = list(cases)
    return Tally(
        cases=len(known),
        confirmed=sum(case.verdict is State.CONFIRMED for case in known),
        handed_over=sum(bool(case.handed_to) for case in known),
        cancelled=sum(case.verdict is State.CANCELLED for case in known),
    )


def _fields(was: Case, now: Case) -> tuple[str, ...]:
    pairs = {
        "verdict": (was.verdict, now.verdict),
        "state": (was.state, now.state),
        "handed_to": (was.handed_to, now.handed_to),
        "kind": (was.kind, now.kind),
        "grade": (was.grade, now.grade),
        "test": (was.test, now.test),
        "outcome": (was.outcome, now.outcome),
        "areas": (was.areas, now.areas),
        "evidence": (_evidence(was), _evidence(now)),
        "decisions": (_decisions(was), _decisions(now)),
    }
    return tuple(name for name, (a, b) in pairs.items() if a != b)


def _evidence(case: Case) -> tuple[object, ...]:
    return (case.more, case.runaway, *(piece.occurrence for piece in case.occurrences))


def _decisions(case: Case) -> list[tuple[str, str, str, tuple[int, ...]]]:
    return [(d.rule, d.outcome, d.why, d.evidence) for d in case.decisions]


def _side(case: Case | None) -> Side:
    if case is None:
        return Side()
    decided = deciding(case)
    return Side(
        state=case.state.value,
        verdict=case.verdict.value,
        handed_to=tuple(to.value for to in case.handed_to),
        rule=decided.rule if decided is not None else "",
        why=decided.why if decided is not None else "",
        rules=decided.rules if decided is not None else "",
    )


def deciding(case: Case) -> Decision | None:
    """The last decision that brought the case to its verdict."""
    for decision in reversed(case.decisions):
        if decision.outcome == case.verdict.value:
            return decision
    return case.decisions[-1] if case.decisions else None
