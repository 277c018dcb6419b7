"""The gate a Handover passes: never an unverified burglary to the police (R71), never a held-back
hold-up (R44). It judges the case's own evidence and decisions again and trusts no flag alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from collector.records.case import Case, Destination, Handover, Kind, State

CONFIRMING: Final = frozenset({"second_detector", "path_loss", "duress_cancel"})
"""Rules whose decision may make a burglary real."""


@dataclass(frozen=True, slots=True)
class Released:
    """The operator may, and must, tell them."""

    handover: Handover


@dataclass(frozen=True, slots=True)
class Withheld:
    """Not to be told, and the clause that says so."""

    handover: Handover
    reason: str
    clause: str


def release(case: Case, handover: Handover) -> Released | Withheld:
    """Whether this hand-over of this case may go."""
    if (handover.case, handover.panel, handover.kind) != (case.id, case.panel, case.kind):
        return Withheld(handover, "not this case", "R34")
    if case.kind is Kind.HOLDUP or handover.to is Destination.GUARDS:
        return Released(handover)
    if case.kind is Kind.BURGLARY:
        return _burglary(case, handover)
    if case.kind in {Kind.TROUBLE, Kind.TAMPER}:
        return Withheld(handover, "a fault is not handed over", "R51")
    return Released(handover)


def _burglary(case: Case, handover: Handover) -> Released | Withheld:
    if case.test:
        return Withheld(handover, "account on test", "R71")
    proofs = [
        decision
        for decision in case.decisions
        if decision.outcome == State.CONFIRMED.value and decision.rule in CONFIRMING
    ]
    if not proofs:
        return Withheld(handover, "unverified burglary", "R71")
    known = {piece.occurrence for piece in case.occurrences}
    if not any(known & set(proof.evidence) for proof in proofs):
        return Withheld(handover, "verified without evidence", "R71")
    return Released(handover)
