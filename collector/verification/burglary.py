"""Burglary: the lone first trip shows at once, a second independent detector confirms it."""

from __future__ import annotations

from msgspec.structs import replace

from collector.records.case import Evidence, Kind, State
from collector.verification.bench import Bench, lost_path
from collector.verification.draft import RECENT_KEPT, Draft, Loss, Trips, area_of
from collector.verification.independence import INDEPENDENT, compare, is_outside
from collector.verification.kinds import Role, role_of, words_of
from collector.verification.rules import US_PER_MIN
from collector.verification.timing import Surely, after, within
from collector.verification.transitions import Input, Lane
from protocols.instants import US_PER_S
from protocols.panel_event import Code


def touches(draft: Draft, area: int) -> bool:
    """Whether a report of this area concerns the draft; 0 is the whole panel."""
    return not area or not draft.areas or area in draft.areas


def trip(bench: Bench, evidence: Evidence) -> None:
    """A burglary detector tripped."""
    if _runs_away(bench, evidence) and _into_runaway(bench, evidence):
        return
    doubtful: Draft | None = None
    for draft in bench.drafts(Kind.BURGLARY, evidence):
        if draft.ended or draft.verdict not in {State.UNCONFIRMED, State.CONFIRMED}:
            continue
        if not (bench.rules.burglary.across_areas or touches(draft, evidence.event.area)):
            continue
        since = draft.first if draft.verdict is State.UNCONFIRMED else draft.last
        inside = within(since, evidence, bench.rules.window_us)
        if inside is Surely.YES or (inside is Surely.DOUBT and draft.verdict is State.CONFIRMED):
            bench.put(_further(bench, draft, evidence))
            return
        if inside is Surely.DOUBT and doubtful is None:
            doubtful = draft
    _first(bench, evidence, doubtful)


def _first(bench: Bench, evidence: Evidence, doubtful: Draft | None) -> None:
    """A case of its own, at once; a doubtful neighbour is named in both."""
    draft = bench.open(Kind.BURGLARY, Lane.VERIFIED, "first_trip", "one_detector", evidence)
    draft = bench.guards(draft, "first", evidence)
    if doubtful is not None:
        pair = (doubtful.first, evidence)
        draft = bench.decide(draft, "window", Input.WINDOW_DOUBT, "window_doubt", pair)
        bench.put(bench.decide(doubtful, "window", Input.WINDOW_DOUBT, "window_doubt", pair))
    bench.put(_by_earlier_loss(bench, draft, evidence))


def _further(bench: Bench, draft: Draft, evidence: Evidence) -> Draft:
    """Another trip inside the window."""
    joined = bench.join(draft, evidence)
    if draft.verdict is State.CONFIRMED:
        return joined
    found, other = _best(bench, draft, evidence)
    pair = (other, evidence)
    if found != INDEPENDENT:
        joined = bench.decide(joined, "second_detector", Input.DEPENDENT, found, pair)
        return _by_earlier_loss(bench, joined, evidence)
    if _disabled(bench, draft, evidence):
        return bench.decide(joined, "entry_door", Input.DISABLED, "entry_door_open", pair)
    joined = bench.decide(joined, "second_detector", Input.INDEPENDENT, found, pair)
    return _confirmed(bench, joined, "second_detector", pair)


def _best(bench: Bench, draft: Draft, evidence: Evidence) -> tuple[str, Evidence]:
    """The earlier trip that proves most together with this one, and what it proves."""
    reason, other = "same_detector", draft.first
    for known in draft.evidence:
        if role_of(known.event.code) is not Role.BURGLARY or not known.counted:
            continue
        found = compare(known, evidence, bench.card, bench.rules)
        if found == INDEPENDENT:
            return found, known
        if found != "same_detector" and reason == "same_detector":
            reason, other = found, known
    return reason, other


def _confirmed(bench: Bench, draft: Draft, reason: str, pair: tuple[Evidence, ...]) -> Draft:
    told = bench.tell(draft, bench.rules.handover.burglary, reason, pair)
    return bench.guards(told, "confirmed", pair[-1])


def _disabled(bench: Bench, draft: Draft, evidence: Evidence) -> bool:
    """An opened entry door takes confirmation away from its area until armed again."""
    if not bench.rules.burglary.entry_door_disables:
        return False
    areas = {0, evidence.event.area, *draft.areas}
    return any(area_of(bench.state, area).entry_door is not None for area in areas)


# Paths


def path_lost(bench: Bench, evidence: Evidence) -> None:
    """A path went; with an alarm or with the other path that is a confirmation (3.3)."""
    if evidence.test or _planned(bench, evidence):
        return
    before = bench.state.losses
    loss = Loss(lost_path(evidence), evidence.event.code, evidence)
    kept = tuple(known for known in before if (known.path, known.code) != (loss.path, loss.code))
    bench.state = replace(bench.state, losses=(*kept, loss)[-RECENT_KEPT:])
    for draft in bench.state.drafts:
        if draft.kind is Kind.BURGLARY and not draft.ended and not draft.test:
            _loss_after_trip(bench, draft, evidence)
    if bench.rules.path_loss.both_paths:
        _both_lost(bench, kept, loss)


def _loss_after_trip(bench: Bench, draft: Draft, evidence: Evidence) -> None:
    inside = within(draft.first, evidence, bench.rules.window_us)
    if draft.verdict is not State.UNCONFIRMED or inside is Surely.NO:
        return
    if not bench.takes(draft, evidence):
        return
    noted = bench.attach(draft, evidence)
    pair = (draft.first, evidence)
    context = replace(noted.context, path_lost_at=noted.context.path_lost_at or evidence.at)
    noted = replace(noted, context=context)
    refusal = _loss_refused(bench, draft, evidence)
    if inside is Surely.DOUBT:
        refusal = "window_doubt"
    elif after(draft.first, evidence) is not Surely.YES and not (
        bench.rules.path_loss.loss_then_alarm
    ):
        refusal = "order_doubt"
    elif not bench.rules.path_loss.alarm_then_loss:
        refusal = "rule_off"
    if refusal:
        bench.put(bench.decide(noted, "path_loss", Input.PATH_DOUBT, refusal, pair))
        return
    noted = bench.decide(noted, "path_loss", Input.PATH_LOST, "alarm_then_path_lost", pair)
    bench.put(_confirmed(bench, noted, "alarm_then_path_lost", pair))


def _by_earlier_loss(bench: Bench, draft: Draft, evidence: Evidence) -> Draft:
    """A path still down when the trip came."""
    if draft.test or draft.verdict is not State.UNCONFIRMED:
        return draft
    for loss in bench.state.losses:
        inside = within(loss.evidence, evidence, bench.rules.window_us)
        if inside is Surely.NO:
            continue
        pair = (loss.evidence, evidence)
        noted = bench.attach(draft, loss.evidence)
        refusal = _loss_refused(bench, draft, evidence)
        if inside is Surely.DOUBT:
            refusal = "window_doubt"
        elif not bench.rules.path_loss.loss_then_alarm:
            refusal = "rule_off"
        if refusal:
            draft = bench.decide(noted, "path_loss", Input.PATH_DOUBT, refusal, pair)
            continue
        noted = bench.decide(noted, "path_loss", Input.PATH_LOST, "path_lost_then_alarm", pair)
        return _confirmed(bench, noted, "path_lost_then_alarm", pair)
    return draft


def _loss_refused(bench: Bench, draft: Draft, evidence: Evidence) -> str:
    """Why a path loss cannot confirm this draft, or nothing."""
    trips = [known for known in draft.evidence if role_of(known.event.code) is Role.BURGLARY]
    if all(is_outside(bench.card, known) for known in trips):
        return "outside_detector"
    if _disabled(bench, draft, evidence):
        return "entry_door_open"
    return ""


def _both_lost(bench: Bench, others: tuple[Loss, ...], loss: Loss) -> None:
    """Two different paths lost in the window while something is armed."""
    tampered = loss.code == Code.PATHS_TAMPERED
    other = next((known for known in others if known.path != loss.path), None)
    if other is None and not tampered:
        return
    earlier = other.evidence if other is not None else loss.evidence
    if within(earlier, loss.evidence, bench.rules.window_us) is not Surely.YES:
        return
    armed = [area for area in bench.state.areas if area.armed]
    if not armed or (
        bench.rules.burglary.entry_door_disables
        and all(area.entry_door is not None for area in armed)
    ):
        return
    for draft in bench.drafts(Kind.BURGLARY, loss.evidence):
        recent = within(draft.last, loss.evidence, bench.rules.window_us)
        if draft.verdict is State.CONFIRMED and not draft.ended and recent is not Surely.NO:
            return
    pair = (earlier, loss.evidence) if other is not None else (loss.evidence,)
    draft = bench.open(Kind.BURGLARY, Lane.VERIFIED, "path_loss", "both_paths_lost", loss.evidence)
    if other is not None:
        draft = bench.attach(draft, earlier)
    draft = replace(draft, areas=tuple(sorted(area.area for area in armed if area.area)))
    draft = bench.decide(draft, "path_loss", Input.PATH_LOST, "both_paths_lost", pair)
    bench.put(_confirmed(bench, draft, "both_paths_lost", pair))


def _planned(bench: Bench, evidence: Evidence) -> bool:
    """A loss that was announced proves nothing, nor does a phone test call that did not come: it
    says that the line went some time in the last day.
    """
    if {"planned", "test", "overdue"} & words_of(evidence.event.detail):
        return True
    limit = round(bench.rules.path_loss.planned_s * US_PER_S)
    shutdown = bench.state.shutdown
    return shutdown is not None and within(shutdown, evidence, limit) is not Surely.NO


# Runaway detectors


def _runs_away(bench: Bench, evidence: Evidence) -> bool:
    """Count the trip; whether its zone is over the limit."""
    limit = round(bench.rules.runaway.within_min * US_PER_MIN)
    most = bench.rules.runaway.trips
    zone = evidence.event.zone
    known = next((entry for entry in bench.state.trips if entry.zone == zone), None)
    recent = known.recent if known is not None else ()
    kept = (*(one for one in recent if within(one, evidence, limit) is not Surely.NO), evidence)
    others = tuple(entry for entry in bench.state.trips if entry.zone != zone)
    trips = (*others, Trips(zone, kept[-(most + 1) :]))
    bench.state = replace(bench.state, trips=trips[-KNOWN_ZONES:])
    return bool(zone) and len(kept) > most


KNOWN_ZONES = 256


def _into_runaway(bench: Bench, evidence: Evidence) -> bool:
    """Group the trip in the case that already holds its zone; False when there is none."""
    zone = evidence.event.zone
    for draft in bench.drafts(Kind.BURGLARY, evidence):
        if draft.verdict is State.CANCELLED or draft.ended:
            continue
        if all(known.event.zone != zone for known in draft.evidence):
            continue
        if within(draft.last, evidence, bench.rules.window_us) is Surely.NO:
            continue
        flagged = bench.join(draft, replace(evidence, counted=False))
        if zone not in flagged.runaway:
            flagged = replace(flagged, runaway=tuple(sorted((*flagged.runaway, zone))))
        bench.put(bench.decide(flagged, "runaway", Input.RUNAWAY, "runaway_detector", (evidence,)))
        return True
    return False


# Cancel and duress


def cancel(bench: Bench, evidence: Evidence) -> None:
    """A cancel, abort or a user's disarm: takes back what is unconfirmed, is noted elsewhere."""
    role = role_of(evidence.event.code)
    by = {Role.CANCEL: "cancel", Role.ABORT: "abort"}.get(role, "disarm")
    rule = bench.rules.cancel
    minutes = rule.disarm_within_min if by == "disarm" else rule.cancel_within_min
    limit = round(minutes * US_PER_MIN)
    for draft in bench.state.drafts:
        if draft.ended or not _cancellable(bench, draft, evidence):
            continue
        inside = within(draft.last, evidence, limit)
        if inside is Surely.NO:
            continue
        _cancel_one(bench, draft, evidence, by, inside)


def _cancellable(bench: Bench, draft: Draft, evidence: Evidence) -> bool:
    if draft.lane == Lane.FAULT.value or draft.cancel is not None:
        return False
    return touches(draft, evidence.event.area) and bench.takes(draft, evidence)


def _cancel_one(bench: Bench, draft: Draft, evidence: Evidence, by: str, inside: Surely) -> None:
    settled = draft.kind is not Kind.BURGLARY or draft.verdict is State.CONFIRMED
    if settled and any(known.rule == "cancel" for known in draft.decisions):
        return
    noted = bench.attach(draft, evidence)
    pair = (draft.last, evidence)
    if settled:
        if by != "disarm":
            noted = _cancelled_context(noted, evidence)
        bench.put(bench.decide(noted, "cancel", Input.CANCEL, f"{by}_noted", pair))
        return
    duress = _duress_near(bench, draft, evidence)
    if duress is not None:
        noted = replace(_cancelled_context(noted, evidence), cancel=evidence)
        trio = (*pair, duress)
        noted = bench.decide(noted, "duress_cancel", Input.DURESS, "cancelled_under_duress", trio)
        bench.put(_confirmed(bench, noted, "cancelled_under_duress", trio))
        return
    if by not in bench.rules.cancel.by:
        bench.put(bench.decide(noted, "cancel", Input.CANCEL_DOUBT, "rule_off", pair))
        return
    if inside is Surely.DOUBT or after(draft.last, evidence) is not Surely.YES:
        bench.put(bench.decide(noted, "cancel", Input.CANCEL_DOUBT, "order_doubt", pair))
        return
    noted = replace(_cancelled_context(noted, evidence), cancel=evidence)
    bench.put(bench.decide(noted, "cancel", Input.CANCEL, f"{by}_by_user", pair))


def _cancelled_context(draft: Draft, evidence: Evidence) -> Draft:
    context = replace(draft.context, cancelled_at=evidence.at, cancelled_by=evidence.event.user)
    return replace(draft, context=context)


def _duress_near(bench: Bench, draft: Draft, evidence: Evidence) -> Evidence | None:
    limit = round(bench.rules.cancel.duress_within_min * US_PER_MIN)
    for duress in reversed(bench.state.duresses):
        same_user = duress.event.user and duress.event.user == evidence.event.user
        near = within(duress, evidence, limit) is not Surely.NO
        if near and (same_user or touches(draft, duress.event.area)):
            return duress
    return None


def duress(bench: Bench, evidence: Evidence) -> None:
    """A duress code: what was cancelled beside it was cancelled under threat."""
    kept = (*bench.state.duresses, evidence)[-RECENT_KEPT:]
    bench.state = replace(bench.state, duresses=kept)
    limit = round(bench.rules.cancel.duress_within_min * US_PER_MIN)
    for draft in bench.state.drafts:
        if draft.kind is not Kind.BURGLARY or draft.cancel is None:
            continue
        user = evidence.event.user
        concerns = touches(draft, evidence.event.area) or (user == draft.cancel.event.user != 0)
        if draft.verdict is not State.CANCELLED or not concerns:
            continue
        if within(draft.cancel, evidence, limit) is Surely.NO:
            continue
        trio = (draft.last, draft.cancel, evidence)
        noted = bench.attach(draft, evidence)
        noted = bench.decide(noted, "duress_cancel", Input.DURESS, "cancelled_under_duress", trio)
        bench.put(_confirmed(bench, noted, "cancelled_under_duress", trio))
