"""The whole chain with a detector bus: real node firmware, real panel, real collector."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hil.drivers.process import wait_for
from hil.drivers.sim_rig import SimRig
from hil.site import CODE
from protocols.panel_event import Code

pytestmark = [pytest.mark.system, pytest.mark.slow]

OFFICE, LID = 8, 9
RED, GREEN = 1, 2


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimRig]:
    with SimRig(tmp_path_factory.mktemp("bus-rig"), bus=True) as sim:
        sim.build()
        wait_for("the path to be up", lambda: (sim.panel_status() or {}).get("path") == "up", 20)
        yield sim


def events(rig: SimRig, code: int, zone: int = 0) -> list[dict[str, Any]]:
    found = [row["event"] for row in rig.journal() if row["event"]["code"] == code]
    return [event for event in found if not zone or event.get("zone") == zone]


def shown(rig: SimRig, zone: int) -> str:
    status = rig.panel_status()
    rows = status["zones"] if status else []
    return next((row["state"] for row in rows if row["number"] == zone), "")


def mode(rig: SimRig) -> str:
    status = rig.panel_status()
    return status["areas"][0]["mode"] if status else ""


def lit(rig: SimRig) -> int:
    """Colour that the keypad's LED shows for good (OSDP LED command, permanent part)."""
    commands = rig.bus.shown()
    return commands[-1][12] if commands else 0


def test_the_node_runs_under_micropython_here(rig: SimRig) -> None:
    assert rig.bus.node.runtime == "micropython"


def test_status_tells_of_both_nodes_in_a_secure_channel(rig: SimRig) -> None:
    words = [sys.executable, "-m", "edge", "bus", "status", "--data", str(rig.panel_dir), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    (bus,) = json.loads(done.stdout)
    assert {node["node"]["address"]: node["state"] for node in bus["nodes"]} == {
        5: "secure",
        6: "secure",
    }
    assert all(node["polls"] > 0 for node in bus["nodes"])


@pytest.mark.parametrize("state", ["alarm", "tamper", "short", "open", "masked"])
def test_every_state_of_a_loop_comes_from_the_node_to_the_panel(rig: SimRig, state: str) -> None:
    rig.set_zone(OFFICE, state)
    wait_for(f"{state} to be shown", lambda: shown(rig, OFFICE) == state, 5)
    rig.set_zone(OFFICE, "normal")
    wait_for("rest to be shown", lambda: shown(rig, OFFICE) == "normal", 5)


def test_the_nodes_lid_is_a_tamper_zone_and_a_case(rig: SimRig) -> None:
    rig.set_zone(LID, "alarm")
    wait_for(
        "the tamper case",
        lambda: [
            case for case in rig.cases() if case["kind"] == "tamper" and "lid" in case["sentence"]
        ],
        10,
    )
    rig.set_zone(LID, "normal")
    wait_for("the lid to be shut", lambda: shown(rig, LID) == "normal", 5)


def test_a_wrong_code_at_the_keypad_opens_nothing_and_is_told(rig: SimRig) -> None:
    before = len(events(rig, Code.WRONG_CODE))
    rig.bus.press("135791#")
    wait_for("the wrong code", lambda: len(events(rig, Code.WRONG_CODE)) == before + 1, 5)
    assert mode(rig) == "disarmed"


def test_armed_at_the_keypad_the_nodes_input_is_a_case_and_disarmed_there(rig: SimRig) -> None:
    rig.press("#")  # the lid has set the siren off: the first code silences it
    wait_for("green", lambda: lit(rig) in {GREEN, 3}, 5)  # amber while something is in trouble
    rig.press("2#")  # stay: no exit delay needed to watch the perimeter; interior is not watched
    wait_for("leaving", lambda: mode(rig) in {"exit", "armed_stay"}, 5)
    rig.press("#")
    wait_for("disarmed again", lambda: mode(rig) == "disarmed", 5)
    rig.press("#")
    wait_for("the exit delay", lambda: mode(rig) == "exit", 5)
    rig.set_zone(1, "alarm")
    wait_for("the door open", lambda: shown(rig, 1) == "alarm", 5)
    rig.set_zone(1, "normal")
    wait_for("armed", lambda: mode(rig) == "armed_full", 15)
    wait_for("red", lambda: lit(rig) == RED, 5)
    rig.set_zone(OFFICE, "alarm")
    wait_for("the case", lambda: [case for case in rig.cases() if case["kind"] == "burglary"], 10)
    rig.set_zone(OFFICE, "normal")
    wait_for("rest", lambda: shown(rig, OFFICE) == "normal", 5)
    rig.press("#")
    wait_for("disarmed", lambda: mode(rig) == "disarmed", 5)
    assert CODE not in (rig.root / "panel.log").read_text(), "a code stands in a log"


def test_what_the_node_saw_while_the_panel_was_dead_is_on_record(rig: SimRig) -> None:
    """A pulse that began and ended in the meantime: the node kept both halves."""
    before = len(events(rig, Code.ZONE_STATE, OFFICE))
    rig.kill("panel")
    rig.set_zone(OFFICE, "alarm")
    time.sleep(0.8)  # the detector itself holds its contact for so long
    rig.set_zone(OFFICE, "normal")
    time.sleep(0.5)  # and is at rest again before the panel is back
    rig.start("panel")
    wait_for(
        "both halves of the pulse",
        lambda: [e.get("q", 1) for e in events(rig, Code.ZONE_STATE, OFFICE)[before:]] == [1, 3],
        15,
    )


def test_a_node_that_dies_is_told_within_two_seconds_and_is_back_by_itself(rig: SimRig) -> None:
    before = len(events(rig, Code.NODE_LOST, 5))
    killed = time.time()
    rig.bus.node.kill()
    wait_for("its loss", lambda: len(events(rig, Code.NODE_LOST, 5)) > before, 10)
    lost = [
        row
        for row in rig.journal()
        if row["event"]["code"] == Code.NODE_LOST and row["event"].get("zone") == 5
    ][before]
    assert lost["utc"] / 1e6 - killed < 2.0
    assert shown(rig, OFFICE) == "lost"
    rig.bus.node.start()
    wait_for("the node", lambda: shown(rig, OFFICE) == "normal", 10)
    assert events(rig, Code.NODE_LOST, 5)[-1]["q"] == 3


def test_a_cut_cable_is_one_verdict_of_sabotage(rig: SimRig) -> None:
    rig.cut("bus")
    verdict = wait_for("the verdict", lambda: events(rig, Code.SABOTAGE), 25)
    assert len(verdict) == 1
    assert verdict[0]["detail"] == "nodes:main.5,main.6"
    rig.heal("bus")
    wait_for("all parts back", lambda: events(rig, Code.SABOTAGE)[-1].get("q", 1) == 3, 15)
    assert len(events(rig, Code.NODE_FORGED)) == 0
    words = [sys.executable, "-m", "edge", "bus", "status", "--data", str(rig.panel_dir), "--json"]
    (bus,) = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    assert all(node["state"] == "secure" for node in bus["nodes"])
