"""Buses, nodes and pairs in the panel file: refused and warned of, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.adapters import config_file
from edge.adapters.config_bus_warnings import cycle_s
from edge.adapters.config_file import ConfigError, Problem
from edge.config_bus import BusConfig, ModbusDevice, OsdpNode
from tests.unit.test_config_file import example, write

Change = Callable[[dict[str, Any]], None]
BY_ID = "/dev/serial/by-id/usb-one"
PAIR = {"input": "bus:main.5.2"}


def fitted() -> dict[str, Any]:
    """The example with a sound bus of two nodes and a keypad."""
    data = example()
    data["buses"] = [
        {
            "name": "main",
            "port": BY_ID,
            "nodes": [
                {"address": 5},
                {"address": 6},
                {"address": 9, "kind": "keypad", "inputs": 0, "areas": [1]},
            ],
        }
    ]
    data["zones"] += [
        {"number": 9, "name": "Vault", "area": 1, "type": "interior", "technology": "dual",
         "loop": {"input": "bus:main.5.1"}},
        {"number": 10, "name": "Loft", "area": 1, "type": "interior", "technology": "pir+microwave",
         "loop": {"input": "bus:main.6.1"}, "pair": dict(PAIR)},
        *(
            {"number": 10 + address, "name": f"Node {address}", "area": 1, "type": "tamper",
             "loop": {"input": f"bus:main.{address}.tamper"}}
            for address in (5, 6, 9)
        ),
    ]  # fmt: skip
    return data


def finance(data: dict[str, Any]) -> None:
    data["site_class"] = "finance"
    data["phone"] = {
        "account": "1234",
        "numbers": ["82001234"],
        "policy": "dual",
        "line": {"driver": "modem", "device": "/dev/serial/by-id/usb-modem"},
    }


def modbus(data: dict[str, Any]) -> None:
    data["buses"].append(
        {
            "name": "io",
            "protocol": "modbus",
            "port": BY_ID + "-2",
            "devices": [{"address": 101}],
        }
    )
    data["zones"].append(
        {"number": 30, "name": "Yard", "area": 1, "type": "instant",
         "loop": {"input": "bus:io.101.8"}}
    )  # fmt: skip


def refused(directory: Path, *changes: Change) -> tuple[Problem, ...]:
    data = fitted()
    for change in changes:
        change(data)
    with pytest.raises(ConfigError) as caught:
        config_file.load(write(directory, data))
    return caught.value.problems


def only(directory: Path, *changes: Change) -> Problem:
    found = refused(directory, *changes)
    assert len(found) == 1, [problem.text() for problem in found]
    assert found[0].expected_zh
    assert found[0].mend_zh
    return found[0]


def warned(directory: Path, *changes: Change) -> list[Problem]:
    data = fitted()
    for change in changes:
        change(data)
    found = list(config_file.load_checked(write(directory, data)).warnings)
    assert all(problem.expected_zh and problem.mend_zh for problem in found)
    return found


def loop(wired: str) -> Change:
    return lambda data: data["zones"][8]["loop"].update(input=wired)


def test_a_sound_bus_loads_without_a_warning(tmp_path: Path) -> None:
    assert warned(tmp_path) == []
    config = config_file.load(write(tmp_path, fitted()))
    assert config_file.check(config).warnings == ()


@pytest.mark.parametrize(
    ("wired", "words"),
    [
        ("bus:main.7.1", "a node of [[buses]]: main.5, main.6, main.9"),
        ("bus:other.5.1", "a node of [[buses]]"),
        ("bus:main.5.9", "an input this node has: 1 to 8, power, tamper"),
        ("bus:main.5.0", "an input this node has"),
        ("bus:main.9.1", "an input this node has: power, tamper"),
        ("bus:main.05.1", "bus:main.5.1"),
        ("bus:main.5.01", "bus:main.5.1"),
    ],
)
def test_a_loop_must_lead_to_an_input_that_is_there(tmp_path: Path, wired: str, words: str) -> None:
    problem = only(tmp_path, loop(wired))
    assert problem.key == "zones[8].loop.input"
    assert words in problem.expected


def test_two_points_cannot_share_a_bus_input(tmp_path: Path) -> None:
    problem = only(tmp_path, loop("bus:main.5.2"))
    assert (problem.key, problem.value) == ("zones[9].pair.input", '"bus:main.5.2"')
    assert "zones[8].loop.input" in problem.mend


@pytest.mark.parametrize(
    ("field", "value"), [("wiring", "double_eol"), ("debounce_ms", 20), ("min_pulse_ms", 400)]
)
def test_the_node_decodes_and_debounces_not_the_panel(
    tmp_path: Path, field: str, value: object
) -> None:
    problem = only(tmp_path, lambda data: data["zones"][8]["loop"].update({field: value}))
    assert problem.key == f"zones[8].loop.{field}"


def second_bus(**more: Any) -> Change:
    bus = {"name": "two", "port": "/dev/serial/by-id/usb-two", "nodes": [{"address": 20}]} | more
    return lambda data: data["buses"].append(bus)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (second_bus(name="main"), "buses[1].name"),
        (second_bus(port=BY_ID), "buses[1].port"),
        (second_bus(nodes=[{"address": 5}]), "buses[1].nodes[0].address"),
        (second_bus(nodes=[{"address": 20}, {"address": 20}]), "buses[1].nodes[1].address"),
        (
            second_bus(protocol="modbus", nodes=[], devices=[{"address": 5}]),
            "buses[1].devices[0].address",
        ),
        (second_bus(devices=[{"address": 99}]), "buses[1].devices"),
        (second_bus(protocol="modbus"), "buses[1].nodes"),
        (
            second_bus(protocol="modbus", nodes=[], devices=[{"address": 99, "map": "di9"}]),
            "buses[1].devices[0].map",
        ),
        (second_bus(nodes=[{"address": 20, "kind": "keypad", "areas": [7]}]),
         "buses[1].nodes[0].areas[0]"),
        (lambda data: data.update(modbus_maps=[{"name": "di8"}]), "modbus_maps[0].name"),
    ],
)  # fmt: skip
def test_names_addresses_maps_and_areas(tmp_path: Path, change: Change, key: str) -> None:
    assert only(tmp_path, change).key == key


def test_a_card_of_two_users_is_refused_and_not_shown(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["code_salt"] = "0123456789abcdef" * 2
        data["users"] = [
            {"number": n, "name": "u", "code_hash": f"{n}" * 64, "card_hash": "ab" * 32}
            for n in (1, 2)
        ]

    problem = only(tmp_path, change)
    assert (problem.key, problem.value) == ("users[1].card_hash", "(not shown)")


# -- R100, R103 -----------------------------------------------------------------------------------


def test_modbus_zones_are_warned_of_and_refused_at_a_bank(tmp_path: Path) -> None:
    (warning,) = warned(tmp_path, modbus)
    assert (warning.key, warning.clause) == ("buses[1].protocol", "R100")
    problem = only(tmp_path, modbus, finance)
    assert (problem.key, problem.clause) == ("zones[13].loop.input", "R100")


def test_clear_text_is_warned_of_and_refused_at_a_bank(tmp_path: Path) -> None:
    def clear(data: dict[str, Any]) -> None:
        data["buses"][0]["nodes"][0]["clear_text"] = True

    (warning,) = warned(tmp_path, clear)
    assert (warning.key, warning.value) == ("buses[0].nodes", '"main.5"')
    problem = only(tmp_path, clear, finance)
    assert (problem.key, problem.clause) == ("buses[0].nodes[0].clear_text", "R100")


def pir(data: dict[str, Any]) -> None:
    data["zones"][8]["technology"] = "PIR"


def test_a_single_pir_is_warned_of_and_refused_at_a_bank(tmp_path: Path) -> None:
    (warning,) = warned(tmp_path, pir)
    assert (warning.key, warning.clause) == ("zones[8].technology", "R103")
    problem = only(tmp_path, pir, finance)
    assert (problem.key, problem.clause) == ("zones[8].technology", "R103")


def test_a_pair_is_no_single_pir_but_should_be_of_two_kinds(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["zones"][9]["technology"] = "pir"

    (warning,) = warned(tmp_path, change)
    assert (warning.key, warning.clause) == ("zones[9].technology", "R103")
    assert "two kinds" in warning.expected
    loaded = warned(tmp_path, change, finance)
    assert "single PIR" not in " ".join(problem.expected for problem in loaded)


@pytest.mark.parametrize("kind", ["holdup_silent", "fire", "medical", "tamper", "keyswitch"])
def test_what_must_never_wait_has_no_pair(tmp_path: Path, kind: str) -> None:
    problem = only(tmp_path, lambda data: data["zones"][9].update(type=kind))
    assert (problem.key, problem.clause) == ("zones[9].pair", "R44")


def test_a_pair_on_the_panels_own_inputs_is_checked_as_any_loop(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["zones"][9]["pair"] = {"input": "gpio:17", "wiring": "double_eol"}

    keys = [problem.key for problem in refused(tmp_path, change)]
    assert keys == ["zones[9].pair.wiring", "zones[9].pair.input"]


# -- warnings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("port", ["/dev/ttyUSB0", "/dev/ttyACM12"])
def test_a_port_whose_number_may_move_is_warned_of(tmp_path: Path, port: str) -> None:
    (warning,) = warned(tmp_path, lambda data: data["buses"][0].update(port=port))
    assert (warning.key, warning.clause) == ("buses[0].port", "J3")
    assert "by-id" in warning.mend


def test_a_node_without_a_zone_or_without_its_tamper_is_warned_of(tmp_path: Path) -> None:
    found = warned(tmp_path, second_bus())
    assert [(one.key, one.clause) for one in found] == [
        ("buses[1].nodes", "R99"),
        ("buses[1].nodes", "R104"),
    ]


def test_a_bus_without_nodes_is_warned_of(tmp_path: Path) -> None:
    (warning,) = warned(tmp_path, second_bus(nodes=[]))
    assert warning.value == '"(none)"'


def test_address_nought_is_warned_of(tmp_path: Path) -> None:
    found = warned(tmp_path, second_bus(nodes=[{"address": 0}]))
    assert "buses[1].nodes[0].address" in [one.key for one in found]


def test_a_bus_too_slow_for_its_nodes_is_warned_of(tmp_path: Path) -> None:
    slow = second_bus(baud=1200, nodes=[{"address": 20 + n} for n in range(32)])
    assert ("buses[1].baud", "GB 50394") in [(w.key, w.clause) for w in warned(tmp_path, slow)]
    few = second_bus(baud=1200, nodes=[{"address": 20 + n} for n in range(6)])
    assert "buses[1].lost_after_s" in [w.key for w in warned(tmp_path, few)]


def test_a_round_takes_what_the_wire_takes() -> None:
    nodes = tuple(OsdpNode(address=n) for n in range(1, 33))
    assert cycle_s(BusConfig(name="a", port="p", nodes=nodes)) == pytest.approx(0.41, abs=0.01)
    slow = BusConfig(name="a", port="p", nodes=nodes, baud=9600)
    assert cycle_s(slow) == pytest.approx(1.26, abs=0.01)
    devices = tuple(ModbusDevice(address=n) for n in range(1, 33))
    io = BusConfig(name="a", port="p", protocol="modbus", devices=devices, baud=9600)
    assert cycle_s(io) == pytest.approx(0.86 + 0.1, abs=0.02)


def test_the_master_key_is_its_owners_alone_and_not_gone(tmp_path: Path) -> None:
    path = write(tmp_path, fitted())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bus.generations.json").write_text("{}")
    (gone,) = config_file.load_checked(path).warnings
    assert (gone.key, gone.clause) == ("bus_keys.master_file", "R99")
    master = tmp_path / "data" / "bus.master"
    master.write_text("00" * 32)
    master.chmod(0o644)
    (open_to_all,) = config_file.load_checked(path).warnings
    assert "mode 0644" in open_to_all.value
    master.chmod(0o600)
    assert config_file.load_checked(path).warnings == ()


def test_hostile_bus_tables_are_told_not_raised(tmp_path: Path) -> None:
    for buses in ([1], [{}], [{"name": 5, "nodes": [{}], "devices": "x"}], "x", [[]]):
        data = fitted()
        data["buses"] = buses
        with pytest.raises(ConfigError):
            config_file.load(write(tmp_path, data))
