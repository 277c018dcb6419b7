"""Occurrences that make no case and say something about one: armed, entry door, on test."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from collector.records.case import Evidence, Kind, State
from collector.verification import burglary, faults
from collector.verification.bench import Bench
from collector.verification.draft import AreaState, area_of, with_area
from collector.verification.kinds import BACK
from collector.verification.rules import US_PER_MIN
from collector.verification.timing import Surely, within
from protocols.panel_event import Code, Qualifier

_MODES: Final = {int(Code.ARMED_STAY): "stay", int(Code.ARMED_NIGHT): "night"}
_UNATTENDED: Final = frozenset({int(Code.OPEN_CLOSE_AUTOMATIC)})


def open_close(bench: Bench, evidence: Evidence) -> None:
    """Opening (NEW) disarms, closing (RESTORE) arms; a user's opening may cancel."""
    event = evidence.event
    armed = event.q is Qualifier.RESTORE
    for number in _areas(bench, event.area):
        known = area_of(bench.state, number)
        mode = _MODES.get(event.code, "full") if armed else ""
        if armed and known.armed:
            # Another report of one closing, or another mode: the armed period goes on.
            bench.state = with_area(bench.state, replace(known, area=number, mode=mode))
            continue
        area = AreaState(number, armed=armed, since=evidence.at, by=event.user, mode=mode)
        bench.state = with_area(bench.state, area)
        if armed:
            _end(bench, number)
    if not armed:
        _note_disarm(bench, evidence)
        if event.code not in _UNATTENDED:
            burglary.cancel(bench, evidence)


def _areas(bench: Bench, area: int) -> tuple[int, ...]:
    """The areas a report concerns; 0 means all that were ever heard of, and the whole panel."""
    if area:
        return (area,)
    return (0, *(known.area for known in bench.state.areas if known.area))


def _end(bench: Bench, area: int) -> None:
    """Armed again: trips from now on belong to a new armed period (R122)."""
    for draft in bench.state.drafts:
        if draft.kind is Kind.BURGLARY and not draft.ended and burglary.touches(draft, area):
            bench.put(replace(draft, ended=True))


def _note_disarm(bench: Bench, evidence: Evidence) -> None:
    for draft in bench.state.drafts:
        if draft.ended or draft.context.disarmed_at is not None:
            continue
        if draft.kind is Kind.TROUBLE or not burglary.touches(draft, evidence.event.area):
            continue
        context = replace(draft.context, disarmed_at=evidence.at, disarmed_by=evidence.event.user)
        bench.put(replace(draft, context=context))


def entry_door(bench: Bench, evidence: Evidence) -> None:
    """The set entry route was opened: confirmation is off for the area until armed again."""
    if evidence.event.q is Qualifier.RESTORE:
        return
    for number in _areas(bench, evidence.event.area):
        area = area_of(bench.state, number)
        bench.state = with_area(bench.state, replace(area, entry_door=evidence))
    for draft in bench.state.drafts:
        opened = draft.context.entry_door_at is not None or draft.ended
        if draft.kind is not Kind.BURGLARY or opened or draft.verdict is not State.UNCONFIRMED:
            continue
        if burglary.touches(draft, evidence.event.area):
            context = replace(draft.context, entry_door_at=evidence.at)
            bench.put(replace(draft, context=context))


def recent_close(bench: Bench, evidence: Evidence) -> None:
    """The alarm came within minutes of arming (CP-01): said in the sentence."""
    for draft in reversed(bench.state.drafts):
        if draft.kind is Kind.BURGLARY and burglary.touches(draft, evidence.event.area):
            if not draft.ended:
                bench.put(replace(draft, context=replace(draft.context, recent_close=True)))
            return
    area = area_of(bench.state, evidence.event.area)
    bench.state = with_area(bench.state, replace(area, recent_close=evidence))


def on_test(bench: Bench, evidence: Evidence) -> None:
    """Panel on test or walk test begins (NEW) or ends (RESTORE)."""
    code = evidence.event.code
    others = tuple(entry for entry in bench.state.on_test if entry[0] != code)
    begun = evidence.event.q is not Qualifier.RESTORE
    entries = (*others, (code, evidence)) if begun else others
    bench.state = replace(bench.state, on_test=entries)


def is_on_test(bench: Bench, evidence: Evidence) -> bool:
    """Whether the whole panel is certainly on test now; a test never ended ends by itself (H6).

    A walk test marks its own events; only PANEL_ON_TEST covers what is not marked.
    """
    limit = round(bench.rules.on_test.max_min * US_PER_MIN)
    for code, begun in bench.state.on_test:
        if code == Code.PANEL_ON_TEST and within(begun, evidence, limit) is Surely.YES:
            return True
    return False


def exit_error(bench: Bench, evidence: Evidence) -> None:
    """A door still open when the exit time was over (CP-01): said of the alarm that follows."""
    area = area_of(bench.state, evidence.event.area)
    bench.state = with_area(bench.state, replace(area, exit_error=evidence))


def log(bench: Bench, evidence: Evidence) -> None:
    """Kept in the ledger; a start ends an announced shutdown."""
    if evidence.event.code in BACK:
        faults.back(bench, evidence)
