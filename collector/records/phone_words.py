"""What the sentence adds of the phone: whose account, who called, which line."""

from __future__ import annotations

from typing import Final

from collector.records.case import Case
from collector.records.names import clean
from collector.records.wording import Wording
from protocols.panel_event import Code, PanelEvent

CALLS_NAMED: Final = 3
CALL_CHARS: Final = 12
"""Of a call's id: enough to find it by `tocsin-receiver calls`."""


def remarks(case: Case, words: Wording) -> list[str]:
    """Without a stop; the weightiest first."""
    return [*_account(case, words), *_lines(case, words)]


def _account(case: Case, words: Wording) -> list[str]:
    """A phone report whose panel is not certain (S22)."""
    for piece in case.occurrences:
        tokens = _tokens(piece.event)
        account, panels = tokens.get("account"), tokens.get("panels", "none")
        if not account or not case.panel.startswith("acct-"):
            continue
        if panels == "none":
            return [words.account_unknown.format(account=clean(account))]
        names = words.list_comma.join(clean(name) for name in panels.split("+"))
        return [words.account_doubt.format(account=clean(account), names=names)]
    return []


def _lines(case: Case, words: Wording) -> list[str]:
    """Who called that could not be understood, and where to hear it (D10); which line is gone."""
    said: list[str] = []
    for piece in case.occurrences[-CALLS_NAMED:]:
        told = {name: clean(value) for name, value in _tokens(piece.event).items()}
        if piece.event.code == Code.UNRECOGNISED_CALL and told.get("call"):
            remark = words.unread_call.format(
                caller=told.get("caller") or words.unknown_caller,
                line=told.get("line", ""),
                receiver=told.get("receiver", ""),
                call=told["call"][:CALL_CHARS],
            )
        elif piece.event.code == Code.UNRECOGNISED_CALL and told.get("reason"):
            left = f"{told['reason']} {told.get('heard', '')}".strip()
            remark = words.line_down.format(line=told.get("line", ""), cause=left)
        elif piece.event.code == Code.LINE_FAULT and told.get("cause"):
            remark = words.line_down.format(line=told.get("line", ""), cause=told["cause"])
        else:
            continue
        if remark not in said:
            said.append(remark)
    return said


def _tokens(event: PanelEvent) -> dict[str, str]:
    parts = [part.partition("=") for part in event.detail.split(";")]
    return {name: value for name, _, value in parts}
