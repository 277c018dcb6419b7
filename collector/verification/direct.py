"""What is never held back for verification: hold-up, duress, fire, medical, gas (R44, R50)."""

from __future__ import annotations

from msgspec.structs import replace

from collector.records.case import Evidence, Kind
from collector.verification import burglary
from collector.verification.bench import Bench
from collector.verification.draft import RECENT_KEPT, Draft
from collector.verification.kinds import GAS, KIND_OF, Role
from collector.verification.rules import US_PER_MIN
from collector.verification.timing import Surely, gap_us, within
from collector.verification.transitions import Input, Lane
from protocols.instants import US_PER_S
from protocols.panel_event import Code


def holdup(bench: Bench, evidence: Evidence) -> None:
    """A hold-up press or a duress code: handed over at once."""
    limit = round(bench.rules.holdup.same_case_min * US_PER_MIN)
    draft = _same(bench, Kind.HOLDUP, evidence, limit)
    if draft is None:
        why = "duress" if evidence.event.code == Code.DURESS else "holdup"
        draft = bench.open(Kind.HOLDUP, Lane.DIRECT, "direct", why, evidence)
        draft = bench.tell(draft, bench.rules.handover.holdup, why, (evidence,))
        draft = bench.guards(draft, "first", evidence)
    else:
        draft = bench.join(draft, evidence)
        draft = bench.decide(draft, "direct", Input.FURTHER, "further_press", (evidence,))
    bench.put(_graded(bench, draft, evidence))
    kept = (*bench.state.holdups, evidence)[-RECENT_KEPT:]
    bench.state = replace(bench.state, holdups=kept)
    if evidence.event.code == Code.DURESS:
        burglary.duress(bench, evidence)


def _graded(bench: Bench, draft: Draft, evidence: Evidence) -> Draft:
    """Confirmed hold-up: two presses well apart, or a press and a tamper close together."""
    if draft.grade:
        return draft
    rule = bench.rules.holdup
    window = round(rule.window_h * 60 * US_PER_MIN)
    apart = round(rule.apart_s * US_PER_S)
    for known in bench.state.holdups:
        least, most = gap_us(known, evidence)
        if known.test != evidence.test or within(known, evidence, window) is not Surely.YES:
            continue
        if least > apart or most < -apart:
            return _confirmed_holdup(bench, draft, "two_presses", (known, evidence))
    close = round(rule.tamper_within_s * US_PER_S)
    for known in bench.state.tampers:
        if known.test == evidence.test and within(known, evidence, close) is Surely.YES:
            return _confirmed_holdup(bench, draft, "press_and_tamper", (known, evidence))
    return draft


def tampered(bench: Bench, evidence: Evidence) -> None:
    """A tamper may grade a hold-up of two minutes before."""
    kept = (*bench.state.tampers, evidence)[-RECENT_KEPT:]
    bench.state = replace(bench.state, tampers=kept)
    close = round(bench.rules.holdup.tamper_within_s * US_PER_S)
    for draft in bench.drafts(Kind.HOLDUP, evidence):
        if draft.grade or within(draft.last, evidence, close) is not Surely.YES:
            continue
        noted = bench.attach(draft, evidence)
        pair = (draft.last, evidence)
        bench.put(_confirmed_holdup(bench, noted, "press_and_tamper", pair))


def _confirmed_holdup(
    bench: Bench, draft: Draft, why: str, pair: tuple[Evidence, Evidence]
) -> Draft:
    graded = bench.decide(draft, "holdup_grade", Input.FURTHER, why, pair)
    return replace(graded, grade="confirmed_holdup")


def stands(bench: Bench, role: Role, evidence: Evidence) -> None:
    """Fire, medical and gas stand as reported; water waits for the operator."""
    kind = KIND_OF[role]
    gas = evidence.event.code in GAS
    lane = Lane.WATCHED if kind is Kind.ENVIRONMENT and not gas else Lane.DIRECT
    draft = _same(bench, kind, evidence, bench.rules.window_us, lane)
    if draft is not None:
        joined = bench.join(draft, evidence)
        bench.put(bench.decide(joined, "direct", Input.FURTHER, "further_report", (evidence,)))
        return
    rule = "direct" if lane is Lane.DIRECT else "watched"
    why = "gas" if gas else kind.value
    draft = bench.open(kind, lane, rule, why, evidence)
    if lane is Lane.DIRECT:
        to = bench.rules.handover
        whom = {Kind.FIRE: to.fire, Kind.MEDICAL: to.medical}.get(kind, to.gas)
        draft = bench.tell(draft, whom, why, (evidence,))
    bench.put(bench.guards(draft, "first", evidence))


def _same(
    bench: Bench, kind: Kind, evidence: Evidence, limit_us: int, lane: Lane | None = None
) -> Draft | None:
    """The newest case of the kind and area that this report certainly belongs to in time."""
    for draft in bench.drafts(kind, evidence):
        if lane is not None and draft.lane != lane.value:
            continue
        if kind is not Kind.HOLDUP and draft.areas != _area(evidence):
            continue
        if within(draft.last, evidence, limit_us) is Surely.YES:
            return draft
    return None


def _area(evidence: Evidence) -> tuple[int, ...]:
    return (evidence.event.area,) if evidence.event.area else ()
