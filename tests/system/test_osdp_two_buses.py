"""Two OSDP buses of one panel: what one keeps of its nodes' keys, the other does not undo."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge.adapters.local_socket import BusCommandAsked
from edge.adapters.osdp_keys import NodeKeys
from edge.bus_service import BusService
from edge.config import AreaConfig, Loop, PanelConfig, ZoneConfig, ZoneType
from edge.config_bus import BusConfig, OsdpNode
from hil.drivers.bus_node import SimNode
from hil.drivers.bus_wire import BusWire

pytestmark = pytest.mark.system


def config(ports: dict[str, str]) -> PanelConfig:
    zone = ZoneConfig(
        number=1, name="a", area=1, type=ZoneType.INSTANT, loop=Loop(input="bus:one.1.1")
    )
    buses = tuple(
        BusConfig(name=name, port=port, nodes=(OsdpNode(address=address),))
        for address, (name, port) in enumerate(ports.items(), 1)
    )
    return PanelConfig(
        id="p1", name="P", areas=(AreaConfig(number=1, name="A"),), zones=(zone,), buses=buses
    )


def test_nodes_paired_on_two_buses_are_both_known_after_a_restart(tmp_path: Path) -> None:
    nodes = {"one": SimNode(1), "two": SimNode(2)}

    async def stored() -> None:
        """At once: nothing is journalled here."""

    async def run(ports: dict[str, str]) -> None:
        service = BusService(
            config(ports), tmp_path, lambda _: None, lambda _: None, lambda _: None, stored
        )
        service.start()
        try:
            for name in ("one.1", "two.2", "one.1"):
                what = (
                    "pair" if name != "one.1" or nodes["one"].board.flash.key is None else "rekey"
                )
                reply = await service.asked(BusCommandAsked(node=name, what=what))
                assert reply.ok, (name, what, reply.reason)
        finally:
            service.stop()

    with BusWire(230_400) as first, BusWire(230_400) as second:
        ports = {}
        for (name, node), wire in zip(nodes.items(), (first, second), strict=True):
            ports[name] = wire.attach("panel", tmp_path / name)
            wire.attach_station("node", node)
        asyncio.run(run(ports))
    fresh = NodeKeys(tmp_path, "p1")
    assert nodes["one"].board.flash.key == fresh.key("one", 1)
    assert nodes["two"].board.flash.key == fresh.key("two", 2)
