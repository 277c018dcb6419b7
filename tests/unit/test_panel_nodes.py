"""Node faults in the panel, and the verdict on parts that vanish together."""

from __future__ import annotations

import json
from hashlib import sha256

import msgspec
import pytest

from edge.bus.bus_types import NodeId
from edge.bus.node_fault import NodeFault
from edge.config import PanelConfig
from edge.config_bus import Sabotage
from edge.field.reading import ReadingState
from edge.panel import Panel
from edge.panel.inputs import Arm, Booted, Disarm, PathChanged
from edge.panel.sabotage import listed
from protocols.panel_event import Code
from tests.support.bus_site import FOUR, KEYPAD, MODULE, THREE, WHOLE, bus_config
from tests.support.panel_site import Site, at, site_config


class BusSite(Site):
    """A site past its start, where nodes 3, 4, 9, the module and both paths were seen."""

    def __init__(self, config: PanelConfig | None = None) -> None:
        super().__init__(config or bus_config())
        self.give(Booted("boot", same_boot=True))
        for node in (THREE, FOUR, KEYPAD, MODULE):
            self.give(NodeFault(Code.NODE_LOST, node, on=False))
        for bus in ("main", "io"):
            self.give(NodeFault(Code.BUS_FAULT, NodeId(bus, -1), on=False))
        for path in ("mqtt", "phone"):
            self.give(PathChanged(path, up=True))
        self.wait(60)

    def loses(self, node: NodeId, cause: str = "no_answer") -> list[str]:
        return self.give(NodeFault(Code.NODE_LOST, node, detail=cause))

    def finds(self, node: NodeId) -> list[str]:
        return self.give(NodeFault(Code.NODE_LOST, node, on=False))

    def unplugs(self, bus: str = "main") -> list[str]:
        return self.give(NodeFault(Code.BUS_FAULT, NodeId(bus, -1), detail="unplugged"))

    def path(self, path: str, *, up: bool = False) -> list[str]:
        return self.give(PathChanged(path, up))


def verdicts(told: list[str]) -> list[str]:
    return [line for line in told if "SABOTAGE" in line]


# -- faults of nodes ------------------------------------------------------------------------------


def test_two_nodes_with_the_same_fault_do_not_end_each_others() -> None:
    site = BusSite()
    assert site.loses(THREE) == ["+NODE_LOST z3 (main.3 no_answer)"]
    assert site.loses(THREE) == []
    site.wait(60)
    assert site.loses(FOUR, "key_refused") == ["+NODE_LOST z4 (main.4 key_refused)"]
    assert site.finds(THREE) == ["-NODE_LOST z3 (main.3)"]
    assert site.panel.faults() == ("fault:333 main.4 key_refused",)
    assert site.finds(THREE) == []
    assert site.finds(FOUR) == ["-NODE_LOST z4 (main.4)"]
    assert site.panel.faults() == ()
    assert b"node_faults" not in site.panel.snapshot()


@pytest.mark.parametrize("code", [Code.NODE_RESTARTED, Code.NODE_UPDATED, Code.NODE_OVERFLOW])
def test_moments_are_told_each_time_and_not_kept(code: Code) -> None:
    site = BusSite()
    for _ in range(2):
        assert site.give(NodeFault(code, THREE, detail="x")) == [f"+{code.name} z3 (main.3 x)"]
    assert site.panel.faults() == ()


def test_a_fault_of_the_whole_bus_has_no_zone() -> None:
    site = BusSite()
    assert site.give(NodeFault(Code.BUS_NOISE, WHOLE, detail="noise")) == [
        "+BUS_NOISE (main noise)"
    ]


def test_an_opened_node_sounds_and_is_remembered_as_tamper() -> None:
    site = BusSite()
    assert site.give(NodeFault(Code.NODE_TAMPER, THREE)) == [
        "+NODE_TAMPER z3 (main.3)",
        "+ALARM_MEMORY",
        "siren on",
    ]


@pytest.mark.parametrize("code", [Code.NODE_FORGED, Code.NODE_DUPLICATE])
def test_a_forged_or_doubled_node_is_remembered_without_siren(code: Code) -> None:
    site = BusSite()
    told = site.give(NodeFault(code, THREE, detail="replay"))
    assert told == [f"+{code.name} z3 (main.3 replay)", "+ALARM_MEMORY"]


def test_node_faults_survive_a_restart() -> None:
    site = BusSite()
    site.give(NodeFault(Code.NODE_FORGED, THREE, detail="replay"))
    site.loses(FOUR)
    site.restart(same_boot=False, uptime_s=3)
    assert set(site.panel.faults()) == {"fault:1031 main.3 replay", "fault:333 main.4 no_answer"}
    assert site.loses(FOUR) == []
    assert site.finds(FOUR) == ["-NODE_LOST z4 (main.4)"]


def test_a_node_taken_out_of_the_file_ends_its_faults() -> None:
    site = BusSite()
    site.loses(FOUR)
    told = site.restart(same_boot=True, config=bus_config(nodes=(3,)))
    assert "-NODE_LOST z4 (main.4 removed)" in told
    assert site.panel.faults() == ()


def test_hostile_text_in_a_fault_is_cut_and_kept() -> None:
    site = BusSite()
    site.give(NodeFault(Code.NODE_FORGED, THREE, detail="\udcff" * 9999))
    assert site.restart(same_boot=True) == ["siren off"]


def test_a_snapshot_from_before_there_were_buses_still_restores() -> None:
    site = Site().armed()
    sealed = json.loads(site.panel.snapshot())
    state = sealed["body"]["state"]
    for name in ("node_faults", "sabotage"):
        state.pop(name, None)
    body = msgspec.json.encode(sealed["body"])
    old = msgspec.json.encode({"check": sha256(body).hexdigest(), "body": msgspec.Raw(body)})
    assert b"sabotage" not in old
    panel, _ = Panel.restore(site_config(), old, at(site.seconds), same_boot=True)
    assert panel.modes()[1] == "armed_full"


# -- H3 and the nodes -----------------------------------------------------------------------------


def test_all_points_of_one_lost_node_are_no_tamper() -> None:
    site = BusSite()
    assert site.loses(THREE) == ["+NODE_LOST z3 (main.3 no_answer)"]
    told = [line for n in (1, 2, 3) for line in site.reads(f"zone:{n}", ReadingState.LOST)]
    assert told == [f"+ZONE_TROUBLE a1 z{n} (lost)" for n in (1, 2, 3)]
    assert site.wait(20) == []


def test_a_wired_point_lost_with_a_nodes_point_is_one_verdict() -> None:
    site = BusSite()
    site.reads("zone:1", ReadingState.LOST)
    assert "+PANEL_TAMPER (points_lost:1,6)" in site.reads("zone:6", ReadingState.LOST)


def test_points_of_several_nodes_are_left_to_the_sabotage_verdict() -> None:
    site = BusSite()
    site.reads("zone:1", ReadingState.LOST)
    assert site.reads("zone:4", ReadingState.LOST) == ["+ZONE_TROUBLE a1 z4 (lost)"]


# -- sabotage -------------------------------------------------------------------------------------


def test_nodes_that_vanish_together_are_one_verdict_beside_their_own_events() -> None:
    site = BusSite()
    assert site.loses(THREE) == ["+NODE_LOST z3 (main.3 no_answer)"]
    site.wait(1)
    assert site.loses(FOUR) == ["+NODE_LOST z4 (main.4 no_answer)"]
    assert site.loses(KEYPAD) == ["+NODE_LOST z9 (main.9 no_answer)"]
    assert site.wait(2) == [
        "+SABOTAGE (nodes:main.3,main.4,main.9)",
        "+ALARM_MEMORY",
        "siren on",
    ]
    assert "sabotage nodes:main.3,main.4,main.9" in site.panel.faults()
    assert verdicts(site.finds(THREE) + site.finds(FOUR)) == []
    assert verdicts(site.finds(KEYPAD)) == ["-SABOTAGE"]


def test_both_paths_and_a_node_with_a_path_are_verdicts() -> None:
    site = BusSite()
    site.path("mqtt")
    site.path("phone")
    assert verdicts(site.wait(2)) == ["+SABOTAGE (paths:mqtt,phone)"]
    site = BusSite()
    site.loses(THREE)
    site.path("mqtt")
    assert verdicts(site.wait(2)) == ["+SABOTAGE (nodes:main.3 paths:mqtt)"]


@pytest.mark.parametrize("part", ["node", "path"])
def test_a_lone_part_is_none_and_so_are_two_far_apart(part: str) -> None:
    site = BusSite()
    site.loses(THREE) if part == "node" else site.path("mqtt")
    assert verdicts(site.wait(10.1)) == []
    site.loses(FOUR)
    assert verdicts(site.wait(30)) == []


def test_two_at_the_very_edge_of_the_window_are_together() -> None:
    site = BusSite()
    site.loses(THREE)
    site.wait(10)
    site.loses(FOUR)
    assert verdicts(site.wait(2)) == ["+SABOTAGE (nodes:main.3,main.4)"]


def test_a_loss_long_before_a_power_cut_is_not_together_with_one_long_after() -> None:
    site = BusSite()
    site.loses(THREE)
    site.wait(30)
    site.restart(same_boot=False, uptime_s=1)
    site.give(Booted("boot2", same_boot=False))
    site.wait(65)
    site.loses(FOUR)
    assert verdicts(site.wait(60)) == []


def test_a_loss_just_before_a_restart_is_together_with_one_found_after_it() -> None:
    site = BusSite()
    site.loses(THREE)
    site.wait(5)
    site.restart(same_boot=True)
    site.give(Booted("boot", same_boot=True))
    site.wait(1)
    site.loses(FOUR)
    assert verdicts(site.wait(17)) == ["+SABOTAGE (nodes:main.3,main.4)"]


def test_a_verdict_being_gathered_survives_a_power_cut() -> None:
    site = BusSite()
    site.loses(THREE)
    site.loses(FOUR)
    site.restart(same_boot=False, uptime_s=1)
    assert verdicts(site.wait(2)) == ["+SABOTAGE (nodes:main.3,main.4)"]


def test_further_parts_extend_the_verdict_once() -> None:
    site = BusSite()
    site.loses(THREE)
    site.loses(FOUR)
    site.wait(2)
    site.disarm()
    site.wait(600)
    site.path("mqtt")
    site.path("phone")
    assert site.wait(2) == ["+SABOTAGE (nodes:main.3,main.4 paths:mqtt,phone)", "siren on"]
    assert verdicts(site.loses(THREE) + site.wait(60)) == []


def test_a_short_interruption_of_several_is_told_and_taken_back() -> None:
    site = BusSite()
    site.loses(THREE)
    site.loses(FOUR)
    site.finds(THREE)
    site.finds(FOUR)
    assert verdicts(site.wait(2)) == ["+SABOTAGE (nodes:main.3,main.4)", "-SABOTAGE"]


def test_a_pulled_plug_is_one_part_while_disarmed() -> None:
    site = BusSite()
    site.unplugs()
    for node in (THREE, FOUR, KEYPAD):
        site.loses(node, "bus_down")
    assert verdicts(site.wait(60)) == []


def test_a_pulled_plug_with_another_part_is_a_verdict() -> None:
    site = BusSite()
    site.unplugs()
    site.loses(THREE, "bus_down")
    site.path("mqtt")
    assert verdicts(site.wait(2)) == ["+SABOTAGE (nodes:main.3 buses:main paths:mqtt)"]


def test_a_pulled_plug_while_armed_is_a_verdict_once_nodes_are_lost() -> None:
    site = BusSite()
    site.types(Arm())
    site.wait(60)
    assert site.mode() == "armed_full"
    site.unplugs()
    assert verdicts(site.wait(1.4)) == []
    site.loses(THREE, "bus_down")
    assert verdicts(site.wait(2)) == ["+SABOTAGE (nodes:main.3 buses:main)"]


def test_what_was_never_there_cannot_vanish() -> None:
    site = Site(bus_config())
    site.give(NodeFault(Code.NODE_LOST, THREE, detail="not_secure"))
    site.give(NodeFault(Code.NODE_LOST, FOUR, detail="not_secure"))
    site.give(PathChanged("mqtt", up=False))
    assert verdicts(site.wait(600)) == []


def test_after_a_restart_only_what_stays_away_is_judged() -> None:
    site = BusSite()
    site.restart(same_boot=True)
    site.give(Booted("boot", same_boot=True))
    site.loses(THREE)
    site.loses(FOUR)
    assert verdicts(site.finds(FOUR) + site.wait(30)) == []
    site.restart(same_boot=True)
    site.give(Booted("boot", same_boot=True))
    site.loses(FOUR)
    site.loses(KEYPAD)
    assert verdicts(site.wait(14.9)) == []
    assert verdicts(site.wait(2.1)) == ["+SABOTAGE (nodes:main.4,main.9)"]


def test_after_a_power_cut_nothing_is_judged_in_the_power_up_time() -> None:
    site = BusSite()
    site.restart(same_boot=False, uptime_s=1)
    site.give(Booted("boot2", same_boot=False))
    site.loses(THREE)
    site.loses(FOUR)
    assert verdicts(site.wait(59.9)) == []
    assert verdicts(site.wait(2.1)) == ["+SABOTAGE (nodes:main.3,main.4)"]


def test_a_verdict_and_one_being_gathered_survive_a_restart() -> None:
    site = BusSite()
    site.loses(THREE)
    site.loses(FOUR)
    site.restart(same_boot=True)
    assert verdicts(site.wait(2)) == ["+SABOTAGE (nodes:main.3,main.4)"]
    site.restart(same_boot=False, uptime_s=5)
    site.give(Booted("boot2", same_boot=False))
    site.finds(THREE)
    assert verdicts(site.finds(FOUR)) == ["-SABOTAGE"]


def test_a_verdict_on_removed_nodes_is_over() -> None:
    site = BusSite()
    site.loses(THREE)
    site.loses(FOUR)
    site.wait(2)
    told = site.restart(same_boot=True, config=bus_config(nodes=()))
    assert verdicts(told) == ["-SABOTAGE"]


def test_the_number_of_parts_is_the_files() -> None:
    config = msgspec.structs.replace(bus_config(), sabotage=Sabotage(window_s=5, parts=3))
    site = BusSite(config)
    site.loses(THREE)
    site.loses(FOUR)
    assert verdicts(site.wait(4)) == []
    site.loses(KEYPAD)
    assert verdicts(site.wait(2)) == ["+SABOTAGE (nodes:main.3,main.4,main.9)"]


def test_a_long_list_of_parts_fits_an_event() -> None:
    nodes = [f"node:main.{address}" for address in range(1, 33)]
    assert listed([*nodes, "path:mqtt"]) == "nodes:main.1-32 paths:mqtt"
    odd = [f"node:longestname1.{address}" for address in range(1, 127, 2)]
    text = listed([*odd, "path:mqtt"])
    assert len(text) <= 200
    shown = text.count("longestname1")
    assert text.endswith(f" more:{64 - shown}")


def test_disarming_silences_the_siren_of_a_verdict() -> None:
    site = BusSite()
    site.loses(THREE)
    site.loses(FOUR)
    site.wait(2)
    assert "siren off" in site.types(Disarm())
