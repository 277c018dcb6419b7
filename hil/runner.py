"""Plays a scenario on a rig, telling each step, and stops at the first that does not hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import assert_never

from hil import scenario
from hil.capabilities import Rig
from hil.drivers.process import wait_for
from hil.scenario import Scenario, Step

POLL_S = 0.2


def play(played: Scenario, rig: Rig, tell: Callable[[float, str], None]) -> None:
    """Carry out every step. Raises RigError at the first that fails. `tell(seconds, text)`."""
    began = time.monotonic()
    for step in played.steps:
        if step.tell:
            tell(time.monotonic() - began, step.tell)
        _do(step, rig)


def _do(step: Step, rig: Rig) -> None:
    match step:
        case scenario.Arm():
            rig.enter("arm")
        case scenario.Disarm():
            rig.enter("disarm")
        case scenario.Zone():
            rig.set_zone(step.zone, step.state)
        case scenario.Cut():
            rig.cut()
        case scenario.Heal():
            rig.heal()
        case scenario.Kill():
            rig.kill(step.what)
        case scenario.Start():
            rig.start(step.what)
        case scenario.UntilMode():
            wanted = {step.mode, step.or_mode or step.mode}
            wait_for(
                f"area 1 to be {step.mode}", lambda: _mode(rig) in wanted, step.within_s, POLL_S
            )
        case scenario.UntilCase():
            wait_for(
                f"one {step.kind} case, {' or '.join(step.state)}",
                lambda: _one_case(rig, step.kind, step.state),
                step.within_s,
                POLL_S,
            )
        case scenario.UntilRecorded():
            wait_for(
                f"zone {step.zone}'s alarm in the journal",
                lambda: _recorded(rig, step.zone),
                step.within_s,
                POLL_S,
            )
        case scenario.UntilNothingOwed():
            wait_for("nothing owed", lambda: _nothing_owed(rig), step.within_s, POLL_S)
        case _:
            assert_never(step)


def _mode(rig: Rig) -> str:
    status = rig.panel_status()
    return str(status["areas"][0]["mode"]) if status else ""


def _one_case(rig: Rig, kind: str, states: list[str]) -> bool:
    found = [case for case in rig.cases() if case["kind"] == kind]
    return len(found) == 1 and found[0]["state"] in states


def _recorded(rig: Rig, zone: int) -> bool:
    return any(
        row["event"].get("zone") == zone and 130 <= row["event"]["code"] < 140
        for row in rig.journal()
    )


def _nothing_owed(rig: Rig) -> bool:
    status = rig.panel_status()
    return status is not None and status["owed"] == 0 and status["path"] == "up"
