"""Faults on the wire: echo, split and late replies, noise, forgery, two at one address, babble."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edge.bus.bus_types import (
    InputsReported,
    InputState,
    LossCause,
    NodeLost,
    NodeTrouble,
    NodeUp,
    Trouble,
)
from edge.config_bus import OsdpNode
from hil.drivers.bus_node import SimNode
from hil.drivers.bus_wire_storm import number_of, snapshot
from protocols.osdp import codes
from protocols.osdp.frame import Frame, FrameReader, build
from tests.support.osdp_bus_rig import BUS, BusRig, on_loop

pytestmark = pytest.mark.system


def troubles(rig: BusRig, trouble: Trouble) -> list[NodeTrouble]:
    return [e for e in rig.events(NodeTrouble) if e.trouble is trouble]


async def storm(rig: BusRig, moves: int, within_s: float) -> None:
    """Each node's inputs move `moves` times; every state arrives, in order, none twice."""
    await rig.until(lambda: len(rig.events(NodeUp)) == len(rig.nodes), within_s)
    rig.told.clear()
    for number in range(1, moves + 1):
        for node in rig.nodes.values():
            node.move(snapshot(number))
        await asyncio.sleep(0.002)

    def told(address: int) -> list[int]:
        seen = [number_of([s.value for s in e.states]) for e in rig.events(InputsReported, address)]
        return [n for place, n in enumerate(seen) if place == 0 or n != seen[place - 1]]

    for address in rig.nodes:
        await rig.until(lambda a=address: told(a)[-1:] == [moves], within_s)
        assert [n for n in told(address) if n] == list(range(1, moves + 1)), address


LINES: dict[str, dict[str, Any]] = {
    "plain": {},
    "echo": {"echo": True},
    "batches": {"batch_ms": 16.0},
    "split": {"split": True, "batch_ms": 25.0},
    "echo and split": {"echo": True, "split": True, "batch_ms": 10.0},
}


@pytest.mark.parametrize("line", LINES)
@on_loop
async def test_every_change_arrives_once_and_in_order_over_any_adapter(
    tmp_path: Path, line: str
) -> None:
    rig = BusRig(tmp_path, seed=3)
    for address in (1, 2, 3):
        rig.node(address)
    rig.wire.drop("panel", **LINES[line])
    async with rig:
        await storm(rig, moves=4, within_s=8)
        assert rig.events(NodeLost) == []
        assert rig.events(NodeTrouble) == []


@pytest.mark.parametrize("turnaround_ms", [0.5, 50.0])
@on_loop
async def test_quick_and_slow_nodes_share_a_bus(tmp_path: Path, turnaround_ms: float) -> None:
    rig = BusRig(tmp_path, seed=3)
    rig.node(1)
    rig.node(2)
    rig.wire.drop("n2", late_ms=(turnaround_ms, turnaround_ms))
    async with rig:
        await storm(rig, moves=4, within_s=8)
        assert rig.events(NodeLost) == []


@on_loop
async def test_every_change_arrives_in_order_though_one_character_in_three_hundred_is_spoilt(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path, seed=7)
    for address in range(1, 5):
        rig.node(address)
    rig.wire.set(flip=1 / 900, lose=1 / 900, double=1 / 900)
    async with rig:
        await storm(rig, moves=10, within_s=15)
        figures = rig.bus.statistics()
        assert sum(n.crc_errors + n.timeouts for n in figures.nodes) > 0
        assert rig.events(NodeLost) == []
        assert troubles(rig, Trouble.FORGED) == []


@on_loop
async def test_late_replies_are_not_taken_for_another_question(tmp_path: Path) -> None:
    rig = BusRig(tmp_path, seed=9)
    for address in (1, 2, 3):
        rig.node(address)
    rig.wire.drop("n2", late_ms=(0.0, 60.0))
    async with rig:
        await storm(rig, moves=8, within_s=15)
        assert rig.events(NodeTrouble) == []
        assert rig.events(NodeLost) == []


@on_loop
async def test_a_shorted_bus_is_lost_and_polled_again_when_the_short_is_gone(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path, lost_after_s=1.5)
    for address in range(1, 5):
        rig.node(address)
    async with rig:
        await rig.until(lambda: len(rig.events(NodeUp)) == 4)
        rig.told.clear()
        rig.wire.set(short=True)
        assert await rig.until(lambda: len(rig.events(NodeLost)) == 4) < 2
        rig.wire.set(short=False)
        assert await rig.until(lambda: len(rig.events(NodeUp)) == 4) < 3


def last_reply(rig: BusRig, name: str) -> bytes:
    """What this node said last."""
    return rig.wire.said(name)[-1].data.lstrip(b"\xff")


@on_loop
async def test_a_replayed_reply_is_not_believed_and_told(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    async with rig:
        await rig.until(lambda: rig.bus.statistics().nodes[0].polls > 12)
        node.move(bytes([1] * 8))
        await rig.until(lambda: InputState.ALARM in rig.events(InputsReported)[-1].states)
        alarm = last_reply(rig, "n1")
        node.move(bytes(8))
        await rig.until(lambda: InputState.ALARM not in rig.events(InputsReported)[-1].states)
        rig.told.clear()
        rig.wire.answer_for(1, alarm, instead=True, fit=True, delay_ms=1.0)
        await rig.until(lambda: troubles(rig, Trouble.FORGED))
        await asyncio.sleep(0.3)
        assert all(InputState.ALARM not in e.states for e in rig.events(InputsReported))
        node.move(bytes([2] * 8))
        await rig.until(
            lambda: any(InputState.SHORT in e.states for e in rig.events(InputsReported))
        )
        assert rig.events(NodeLost) == []
        assert len(troubles(rig, Trouble.FORGED)) == 1


FORGERIES = {
    "clear acknowledgement": (None, bytes([codes.ACK])),
    "clear inputs": (None, bytes([codes.ISTATR]) + bytes(8)),
    "handshake block without MAC": (b"\x03\x12\x01", bytes([codes.ACK])),
    "made-up MAC": (b"\x02\x16", bytes([codes.ACK])),
}


@pytest.mark.parametrize("kind", FORGERIES)
@on_loop
async def test_a_forged_reply_in_place_of_an_alarm_hides_nothing(tmp_path: Path, kind: str) -> None:
    block, data = FORGERIES[kind]
    mac = bytes(4) if block == b"\x02\x16" else b""
    rig = BusRig(tmp_path)
    node = rig.node(1)
    async with rig:
        await rig.until(lambda: rig.bus.statistics().nodes[0].polls > 12)
        rig.told.clear()
        forged = build(1, 1, data, reply=True, block=block, mac=mac)
        for _ in range(2):
            rig.wire.answer_for(1, forged, instead=True, fit=True, delay_ms=1.0)
        node.move(bytes([1] * 8))
        await rig.until(
            lambda: any(InputState.ALARM in e.states for e in rig.events(InputsReported))
        )
        assert len(troubles(rig, Trouble.FORGED)) == 1
        assert rig.events(NodeLost) == []


@on_loop
async def test_two_nodes_at_one_address_are_told_as_such(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    rig.node(1)
    rig.node(2)
    rig.wire.attach_station("twin", SimNode(2, rig.keys.key(BUS, 2), serial=77), 1.0)
    async with rig:
        await rig.until(lambda: troubles(rig, Trouble.DUPLICATE), 10)
        assert {e.node.address for e in troubles(rig, Trouble.DUPLICATE)} == {2}
        assert not [e for e in rig.events(NodeLost) if e.node.address == 1]


@on_loop
async def test_a_babbling_node_is_told_and_the_others_return_when_it_stops(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path, baud=38_400)
    for address in (1, 2, 3):
        rig.node(address)
    async with rig:
        await rig.until(lambda: len(rig.events(NodeUp)) == 3)
        rig.wire.drop("n3", babble_ms=0.0)
        await rig.until(lambda: any(e.on for e in troubles(rig, Trouble.BABBLE)))
        await rig.until(lambda: len(rig.events(NodeLost)) == 3)
        assert LossCause.BUS_DOWN not in {e.cause for e in rig.events(NodeLost)}
        rig.told.clear()
        rig.wire.drop("n3", babble_ms=None)
        assert await rig.until(lambda: len(rig.events(NodeUp)) == 3) < 3
        await rig.until(lambda: any(not e.on for e in troubles(rig, Trouble.BABBLE)), 8)


@on_loop
async def test_a_noisy_line_is_told_with_the_nodes_still_up(tmp_path: Path) -> None:
    rig = BusRig(tmp_path, seed=11)
    for address in range(1, 9):
        rig.node(address)
    async with rig:
        await rig.until(lambda: len(rig.events(NodeUp)) == 8)
        rig.wire.set(flip=1 / 100)
        await rig.until(lambda: any(e.on for e in troubles(rig, Trouble.NOISE)), 8)
        rig.wire.set(flip=0.0)
        await rig.until(lambda: any(not e.on for e in troubles(rig, Trouble.NOISE)), 8)


@on_loop
async def test_a_retry_bears_the_same_bytes(tmp_path: Path) -> None:
    rig = BusRig(tmp_path, seed=5)
    rig.station(1, SimNode(1, rig.keys.key(BUS, 1)), OsdpNode(address=1))
    async with rig:
        await rig.until(lambda: rig.events(NodeUp))
        rig.wire.answer_for(1, b"\x53\x81\x08\x00", instead=True, delay_ms=1.0)
        retries = rig.bus.statistics().nodes[0].retries
        await rig.until(lambda: rig.bus.statistics().nodes[0].retries > retries)
        await rig.until(lambda: rig.bus.statistics().nodes[0].polls > 30)
        sent = [said.data for said in rig.wire.said("panel")]
        repeats = sum(1 for one, two in pairwise(sent) if one == two)
        assert repeats == rig.bus.statistics().nodes[0].retries
        frames = [f for data in sent for f in FrameReader().feed(data) if isinstance(f, Frame)]
        for before, after in pairwise(frames):
            assert after.raw == before.raw or after.sequence in {0, before.sequence % 3 + 1}
        assert rig.bus.statistics().nodes[0].handshakes == 1
