"""Firmware over the bus while everything goes on; moving a node to another address and speed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edge.bus.bus_types import (
    CommandDone,
    InputsReported,
    InputState,
    NodeLost,
    NodeUp,
    SendFirmware,
    SetCommunication,
)
from hil.drivers.bus_node import SimNode
from tests.support.osdp_bus_rig import BUS, BusRig, on_loop

pytestmark = pytest.mark.system
IMAGE = random.Random(8).randbytes(9_001)
PROCESSED, RESTARTS, BUSY, REFUSED = 1, 2, 3, -3
ALARM = bytes([1] * 8)


class Receiver:
    """Takes an image as a node does."""

    def __init__(self, node: SimNode, last: int = PROCESSED, busy: int = 0) -> None:
        self.data = bytearray()
        self.parts = 0
        self._last = last
        self._busy = busy
        node.board.file_part = self.take  # type: ignore[method-assign]

    def take(self, kind: int, total: int, offset: int, data: bytes) -> tuple[int, int]:
        assert kind == 1
        if data:
            assert offset == len(self.data)
            self.parts += 1
            self.data += data
        if len(self.data) < total:
            return 0, 0
        if self._busy:
            self._busy -= 1
            return BUSY, 60
        return self._last, 0


async def up(rig: BusRig) -> None:
    await rig.until(lambda: len(rig.events(NodeUp)) == len(rig.nodes))


@pytest.mark.parametrize("busy", [0, 3])
@on_loop
async def test_an_image_arrives_whole_with_its_end_told(tmp_path: Path, busy: int) -> None:
    rig = BusRig(tmp_path)
    receiver = Receiver(rig.node(1), busy=busy)
    async with rig:
        await up(rig)
        done = await rig.done(1, SendFirmware(IMAGE), within_s=10)
        assert done.ok
        assert bytes(receiver.data) == IMAGE
        assert rig.events(NodeLost) == []


@on_loop
async def test_the_others_are_polled_on_while_an_image_goes_out(tmp_path: Path) -> None:
    rig = BusRig(tmp_path, baud=38_400)
    image = IMAGE[:4000]
    receiver = Receiver(rig.node(1))
    for address in range(2, 9):
        rig.node(address)
    async with rig:
        await up(rig)
        rig.told.clear()
        assert rig.bus.command(1, SendFirmware(image), 900)
        await rig.until(lambda: receiver.parts > 5)
        progress = rig.bus.statistics().nodes[0].progress
        assert progress.endswith(f"/{len(image)}")
        assert 0 < int(progress.split("/")[0]) < len(image)
        rig.nodes[5].move(ALARM)
        waited = await rig.until(lambda: rig.events(InputsReported, 5))
        assert waited < 0.5
        assert len(receiver.data) < len(image)
        await rig.until(lambda: rig.events(CommandDone), 15)
        assert bytes(receiver.data) == image
        assert rig.events(NodeLost) == []


@on_loop
async def test_a_node_tells_its_own_changes_while_it_takes_an_image(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    receiver = Receiver(node)
    async with rig:
        await up(rig)
        await rig.until(lambda: node.queued == 0)
        rig.told.clear()
        assert rig.bus.command(1, SendFirmware(IMAGE * 4), 900)
        await rig.until(lambda: receiver.parts > 5)
        for states in (ALARM, bytes(8)):
            node.move(states)
        assert await rig.until(lambda: len(rig.events(InputsReported)) >= 2) < 1
        assert len(receiver.data) < len(IMAGE * 4)
        await rig.until(lambda: rig.events(CommandDone), 10)
        assert bytes(receiver.data) == IMAGE * 4


@on_loop
async def test_an_image_arrives_whole_over_a_noisy_line(tmp_path: Path) -> None:
    rig = BusRig(tmp_path, seed=12)
    receiver = Receiver(rig.node(1))
    rig.wire.set(flip=1 / 3000)
    async with rig:
        await up(rig)
        assert (await rig.done(1, SendFirmware(IMAGE), within_s=15)).ok
        assert bytes(receiver.data) == IMAGE
        assert rig.bus.statistics().nodes[0].crc_errors + rig.bus.statistics().nodes[0].timeouts


@on_loop
async def test_a_node_that_restarts_into_its_image_is_back_and_the_transfer_is_done(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path)
    Receiver(rig.node(1), last=RESTARTS)
    async with rig:
        await up(rig)
        handshakes = rig.bus.statistics().nodes[0].handshakes
        assert (await rig.done(1, SendFirmware(IMAGE[:1000]))).ok
        await rig.until(lambda: rig.bus.statistics().nodes[0].handshakes > handshakes)
        assert rig.events(NodeLost) == []


@on_loop
async def test_an_image_the_node_refuses_is_told_so_and_the_node_goes_on(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    Receiver(node, last=REFUSED)
    async with rig:
        await up(rig)
        done = await rig.done(1, SendFirmware(IMAGE[:1000]), within_s=10)
        assert not done.ok
        node.move(ALARM)
        await rig.until(
            lambda: any(InputState.ALARM in e.states for e in rig.events(InputsReported))
        )
        assert rig.events(NodeLost) == []


@on_loop
async def test_a_node_that_restarts_in_mid_transfer_ends_it_untaken(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    receiver = Receiver(node)
    async with rig:
        await up(rig)
        assert rig.bus.command(1, SendFirmware(IMAGE), 900)
        await rig.until(lambda: receiver.parts > 4)
        receiver.data.clear()  # what a restart forgets
        node.board.file_part = lambda *_: (REFUSED, 0)  # type: ignore[method-assign]
        node.reset()
        await rig.until(lambda: rig.events(CommandDone), 15)
        assert not rig.events(CommandDone)[0].ok
        node.move(ALARM)
        await rig.until(
            lambda: any(InputState.ALARM in e.states for e in rig.events(InputsReported))
        )


@on_loop
async def test_a_node_is_moved_to_another_address(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    node = rig.node(1)
    rig.station(7, None)
    async with rig:
        await rig.until(lambda: rig.events(NodeUp))
        assert (await rig.done(1, SetCommunication(7, 115_200))).ok
        assert (node.board.flash.address, node.board.flash.baud) == (7, 115_200)
        await rig.until(lambda: rig.events(NodeLost, 1))
        assert rig.keys.key(BUS, 1) == node.board.flash.key
