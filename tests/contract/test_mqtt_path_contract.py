"""One contract for the MQTT path: the real one over two real brokers, and the simulated one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.adapters.mqtt_delivery import CommandArrived
from edge.adapters.mqtt_paho import MqttPath
from edge.adapters.mqtt_sim import SimBroker, SimPath
from edge.reporting.path_causes import LinkCause
from edge.reporting.reporter import AckArrived, LinkDown, LinkUp
from protocols.mqtt import topics
from protocols.mqtt.payloads import Ack, Resend, StandDown, Will
from tests.support.brokers import MOSQUITTO, NATS, Broker, Centre, Certificates
from tests.support.path_rig import PANEL, PathRig, quick


class SimCentre:
    """The far end of a SimBroker, as Centre is of a real one."""

    def __init__(self, broker: SimBroker) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self._broker = broker
        broker.subscribe(lambda topic, payload: self.seen.append((topic, payload)))

    def say(self, panel: str, leaf: str, payload: bytes) -> None:
        self._broker.publish(topics.topic(panel, leaf), payload)

    def of(self, leaf: str) -> list[bytes]:
        return [payload for topic, payload in self.seen if topic.endswith("/" + leaf)]


class World:
    def __init__(
        self, make: Any, centre: Any, port: int, folder: Path,
        down: Callable[[], None], up: Callable[[], None],
    ) -> None:  # fmt: skip
        self.centre = centre
        self.down = down
        self.up = up
        self._make = make
        self._port = port
        self._folder = folder

    def rig(self) -> PathRig:
        return PathRig(self._make, quick(self._port), self._folder)


@pytest.fixture(params=[NATS, MOSQUITTO, "sim"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "sim":
        broker = SimBroker()
        make = partial(SimPath, broker=broker)
        down = partial(broker.down, LinkCause.REFUSED)
        yield World(make, SimCentre(broker), 1, tmp_path, down, broker.mend)
        return
    certificates = Certificates(tmp_path)
    certificates.issue("broker", "127.0.0.1")
    certificates.issue("centre")
    certificates.issue(PANEL)
    with Broker(request.param, tmp_path) as real, Centre(real.port, tmp_path) as centre:
        centre.mute = True
        yield World(MqttPath, centre, real.port, tmp_path, real.kill, real.start)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def test_bytes_arrive_as_they_were_and_only_while_connected(world: World) -> None:
    async def scenario() -> None:
        async with world.rig() as rig:
            assert not rig.path.publish(topics.REPORT, b"too early")
            await rig.linked()
            assert rig.path.publish(topics.REPORT, b"{\x00\xff bytes }")
            await rig.until("the bytes", lambda: world.centre.of(topics.REPORT))
        assert world.centre.of(topics.REPORT) == [b"{\x00\xff bytes }"]
        assert not rig.path.publish(topics.REPORT, b"too late")

    run(scenario())


def test_subscribed_before_link_up_and_bad_bytes_cost_nothing(world: World) -> None:
    async def scenario() -> None:
        async with world.rig() as rig:
            await rig.linked()
            good = msgspec.json.encode(Ack(1, 0))
            for bad in (
                b"",
                b"\xff\xfe",
                b"[]",
                b'{"epoch":0}',
                b'{"epoch":1,"upto":-1}',
                b"[" * 9999,
            ):
                world.centre.say(PANEL, topics.ACK, bad)
            world.centre.say(PANEL, topics.COMMAND, b'{"type":"self_destruct"}')
            world.centre.say(PANEL, topics.ACK, good)
            world.centre.say(PANEL, topics.COMMAND, msgspec.json.encode(Resend(1, 2, 3)))
            world.centre.say(PANEL, topics.COMMAND, msgspec.json.encode(StandDown(0, "Li")))
            await rig.until("both commands", lambda: len(rig.of(CommandArrived)) == 2)
            assert rig.of(AckArrived) == [AckArrived(Ack(1, 0))]
            assert [item.command for item in rig.of(CommandArrived)] == [
                Resend(1, 2, 3),
                StandDown(0, "Li"),
            ]
            assert rig.path.malformed == 7

    run(scenario())


def test_will_is_said_on_a_break_and_not_on_a_farewell(world: World) -> None:
    async def scenario() -> None:
        async with world.rig() as rig:
            await rig.linked()
            broken = rig.path.session
            rig.path.reconnect(LinkCause.NOT_ACKNOWLEDGED)
            await rig.linked(2)
            assert rig.path.session != broken, (
                "a will must be told from that of the next connection"
            )
            assert rig.causes() == [LinkCause.NOT_ACKNOWLEDGED]
            await rig.until("the will", lambda: world.centre.of(topics.WILL))
            assert rig.path.publish(topics.REPORT, b"last")
            await rig.until("the last report", lambda: world.centre.of(topics.REPORT))
        count = len(rig.delivered)
        async with world.rig() as other:
            await other.linked()
            assert other.path.publish(topics.REPORT, b"after")
            await other.until("it", lambda: b"after" in world.centre.of(topics.REPORT))
        assert len(rig.delivered) == count, "delivered after stop"
        wills = world.centre.of(topics.WILL)
        assert wills == [msgspec.json.encode(Will(PANEL, "boot-1", broken))]

    run(scenario())


def test_nothing_is_kept_across_a_broken_connection(world: World) -> None:
    async def scenario() -> None:
        async with world.rig() as rig:
            await rig.linked()
            world.down()
            await rig.until("LinkDown", lambda: rig.of(LinkDown))
            assert not rig.path.publish(topics.REPORT, b"while down")
            await rig.until("it to be refused", lambda: LinkCause.REFUSED in rig.causes())
            world.up()
            await rig.linked(2)
            assert [type(i) for i in rig.delivered].count(LinkUp) == 2
            await rig.until(
                "the centre to hear again",
                lambda: (
                    rig.path.publish(topics.REPORT, b"again") and world.centre.of(topics.REPORT)
                ),
            )
        assert set(world.centre.of(topics.REPORT)) == {b"again"}

    run(scenario())
