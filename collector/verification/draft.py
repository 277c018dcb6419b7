"""What the fold over a panel's history carries: drafts of cases, areas, paths, test state.

Frozen and shared between steps, so keeping the state of every step costs next to nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from collector.records.case import Context, Decision, Destination, Evidence, Kind, State
from protocols.instants import UtcTime

KEPT_PER_ZONE: Final = 4
KEPT_PER_CASE: Final = 64
KEPT_AT_MOST: Final = 1200
DECISIONS_KEPT: Final = 32


class Want(msgspec.Struct, frozen=True, array_like=True):
    """Somebody must be told, and why."""

    to: Destination
    reason: str
    at: UtcTime
    evidence: tuple[int, ...]


class Draft(msgspec.Struct, frozen=True, array_like=True):
    """A case as evidence alone makes it. `opener` never changes, `id` is the lowest id in it.

    `trips`: the latest alarm evidence, kept in full or not. `ended`: armed again since, so it takes
    no further trips. `key` groups troubles.
    """

    id: int
    opener: int
    kind: Kind
    lane: str
    verdict: State
    areas: tuple[int, ...]
    evidence: tuple[Evidence, ...]
    last: Evidence
    received: UtcTime
    top: int
    """Highest id among its alarm evidence: what an operator's close must have seen."""
    test: bool = False
    decisions: tuple[Decision, ...] = ()
    wants: tuple[Want, ...] = ()
    more: int = 0
    runaway: tuple[int, ...] = ()
    unknown_code: bool = False
    grade: str = ""
    ended: bool = False
    key: tuple[int, int, int, str] = (0, 0, 0, "")
    cancel: Evidence | None = None
    context: Context = Context()

    @property
    def first(self) -> Evidence:
        """The trip that opened the window."""
        return self.evidence[0]


class AreaState(msgspec.Struct, frozen=True, array_like=True):
    """What the reports so far say of one area."""

    area: int
    armed: bool | None = None
    since: UtcTime | None = None
    by: int = 0
    mode: str = ""
    entry_door: Evidence | None = None
    recent_close: Evidence | None = None
    exit_error: Evidence | None = None


class Loss(msgspec.Struct, frozen=True, array_like=True):
    """A path lost and not yet back."""

    path: str
    code: int
    evidence: Evidence


class Trips(msgspec.Struct, frozen=True, array_like=True):
    """The latest trips of one zone, for the runaway rule."""

    zone: int
    recent: tuple[Evidence, ...]


class FoldState(msgspec.Struct, frozen=True, array_like=True):
    """Everything the next Occurrence is judged against."""

    drafts: tuple[Draft, ...] = ()
    areas: tuple[AreaState, ...] = ()
    losses: tuple[Loss, ...] = ()
    trips: tuple[Trips, ...] = ()
    holdups: tuple[Evidence, ...] = ()
    tampers: tuple[Evidence, ...] = ()
    duresses: tuple[Evidence, ...] = ()
    on_test: tuple[tuple[int, Evidence], ...] = ()
    shutdown: Evidence | None = None


RECENT_KEPT: Final = 16
"""Hold-ups, tampers and duress codes remembered for grading."""


def area_of(state: FoldState, area: int) -> AreaState:
    """The area's state; of one never heard of, what was said of the whole panel."""
    whole = AreaState(area)
    for known in state.areas:
        if known.area == area:
            return known
        if known.area == 0:
            whole = msgspec.structs.replace(known, area=area)
    return whole


def with_area(state: FoldState, area: AreaState) -> FoldState:
    """The state with this area's entry replaced."""
    others = tuple(known for known in state.areas if known.area != area.area)
    return msgspec.structs.replace(state, areas=(*others, area))


def with_draft(state: FoldState, draft: Draft) -> FoldState:
    """The state with the draft of the same opener replaced, or added."""
    drafts = state.drafts
    for index in range(len(drafts) - 1, -1, -1):
        if drafts[index].opener == draft.opener:
            replaced = (*drafts[:index], draft, *drafts[index + 1 :])
            return msgspec.structs.replace(state, drafts=replaced)
    return msgspec.structs.replace(state, drafts=(*drafts, draft))


def with_evidence(draft: Draft, evidence: Evidence, *, alarm: bool) -> Draft:
    """The draft with one more piece of evidence, counted but not kept when there is too much.

    The first report of a zone is always kept, so that a noisy detector hides no other.
    """
    event = evidence.event
    same = sum(
        1
        for known in draft.evidence
        if known.event.zone == event.zone and known.event.code == event.code
    )
    keep = same == 0 or (same < KEPT_PER_ZONE and len(draft.evidence) < KEPT_PER_CASE)
    keep = keep and len(draft.evidence) < KEPT_AT_MOST
    areas = draft.areas
    if event.area and event.area not in areas and alarm:
        areas = tuple(sorted((*areas, event.area)))
    return msgspec.structs.replace(
        draft,
        id=min(draft.id, evidence.occurrence) if alarm else draft.id,
        evidence=(*draft.evidence, evidence) if keep else draft.evidence,
        more=draft.more + (not keep),
        last=evidence if alarm else draft.last,
        received=max(draft.received, evidence.received),
        top=max(draft.top, evidence.occurrence) if alarm else draft.top,
        areas=areas,
    )


def with_decision(draft: Draft, decision: Decision) -> Draft:
    """The draft with a decision; the same note on the same evidence is not repeated."""
    for known in draft.decisions:
        if (known.rule, known.outcome, known.why) == (
            decision.rule,
            decision.outcome,
            decision.why,
        ) and (known.evidence == decision.evidence or decision.outcome == "noted"):
            return draft
    if len(draft.decisions) >= DECISIONS_KEPT and decision.outcome in {"noted", "doubt"}:
        return draft
    return msgspec.structs.replace(draft, decisions=(*draft.decisions, decision))
