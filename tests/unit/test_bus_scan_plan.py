"""What a bus scan asks, and what it makes of the answers."""

from __future__ import annotations

import random
import tomllib

import msgspec
import pytest

from edge.adapters import bus_scan_modbus, bus_scan_osdp
from edge.adapters.bus_scan_modbus import ModbusScan
from edge.adapters.bus_scan_osdp import OsdpScan
from edge.adapters.bus_scan_types import Doubt, Finding, Note, Question, Security, Setting, Stage
from edge.cli.bus_scan_text import advices, toml_snippet
from edge.cli.phone import Lang
from edge.config_bus import BusConfig, ModbusMap
from hil.drivers.bus_node import SimNode
from protocols.osdp import codes
from protocols.osdp.frame import Frame, FrameReader, build
from tests.support.bus_scan_cable import Cable, Module, clear_peripheral, rtu
from tests.support.osdp_libosdp import LibosdpDevice

KEY = b"k" * 16
USUAL = Setting(38_400)
FEW = tuple(range(12))


class Carried:
    """libosdp's peripheral on the cable."""

    def __init__(self, device: LibosdpDevice) -> None:
        self._device = device

    def receive(self, data: bytes, now_ms: int) -> bytes:
        return self._device.carry(data)


def by_address(findings: tuple[Finding, ...]) -> dict[int, Finding]:
    assert len({(f.address, f.setting) for f in findings}) == len(findings)
    return {finding.address: finding for finding in findings}


def test_all_addresses_are_asked_and_all_nodes_found_with_what_they_tell() -> None:
    cable = Cable()
    cable.put(SimNode(0, serial=4_000_000_001), USUAL)
    cable.put(SimNode(126, KEY, inputs=16, readers=1), USUAL)
    result = cable.run(OsdpScan().run())
    first, last = result.findings
    assert (first.address, first.serials, first.security) == (0, ("4000000001",), Security.FACTORY)
    assert (last.address, last.vendor, last.model) == (126, "Tocsin", "1.1")
    assert (last.firmware, last.inputs, last.readers) == ("1.0.0", 16, 1)
    assert last.security is Security.KEYED
    assert {f.doubt for f in result.findings} == {Doubt.NO}
    assert [q.address for q in cable.asked(Stage.SWEEP)] == list(range(127))


def test_the_speed_at_which_a_call_to_all_is_answered_is_swept_first_and_alone() -> None:
    cable = Cable()
    cable.put(SimNode(5, KEY), Setting(115_200))
    assert [f.setting.baud for f in cable.run(OsdpScan().run()).findings] == [115_200]
    assert {q.setting.baud for q in cable.asked(Stage.SWEEP)} == {115_200}


def test_with_all_every_speed_is_swept() -> None:
    cable = Cable()
    cable.put(SimNode(5, KEY), Setting(115_200))
    cable.put(SimNode(6, KEY), Setting(9_600))
    scan = OsdpScan(addresses=FEW, everything=True)
    found = {(f.address, f.setting.baud) for f in cable.run(scan.run()).findings}
    assert found == {(5, 115_200), (6, 9_600)}
    assert len(cable.asked(Stage.SWEEP)) == scan.steps


def test_two_nodes_at_one_address_are_seen_in_each_of_the_three_ways() -> None:
    cable = Cable()
    cable.put(SimNode(1, KEY), USUAL)
    # One after the other: two serials; the same serial twice; both at once.
    cable.put(SimNode(2, KEY, serial=7), USUAL, 2)
    cable.put(SimNode(2, KEY, serial=8), USUAL, 20)
    cable.put(SimNode(3, KEY, serial=9), USUAL, 2)
    cable.put(SimNode(3, KEY, serial=9), USUAL, 20)
    cable.put(SimNode(4, KEY, serial=10), USUAL, 2)
    cable.put(SimNode(4, KEY, serial=11), USUAL, 3)
    result = cable.run(OsdpScan(addresses=FEW).run())
    found = by_address(result.findings)
    assert {a: f.doubt for a, f in found.items()} == {
        1: Doubt.NO,
        2: Doubt.DUPLICATE,
        3: Doubt.DUPLICATE,
        4: Doubt.DUPLICATE_LIKELY,
    }
    assert found[2].serials == ("7", "8")
    assert not found[4].clean


def test_garbled_and_nobody_to_compare_with_is_told_as_no_more_than_that() -> None:
    cable = Cable()
    cable.put(SimNode(4, KEY, serial=10), USUAL, 2)
    cable.put(SimNode(4, KEY, serial=11), USUAL, 3)
    (found,) = cable.run(OsdpScan(addresses=FEW).run()).findings
    assert found.doubt is Doubt.GARBLED


def test_a_node_later_than_the_wait_is_found_at_its_own_address_and_told_slow() -> None:
    cable = Cable()
    cable.put(SimNode(3, KEY), USUAL, after_ms=300)
    (found,) = cable.run(OsdpScan(addresses=FEW).run()).findings
    assert (found.address, found.notes, found.doubt) == (3, (Note.SLOW,), Doubt.NO)


@pytest.mark.parametrize("baud", [38_400, 230_400])
def test_another_controller_on_the_bus_stops_the_scan_before_anything_is_sent(baud: int) -> None:
    cable = Cable()
    cable.unasked = {Setting(each): b"\x00\x81" for each in bus_scan_osdp.SPEEDS}
    cable.unasked[Setting(baud)] = b"\x9e" + build(5, 1, bytes((codes.POLL,)), mark=True)
    result = cable.run(OsdpScan().run())
    assert (result.foreign, result.findings) == (Setting(baud), ())
    assert all(not question.data for question in cable.questions)


def test_noise_is_no_controller_and_a_spike_is_no_node() -> None:
    cable = Cable()
    cable.put(SimNode(3, KEY), USUAL)
    cable.unasked[Setting(9_600)] = b"\x53\x01\x02"
    cable.spikes[7] = b"\x53\x87\x30\x31\x32"
    result = cable.run(OsdpScan(addresses=FEW).run())
    assert [f.address for f in result.findings] == [3]
    assert result.unasked_bytes == 3


def test_a_scan_takes_nothing_from_what_a_node_has_to_tell() -> None:
    node = clear_peripheral(2, 0x112233)
    cable = Cable()
    cable.put(node, USUAL)
    node.report_inputs(b"\x01" * 8)
    node.report_inputs(b"\x00" * 8)
    # A controller before us has got the first of them, and was cut off before it said so.
    for number, code in enumerate((codes.ID, codes.POLL)):
        payload = bytes((code, 0)) if code == codes.ID else bytes((code,))
        node.receive(build(2, number, payload), 0)
    (found,) = cable.run(OsdpScan(addresses=FEW).run()).findings
    told = []
    for number in (0, 1, 2, 3, 1, 2, 3):
        (reply,) = FrameReader().feed(node.receive(build(2, number, bytes((codes.POLL,))), 1000))
        assert isinstance(reply, Frame)
        told.append(reply.data)
    assert told[0] == bytes((codes.ISTATR,)) + b"\x01" * 8
    assert bytes((codes.ISTATR,)) + bytes(8) in told[1:]
    assert found.vendor == "33-22-11"


def test_libosdps_peripheral_is_found_and_its_session_can_be_opened_after() -> None:
    device = LibosdpDevice(KEY)
    cable = Cable()
    cable.put(Carried(device), USUAL)
    result = cable.run(OsdpScan(addresses=FEW).run())
    (found,) = result.findings
    assert (found.address, found.vendor, found.firmware) == (5, "33-22-11", "1.2.3")
    assert (found.serials, found.inputs, found.security) == (("99",), 8, Security.CAPABLE)
    assert "ask_state = true" in toml_snippet(result, "/dev/bus", "osdp", Lang.EN)
    assert device.open()


def test_a_peripheral_without_encryption_is_told_and_written_so() -> None:
    cable = Cable()
    cable.put(clear_peripheral(2, 0x112233, secure=False), USUAL)
    result = cable.run(OsdpScan(addresses=FEW).run())
    assert result.findings[0].security is Security.NONE
    assert "clear_text = true" in toml_snippet(result, "/dev/bus", "osdp", Lang.EN)


def test_somebody_outside_the_addresses_asked_is_not_called_nobody() -> None:
    cable = Cable()
    cable.put(SimNode(60, KEY), USUAL)
    result = cable.run(OsdpScan(addresses=FEW).run())
    assert (result.findings, result.unplaced) == ((), (USUAL,))
    assert "38400 8N1" in advices(result, echo=False)[0].en


def test_nonsense_at_the_wrong_speed_is_not_believed_where_another_is_understood() -> None:
    class Nonsense:
        def receive(self, data: bytes, now_ms: int) -> bytes:
            return b"\x00\xfe\x18\x53\x81" if data[2] == 3 else b""

    cable = Cable()
    cable.put(Nonsense(), Setting(9_600))
    cable.put(SimNode(3, KEY), USUAL)
    assert [f.setting for f in cable.run(OsdpScan(addresses=FEW).run()).findings] == [USUAL]


class Mad(Cable):
    """Anything may come back."""

    dice = random.Random(4)

    def answer(self, question: Question) -> bytes:
        self.questions.append(question)
        noise = self.dice.randbytes(self.dice.choice((0, 1, 5, 40, 300)))
        good = rtu(question.data[:2] + self.dice.randbytes(3))
        heard = self.dice.choice((noise, question.data + noise, good + noise, b""))
        return b"" if question.stage is Stage.LISTEN else heard


def test_no_bytes_make_a_scan_fail_or_go_on_for_ever() -> None:
    for _ in range(4):
        cable = Mad()
        cable.run(OsdpScan(addresses=FEW).run())
        cable.run(ModbusScan(addresses=FEW).run())
        assert len(cable.questions) < 8_000


@pytest.mark.parametrize("scan", [OsdpScan(), ModbusScan(), ModbusScan(everything=True)])
def test_the_time_told_is_what_an_empty_bus_takes(scan: OsdpScan | ModbusScan) -> None:
    cable = Cable()
    assert not cable.run(scan.run()).findings
    assert cable.now_s == pytest.approx(scan.longest_s, rel=0.02)
    assert len(cable.asked(Stage.SWEEP)) == scan.steps


# --- Modbus ---


def test_modbus_modules_are_found_by_whatever_they_answer() -> None:
    cable, at = Cable(), Setting(9_600, "E")
    cable.put(Module(1, {2: 8}, name="Acme"), at)
    cable.put(Module(17, {2: 16, 1: 8}, mute=True), at)
    cable.put(Module(100, {3: 8}, mute=True), at)
    cable.put(Module(247, {}), at)
    result = cable.run(ModbusScan().run())
    found = by_address(result.findings)
    assert {a: (f.inputs, f.tables) for a, f in found.items()} == {
        1: (8, ("discrete_inputs",)),
        17: (16, ("discrete_inputs", "coils")),
        100: (None, ("holding_registers",)),
        247: (None, ()),
    }
    assert {f.setting for f in result.findings} == {at}
    assert {f.doubt for f in result.findings} == {Doubt.NO}
    assert found[1].vendor == "Acme"


def test_modules_of_coils_alone_are_found_with_all() -> None:
    cable, at = Cable(), Setting(19_200)
    cable.put(Module(9, {1: 8}, mute=True), at)
    scan = ModbusScan((19_200,), FEW[1:], parities=("N",))
    assert not cable.run(scan.run()).findings
    scan = ModbusScan((19_200,), FEW[1:], everything=True, parities=("N",))
    assert cable.run(scan.run()).findings[0].tables == ("coils",)


def test_two_modules_at_one_id() -> None:
    cable, at = Cable(), Setting(9_600)
    cable.put(Module(1, {2: 8}), at)
    cable.put(Module(2, {2: 8}), at, 2)
    cable.put(Module(2, {2: 8}), at, 60)
    cable.put(Module(3, {2: 8}), at, 2)
    cable.put(Module(3, {2: 16}), at, 4)
    found = by_address(cable.run(ModbusScan(addresses=FEW[1:]).run()).findings)
    assert found[2].doubt is Doubt.DUPLICATE
    assert found[3].doubt is Doubt.DUPLICATE_LIKELY
    assert found[1].doubt is Doubt.NO


def test_another_master_stops_a_modbus_scan() -> None:
    cable = Cable()
    cable.unasked = {Setting(9_600): b"\x81", Setting(19_200, "E"): rtu(b"\x05\x02\0\0\0\x08")}
    result = cable.run(ModbusScan().run())
    assert result.foreign == Setting(19_200, "E")
    assert all(not question.data for question in cable.questions)


def test_modbus_check_is_that_of_pymodbus() -> None:
    dice = random.Random(1)
    for size in range(1, 40):
        body = dice.randbytes(size)
        assert bus_scan_modbus.build(body[0], body[1:]) == rtu(body)


# --- lines for the panel file ---


def parsed(text: str) -> tuple[list[BusConfig], list[ModbusMap]]:
    """As the panel reads it."""
    raw = tomllib.loads(text)
    maps = msgspec.convert(raw.pop("modbus_maps", []), list[ModbusMap])
    buses = msgspec.convert(raw.pop("buses"), list[BusConfig])
    assert not raw
    return buses, maps


@pytest.mark.parametrize("lang", Lang)
def test_osdp_lines_are_what_the_panel_reads_and_leave_duplicates_out(lang: Lang) -> None:
    cable = Cable()
    cable.put(SimNode(1, KEY, inputs=16), USUAL)
    cable.put(SimNode(2, KEY, inputs=0, readers=1), USUAL)
    cable.put(SimNode(3, KEY, serial=9), USUAL, 2)
    cable.put(SimNode(3, KEY, serial=8), USUAL, 20)
    result = cable.run(OsdpScan(addresses=FEW).run())
    (bus,), _ = parsed(toml_snippet(result, '/dev/a"b', "osdp", lang))
    assert (bus.port, bus.baud, bus.protocol) == ('/dev/a"b', 38_400, "osdp")
    assert [(n.address, n.inputs, n.kind.value) for n in bus.nodes] == [
        (1, 16, "zones"),
        (2, 0, "keypad"),
    ]


def test_modbus_lines_are_what_the_panel_reads_maps_and_all() -> None:
    cable, at = Cable(), Setting(19_200, "E")
    cable.put(Module(1, {2: 8}), at)
    cable.put(Module(2, {2: 16}), at)
    cable.put(Module(3, {2: 32}), at)
    cable.put(Module(4, {3: 8}), at)
    cable.put(Module(5, {}), at)
    result = cable.run(ModbusScan(addresses=FEW[1:]).run())
    (bus,), maps = parsed(toml_snippet(result, "/dev/bus", "modbus", Lang.EN))
    assert (bus.protocol, bus.baud, bus.parity) == ("modbus", 19_200, "E")
    assert [(d.address, d.map) for d in bus.devices] == [
        (1, "di8"),
        (2, "di16"),
        (3, "discrete-inputs-32"),
        (4, "holding-registers-8"),
    ]
    assert result.findings[-1].notes == (Note.UNREADABLE,)
    assert {(m.name, m.table.value, m.inputs) for m in maps} == {
        ("discrete-inputs-32", "discrete_inputs", 32),
        ("holding-registers-8", "holding_registers", 8),
    }


def test_two_speeds_become_two_buses_with_a_word_of_warning() -> None:
    cable = Cable()
    cable.put(SimNode(5, KEY), Setting(115_200))
    cable.put(SimNode(6, KEY), Setting(9_600))
    result = cable.run(OsdpScan(addresses=FEW, everything=True).run())
    text = toml_snippet(result, "/dev/bus", "osdp", Lang.EN)
    buses, _ = parsed(text)
    assert {(b.baud, b.nodes[0].address) for b in buses} == {(115_200, 5), (9_600, 6)}
    assert text.count("One bus has one speed") == 1
