"""Tamper and trouble cases, and restores, which close only their own alarm (F7)."""

from __future__ import annotations

from msgspec.structs import replace

from collector.records.case import Evidence, Kind, State
from collector.verification import direct
from collector.verification.bench import Bench, lost_path
from collector.verification.draft import Draft
from collector.verification.kinds import PATH_LOSS, SCHEDULE, Role, fault_of, role_of, subject_of
from collector.verification.timing import Surely, within
from collector.verification.transitions import Input, Lane
from protocols.panel_event import Code, PanelEvent, Qualifier


def tamper(bench: Bench, evidence: Evidence) -> None:
    """A tamper signals as tamper and confirms no burglary."""
    for draft in bench.drafts(Kind.TAMPER, evidence):
        same = draft.key == _key(evidence.event)
        if same and within(draft.last, evidence, bench.rules.window_us) is not Surely.NO:
            joined = bench.join(draft, evidence)
            why = "further_report"
            bench.put(bench.decide(joined, "tamper", Input.FURTHER, why, (evidence,)))
            break
    else:
        draft = bench.open(Kind.TAMPER, Lane.WATCHED, "tamper", "tamper", evidence)
        bench.put(replace(draft, key=_key(evidence.event)))
    direct.tampered(bench, evidence)


def trouble(bench: Bench, evidence: Evidence) -> None:
    """A fault: one case while it lasts, the same one when it soon comes again."""
    key = fault_of(evidence.event)
    for draft in bench.drafts(Kind.TROUBLE, evidence):
        if draft.key != key:
            continue
        restored = draft.verdict is State.CLOSED
        if restored and within(draft.last, evidence, bench.rules.window_us) is Surely.NO:
            continue
        joined = bench.join(draft, evidence)
        why = "fault_again" if restored else "further_report"
        bench.put(bench.decide(joined, "trouble", Input.FURTHER, why, (evidence,)))
        return
    draft = bench.open(Kind.TROUBLE, Lane.FAULT, "trouble", "fault", evidence)
    bench.put(replace(draft, key=key))


def restore(bench: Bench, evidence: Evidence) -> None:
    """Pair a restore with its own alarm: same code family, area and zone, not yet restored."""
    event = evidence.event
    if event.code in SCHEDULE:
        return
    if event.code in PATH_LOSS:
        path = lost_path(evidence)
        kept = tuple(
            loss for loss in bench.state.losses if (loss.path, loss.code) != (path, event.code)
        )
        bench.state = replace(bench.state, losses=kept)
    for draft in reversed(bench.state.drafts):
        if draft.test != evidence.test and draft.lane != Lane.FAULT.value:
            continue
        paired = tuple(_restored(known, evidence) for known in draft.evidence)
        if all(new is old for new, old in zip(paired, draft.evidence, strict=True)):
            continue
        mended = replace(
            draft,
            evidence=paired,
            last=_restored(draft.last, evidence),
            received=max(draft.received, evidence.received),
        )
        bench.put(_when_all_restored(bench, mended, evidence))
        return


def back(bench: Bench, evidence: Evidence) -> None:
    """The panel runs again: an announced shutdown is over."""
    shutdown = bench.state.shutdown
    if shutdown is None:
        return
    bench.state = replace(bench.state, shutdown=None)
    over = replace(shutdown.event, code=Code.PANEL_SHUTDOWN, q=Qualifier.RESTORE)
    restore(bench, replace(evidence, event=over))


def _restored(known: Evidence, restore_: Evidence) -> Evidence:
    mine, its = known.event, restore_.event
    same = (mine.area, mine.zone) == (its.area, its.zone) and _family(mine) == _family(its)
    if not same or known.restored_at is not None:
        return known
    return replace(known, restored_at=restore_.at)


def _family(event: PanelEvent) -> tuple[str, int, str]:
    role = role_of(event.code)
    if role is Role.BURGLARY:
        return role.name, 0, ""
    return role.name, event.code, subject_of(event)


def _key(event: PanelEvent) -> tuple[int, int, int, str]:
    return event.code, event.area, event.zone, subject_of(event)


def _when_all_restored(bench: Bench, draft: Draft, evidence: Evidence) -> Draft:
    if draft.lane != Lane.FAULT.value:
        return draft
    if any(known.restored_at is None for known in draft.evidence):
        return draft
    pair = (draft.last, evidence)
    return bench.decide(draft, "restored", Input.RESTORED, "restored", pair)
