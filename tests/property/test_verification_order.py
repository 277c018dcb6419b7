"""The verdict is a function of what happened, not of the order in which it arrived."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.records.signal import Occurrence
from collector.verification import CaseMachine
from collector.verification.draft import Draft
from collector.verification.history import follows, in_order
from protocols.panel_event import Code, Qualifier
from tests.support.case_story import BS, CARD, PANEL, SHANGHAI, S, Story, occurrence

CODES = (
    Code.BURGLARY,
    Code.INTERIOR,
    Code.PERIMETER,
    Code.HOLDUP_SILENT,
    Code.DURESS,
    Code.ALARM_CANCEL,
    Code.ABORT,
    Code.OPEN_CLOSE,
    Code.ENTRY_DOOR_OPENED,
    Code.PATH_IP_FAULT,
    Code.PATH_PHONE_FAULT,
    Code.ZONE_TAMPER,
    Code.FIRE,
    Code.MAINS_FAIL,
    Code.PANEL_ON_TEST,
    Code.PANEL_SHUTDOWN,
    Code.BOOT,
    777,
)
GAPS_S = (0, 1, 14, 60, 130, 600, 1799, 1801, 2699, 2701, 7200)


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """What happened, in the order it happened: a panel's Records and the centre's own notices."""
    told: list[dict[str, Any]] = []
    at = 0
    boot = 1
    for seq in range(1, draw(st.integers(2, 14)) + 1):
        at += draw(st.sampled_from(GAPS_S))
        boot += draw(st.integers(0, 6)) == 6
        told.append(
            {
                "seq": seq,
                "code": int(draw(st.sampled_from(CODES))),
                "at_s": at,
                "q": draw(st.sampled_from((Qualifier.NEW, Qualifier.NEW, Qualifier.RESTORE))),
                "zone": draw(st.sampled_from((0, 1, 2, 3, 4, 6, 7))),
                "area": draw(st.sampled_from((0, 1, 1, 2))),
                "user": draw(st.sampled_from((0, 2))),
                "test": draw(st.integers(0, 9)) == 9,
                "err_us": draw(st.sampled_from((0, 1_000, 30 * S))),
                "boot": f"b{boot}",
            }
        )
    if draw(st.booleans()):
        when = draw(st.integers(0, max(at, 1)))
        told.append(
            {"seq": 0, "code": int(Code.PANEL_LOST), "at_s": when + 0.5, "area": 0, "epoch": 0}
        )
    return told


def arriving(told: list[dict[str, Any]], order: list[int]) -> list[Occurrence]:
    """The same history as it reaches the centre in another order; ids ascend by arrival."""
    last = max(one["at_s"] for one in told) + 10.0
    return [
        occurrence(**told[place], id_=100 + turn, received_s=last + turn)
        for turn, place in enumerate(order)
    ]


def verdicts(machine: CaseMachine) -> list[Any]:
    """What the machine makes of it, in terms that do not depend on arrival."""
    state = machine._head()  # the fold itself; acts such as hand-overs stand above it
    return sorted(_essence(draft) for draft in state.drafts)


def _essence(draft: Draft) -> str:
    def key(piece: Any) -> str:
        return f"{piece.epoch}/{piece.seq}/{piece.at}"

    known = {piece.occurrence: key(piece) for piece in draft.evidence}
    plain = (
        draft.kind,
        draft.verdict,
        draft.areas,
        draft.test,
        draft.grade,
        draft.more,
        draft.runaway,
        [known[piece.occurrence] for piece in draft.evidence],
        [
            (d.rule, d.outcome, d.why, [known.get(e, "elsewhere") for e in d.evidence])
            for d in draft.decisions
        ],
        [(want.to, want.reason) for want in draft.wants],
        msgspec.structs.asdict(draft.context),
    )
    return msgspec.json.encode(plain).decode()


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.data())
def test_any_order_of_arrival_gives_the_verdict_of_the_true_order(data: st.DataObject) -> None:
    told = data.draw(histories())
    rules = data.draw(st.sampled_from((BS, SHANGHAI)))
    order = data.draw(st.permutations(range(len(told))))
    straight, shuffled = Story(rules), Story(rules)
    for one in in_order(arriving(told, list(range(len(told))))):
        straight.give(one)
    for one in arriving(told, order):
        shuffled.give(one)
    assert verdicts(shuffled.machine) == verdicts(straight.machine)
    # A hand-over is an act: it may come of a first impression, but none may be missing.
    wanted = {str(to) for _, to in straight.told()}
    assert wanted <= {str(to) for _, to in shuffled.told()}


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.data())
def test_repeats_and_later_joined_signals_change_nothing_but_the_paths(
    data: st.DataObject,
) -> None:
    told = data.draw(histories())
    arrived = in_order(arriving(told, list(range(len(told)))))
    story = Story()
    for one in arrived:
        story.give(one)
    before = verdicts(story.machine)
    again = data.draw(st.sampled_from(arrived))
    assert story.give(again) == []
    joined = msgspec.structs.replace(again, paths=(*again.paths, "phone"), signals=(again.id, 999))
    story.give(joined)
    assert verdicts(story.machine) == before
    holding = [
        piece.paths
        for case in story.machine.cases()
        for piece in case.occurrences
        if piece.occurrence == again.id
    ]
    assert all(paths == joined.paths for paths in holding)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.data())
def test_a_snapshot_anywhere_goes_on_with_the_same_result(data: st.DataObject) -> None:
    told = data.draw(histories())
    order = data.draw(st.permutations(range(len(told))))
    cut = data.draw(st.integers(0, len(told)))
    arrived = arriving(told, order)
    whole, halved = Story(), Story()
    for place, one in enumerate(arrived):
        if place == cut:
            saved = halved.machine.snapshot()
            halved.machine = CaseMachine.restore(BS, PANEL, CARD, saved)
            assert halved.machine.snapshot() == saved
        whole.give(one)
        halved.give(one)
    assert halved.machine.cases() == whole.machine.cases()
    assert halved.handovers == whole.handovers
    assert halved.cases == whole.cases
    assert halved.machine.snapshot() == whole.machine.snapshot()


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.data())
def test_follows_never_claims_a_place_that_ordering_would_not_give(data: st.DataObject) -> None:
    told = data.draw(histories())
    order = data.draw(st.permutations(range(len(told))))
    held: list[Occurrence] = []
    for one in arriving(told, order):
        if follows(held, one):
            assert in_order([*held, one]) == [*held, one]
        held = in_order([*held, one])
