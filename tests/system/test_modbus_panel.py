"""A running panel with a rack of Modbus modules: what it records and shows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.adapters.modbus_sim import Rack
from hil.drivers.process import wait_for
from hil.drivers.sim_rig import SimRig
from protocols.panel_event import Code

pytestmark = pytest.mark.system

WINDOW, LID, DOOR = 31, 32, 33
MODULE, OTHER = 101, 102
TABLES = """
[[modbus_maps]]
name = "di4-lid"
inputs = 4
tamper = 4
[[buses]]
name = "io"
protocol = "modbus"
port = "{port}"
[[buses.devices]]
address = 101
map = "di4-lid"
[[buses.devices]]
address = 102
[[zones]]
number = 31
name = "Store window"
area = 1
type = "instant"
loop = {{ input = "bus:io.101.2" }}
technology = "contact"
[[zones]]
number = 32
name = "Store module's lid"
area = 1
type = "tamper"
loop = {{ input = "bus:io.101.tamper" }}
technology = "contact"
[[zones]]
number = 33
name = "Store door"
area = 1
type = "instant"
loop = {{ input = "bus:io.102.1" }}
technology = "contact"
"""


class Site:
    """A shop with a rack in its store."""

    def __init__(self, rig: SimRig, rack: Rack) -> None:
        self.rig = rig
        self.rack = rack

    def shown(self, zone: int) -> str:
        status = self.rig.panel_status()
        rows = status["zones"] if status else []
        return next((row["state"] for row in rows if row["number"] == zone), "")

    def records(self, code: int, zone: int) -> list[dict[str, Any]]:
        events = [row["event"] for row in self.rig.journal()]
        return [e for e in events if e["code"] == code and e.get("zone") == zone]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("modbus-rig")
    link = root / "store-rack"
    with Rack(link, (MODULE, OTHER)) as rack, SimRig(root) as rig:
        rig.build()
        rig.kill("panel")
        _append(rig.panel_file, TABLES.format(port=link))
        rig.start("panel")
        site = Site(rig, rack)
        wait_for("rest", lambda: {site.shown(z) for z in (WINDOW, LID, DOOR)} == {"normal"}, 10)
        yield site


def _append(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


def test_an_input_opened_becomes_a_record_and_is_shown(site: Site) -> None:
    site.rack.set(MODULE, 1, 1)
    wait_for("the window to be shown open", lambda: site.shown(WINDOW) == "alarm", 5)
    site.rack.set(MODULE, 1, 0)
    wait_for("the window shut", lambda: site.shown(WINDOW) == "normal", 5)
    qualifiers = [e.get("q", 1) for e in site.records(Code.ZONE_STATE, WINDOW)]
    assert qualifiers == [1, 3]
    assert site.shown(DOOR) == "normal"


def test_the_modules_lid_is_a_tamper_zone(site: Site) -> None:
    site.rack.set(MODULE, 4, 1)
    wait_for("the lid", lambda: site.shown(LID) in {"alarm", "tamper"}, 5)
    assert site.shown(WINDOW) == "normal"
    site.rack.set(MODULE, 4, 0)
    wait_for("the lid shut", lambda: site.shown(LID) == "normal", 5)


def test_a_dead_module_is_on_record_and_its_zones_alone_are_shown_lost(site: Site) -> None:
    site.rack.fault(MODULE, silent=True)
    wait_for("the window to be shown lost", lambda: site.shown(WINDOW) == "lost", 5)
    assert [e.get("q", 1) for e in site.records(Code.NODE_LOST, MODULE)][-1] == 1
    assert site.shown(LID) == "lost"
    assert site.shown(DOOR) == "normal"
    words = [sys.executable, "-m", "edge", "bus", "status", "--json"]
    done = subprocess.run(
        [*words, "--data", str(site.rig.panel_dir)], capture_output=True, text=True, check=True
    )
    (bus,) = json.loads(done.stdout)
    assert {n["node"]["address"]: n["state"] for n in bus["nodes"]} == {101: "lost", 102: "clear"}
    site.rack.fault(MODULE, silent=False)
    wait_for("the window", lambda: site.shown(WINDOW) == "normal", 10)
    assert [e.get("q", 1) for e in site.records(Code.NODE_LOST, MODULE)][-1] == 3


def test_an_unplugged_adapter_is_a_bus_fault_and_over_when_it_is_back(site: Site) -> None:
    site.rack.unplug()
    wait_for("the door to be shown lost", lambda: site.shown(DOOR) == "lost", 5)
    site.rack.plug()
    wait_for("the door", lambda: site.shown(DOOR) == "normal", 5)
    faults = [row["event"] for row in site.rig.journal() if row["event"]["code"] == Code.BUS_FAULT]
    assert [e.get("q", 1) for e in faults][-2:] == [1, 3]
