"""Nodes that behave oddly, commands to nodes that are away, and challenges that never repeat."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge.adapters.osdp_session import Session
from edge.bus.bus_types import (
    Beep,
    Colour,
    CommandDone,
    InputsReported,
    InputState,
    LossCause,
    NodeLost,
    NodeTrouble,
    NodeUp,
    SetLed,
    SetNodeOutput,
)
from edge.config_bus import OsdpNode
from tests.support.osdp_bus_peripheral import LibosdpNode
from tests.support.osdp_bus_rig import BUS, BusRig, on_loop

pytestmark = pytest.mark.system


@on_loop
async def test_outputs_and_light_stand_again_after_the_node_restarted(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    async with rig:
        await rig.until(lambda: rig.events(NodeUp))
        assert (await rig.done(1, SetNodeOutput(2, on=True))).ok
        assert (await rig.done(1, SetLed(Colour.GREEN))).ok
        node.board.outputs[:] = [0, 0]
        node.board.leds.clear()
        node.reset()
        await rig.until(lambda: node.board.outputs == [0, 1] and node.board.leds)
        assert rig.events(NodeLost) == []


@on_loop
async def test_a_beep_for_a_node_that_is_away_is_refused_and_an_output_waits_for_it(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    async with rig:
        await rig.until(lambda: rig.events(NodeUp))
        node.power_cut()
        await rig.until(lambda: rig.events(NodeLost))
        beep = await rig.done(1, Beep(1), within_s=1)
        output = await rig.done(1, SetNodeOutput(1, on=True), within_s=1)
        assert (beep.ok, output.ok) == (False, False)
        node.power_on()
        await rig.until(lambda: node.board.outputs == [1, 0])
        assert node.board.buzzers == []


@on_loop
async def test_a_peripheral_that_refuses_to_be_asked_is_not_asked_again(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    theirs = LibosdpNode(1, rig.keys.key(BUS, 1))  # refuses ISTAT
    rig.station(1, theirs, OsdpNode(address=1, ask_state=True))
    async with rig:
        await rig.until(lambda: rig.bus.statistics().nodes[0].polls > 40)
        theirs.tell_inputs(bytes([1] * 8))
        await rig.until(lambda: rig.events(InputsReported))
        assert rig.bus.statistics().nodes[0].handshakes <= 3
        assert rig.events(NodeLost) == []


@on_loop
async def test_a_node_of_ours_is_asked_for_its_state_where_wanted(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1, config=OsdpNode(address=1, ask_state=True))
    node.states = bytes([1] * 8)
    async with rig:
        await rig.until(lambda: rig.events(InputsReported))
        assert rig.events(NodeTrouble) == []


@on_loop
async def test_a_node_whose_input_reports_do_not_fit_its_own_word_is_told_lost(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    async with rig:
        await rig.until(lambda: rig.events(InputsReported))
        node.peripheral.inputs = 4  # says four, reports eight
        node.peripheral._end_session()
        await rig.until(lambda: rig.events(NodeLost), 8)
        assert rig.events(NodeLost)[0].cause is LossCause.GARBLED
        node.peripheral.inputs = 8
        node.peripheral._end_session()
        node.move(bytes([1] * 8))
        await rig.until(
            lambda: any(InputState.ALARM in e.states for e in rig.events(InputsReported)), 10
        )


@on_loop
async def test_a_wall_clock_set_back_costs_a_new_session_and_no_command(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    async with rig:
        await rig.until(lambda: rig.events(NodeUp))
        rig.bus._wall_s += 3600  # as if it had been an hour later a moment ago
        assert rig.bus.command(1, SetNodeOutput(1, on=True), 900)
        await rig.until(lambda: rig.bus.statistics().nodes[0].handshakes == 2)
        await rig.until(lambda: [e.ok for e in rig.events(CommandDone)] == [True])
        assert node.board.outputs == [1, 0]
        assert rig.events(NodeLost) == []
        assert len(rig.events(NodeUp)) == 1


@on_loop
async def test_other_firmware_is_told_though_the_node_was_not_lost(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    async with rig:
        await rig.until(lambda: rig.events(NodeUp))
        node.peripheral.identity.firmware = (1, 1, 0)
        node.peripheral._end_session()
        await rig.until(lambda: [e.firmware for e in rig.events(NodeUp)] == ["1.0.0", "1.1.0"])
        assert rig.events(NodeLost) == []


CHALLENGE = """
from edge.adapters.osdp_session import Session
from tests.unit.test_osdp_bus_session import challenge
print(challenge(bytes(16)).hex())
"""


def test_challenges_differ_from_one_start_of_the_panel_to_the_next() -> None:
    """libosdp never seeds the generator it draws them from: a recording would play back."""
    told = {
        subprocess.run(
            [sys.executable, "-c", CHALLENGE], check=True, capture_output=True, text=True
        ).stdout
        for _ in range(3)
    }
    assert len(told) == 3


@on_loop
async def test_nothing_of_the_driver_is_left_after_stop(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    async with rig:
        await rig.until(lambda: rig.events(NodeUp))
        rig.bus.stop()
        seen = len(rig.told)
        node.move(bytes([1] * 8))
        assert not [t for t in threading.enumerate() if t.name.startswith("osdp-")]
        assert len(rig.told) == seen
        assert not rig.wire.open("panel") or await rig.until(lambda: not rig.wire.open("panel"))
        rig.restart()
        await rig.until(lambda: len(rig.events(NodeUp)) == 2)
    assert isinstance(Session(1, bytes(16)), Session)
