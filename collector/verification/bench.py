"""The judge's bench: one step's working place, shared by the rules of each kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from collector.records.case import Context, Decision, Destination, Evidence, Kind, State
from collector.verification.draft import (
    Draft,
    FoldState,
    Want,
    area_of,
    with_decision,
    with_draft,
    with_evidence,
)
from collector.verification.kinds import is_known, path_of
from collector.verification.rules import Rules
from collector.verification.transitions import DOUBTS, FIRST, Input, Lane, move
from protocols.mqtt.payloads import SiteCard


class Bench:
    """Holds the state while the rules work on it."""

    __slots__ = ("card", "closed", "rules", "state")

    def __init__(
        self,
        rules: Rules,
        card: SiteCard | None,
        closed: Mapping[int, int],
        state: FoldState,
    ) -> None:
        self.rules = rules
        self.card = card
        self.closed = closed
        self.state = state

    def drafts(self, kind: Kind, evidence: Evidence) -> Iterator[Draft]:
        """Drafts of a kind that may still take this evidence, newest first."""
        for draft in reversed(self.state.drafts):
            if draft.kind is kind and draft.test == evidence.test and self.takes(draft, evidence):
                yield draft

    def takes(self, draft: Draft, evidence: Evidence) -> bool:
        """A case an operator closed takes only what he had seen when he closed it."""
        seen = self.closed.get(draft.id)
        return seen is None or evidence.occurrence <= seen

    def put(self, draft: Draft) -> None:
        """Keep the draft."""
        self.state = with_draft(self.state, draft)

    def decide(
        self,
        draft: Draft,
        rule: str,
        what: Input,
        why: str,
        evidence: tuple[Evidence, ...],
    ) -> Draft:
        """Apply the transition table and store the decision with what it rests on."""
        after = move(Lane(draft.lane), draft.verdict, what)
        outcome = after.value
        if after is draft.verdict:
            outcome = "doubt" if what in DOUBTS else "noted"
        decided = with_decision(draft, self.decision(rule, outcome, why, evidence))
        return decided if after is draft.verdict else replace(decided, verdict=after)

    def decision(
        self, rule: str, outcome: str, why: str, evidence: tuple[Evidence, ...]
    ) -> Decision:
        """A decision of this rule file on this evidence, made when the last of it arrived."""
        return Decision(
            rule=rule,
            outcome=outcome,
            why=why,
            at=max(piece.received for piece in evidence),
            evidence=tuple(piece.occurrence for piece in evidence),
            rules=self.rules.version,
            sha256=self.rules.sha256,
        )

    def open(self, kind: Kind, lane: Lane, rule: str, why: str, evidence: Evidence) -> Draft:
        """A new draft with its opening decision."""
        event = evidence.event
        first = FIRST[lane]
        return Draft(
            id=evidence.occurrence,
            opener=evidence.occurrence,
            kind=kind,
            lane=lane.value,
            verdict=first,
            areas=(event.area,) if event.area else (),
            evidence=(evidence,),
            last=evidence,
            received=evidence.received,
            top=evidence.occurrence,
            test=evidence.test,
            decisions=(self.decision(rule, first.value, why, (evidence,)),),
            unknown_code=not is_known(event.code),
            context=self.context(evidence),
        )

    def context(self, evidence: Evidence) -> Context:
        """What is known of the evidence's area now."""
        area = area_of(self.state, evidence.event.area)
        lost = [loss.evidence.at for loss in self.state.losses]
        return Context(
            armed=area.armed,
            armed_since=area.since if area.armed else None,
            armed_by=area.by if area.armed else 0,
            mode=area.mode if area.armed else "",
            entry_door_at=area.entry_door.at if area.entry_door else None,
            disarmed_at=area.since if area.armed is False else None,
            disarmed_by=area.by if area.armed is False else 0,
            path_lost_at=min(lost) if lost else None,
            recent_close=area.recent_close is not None,
            exit_error=area.exit_error is not None,
        )

    def join(self, draft: Draft, evidence: Evidence) -> Draft:
        """One more alarm in the draft."""
        joined = with_evidence(draft, evidence, alarm=True)
        if not is_known(evidence.event.code):
            return replace(joined, unknown_code=True)
        return joined

    def attach(self, draft: Draft, evidence: Evidence) -> Draft:
        """Evidence that is no alarm of this case: a cancel, a path loss, a duress code."""
        if any(known.occurrence == evidence.occurrence for known in draft.evidence):
            return draft
        return with_evidence(draft, evidence, alarm=False)

    def tell(self, draft: Draft, to: str, reason: str, evidence: tuple[Evidence, ...]) -> Draft:
        """Somebody must be told once; never for an account on test, save the exempt kinds."""
        if not to or (draft.test and draft.kind not in self.rules.on_test.hand_over):
            return draft
        whom = Destination(to)
        if any(want.to is whom for want in draft.wants):
            return draft
        want = Want(
            to=whom,
            reason=reason,
            at=max(piece.received for piece in evidence),
            evidence=tuple(piece.occurrence for piece in evidence),
        )
        return replace(draft, wants=(*draft.wants, want))

    def guards(self, draft: Draft, moment: str, evidence: Evidence) -> Draft:
        """Guards, when the rules send them at this moment: `first` or `confirmed` (R52)."""
        wanted = self.rules.handover.guards
        if wanted == moment or (wanted == "confirmed" and draft.verdict is State.CONFIRMED):
            return self.tell(draft, Destination.GUARDS.value, f"guards_{moment}", (evidence,))
        return draft


def lost_path(evidence: Evidence) -> str:
    """Which path a loss or its restore concerns."""
    return path_of(evidence.event.code, evidence.event.detail)
