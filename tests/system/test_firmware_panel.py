"""Our panel's own bus driver updates the node's real firmware, on the simulated pair."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.bus.bus_types import (
    CommandDone,
    InputsReported,
    InputState,
    NodeLost,
    NodeReport,
    NodeTrouble,
    NodeUp,
    SendFirmware,
    Trouble,
)
from hil.drivers.node_process import NodeProcess
from tests.shared.firmware_images import MODULUS
from tests.support.firmware_rig import firmware
from tests.support.osdp_bus_rig import BUS, BusRig, on_loop

pytestmark = pytest.mark.system
ADDRESS = 5


def trust(directory: Path) -> None:
    """Puts the test's key where commissioning puts the maker's."""
    raw = MODULUS.to_bytes(384, "big")
    (directory / "flash" / "update.key").write_bytes(raw + hashlib.sha256(raw).digest()[:4])


@contextlib.asynccontextmanager
async def running(directory: Path) -> AsyncIterator[tuple[BusRig, NodeProcess]]:
    """Panel's driver and node, in their secure channel."""
    rig = BusRig(directory)
    rig.station(ADDRESS, None)
    node = NodeProcess(directory / "node", rig.wire.attach("n5"))
    node.commission(ADDRESS, rig.keys.key(BUS, ADDRESS), "--baud", "230400")
    trust(directory / "node")
    with node:
        async with rig:
            await rig.until(lambda: rig.events(NodeUp) and rig.events(InputsReported), 10)
            yield rig, node


@on_loop
async def test_the_panel_updates_a_node_which_is_back_within_seconds(tmp_path: Path) -> None:
    async with running(tmp_path) as (rig, node):
        assert rig.events(NodeUp)[-1].firmware == "1.0.0"
        done = await rig.done(ADDRESS, SendFirmware(firmware((2, 0, 0))), within_s=15)
        assert done.ok, done.detail
        # A detector that trips while the node is away is told when it is back.
        node.set(3, "alarm")
        await rig.until(lambda: rig.events(NodeReport)[-1].firmware == "2.0.0", 10)
        await rig.until(lambda: _third(rig) is InputState.ALARM)
        assert rig.events(NodeReport)[-1].reset_cause == "update"
        assert node.resets == 1
        assert len(rig.events(NodeLost)) <= 1
        assert len(rig.events(CommandDone)) == 1
        assert rig.events(NodeTrouble) == []


@on_loop
async def test_the_panel_learns_why_a_node_refuses_an_update(tmp_path: Path) -> None:
    async with running(tmp_path) as (rig, node):
        image = bytearray(firmware((2, 0, 0)))
        image[19] ^= 1  # the security number: what only the signature protects
        done = await rig.done(ADDRESS, SendFirmware(bytes(image)), within_s=15)
        await rig.until(lambda: rig.events(NodeTrouble))
        told = rig.events(NodeTrouble)[-1]
        assert told.trouble is Trouble.REFUSED
        assert told.detail == "update: its signature is not the maker's"
        assert not done.ok, done.detail
        node.set(3, "alarm")
        await rig.until(lambda: _third(rig) is InputState.ALARM)
        assert node.resets == 0


def _third(rig: BusRig) -> InputState:
    return rig.events(InputsReported)[-1].states[2]
