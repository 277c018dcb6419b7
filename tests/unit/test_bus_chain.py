"""From a driver's event to the panel's record: bus machine, pairs, panel, as the shell has them."""

from __future__ import annotations

from edge.bus.bus_types import (
    BusEvent,
    InputsReported,
    InputState,
    LocalReported,
    LossCause,
    NodeId,
    NodeLost,
    NodeUp,
)
from edge.bus.node_fault import NodeFault
from edge.config import Loop, ZoneConfig, ZoneType
from edge.field.pairs import Pairs
from edge.field.reading import Reading, ReadingState
from tests.support.bus_site import FOUR, KEYPAD, THREE, Bus, bus_config, zone
from tests.support.panel_site import Site, at

N, A, MASKED = InputState.NORMAL, InputState.ALARM, InputState.MASKED
CONFIG = bus_config(
    zones=(
        zone(1, "gpio:17", ZoneType.ENTRY_EXIT),
        ZoneConfig(
            number=2,
            name="vault",
            area=1,
            type=ZoneType.INSTANT,
            loop=Loop(input="bus:main.3.1"),
            pair=Loop(input="bus:main.4.1"),
        ),
    )
)


class Chain(Site):
    """A site armed in full whose vault is watched by a pair on two nodes."""

    def __init__(self) -> None:
        super().__init__(CONFIG)
        self.bus, self.pairs = Bus(CONFIG), Pairs(CONFIG)
        for node in (THREE, FOUR, KEYPAD):
            self.says(NodeUp(node, secure=True))
            self.says(LocalReported(node, tamper=False, power=False))
            self.inputs(node, N)
        self.armed()

    def says(self, event: BusEvent) -> list[str]:
        told: list[str] = []
        for one in self.bus.machine.receive(event, at(self.seconds)):
            if isinstance(one, NodeFault):
                told += self.give(one)
            else:
                told += self.passes(one)
        return told

    def passes(self, reading: Reading) -> list[str]:
        found = self.pairs.receive(reading, at(self.seconds))
        return [line for one in found for line in self.give(one)]

    def inputs(self, node: NodeId, first: InputState) -> list[str]:
        return self.says(InputsReported(node, (first,) + (N,) * 7))


def test_one_detector_of_a_pair_alone_is_evidence_and_no_alarm() -> None:
    site = Chain()
    assert site.inputs(THREE, A) == ["=ZONE_STATE a1 z2 (alone:loop)"]
    assert site.inputs(THREE, N) == []
    site.wait(11)
    assert site.inputs(FOUR, A) == ["=ZONE_STATE a1 z2 (alone:pair)"]
    assert site.mode() == "armed_full"


def test_both_detectors_inside_the_window_are_the_alarm() -> None:
    site = Chain()
    site.inputs(THREE, A)
    site.inputs(THREE, N)
    site.wait(9)
    assert site.inputs(FOUR, A)[0] == "+BURGLARY a1 z2"
    assert site.inputs(FOUR, N) == ["-BURGLARY a1 z2"]


def test_masking_one_of_a_pair_is_told_and_leaves_the_other_to_alarm() -> None:
    site = Chain()
    assert site.inputs(THREE, MASKED)[0] == "+SENSOR_MASKED a1 z2 (masked)"
    assert "+BURGLARY a1 z2" in site.inputs(FOUR, A)


def test_a_lost_node_of_a_pair_is_the_zones_trouble_and_nothing_is_silenced() -> None:
    site = Chain()
    assert site.says(NodeLost(THREE, LossCause.NO_ANSWER)) == [
        "+NODE_LOST z3 (main.3 no_answer)",
        "+ZONE_TROUBLE a1 z2 (lost)",
    ]
    assert "+BURGLARY a1 z2" in site.inputs(FOUR, A)
    assert site.inputs(FOUR, N) == ["+ZONE_TROUBLE a1 z2 (lost)"]
    assert site.says(NodeUp(THREE, secure=True)) == ["-NODE_LOST z3 (main.3)"]
    told = site.inputs(THREE, N)
    assert {"-BURGLARY a1 z2", "-ZONE_TROUBLE a1 z2"} <= set(told)
    assert site.panel.faults() == ()


def test_a_cable_cut_behind_the_panel_is_all_its_events_and_one_verdict() -> None:
    site = Chain()
    site.wait(60)
    told = [
        line
        for node in (THREE, FOUR, KEYPAD)
        for line in site.says(NodeLost(node, LossCause.NO_ANSWER))
    ]
    assert [line for line in told if "NODE_LOST" in line] == [
        f"+NODE_LOST z{n} (main.{n} no_answer)" for n in (3, 4, 9)
    ]
    assert [line for line in told if "TROUBLE" in line] == [
        "+ZONE_TROUBLE a1 z2 (lost)",
        "+ZONE_TROUBLE (mains:lost)",
    ]
    verdict = site.wait(2)
    assert verdict[0] == "+SABOTAGE (nodes:main.3,main.4,main.9)"
    assert "siren on" in verdict
    assert not any("points_lost" in line for line in told + verdict)


def test_the_evidence_of_a_bus_pair_names_no_strange_point() -> None:
    site = Chain()
    told = site.inputs(THREE, A) + site.inputs(THREE, N)
    assert told == ["=ZONE_STATE a1 z2 (alone:loop)"]
    lost = site.passes(Reading("zone:99/loop", ReadingState.ALARM))
    assert lost == ["=ZONE_TROUBLE (unknown_point:zone:99/loop alarm)"]
