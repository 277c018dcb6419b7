"""Walk test and panel test: modes that end by themselves (H6)."""

from __future__ import annotations

from edge.panel.premises import Premises
from protocols.panel_event import Code, Qualifier


def end_walk(p: Premises, why: str, user: int = 0) -> None:
    """Walk test over: time, user, arming or restart."""
    p.state.walk_until = None
    p.emit(Code.WALK_TEST, Qualifier.RESTORE, user=user, detail=why)


def end_panel_test(p: Premises, why: str, user: int = 0) -> None:
    """Panel test over: time, user or restart."""
    p.state.test_until = None
    p.emit(Code.PANEL_ON_TEST, Qualifier.RESTORE, user=user, detail=why)
