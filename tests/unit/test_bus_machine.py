"""What bus drivers say, as Readings and node faults."""

from __future__ import annotations

import pytest

from edge.bus.bus_types import (
    BusChanged,
    CardRead,
    ChangesLost,
    CommandDone,
    InputsReported,
    InputState,
    KeysPressed,
    LocalReported,
    LossCause,
    NodeId,
    NodeLost,
    NodeReport,
    NodeTrouble,
    NodeUp,
    Trouble,
)
from edge.config import Loop, ZoneConfig, ZoneType
from tests.support.bus_site import FOUR, KEYPAD, MODULE, THREE, WHOLE, Bus, bus_config, told, zone
from tests.support.panel_site import at

FRESH = [
    "-BUS_FAULT main.-1",
    "-BUS_NOISE main.-1",
    "-NODE_FORGED main.3",
    "-NODE_DUPLICATE main.3",
    "-BUS_NOISE main.3",
    "-NODE_LOST main.3",
]
"""What the first word of a node ends, should the last run have left it standing."""


def report(
    resets: int = 1, uptime_s: int = 10, firmware: str = "1.2.0", trial: bool = False
) -> NodeReport:
    return NodeReport(THREE, "watchdog", resets, 0, 12000, uptime_s, firmware, trial, 3)


@pytest.mark.parametrize(
    ("state", "lines"),
    [
        (InputState.ALARM, ["zone:1 alarm"]),
        (InputState.SHORT, ["zone:1 short"]),
        (InputState.OPEN, ["zone:1 open"]),
        (InputState.TAMPER, ["zone:1 tamper"]),
        (InputState.MASKED, ["zone:1 masked"]),
        (InputState.MASKED_ALARM, ["zone:1 masked", "zone:1 alarm"]),
        (InputState.UNKNOWN, ["zone:1 lost"]),
    ],
)
def test_every_input_state_is_a_reading_once(state: InputState, lines: list[str]) -> None:
    bus = Bus().up()
    assert bus.inputs(THREE, state) == lines
    assert bus.inputs(THREE, state) == []
    assert bus.inputs(THREE) == ["zone:1 normal"]


def test_nothing_is_told_of_a_point_before_its_node_told_it() -> None:
    bus = Bus()
    assert bus.give(NodeUp(THREE, secure=True)) == FRESH
    assert bus.inputs(THREE, InputState.ALARM) == ["zone:1 alarm", "zone:2 normal"]


def test_a_node_that_is_up_but_never_tells_its_inputs_is_not_at_rest() -> None:
    bus = Bus()
    bus.give(NodeUp(THREE, secure=True))
    bus.give(LocalReported(THREE, tamper=False, power=False))
    due = bus.machine.deadline()
    assert due == at(5)
    assert told(bus.machine.tick(at(4.9))) == []
    assert told(bus.machine.tick(due)) == ["zone:1 lost", "zone:2 lost"]
    assert bus.machine.deadline() is None
    assert bus.inputs(THREE) == ["zone:1 normal", "zone:2 normal"]


def test_an_input_the_node_does_not_have_is_lost() -> None:
    bus = Bus()
    bus.give(NodeUp(THREE, secure=True))
    assert bus.give(InputsReported(THREE, (InputState.NORMAL,))) == ["zone:1 normal", "zone:2 lost"]
    assert bus.give(InputsReported(THREE, ())) == ["zone:1 lost"]


def test_a_pulse_in_two_snapshots_gives_both_readings() -> None:
    bus = Bus().up()
    assert bus.inputs(THREE, InputState.ALARM) + bus.inputs(THREE) == [
        "zone:1 alarm",
        "zone:1 normal",
    ]


def test_masking_that_joins_or_leaves_an_alarm_hides_neither() -> None:
    bus = Bus().up()
    bus.inputs(THREE, InputState.ALARM)
    assert bus.inputs(THREE, InputState.MASKED_ALARM) == ["zone:1 masked", "zone:1 alarm"]
    assert bus.inputs(THREE, InputState.MASKED) == ["zone:1 masked"]
    assert bus.inputs(THREE, InputState.MASKED_ALARM) == ["zone:1 alarm"]


def test_a_lost_node_takes_all_its_points_and_gives_them_back_as_they_are() -> None:
    bus = Bus().up()
    bus.give(LocalReported(THREE, tamper=False, power=False))
    bus.inputs(THREE, InputState.ALARM)
    assert bus.give(NodeLost(THREE, LossCause.NO_ANSWER)) == [
        "+NODE_LOST main.3 (no_answer)",
        "zone:1 lost",
        "zone:2 lost",
        "zone:3 lost",
    ]
    assert bus.machine.deadline() is None
    assert bus.give(NodeUp(THREE, secure=True)) == ["-NODE_LOST main.3"]
    assert bus.inputs(THREE, InputState.ALARM) == ["zone:1 alarm", "zone:2 normal"]
    assert bus.give(LocalReported(THREE, tamper=True, power=False)) == [
        "zone:3 alarm",
        "-NODE_POWER main.3",
    ]


def test_a_node_lost_since_the_start_is_lost() -> None:
    assert "zone:4 lost" in Bus().give(NodeLost(FOUR, LossCause.NOT_SECURE))


def test_enclosure_and_supply_are_their_zone_or_else_the_nodes_own_fault() -> None:
    bus = Bus().up().up(FOUR)
    assert bus.give(LocalReported(THREE, tamper=True, power=True)) == [
        "zone:3 alarm",
        "+NODE_POWER main.3",
    ]
    assert bus.give(LocalReported(THREE, tamper=True, power=True)) == []
    assert bus.give(LocalReported(THREE, tamper=True, power=False)) == ["-NODE_POWER main.3"]
    assert bus.give(LocalReported(FOUR, tamper=True, power=True)) == [
        "+NODE_TAMPER main.4",
        "mains alarm",
    ]


def test_a_restart_is_told_by_count_or_by_a_younger_uptime() -> None:
    bus = Bus().up()
    assert bus.give(report()) == []
    assert bus.give(report(uptime_s=20)) == []
    assert bus.give(report(resets=2, uptime_s=30)) == ["+NODE_RESTARTED main.3 (watchdog resets:2)"]
    assert bus.give(report(resets=2, uptime_s=1)) == ["+NODE_RESTARTED main.3 (watchdog resets:2)"]


def test_an_update_is_told_and_a_roll_back_takes_it_back() -> None:
    bus = Bus().up()
    assert bus.give(report()) == []
    assert bus.give(report(firmware="1.3.0", trial=True)) == [
        "+NODE_UPDATED main.3 (1.2.0>1.3.0 trial)"
    ]
    assert bus.give(report(firmware="1.2.0")) == ["-NODE_UPDATED main.3 (1.3.0>1.2.0)"]
    assert (
        bus.give(NodeUp(THREE, secure=True, firmware="1.4.0"))[-1]
        == "+NODE_UPDATED main.3 (1.2.0>1.4.0)"
    )


def test_an_overflow_is_told_each_time() -> None:
    bus = Bus().up()
    line = ["+NODE_OVERFLOW main.3 (changes:7)"]
    assert bus.give(ChangesLost(THREE, 7)) == line
    assert bus.give(ChangesLost(THREE, 7)) == line


@pytest.mark.parametrize(
    ("trouble", "line"),
    [
        (Trouble.FORGED, "NODE_FORGED main.3 (forged replay)"),
        (Trouble.DUPLICATE, "NODE_DUPLICATE main.3 (duplicate replay)"),
        (Trouble.NOISE, "BUS_NOISE main.3 (noise replay)"),
        (Trouble.BABBLE, "BUS_NOISE main.3 (babble replay)"),
    ],
)
def test_troubles_have_their_codes(trouble: Trouble, line: str) -> None:
    bus = Bus()
    assert bus.give(NodeTrouble(THREE, trouble, detail="replay")) == ["+" + line]
    assert bus.give(NodeTrouble(THREE, trouble, on=False)) == ["-" + line.partition(" (")[0]]


def test_noise_ends_only_when_the_babbling_ends_too() -> None:
    bus = Bus()
    bus.give(NodeTrouble(WHOLE, Trouble.NOISE))
    bus.give(NodeTrouble(WHOLE, Trouble.BABBLE))
    assert bus.give(NodeTrouble(WHOLE, Trouble.NOISE, on=False)) == []
    assert bus.give(NodeTrouble(WHOLE, Trouble.BABBLE, on=False)) == ["-BUS_NOISE main.-1"]


def test_what_answers_a_command_is_no_fault() -> None:
    bus = Bus()
    assert bus.give(NodeTrouble(THREE, Trouble.REFUSED)) == []
    assert bus.give(NodeTrouble(THREE, Trouble.PAIRING_EXPIRED)) == []
    assert bus.give(CommandDone(THREE, 1, ok=False)) == []
    assert bus.give(KeysPressed(KEYPAD, "1")) == []
    assert bus.give(CardRead(KEYPAD, 26, bytes(4))) == []


def test_a_port_that_works_again_after_a_restart_ends_the_bus_fault_though_no_node_answers() -> (
    None
):
    assert Bus().give(NodeLost(FOUR, LossCause.NO_ANSWER))[:2] == FRESH[:2]
    told = Bus().give(NodeLost(FOUR, LossCause.BUS_DOWN))
    assert told[0] == "+NODE_LOST main.4 (bus_down)"
    bus = Bus()
    bus.give(BusChanged("main", up=False))
    assert bus.give(NodeLost(FOUR, LossCause.NO_ANSWER))[0] == "+NODE_LOST main.4 (no_answer)"
    assert "-BUS_FAULT main.-1" in bus.give(BusChanged("main", up=True))


def test_a_bus_down_is_a_fault_of_the_bus() -> None:
    bus = Bus().up()
    assert bus.give(BusChanged("main", up=False, cause="unplugged")) == [
        "+BUS_FAULT main.-1 (unplugged)"
    ]
    assert bus.give(BusChanged("main", up=True)) == ["-BUS_FAULT main.-1"]


def test_faults_that_stand_are_not_taken_back_by_a_node_that_comes_up() -> None:
    bus = Bus()
    bus.give(NodeTrouble(THREE, Trouble.FORGED))
    assert "-NODE_FORGED main.3" not in bus.give(NodeUp(THREE, secure=True))
    bus.give(NodeLost(THREE, LossCause.NO_ANSWER))
    assert bus.give(NodeUp(THREE, secure=True)) == ["-NODE_LOST main.3"]


def test_what_the_file_does_not_name_does_nothing() -> None:
    bus = Bus()
    stranger = NodeId("main", 77)
    for event in (
        NodeUp(stranger, secure=True),
        NodeLost(stranger, LossCause.NO_ANSWER),
        InputsReported(stranger, (InputState.ALARM,)),
        LocalReported(stranger, tamper=True, power=True),
        ChangesLost(stranger, 1),
        NodeTrouble(stranger, Trouble.FORGED),
        NodeTrouble(NodeId("no", -1), Trouble.NOISE),
        BusChanged("no", up=False),
    ):
        assert bus.give(event) == []
    assert bus.inputs(MODULE, InputState.NORMAL, InputState.ALARM) == ["zone:5 normal"]


def test_the_second_loop_of_a_pair_is_a_point_of_its_own() -> None:
    pair = ZoneConfig(
        number=1,
        name="pair",
        area=1,
        type=ZoneType.INSTANT,
        loop=Loop(input="bus:main.3.1"),
        pair=Loop(input="bus:main.4.1"),
    )
    bus = Bus(bus_config(zones=(pair, zone(2, "gpio:17"))))
    bus.up().up(FOUR)
    assert bus.inputs(FOUR, InputState.ALARM) == ["zone:1/pair alarm"]
