"""States and inputs of a case, as data. README.md shows this table; a test holds it to it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from collector.records.case import Kind, State


class Lane(StrEnum):
    """How a kind is treated."""

    VERIFIED = "verified"
    """Burglary: needs confirmation before police are told (R44, R71)."""
    DIRECT = "direct"
    """Hold-up, fire, medical, gas: stands at once (R44, R50)."""
    WATCHED = "watched"
    """Tamper, water: for the operator."""
    FAULT = "fault"
    """Trouble: for the operator, goes when it is restored."""


LANE_OF: Final[dict[Kind, Lane]] = {
    Kind.BURGLARY: Lane.VERIFIED,
    Kind.HOLDUP: Lane.DIRECT,
    Kind.FIRE: Lane.DIRECT,
    Kind.MEDICAL: Lane.DIRECT,
    Kind.ENVIRONMENT: Lane.WATCHED,
    Kind.TAMPER: Lane.WATCHED,
    Kind.TROUBLE: Lane.FAULT,
}
"""Gas goes DIRECT though its kind is environment: see `lane_of`."""


class Input(StrEnum):
    """What an Occurrence means to a case it concerns."""

    INDEPENDENT = "independent detector in the window"
    DEPENDENT = "same, overlapping, outside or unknown detector"
    DISABLED = "trip after the entry door was opened"
    RUNAWAY = "trip of a runaway detector"
    WINDOW_DOUBT = "trip perhaps outside the window"
    PATH_LOST = "path lost in the window"
    PATH_DOUBT = "path loss that proves nothing"
    CANCEL = "cancel, abort or disarm"
    CANCEL_DOUBT = "cancel that is late or in doubtful order"
    DURESS = "duress beside the cancel"
    FURTHER = "further report of the same kind"
    RESTORED = "everything restored"


FIRST: Final[dict[Lane, State]] = {
    Lane.VERIFIED: State.UNCONFIRMED,
    Lane.DIRECT: State.CONFIRMED,
    Lane.WATCHED: State.UNCONFIRMED,
    Lane.FAULT: State.UNCONFIRMED,
}
"""The state a case opens in: the lone first report always makes a case."""

VERDICTS: Final = (State.UNCONFIRMED, State.CONFIRMED, State.CANCELLED, State.CLOSED)
"""What evidence alone can bring about; HANDED_OVER and CLOSED-by-operator stand above these."""

_MOVES: Final[dict[tuple[Lane, State, Input], State]] = {
    (Lane.VERIFIED, State.UNCONFIRMED, Input.INDEPENDENT): State.CONFIRMED,
    (Lane.VERIFIED, State.UNCONFIRMED, Input.PATH_LOST): State.CONFIRMED,
    (Lane.VERIFIED, State.UNCONFIRMED, Input.CANCEL): State.CANCELLED,
    (Lane.VERIFIED, State.UNCONFIRMED, Input.DURESS): State.CONFIRMED,
    (Lane.VERIFIED, State.CANCELLED, Input.DURESS): State.CONFIRMED,
    (Lane.FAULT, State.UNCONFIRMED, Input.RESTORED): State.CLOSED,
    (Lane.FAULT, State.CLOSED, Input.FURTHER): State.UNCONFIRMED,
}
"""Every pair not named here leaves the state alone and is noted."""

DOUBTS: Final = frozenset({Input.WINDOW_DOUBT, Input.PATH_DOUBT, Input.CANCEL_DOUBT})


def move(lane: Lane, state: State, what: Input) -> State:
    """The next verdict. Total: a pair without a move keeps its state."""
    return _MOVES.get((lane, state, what), state)


def rendered() -> str:
    """The table as Markdown."""
    lines = []
    for lane in Lane:
        states = [state for state in VERDICTS if _reachable(lane, state)]
        lines += [
            f"**{lane.value}** ({', '.join(_kinds(lane))}); opens {FIRST[lane].value}",
            "",
            "| input | " + " | ".join(state.value for state in states) + " |",
            "|---|" + "---|" * len(states),
        ]
        lines += [_row(lane, states, what) for what in Input]
        lines.append("")
    return "\n".join(lines)


def _row(lane: Lane, states: list[State], what: Input) -> str:
    still = "doubt, stays" if what in DOUBTS else "noted"
    cells = [move(lane, state, what) for state in states]
    shown = [
        still if cell is state else f"**{cell.value}**"
        for cell, state in zip(cells, states, strict=True)
    ]
    return f"| {what.value} | " + " | ".join(shown) + " |"


def _reachable(lane: Lane, state: State) -> bool:
    reached = {target for (where, _, _), target in _MOVES.items() if where is lane}
    return state is FIRST[lane] or state in reached


def _kinds(lane: Lane) -> list[str]:
    kinds = [kind.value for kind, where in LANE_OF.items() if where is lane]
    names = {"environment": "water and other environment"}
    shown = [names.get(kind, kind) for kind in kinds]
    return [*shown, "gas"] if lane is Lane.DIRECT else shown
