"""The fold: one panel's Occurrences in canonical order -> drafts of cases.

What it makes of a history is a function of that history alone, not of the order of arrival
(history.py puts it in order), so a report that comes hours late leads to the same verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from collector.records.case import Evidence
from collector.records.signal import Occurrence
from collector.verification import burglary, direct, faults, surroundings
from collector.verification.bench import Bench
from collector.verification.draft import FoldState
from collector.verification.kinds import PATH_LOSS, Role, role_of
from collector.verification.rules import Rules
from protocols.instants import US_PER_S
from protocols.mqtt.payloads import SiteCard
from protocols.panel_event import Code, Qualifier

LATE_US: Final = 60 * US_PER_S


class Judge:
    """Rules, site card and what operators closed: the same for every step."""

    def __init__(self, rules: Rules, card: SiteCard | None, closed: Mapping[int, int]) -> None:
        """`closed`: case id -> highest Occurrence id its operator had seen."""
        self.rules = rules
        self.card = card
        self.closed = closed

    def step(self, state: FoldState, occurrence: Occurrence) -> FoldState:
        """The state after one more Occurrence."""
        bench = Bench(self.rules, self.card, self.closed, state)
        role = role_of(occurrence.event.code)
        evidence = _evidence(bench, occurrence)
        if role in _CONTEXT:
            _CONTEXT[role](bench, evidence)
        elif evidence.event.q is Qualifier.RESTORE:
            faults.restore(bench, evidence)
        else:
            _alarm(bench, role, evidence)
        return bench.state


def _alarm(bench: Bench, role: Role, evidence: Evidence) -> None:
    match role:
        case Role.BURGLARY:
            burglary.trip(bench, evidence)
        case Role.HOLDUP:
            direct.holdup(bench, evidence)
        case Role.FIRE | Role.MEDICAL | Role.ENVIRONMENT:
            direct.stands(bench, role, evidence)
        case Role.TAMPER:
            faults.tamper(bench, evidence)
        case _:
            faults.trouble(bench, evidence)
    if evidence.event.code in PATH_LOSS:
        burglary.path_lost(bench, evidence)
    if evidence.event.code == Code.EXIT_ERROR:
        surroundings.exit_error(bench, evidence)
    if evidence.event.code == Code.PANEL_SHUTDOWN:
        bench.state = replace(bench.state, shutdown=evidence)


_CONTEXT: Final = {
    Role.CANCEL: burglary.cancel,
    Role.ABORT: burglary.cancel,
    Role.OPEN_CLOSE: surroundings.open_close,
    Role.ENTRY_DOOR: surroundings.entry_door,
    Role.ON_TEST: surroundings.on_test,
    Role.RECENT_CLOSE: surroundings.recent_close,
    Role.LOG: surroundings.log,
}


def _evidence(bench: Bench, occurrence: Occurrence) -> Evidence:
    event = occurrence.event
    evidence = Evidence(
        occurrence=occurrence.id,
        event=event,
        at=occurrence.at,
        err_us=occurrence.err_us,
        received=occurrence.received,
        paths=occurrence.paths,
        epoch=occurrence.epoch,
        seq=occurrence.seq,
        boot=occurrence.boot,
        mono=occurrence.mono,
        recorded=occurrence.recorded,
        late=occurrence.received - occurrence.at > occurrence.err_us + LATE_US,
        test=event.test,
    )
    if not event.test and surroundings.is_on_test(bench, evidence):
        return replace(evidence, test=True)
    return evidence
