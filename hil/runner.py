"""Plays a scenario on a rig, telling each step, and stops at the first that does not hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from hil import scenario
from hil.capabilities import Rig
from hil.drivers.process import RigError, wait_for
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
        case scenario.Press():
            rig.press(step.keys)
        case scenario.Zone():
            rig.set_zone(step.zone, step.state)
            if step.seen_within_s:
                _await(step, rig)
        case scenario.Cut():
            rig.cut(step.what)
        case scenario.Heal():
            rig.heal(step.what)
        case scenario.Kill():
            rig.kill(step.what)
        case scenario.Start():
            rig.start(step.what)
        case _:
            _await(step, rig)


def _await(step: Step, rig: Rig) -> None:
    match step:
        case scenario.Zone():
            within_s, what = step.seen_within_s, f"the panel to show zone {step.zone} {step.state}"
            probe = partial(_shown, rig, step.zone, step.state)
        case scenario.UntilZone():
            within_s, what = step.within_s, f"the panel to show zone {step.zone} {step.state}"
            probe = partial(_shown, rig, step.zone, step.state)
        case scenario.UntilMode():
            within_s, what = step.within_s, f"area 1 to be {step.mode}"
            probe = partial(_mode, rig, {step.mode, step.or_mode or step.mode})
        case scenario.UntilCase():
            within_s, what = step.within_s, f"one {step.kind} case, {' or '.join(step.state)}"
            probe = partial(_one_case, rig, step.kind, step.state)
        case scenario.UntilArrived():
            within_s = step.within_s
            what = f"zone {step.zone}'s alarm to be one Occurrence by {' and '.join(step.paths)}"
            probe = partial(_arrived, rig, step.zone, set(step.paths))
        case scenario.UntilRecorded():
            within_s, what = step.within_s, f"zone {step.zone}'s alarm in the journal"
            probe = partial(_recorded, rig, step.zone)
        case scenario.UntilNothingOwed():
            within_s, what = step.within_s, "nothing owed"
            probe = partial(_nothing_owed, rig)
        case _:
            raise RigError(f"nothing to wait for in {step}")
    wait_for(what, probe, within_s, POLL_S)


def _mode(rig: Rig, wanted: set[str]) -> bool:
    status = rig.panel_status()
    return status is not None and status["areas"][0]["mode"] in wanted


def _shown(rig: Rig, zone: int, state: str) -> bool:
    status = rig.panel_status()
    rows = status["zones"] if status else []
    return any(row["number"] == zone and row["state"] == state for row in rows)


def _one_case(rig: Rig, kind: str, states: list[str]) -> bool:
    found = [case for case in rig.cases() if case["kind"] == kind]
    return len(found) == 1 and found[0]["state"] in states


def _arrived(rig: Rig, zone: int, paths: set[str]) -> bool:
    alarms = [
        row
        for row in rig.occurrences()
        if row["zone"] == zone and row["q"] == 1 and 100 <= row["code"] < 200
    ]
    return len(alarms) == 1 and set(alarms[-1]["paths"]) == paths


def _recorded(rig: Rig, zone: int) -> bool:
    return any(
        row["event"].get("zone") == zone and 130 <= row["event"]["code"] < 140
        for row in rig.journal()
    )


def _nothing_owed(rig: Rig) -> bool:
    status = rig.panel_status()
    return status is not None and status["owed"] == 0 and status["path"] == "up"
