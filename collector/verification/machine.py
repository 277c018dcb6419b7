"""CaseMachine: one panel's Occurrences and operators' acts -> Cases and Handovers. Pure.

The machine keeps the last day of Occurrences in canonical order and judges them afresh from the
place where a late one belongs, so the verdict does not depend on the order of arrival. Acts are not
undone by that: what was handed over stays so, and what an operator closed comes back only with
evidence he had not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec.structs import replace

from collector.records.case import (
    Case,
    Destination,
    Handover,
    OperatorAct,
    Outcome,
    State,
)
from collector.records.signal import Occurrence
from collector.verification.draft import Draft, FoldState
from collector.verification.history import follows, in_order
from collector.verification.judge import Judge
from collector.verification.kinds import says_nothing
from collector.verification.rules import Rules
from collector.verification.transitions import Lane
from collector.verification.view import Mark, case_of, window_end
from protocols.instants import US_PER_S, UtcTime
from protocols.mqtt.payloads import SiteCard

LATE_KEPT_US: Final = 24 * 3600 * US_PER_S
LATE_KEPT: Final = 192
LATE_SLACK: Final = 64
"""A report later than this, or than this many others, is judged as it comes."""
OPEN_KEPT: Final = 128
"""Open cases the machine itself can still change; older ones stay open in the ledger."""


@dataclass(frozen=True, slots=True)
class CaseChanged:
    """The case is new or different: store it."""

    case: Case


@dataclass(frozen=True, slots=True)
class HandOver:
    """Somebody must be told. `collector.dispatch.gate` checks it before anything is done."""

    handover: Handover
    case: Case


CaseEffect = CaseChanged | HandOver


class _Snapshot(msgspec.Struct, frozen=True, array_like=True):
    sha256: str
    card: str
    settled: FoldState
    head: FoldState
    """The latest state; of its drafts only those that `settled` does not hold as they are."""
    order: tuple[int, ...]
    """Openers of the latest state's drafts."""
    recent: tuple[Occurrence, ...]
    marks: tuple[Mark, ...]
    newest: UtcTime
    top: int


class CaseMachine:
    """The cases of one panel."""

    def __init__(self, rules: Rules, panel: str, card: SiteCard | None) -> None:
        self._rules = rules
        self._panel = panel
        self._card = card
        self._marks: dict[int, Mark] = {}
        self._closed: dict[int, int] = {}
        self._settled = FoldState()
        self._recent: list[Occurrence] = []
        self._states: list[FoldState] = []
        self._newest = UtcTime(0)
        self._top = 0
        self._shown: dict[int, Draft] = {}
        self._judge = Judge(rules, card, self._closed)

    # Inputs

    def receive(self, occurrence: Occurrence, now: UtcTime) -> list[CaseEffect]:
        """One Occurrence, new or with more Signals joined; again is harmless."""
        self._newest = max(self._newest, occurrence.received)
        self._top = max(self._top, occurrence.id)
        if says_nothing(occurrence.event.code):
            return []
        later = self._place(occurrence)
        effects = self._changes(now, later)
        self._settle()
        return effects

    def retract(self, gone: int, kept: Occurrence, now: UtcTime) -> list[CaseEffect]:
        """`gone` tells of the same as `kept`, which stays: the history is judged without it.

        What is too old to be judged again stays as it is.
        """
        place = next((n for n, one in enumerate(self._recent) if one.id == gone), None)
        if place is None:
            return self.receive(kept, now)
        del self._recent[place]
        self._fold(place)
        later = self._place(kept) if any(one.id == kept.id for one in self._recent) else frozenset()
        later |= {one.id for one in self._recent[place:]}
        effects = self._changes(now, later, kept.id)
        self._settle()
        return effects

    def tick(self, now: UtcTime) -> list[CaseEffect]:
        """Say of unconfirmed burglaries that no second detector came in the window."""
        effects: list[CaseEffect] = []
        for draft in self._shown.values():
            due = self._window_end(draft)
            if due is not None and due <= now:
                mark = replace(self._mark(draft.id), window_over=True)
                self._marks[draft.id] = mark
                effects.append(CaseChanged(self._case(draft, mark)))
        return effects

    def deadline(self) -> UtcTime | None:
        """When `tick` has something to say."""
        ends = [end for end in map(self._window_end, self._shown.values()) if end is not None]
        return min(ends, default=None)

    def operator(
        self, act: OperatorAct, now: UtcTime, stored: Case | None = None
    ) -> list[CaseEffect]:
        """An operator takes or closes a case. Empty: no such open case, or nothing to do.

        `stored`: the ledger's own copy, for a case so old that the machine has let go of it.
        """
        draft = self._shown.get(act.case)
        if draft is None:
            return [] if stored is None else _by_hand(act, now, stored)
        mark = self._mark(draft.id)
        if act.act == "take":
            changed = replace(mark, taken_by=act.operator, note=act.note or mark.note, acted_at=now)
        elif act.act == "close" and act.outcome in _CLOSING:
            if mark.closed_upto >= draft.top:
                return []
            changed = replace(
                mark,
                closed_by=act.operator,
                closed_at=now,
                outcome=act.outcome,
                note=act.note or mark.note,
                closed_upto=draft.top,
                seen=mark.seen or self._top,
                acted_at=now,
            )
            self._closed[draft.id] = changed.seen
        else:
            return []
        if changed == mark:
            return []
        self._marks[draft.id] = changed
        return [CaseChanged(self._case(draft, changed))]

    def set_card(self, card: SiteCard | None) -> None:
        """The site card as it is now. What was judged under the old one is not judged again."""
        if card == self._card:
            return
        self._card = card
        self._judge = Judge(self._rules, card, self._closed)
        self._settle_all()

    def cases(self) -> list[Case]:
        """Every case the machine still holds, oldest first."""
        return [self._case(draft, self._mark(draft.id)) for draft in self._shown.values()]

    # Snapshot

    def snapshot(self) -> bytes:
        """Everything `restore` needs to go on with the same result."""
        head = self._head()
        same = {id(draft) for draft in self._settled.drafts}
        changed = tuple(draft for draft in head.drafts if id(draft) not in same)
        return _ENCODER.encode(
            _Snapshot(
                sha256=self._rules.sha256,
                card=_digest(self._card),
                settled=self._settled,
                head=replace(head, drafts=changed),
                order=tuple(draft.opener for draft in head.drafts),
                recent=tuple(self._recent),
                marks=tuple(self._marks.values()),
                newest=self._newest,
                top=self._top,
            )
        )

    @classmethod
    def restore(
        cls, rules: Rules, panel: str, card: SiteCard | None, snapshot: bytes
    ) -> CaseMachine:
        """The machine as it was. Under another rule file or card the past is not judged again.

        Raises msgspec.MsgspecError when the bytes are no snapshot of this version.
        """
        saved = _DECODER.decode(snapshot)
        machine = cls(rules, panel, card)
        machine._newest = saved.newest
        machine._top = saved.top
        for mark in saved.marks:
            machine._marks[mark.case] = mark
            if mark.seen:
                machine._closed[mark.case] = mark.seen
        if saved.sha256 == rules.sha256 and saved.card == _digest(card):
            machine._settled = saved.settled
            machine._recent = list(saved.recent)
            machine._fold(0)
        else:
            drafts = {draft.opener: draft for draft in saved.settled.drafts}
            drafts |= {draft.opener: draft for draft in saved.head.drafts}
            kept = tuple(drafts[opener] for opener in saved.order)
            machine._settled = replace(saved.head, drafts=kept)
        machine._shown = {draft.id: draft for draft in machine._head().drafts}
        return machine

    # Inside

    def _head(self) -> FoldState:
        return self._states[-1] if self._states else self._settled

    def _place(self, occurrence: Occurrence) -> frozenset[int]:
        """Put it in its place and judge from there. The ids whose judgement was redone."""
        known = any(one.id == occurrence.id for one in self._recent)
        if not known and follows(self._recent, occurrence):
            self._recent.append(occurrence)
            self._states.append(self._judge.step(self._head(), occurrence))
            return frozenset()
        others = [one for one in self._recent if one.id != occurrence.id]
        before = self._recent
        self._recent = in_order([*others, occurrence])
        same = 0
        while same < len(before) and before[same] == self._recent[same]:
            same += 1
        self._fold(same)
        return frozenset(one.id for one in self._recent[same:] if one.id != occurrence.id)

    def _fold(self, start: int) -> None:
        del self._states[start:]
        state = self._head()
        for occurrence in self._recent[start:]:
            state = self._judge.step(state, occurrence)
            self._states.append(state)

    def _changes(self, now: UtcTime, later: frozenset[int], kept: int = 0) -> list[CaseEffect]:
        head = self._head()
        shown = {draft.id: draft for draft in head.drafts}
        gone = [draft for case, draft in self._shown.items() if case not in shown]
        effects: list[CaseEffect] = [self._merged(draft, shown, now, kept) for draft in gone]
        for draft in head.drafts:
            before = self._shown.get(draft.id)
            if before is draft or (later and before == draft):
                continue
            effects += self._changed(draft, before, later)
        self._shown = shown
        return effects

    def _changed(
        self, draft: Draft, before: Draft | None, later: frozenset[int]
    ) -> list[CaseEffect]:
        mark = self._mark(draft.id)
        overtaken = before is not None and any(one.occurrence in later for one in before.evidence)
        if overtaken and before is not None and before.verdict is not draft.verdict:
            was = f"{before.verdict.value}>{draft.verdict.value}"
            mark = replace(mark, revised=(*mark.revised, (was, draft.received))[-8:])
        if mark.closed_upto and draft.top > mark.closed_upto:
            mark = replace(mark, reopened=mark.reopened + 1, closed_upto=0, told=())
        wanted = tuple(want for want in draft.wants if want.to not in mark.told)
        mark = replace(mark, told=(*mark.told, *(want.to for want in wanted)))
        if mark != Mark(draft.id) or draft.id in self._marks:
            self._marks[draft.id] = mark
        case = self._case(draft, mark)
        effects: list[CaseEffect] = [CaseChanged(case)]
        for want in wanted:
            handover = Handover(
                case=draft.id,
                panel=self._panel,
                kind=draft.kind,
                at=want.at,
                to=want.to,
                reason=want.reason,
                rules=self._rules.version,
                sha256=self._rules.sha256,
                evidence=want.evidence,
            )
            effects.append(HandOver(handover, case))
        return effects

    def _merged(self, draft: Draft, shown: dict[int, Draft], now: UtcTime, kept: int) -> CaseEffect:
        """A case whose evidence a late report has joined to another: it says where it went.

        `kept`: the Occurrence that one of its own turned out to be.
        """
        ids = [draft.id, *(one.occurrence for one in draft.evidence), kept]
        homes = (
            other.id
            for id_ in ids
            for other in shown.values()
            if any(one.occurrence == id_ for one in other.evidence)
        )
        home = next(homes, 0)
        mark = self._mark(draft.id)
        case = self._case(draft, mark)
        if home:
            there = self._mark(home)
            told = tuple(to for to in mark.told if to not in there.told)
            self._marks[home] = replace(there, told=(*there.told, *told))
        return CaseChanged(
            replace(
                case,
                state=State.CLOSED,
                outcome=Outcome.MERGED,
                merged_into=home,
                updated_at=max(case.updated_at, now),
            )
        )

    def _case(self, draft: Draft, mark: Mark) -> Case:
        return case_of(self._panel, draft, mark, self._rules)

    def _mark(self, case: int) -> Mark:
        return self._marks.get(case) or Mark(case)

    def _window_end(self, draft: Draft) -> UtcTime | None:
        mark = self._mark(draft.id)
        if draft.lane != Lane.VERIFIED.value or draft.verdict is not State.UNCONFIRMED:
            return None
        if mark.window_over or mark.closed_upto:
            return None
        return window_end(draft, self._rules)

    # Bounded state

    def _settle(self) -> None:
        """Let go of what is too old to be judged again, and of cases that are over."""
        limit = self._newest - LATE_KEPT_US
        many = len(self._recent) - LATE_KEPT
        count = many if many > LATE_SLACK else 0
        while count < len(self._recent) and self._recent[count].received < limit:
            count += 1
        if count == 0:
            return
        self._settled = self._states[count - 1]
        del self._recent[:count]
        del self._states[:count]
        self._drop()

    def _settle_all(self) -> None:
        self._settled = self._head()
        self._recent.clear()
        self._states.clear()

    def _drop(self) -> None:
        """Forget cases that are over, in every kept state alike."""
        limit = self._newest - LATE_KEPT_US
        held = {one.id for one in self._recent}
        over = [draft for draft in self._settled.drafts if self._is_over(draft, limit, held)]
        spare = len(self._settled.drafts) - len(over) - OPEN_KEPT
        if spare > 0:
            gone = {draft.opener for draft in over}
            rest = [draft for draft in self._settled.drafts if draft.opener not in gone]
            over += rest[:spare]
        if not over:
            return
        openers = {draft.opener for draft in over}
        self._settled = _without(self._settled, openers)
        self._states = [_without(state, openers) for state in self._states]
        self._shown = {draft.id: draft for draft in self._head().drafts}
        for case in [case for case in self._marks if case not in self._shown]:
            self._marks.pop(case)
            self._closed.pop(case, None)

    def _is_over(self, draft: Draft, limit: int, held: set[int]) -> bool:
        if draft.received >= limit or draft.top in held:
            return False
        closed = self._mark(draft.id).closed_upto >= draft.top
        return closed or draft.verdict in {State.CANCELLED, State.CLOSED}


_CLOSING: Final = frozenset({Outcome.REAL, Outcome.FALSE, Outcome.TEST, Outcome.UNKNOWN})
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Snapshot)


def _by_hand(act: OperatorAct, now: UtcTime, stored: Case) -> list[CaseEffect]:
    """Take or close a case that only the ledger still holds."""
    if stored.id != act.case or stored.state is State.CLOSED:
        return []
    if act.act == "take":
        return [CaseChanged(replace(stored, taken_by=act.operator, updated_at=now))]
    if act.act != "close" or act.outcome not in _CLOSING:
        return []
    closed = replace(
        stored,
        state=State.CLOSED,
        outcome=act.outcome,
        closed_by=act.operator,
        closed_at=now,
        note=act.note or stored.note,
        updated_at=now,
    )
    return [CaseChanged(closed)]


def _without(state: FoldState, openers: set[int]) -> FoldState:
    kept = tuple(draft for draft in state.drafts if draft.opener not in openers)
    return replace(state, drafts=kept)


def _digest(card: SiteCard | None) -> str:
    return "" if card is None else msgspec.json.encode(card).decode()


__all__ = ["CaseChanged", "CaseEffect", "CaseMachine", "Destination", "HandOver"]
