"""Pairing, new keys, power cuts in between, wrong keys: no side is ever locked out or left open."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.bus.bus_types import (
    ClosePairing,
    CommandDone,
    InputsReported,
    LossCause,
    NodeLost,
    NodeTrouble,
    NodeUp,
    Pair,
    Rekey,
    SetNodeOutput,
    Trouble,
)
from edge.config_bus import OsdpNode
from hil.drivers.bus_node import SimNode
from protocols.osdp import codes
from protocols.osdp.frame import Frame, FrameReader
from tests.support.osdp_bus_peripheral import LibosdpNode, PlainNode
from tests.support.osdp_bus_rig import BUS, BusRig, on_loop

pytestmark = pytest.mark.system


def commands(rig: BusRig) -> list[Frame]:
    """What the panel sent, in order."""
    sent: list[Frame] = []
    for said in rig.wire.said("panel"):
        sent += [frame for frame in FrameReader().feed(said.data) if isinstance(frame, Frame)]
    return sent


def asked_with_default_key(rig: BusRig) -> int:
    return sum(1 for f in commands(rig) if f.data[0] == codes.CHLNG and f.block == b"\x03\x11\x00")


@on_loop
async def test_a_factory_node_is_refused_until_paired_and_has_its_own_key_afterwards(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(5, keyed=False)
    async with rig:
        await rig.until(lambda: rig.events(NodeLost))
        assert rig.events(NodeLost)[0].cause is LossCause.NOT_SECURE
        assert asked_with_default_key(rig) == 0
        assert (await rig.done(5, Pair())).ok
        assert node.board.flash.key == rig.keys.key(BUS, 5, 1)
        assert rig.keys.candidates(BUS, 5) == (1,)
        await rig.until(lambda: rig.events(InputsReported))
        assert [up.secure for up in rig.events(NodeUp)] == [True]
        used = asked_with_default_key(rig)
        assert used == 1
        # From here on only its own key is taken, also over restarts of either side.
        node.reset()
        rig.told.clear()
        rig.bus.stop()
        rig.restart()
        await rig.until(lambda: rig.events(NodeUp))
        assert asked_with_default_key(rig) == used
        again = await rig.done(5, Pair())
        assert again.ok
        assert "already" in again.detail


@on_loop
async def test_a_window_nobody_came_to_ends_and_the_default_key_is_refused_again(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path, window_s=0.8)
    rig.station(5, None)
    async with rig:
        done = await rig.done(5, Pair())
        assert not done.ok
        assert rig.events(NodeTrouble)[-1].trouble is Trouble.PAIRING_EXPIRED
        late = SimNode(5, None)
        rig.wire.attach_station("late", late)
        await rig.until(lambda: rig.bus.statistics().nodes[0].replies > 6)
        assert rig.events(NodeUp) == []
        assert late.board.flash.key is None
        assert asked_with_default_key(rig) == 0


@on_loop
async def test_a_closed_window_is_closed(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    rig.station(5, None)
    async with rig:
        assert rig.bus.command(5, Pair(), 900)
        await rig.until(lambda: rig.bus.statistics().nodes[0].state == "pairing")
        assert rig.bus.command(5, ClosePairing(), 901)
        await rig.until(lambda: any(e.token == 900 and not e.ok for e in rig.events(CommandDone)))
        assert rig.bus.statistics().nodes[0].state != "pairing"


@on_loop
async def test_a_strangers_node_is_not_taken_over_in_the_window(tmp_path: Path) -> None:
    rig = BusRig(tmp_path, window_s=1.2)
    stranger = SimNode(5, bytes(range(16)))
    rig.station(5, stranger)
    async with rig:
        assert not (await rig.done(5, Pair())).ok
        await rig.until(lambda: rig.events(NodeLost))
        assert rig.events(NodeLost)[0].cause is LossCause.KEY_REFUSED
        assert rig.events(NodeUp) == []
        assert stranger.board.flash.key == bytes(range(16))


@on_loop
async def test_a_node_without_secure_channel_is_never_up_even_in_the_window(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path, window_s=1.0)
    rig.station(5, PlainNode(5))
    async with rig:
        assert not (await rig.done(5, Pair())).ok
        await rig.until(lambda: rig.events(NodeLost))
        assert rig.events(NodeLost)[0].cause is LossCause.NOT_SECURE
        assert rig.events(NodeUp) == []


@on_loop
async def test_libosdps_own_peripheral_is_paired_too(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    theirs = LibosdpNode(5, None)
    rig.station(5, theirs)
    async with rig:
        assert (await rig.done(5, Pair())).ok
        await rig.until(lambda: rig.events(NodeUp))
        theirs.tell_inputs(bytes([1] * 8))
        await rig.until(lambda: rig.events(InputsReported))


@on_loop
async def test_a_new_key_replaces_the_old_one_without_the_node_being_lost(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(5)
    async with rig:
        await rig.until(lambda: rig.events(NodeUp))
        for generation in (1, 2, 3):
            assert (await rig.done(5, Rekey())).ok
            assert node.board.flash.key == rig.keys.key(BUS, 5, generation)
            assert rig.keys.candidates(BUS, 5) == (generation,)
        assert (await rig.done(5, SetNodeOutput(1, on=True))).ok
        assert rig.events(NodeLost) == []
        assert rig.events(NodeTrouble) == []


@pytest.mark.parametrize("taken", [False, True])
@on_loop
async def test_power_cut_while_the_new_key_was_on_its_way_locks_nobody_out(
    tmp_path: Path,
    taken: bool,
) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(5)
    generation = rig.keys.begin(BUS, 5)  # the panel died after this, before the node's answer
    if taken:
        node.board.store_key(rig.keys.key(BUS, 5, generation))
        node.reset()
    async with rig:
        await rig.until(lambda: rig.events(NodeUp))
        assert rig.keys.candidates(BUS, 5) == (generation if taken else 0,)
        assert rig.events(NodeLost) == []
        assert (await rig.done(5, Rekey())).ok
        assert node.board.flash.key == rig.keys.key(BUS, 5)


@on_loop
async def test_a_node_that_cannot_store_a_key_keeps_the_old_one_and_says_so(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(5)
    node.board.store_key = lambda _key: False  # type: ignore[method-assign]
    async with rig:
        await rig.until(lambda: rig.events(NodeUp))
        old = node.board.flash.key
        done = await rig.done(5, Rekey())
        assert not done.ok
        handshakes = rig.bus.statistics().nodes[0].handshakes
        await rig.until(lambda: rig.bus.statistics().nodes[0].state == "secure")
        await rig.until(lambda: rig.bus.statistics().nodes[0].handshakes >= max(2, handshakes))
        assert node.board.flash.key == old
        assert rig.events(NodeLost) == []


@on_loop
async def test_a_node_with_a_wrong_key_is_refused_and_its_neighbours_are_not_slowed(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path)
    rig.node(1)
    rig.station(2, SimNode(2, bytes(16)), OsdpNode(address=2))
    async with rig:
        await rig.until(lambda: rig.events(NodeLost))
        assert [(e.node.address, e.cause) for e in rig.events(NodeLost)] == [
            (2, LossCause.KEY_REFUSED)
        ]
        before = rig.bus.statistics().nodes[0].polls
        await rig.until(lambda: rig.bus.statistics().nodes[0].polls > before + 15)
        assert rig.bus.statistics().nodes[0].cycle_ms < 65
