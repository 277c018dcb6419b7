"""Messages lost, doubled, reordered, delayed and cut between panel and broker: none lost at the
end, none acknowledged that is not held.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from pathlib import Path

import pytest

from edge.adapters.mqtt_paho import MqttPath
from hil.drivers.mqtt_chaos import Mischief, MqttChaos
from tests.support.brokers import MOSQUITTO, NATS, Broker, Centre, Certificates
from tests.support.path_rig import PANEL, PathRig, quick

pytestmark = pytest.mark.system

BAD = Mischief(drop=0.1, double=0.1, reorder=0.15, delay=0.15, hold_ms=40, cut=0.004)


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Towards the panel as the broker, towards the broker as the panel."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.crt")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(folder / "broker.crt", folder / "broker.key")
    client = ssl.create_default_context(cafile=folder / "ca.crt")
    client.load_cert_chain(folder / f"{PANEL}.crt", folder / f"{PANEL}.key")
    return server, client


@pytest.mark.parametrize("kind", [NATS, MOSQUITTO])
def test_everything_arrives_over_a_mischievous_path(kind: str, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    certificates.issue("broker", "127.0.0.1")
    certificates.issue("centre")
    certificates.issue(PANEL)
    server, client = contexts(tmp_path)

    async def scenario() -> None:
        dice = random.Random(3)
        async with PathRig(MqttPath, quick(chaos.port), tmp_path) as rig:
            keys = []
            while len(keys) < 400:
                keys += rig.owe(dice.choice([1, 1, 3, 20]))
                await asyncio.sleep(0.01)
            await rig.until("some mischief", lambda: chaos.tally["up"].dropped >= 3)
            chaos.up = chaos.down = Mischief()
            await rig.all_acknowledged(keys, 30)
            assert len(rig.acknowledged) == len(set(rig.acknowledged))
            assert all(centre.model.holds(*key[:3]) for key in keys)

    with (
        Broker(kind, tmp_path) as broker,
        Centre(broker.port, tmp_path) as centre,
        MqttChaos(
            ("127.0.0.1", broker.port), server, client, seed=11, server_name="127.0.0.1"
        ) as chaos,
    ):
        chaos.up = chaos.down = BAD
        asyncio.run(asyncio.wait_for(scenario(), 60))
        for tally in chaos.tally.values():
            assert tally.dropped
            assert tally.doubled
            assert tally.reordered
            assert tally.delayed
        assert centre.model.malformed == 0
