"""The OSDP bus driver on the bus wire: nodes come up, tell, vanish and return."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge.bus.bus_types import (
    AskReport,
    Beep,
    BusChanged,
    CardRead,
    Colour,
    InputsReported,
    InputState,
    KeysPressed,
    LocalReported,
    LossCause,
    NodeLost,
    NodeTrouble,
    NodeUp,
    SetLed,
    SetNodeOutput,
)
from edge.config_bus import OsdpNode
from protocols.osdp import codes
from tests.support.osdp_bus_peripheral import LibosdpNode
from tests.support.osdp_bus_rig import BUS, BusRig, on_loop

pytestmark = pytest.mark.system
QUIET = bytes(8)
ALARM = bytes([1, 0, 0, 0, 0, 0, 0, 0])


def states(report: bytes) -> tuple[InputState, ...]:
    return tuple(InputState(byte) for byte in report)


@on_loop
async def test_nodes_of_both_makes_come_up_secure_and_tell_every_state(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    ours = rig.node(1)
    theirs = LibosdpNode(2, rig.keys.key(BUS, 2))
    rig.station(2, theirs)
    async with rig:
        await rig.until(lambda: len(rig.events(NodeUp)) == 2)
        assert all(up.secure for up in rig.events(NodeUp))
        told = bytes(range(7)) + b"\xee"
        ours.move(told)
        theirs.tell_inputs(told)
        expected = (*states(bytes(range(7))), InputState.UNKNOWN)
        for address in (1, 2):
            await rig.until(
                lambda a=address: expected in [e.states for e in rig.events(InputsReported, a)]
            )
        ours.local(tamper=True)
        await rig.until(lambda: any(e.tamper for e in rig.events(LocalReported, 1)))
        ours.keys("12*#")
        ours.card(26, b"\x12\x34\x56\x40")
        await rig.until(lambda: rig.events(CardRead))
        assert "".join(e.keys for e in rig.events(KeysPressed)) == "12*#"
        assert [(e.bits, e.data) for e in rig.events(CardRead)] == [(26, b"\x12\x34\x56\x40")]
        assert rig.events(NodeLost) == []
        assert {n.state for n in rig.bus.statistics().nodes} == {"secure"}


@on_loop
async def test_commands_reach_the_node_and_their_end_is_told(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    async with rig:
        await rig.until(lambda: rig.events(NodeUp))
        assert (await rig.done(1, SetNodeOutput(2, on=True))).ok
        assert node.board.outputs == [0, 1]
        assert (await rig.done(1, SetNodeOutput(2, on=False))).ok
        assert node.board.outputs == [0, 0]
        assert (await rig.done(1, SetLed(Colour.RED))).ok
        assert node.board.leds[-1][9:14] == bytes([1, 5, 0, 1, 1])
        assert (await rig.done(1, SetLed(Colour.RED, Colour.OFF))).ok
        assert node.board.leds[-1][9:14] == bytes([1, 5, 5, 1, 0])
        assert (await rig.done(1, SetLed(Colour.RED, Colour.GREEN))).ok
        assert node.board.leds[-1][9:14] == bytes([1, 5, 5, 1, 2])
        assert (await rig.done(1, Beep(2))).ok
        assert node.board.buzzers[-1] == bytes([0, 2, 1, 1, 2])
        assert (await rig.done(1, AskReport())).ok
        assert node.board.vendor_messages == [bytes([codes.ASK_REPORT])]
        refused = await rig.done(1, SetNodeOutput(7, on=True))
        assert not refused.ok
        assert "refused" in refused.detail
        assert not rig.bus.command(9, Beep(1))
        node.move(ALARM)
        await rig.until(lambda: states(ALARM) in [e.states for e in rig.events(InputsReported)])
        assert rig.events(NodeLost) == []


@on_loop
async def test_a_node_whose_change_is_not_on_disk_keeps_it_and_is_not_asked_again(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    other = rig.node(2)
    async with rig:
        await rig.until(lambda: len(rig.events(LocalReported)) == 2)
        rig.commit = False
        node.move(ALARM)
        await rig.until(lambda: rig.owed)
        polls = rig.bus.statistics().nodes[0].polls
        other_polls = rig.bus.statistics().nodes[1].polls
        await rig.until(lambda: rig.bus.statistics().nodes[1].polls > other_polls + 20)
        assert rig.bus.statistics().nodes[0].polls == polls
        assert node.queued == 1
        # The panel dies here and starts again: the change comes again, from the node.
        rig.bus.stop()
        rig.told.clear()
        rig.owed.clear()
        rig.commit = True
        rig.restart()
        await rig.until(lambda: states(ALARM) in [e.states for e in rig.events(InputsReported, 1)])
        await rig.until(lambda: node.queued == 0)
        del other


@on_loop
async def test_keys_pressed_are_told_once_though_the_session_broke_before_the_next_poll(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path, seed=4)
    node = rig.node(1)
    async with rig:
        await rig.until(lambda: rig.events(LocalReported))
        rig.commit = False
        node.keys("7")
        await rig.until(lambda: rig.owed)
        # Something forged makes the node end its session while it still owes the keys.
        rig.wire.call(lambda: node.peripheral._end_session())
        rig.commit = True
        for token in rig.owed:
            rig.bus.committed(token)
        node.keys("8")
        await rig.until(lambda: "8" in "".join(e.keys for e in rig.events(KeysPressed)))
        assert "".join(e.keys for e in rig.events(KeysPressed)) == "78"


@on_loop
async def test_a_vanished_node_is_lost_in_two_seconds_and_back_at_once(tmp_path: Path) -> None:
    rig = BusRig(tmp_path, baud=38_400, lost_after_s=1.5)
    nodes = [rig.node(address) for address in range(1, 9)]
    async with rig:
        await rig.until(lambda: len(rig.events(NodeUp)) == 8)
        went = time.monotonic()
        for node in nodes[:4]:
            node.power_cut()
        await rig.until(lambda: len(rig.events(NodeLost)) == 4)
        assert time.monotonic() - went < 2
        assert {e.cause for e in rig.events(NodeLost)} == {LossCause.NO_ANSWER}
        rig.told.clear()
        for node in nodes[:4]:
            node.power_on()
        assert await rig.until(lambda: len(rig.events(NodeUp)) == 4) < 3
        assert rig.events(NodeLost) == []


@on_loop
async def test_a_node_that_restarts_quickly_is_not_lost(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    async with rig:
        await rig.until(lambda: rig.events(LocalReported))
        for _ in range(3):
            handshakes = rig.bus.statistics().nodes[0].handshakes
            node.reset()
            await rig.until(lambda h=handshakes: rig.bus.statistics().nodes[0].handshakes > h)
        node.move(ALARM)
        await rig.until(lambda: states(ALARM) in [e.states for e in rig.events(InputsReported)])
        assert rig.events(NodeLost) == []
        assert len(rig.events(NodeUp)) == 1
        assert rig.events(NodeTrouble) == []


@pytest.mark.parametrize("nodes", [1, 6])
@on_loop
async def test_a_pulled_port_is_told_at_once_and_polled_again_when_back(
    tmp_path: Path, nodes: int
) -> None:
    rig = BusRig(tmp_path)
    for address in range(1, nodes + 1):
        rig.node(address)
    async with rig:
        await rig.until(lambda: len(rig.events(NodeUp)) == nodes)
        rig.told.clear()
        rig.wire.unplug("panel")
        assert await rig.until(lambda: len(rig.events(NodeLost)) == nodes) < 1
        assert [e.up for e in rig.events(BusChanged)] == [False]
        assert {e.cause for e in rig.events(NodeLost)} == {LossCause.BUS_DOWN}
        assert not rig.bus.statistics().up
        rig.wire.plug("panel")
        assert await rig.until(lambda: len(rig.events(NodeUp)) == nodes) < 3
        assert [e.up for e in rig.events(BusChanged)] == [False, True]
        assert len(rig.events(NodeLost)) == nodes


@on_loop
async def test_a_port_that_is_not_there_is_told_once_and_taken_when_it_comes(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path)
    rig.node(1)
    rig.wire.unplug("panel")
    async with rig:
        await rig.until(lambda: rig.events(NodeLost))
        await rig.until(lambda: rig.bus.statistics().cause == "No such file or directory")
        rig.wire.plug("panel")
        assert await rig.until(lambda: rig.events(NodeUp)) < 3
        assert [e.up for e in rig.events(BusChanged)] == [False, True]


@on_loop
async def test_clear_text_is_taken_only_where_the_file_allows_it(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    allowed = LibosdpNode(1, None)
    rig.station(1, allowed, OsdpNode(address=1, clear_text=True))
    refused = rig.node(2, keyed=False)
    async with rig:
        await rig.until(lambda: rig.events(NodeUp) and rig.events(NodeLost))
        allowed.tell_inputs(ALARM)
        refused.move(ALARM)
        await rig.until(lambda: rig.events(InputsReported, 1))
        assert [(e.node.address, e.secure) for e in rig.events(NodeUp)] == [(1, False)]
        assert [(e.node.address, e.cause) for e in rig.events(NodeLost)] == [
            (2, LossCause.NOT_SECURE)
        ]
        assert rig.events(InputsReported, 2) == []
