"""The Modbus driver against pymodbus's own server, well and with every fault of a cheap module."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from edge.adapters.modbus_sim import Rack
from edge.adapters.serial_port import PortGoneError, SerialPort
from edge.bus.bus_types import (
    BusChanged,
    InputsReported,
    LocalReported,
    LossCause,
    NodeLost,
    NodeTrouble,
    NodeUp,
    SetNodeOutput,
    Trouble,
)
from edge.config_bus import ModbusDevice, ModbusMap, ModbusTable
from tests.support.modbus_rig import BUS, Driver, framed
from tests.support.osdp_bus_rig import on_loop

pytestmark = pytest.mark.system

READ_DISCRETE_INPUTS = 2


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    with Rack(tmp_path / "port", range(1, 5)) as rack:
        yield rack


def driver(
    rack: Rack,
    *devices: ModbusDevice,
    maps: tuple[ModbusMap, ...] = (),
    lost_after_s: float = 1.5,
) -> Driver:
    return Driver(
        str(rack.link), devices or (ModbusDevice(address=1),), maps, lost_after_s=lost_after_s
    )


@on_loop
async def test_a_module_is_up_unsecured_with_its_inputs_as_they_stand(rack: Rack) -> None:
    rack.set(1, 2, 1)
    async with driver(rack) as panel:
        await panel.until(lambda: panel.active(1))
        kinds = [type(event) for _, event in panel.told]
        assert kinds == [NodeUp, InputsReported]
        assert not panel.events(NodeUp)[0].secure
        assert panel.active(1) == [{3}]
        assert len(panel.events(InputsReported)[0].states) == 8


@on_loop
async def test_every_change_is_told_once_and_rest_is_not_repeated(rack: Rack) -> None:
    async with driver(rack, ModbusDevice(address=1, map="di16"), ModbusDevice(address=2)) as panel:
        await panel.until(lambda: panel.active(1) and panel.active(2))
        rack.set(1, 15, 1)
        assert await panel.until(lambda: len(panel.active(1)) == 2) < 0.5
        rack.set(1, 15, 0)
        await panel.until(lambda: len(panel.active(1)) == 3)
        await panel.polled(1, 5)
        assert panel.active(1) == [set(), {16}, set()]
        assert panel.active(2) == [set()]


@on_loop
async def test_frames_on_the_wire_are_the_standards_and_the_gap_is_kept(rack: Rack) -> None:
    async with driver(rack, *(ModbusDevice(address=a) for a in (1, 2, 3))) as panel:
        await panel.polled(3, 10)
    asked = [p.data for p in rack.packets if not p.reply]
    assert set(asked) == {framed(a, READ_DISCRETE_INPUTS, 0, 0, 0, 8) for a in (1, 2, 3)}
    gaps_s = [b.at_s - a.at_s for a, b in pairwise(rack.packets) if a.reply and not b.reply]
    assert len(gaps_s) > 20
    assert min(gaps_s) >= 0.00175


MAPS = [
    ModbusMap(name="m", table=ModbusTable.COILS, first=5, inputs=3),
    ModbusMap(name="m", table=ModbusTable.INPUT_REGISTERS, first=7, inputs=20),
    ModbusMap(name="m", table=ModbusTable.HOLDING_REGISTERS, first=2, inputs=4, bits=False),
    ModbusMap(name="m", first=1, inputs=32, tamper=33),
    ModbusMap(name="m", inputs=4, tamper=40),
    ModbusMap(name="m", table=ModbusTable.INPUT_REGISTERS, first=3, inputs=16, tamper=1),
]


@pytest.mark.parametrize("shape", MAPS, ids=lambda m: f"{m.table.value}-{m.inputs}-{m.tamper}")
@on_loop
async def test_every_register_map_finds_its_inputs_and_its_lid(
    rack: Rack, shape: ModbusMap
) -> None:
    bits = shape.table in {ModbusTable.COILS, ModbusTable.DISCRETE_INPUTS}
    packed = not bits and shape.bits
    last = shape.inputs - 1
    async with driver(rack, ModbusDevice(address=1, map="m"), maps=(shape,)) as panel:
        await panel.until(lambda: panel.active(1) == [set()])
        if packed:
            rack.set(1, shape.first + last // 16, 1 << last % 16, shape.table)
        else:
            rack.set(1, shape.first + last, 1, shape.table)
        await panel.until(lambda: panel.active(1)[-1] == {shape.inputs})
        if shape.tamper is not None:
            assert [e.tamper for e in panel.events(LocalReported)] == [False]
            rack.set(1, shape.tamper, 1, shape.table)
            await panel.until(lambda: [e.tamper for e in panel.events(LocalReported)][1:])
            assert panel.events(LocalReported)[-1].tamper
            assert not panel.events(LocalReported)[-1].power
        assert panel.events(NodeTrouble) == []


@on_loop
async def test_a_normally_closed_module_is_in_alarm_at_zero(rack: Rack) -> None:
    shape = ModbusMap(name="nc", inputs=2, active_high=False)
    async with driver(rack, ModbusDevice(address=1, map="nc"), maps=(shape,)) as panel:
        await panel.until(lambda: panel.active(1) == [{1, 2}])
        rack.set(1, 0, 1)
        await panel.until(lambda: panel.active(1)[-1] == {2})


@on_loop
async def test_a_dead_module_is_lost_in_two_seconds_and_harms_only_itself(rack: Rack) -> None:
    devices = tuple(ModbusDevice(address=a) for a in (1, 2, 3))
    async with driver(rack, *devices, ModbusDevice(address=9)) as panel:
        await panel.until(lambda: panel.events(NodeLost, 9), 2.0)
        rack.fault(2, silent=True)
        assert await panel.until(lambda: panel.events(NodeLost, 2), 3) < 2.0
        assert panel.events(NodeLost, 2)[0].cause is LossCause.NO_ANSWER
        rack.set(1, 0, 1)
        assert await panel.until(lambda: panel.active(1)[-1] == {1}) < 0.5
        rack.set(2, 4, 1)
        rack.fault(2, silent=False)
        assert await panel.until(lambda: len(panel.events(NodeUp, 2)) == 2, 10) < 5
        await panel.until(lambda: panel.active(2)[-1] == {5})
        assert [e.node.address for e in panel.events(NodeLost)] == [9, 2]


@on_loop
async def test_a_late_reply_is_never_taken_for_the_current_state(rack: Rack) -> None:
    """The old state still on its way must not undo the new one."""
    async with driver(rack) as panel:
        await panel.until(lambda: panel.active(1) == [set()])
        for late_s in (0.08, 0.15, 0.24, 0.3):
            before = panel.figures(1).timeouts
            rack.fault(1, late_s=late_s)
            await panel.until(lambda b=before: panel.figures(1).timeouts > b)
            rack.set(1, 0, 1)
            rack.fault(1, late_s=0.0)
            await panel.until(lambda: panel.active(1)[-1] == {1})
            await panel.polled(1, 6)
            rack.set(1, 0, 0)
            await panel.until(lambda: panel.active(1)[-1] == set())
        assert panel.active(1) == [set(), *[{1}, set()] * 4]
        assert panel.events(NodeLost) == []


@on_loop
async def test_a_module_that_is_always_too_late_is_lost_and_tells_nothing(rack: Rack) -> None:
    async with driver(rack, lost_after_s=0.9) as panel:
        await panel.until(lambda: panel.active(1) == [set()])
        rack.fault(1, late_s=0.31)
        await panel.polled(1, 1)
        rack.set(1, 0, 1)
        await panel.until(lambda: panel.events(NodeLost), 3)
        rack.set(1, 0, 0)
        await panel.polled(1, 2)
        assert panel.active(1) == [set()]


@on_loop
async def test_a_reply_of_another_module_is_not_this_ones(rack: Rack) -> None:
    async with driver(
        rack, ModbusDevice(address=1), ModbusDevice(address=2), lost_after_s=0.5
    ) as panel:
        await panel.until(lambda: panel.active(1) and panel.active(2))
        rack.fault(1, poses_as=2)
        await panel.polled(1, 1)  # none that was asked before is under way
        rack.set(1, 0, 1)
        await panel.until(lambda: panel.events(NodeLost), 3)
        assert panel.figures(1).foreign_frames >= 2
        assert [e.node.address for e in panel.events(NodeLost)] == [1]
        assert panel.active(1) == panel.active(2) == [set()]


@on_loop
async def test_garbled_replies_are_counted_and_never_believed(rack: Rack) -> None:
    async with driver(rack, lost_after_s=0.5) as panel:
        await panel.until(lambda: panel.active(1) == [set()])
        rack.fault(1, garbled=True)
        rack.set(1, 0, 1)
        await panel.until(lambda: panel.events(NodeLost), 3)
        assert panel.events(NodeLost)[0].cause is LossCause.GARBLED
        assert panel.active(1) == [set()]
        assert panel.figures(1).crc_errors >= 2
        rack.fault(1, garbled=False)
        await panel.until(lambda: panel.active(1)[-1] == {1}, 10)


@on_loop
async def test_garbage_around_a_good_reply_delays_nothing(rack: Rack) -> None:
    rack.fault(1, noise=b"\x01\x02\xff\x00\x01\x82\x02")
    async with driver(rack) as panel:
        await panel.until(lambda: panel.active(1) == [set()])
        rack.set(1, 0, 1)
        await panel.until(lambda: panel.active(1)[-1] == {1}, 1.0)
        rack.say(framed(1, READ_DISCRETE_INPUTS, 1, 0))
        await panel.polled(1, 5)
        assert panel.active(1) == [set(), {1}]
        assert panel.bus.statistics().noise_bytes > 0


@on_loop
async def test_a_map_the_module_refuses_is_told_with_the_exception(rack: Rack) -> None:
    """The module's own exception: the map reaches beyond its last input."""
    shape = ModbusMap(name="far", first=1020, inputs=8)
    async with driver(
        rack,
        ModbusDevice(address=1, map="far"),
        ModbusDevice(address=2),
        maps=(shape,),
        lost_after_s=0.5,
    ) as panel:
        await panel.until(lambda: panel.events(NodeLost), 3)
        (trouble,) = panel.events(NodeTrouble)
        assert (trouble.trouble, trouble.detail) == (Trouble.REFUSED, "exception 2")
        assert trouble.node.address == panel.events(NodeLost)[0].node.address == 1
        assert panel.events(NodeUp, 1) == []
        assert panel.figures(1).refused >= 2
        assert panel.active(2) == [set()]


@on_loop
async def test_an_exception_now_and_then_changes_nothing(rack: Rack) -> None:
    async with driver(rack) as panel:
        await panel.until(lambda: panel.active(1) == [set()])
        rack.fault(1, exception=6)
        await panel.until(lambda: panel.figures(1).refused >= 2)
        rack.fault(1, exception=0)
        await panel.until(lambda: not panel.events(NodeTrouble)[-1].on)
        assert panel.active(1) == [set()]
        assert panel.events(NodeLost) == []


@on_loop
async def test_a_reply_of_another_length_is_counted_and_never_believed(rack: Rack) -> None:
    async with driver(rack) as panel:
        await panel.until(lambda: panel.active(1) == [set()])
        rack.fault(1, longer_bytes=1)
        rack.set(1, 0, 1)
        await panel.until(lambda: panel.figures(1).refused >= 2)
        assert panel.active(1) == [set()]
        rack.fault(1, longer_bytes=0)
        await panel.until(lambda: panel.active(1)[-1] == {1})


@on_loop
async def test_unplugged_all_is_lost_and_replugged_all_is_back_in_three_seconds(
    rack: Rack,
) -> None:
    async with driver(rack, ModbusDevice(address=1), ModbusDevice(address=2)) as panel:
        await panel.until(lambda: panel.active(1) and panel.active(2))
        rack.unplug()
        assert await panel.until(lambda: len(panel.events(NodeLost)) == 2) < 2.0
        assert [e.up for e in panel.events(BusChanged)] == [False]
        assert {e.cause for e in panel.events(NodeLost)} == {LossCause.BUS_DOWN}
        assert not panel.bus.statistics().up
        rack.set(1, 0, 1)
        rack.plug()
        assert await panel.until(lambda: len(panel.events(NodeUp)) == 4) < 3.0
        await panel.until(lambda: panel.active(1)[-1] == {1} and len(panel.active(2)) == 2)
        assert [e.up for e in panel.events(BusChanged)] == [False, True]
        assert len(panel.events(NodeLost)) == 2


@on_loop
async def test_a_port_that_was_never_there_is_told_once(tmp_path: Path) -> None:
    async with Driver(str(tmp_path / "none"), (ModbusDevice(address=1),)) as panel:
        await panel.until(lambda: panel.events(NodeLost))
        assert panel.events(BusChanged) == [
            BusChanged(BUS, up=False, cause=panel.bus.statistics().cause)
        ]
        with Rack(tmp_path / "none", [1]):
            await panel.until(lambda: panel.active(1), 3.0)


@on_loop
async def test_the_port_is_the_drivers_alone(rack: Rack) -> None:
    async with driver(rack) as panel:
        await panel.until(lambda: panel.active(1))
        with pytest.raises(PortGoneError, match=r"in use|busy"):
            SerialPort(str(rack.link), 38_400)


@on_loop
async def test_a_module_is_left_alone_until_its_change_is_on_disk(rack: Rack) -> None:
    async with driver(rack, ModbusDevice(address=1), ModbusDevice(address=2)) as panel:
        await panel.until(lambda: panel.active(1) and panel.active(2))
        panel.commit = False
        rack.set(1, 0, 1)
        await panel.until(lambda: panel.owed)
        asked = len(rack.heard(1))
        rack.set(1, 0, 0)
        await panel.polled(2, 10)
        assert len(rack.heard(1)) == asked
        panel.commit = True
        panel.bus.committed(panel.owed[0])
        assert await panel.until(lambda: panel.active(1)[-1] == set()) < 0.5
        assert panel.active(1) == [set(), {1}, set()]


@on_loop
async def test_a_bounce_shorter_than_the_debounce_is_not_told(rack: Rack) -> None:
    async with driver(rack, ModbusDevice(address=1, debounce_ms=150)) as panel:
        await panel.until(lambda: panel.active(1) == [set()])
        rack.set(1, 0, 1)
        await panel.polled(1, 3)
        rack.set(1, 0, 0)
        await panel.polled(1, 6)
        assert panel.active(1) == [set()]
        rack.set(1, 0, 1)
        assert await panel.until(lambda: panel.active(1)[-1] == {1}) >= 0.15


@on_loop
async def test_nothing_is_commanded_through_a_module_whose_map_tells_inputs_only(
    rack: Rack,
) -> None:
    async with driver(rack) as panel:
        assert not panel.bus.command(1, SetNodeOutput(1, on=True), token=7)
        assert not panel.bus.command(99, SetNodeOutput(1, on=True))


@on_loop
async def test_a_quarter_of_many_modules_dead_takes_little_of_the_bus_from_the_others(
    tmp_path: Path,
) -> None:
    """Less than a sixth of its time: the others' period grows by less than a fifth (J4)."""
    devices = tuple(ModbusDevice(address=a) for a in range(1, 33))
    dead = range(25, 33)
    with Rack(tmp_path / "port", range(1, 33)) as rack:
        async with Driver(str(rack.link), devices) as panel:
            await panel.until(lambda: len(panel.events(NodeUp)) == 32, 5)
            for address in dead:
                rack.fault(address, silent=True)
            assert await panel.until(lambda: len(panel.events(NodeLost)) == len(dead), 4) < 2.2
            rack.packets.clear()
            await panel.polled(1, 20)
            asked = [p for p in list(rack.packets) if not p.reply]
            spent_s = sum(b.at_s - a.at_s for a, b in pairwise(asked) if a.data[0] in dead)
            whole_s = asked[-1].at_s - asked[0].at_s
            assert any(p.data[0] in dead for p in asked)
            assert spent_s < whole_s / 6
            assert len(panel.events(NodeLost)) == len(dead)
