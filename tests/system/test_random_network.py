"""Issue 2, test 3: delay, loss, duplication, reordering, cut and half-open, panel to broker.

Loss, duplication and reordering do not exist above TCP inside one connection; they are made at MQTT
message level, where brokers and bridges make them. The rest is made on the TCP stream.
"""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest

from hil.drivers.link_sim import Conditions, LinkSim, Mode
from hil.drivers.mqtt_chaos import Mischief, MqttChaos
from tests.support.storm import Storm

MOVES = 1_200


def _mischief(storm: Storm) -> Mischief:
    """A new mixture; one in four is quiet so that things also recover."""
    draw = storm.random
    if draw.random() < 0.25:
        return Mischief()
    return Mischief(
        drop=draw.choice((0, 0.05, 0.3)),
        double=draw.choice((0, 0.1, 0.3)),
        reorder=draw.choice((0, 0.1, 0.3)),
        delay=draw.choice((0, 0.2)),
        hold_ms=draw.choice((20, 200)),
        cut=draw.choice((0, 0.01, 0.03)),
    )


def _conditions(storm: Storm) -> Conditions:
    draw = storm.random
    return Conditions(
        delay_ms=draw.choice((0, 5, 40)),
        jitter_ms=draw.choice((0, 10, 40)),
        bytes_per_s=draw.choice((0, 0, 64_000)),
        garble_every_bytes=draw.choice((0, 0, 20_000)),
        drop_every_bytes=draw.choice((0, 0, 30_000)),
        split_bytes=draw.choice((0, 3, 100)),
        coalesce_ms=draw.choice((0, 0, 20)),
    )


@pytest.mark.system
@pytest.mark.slow
def test_bad_messages_lose_and_double_nothing(tmp_path: Path) -> None:
    storm = Storm(tmp_path, 31)
    try:
        broker = storm.start_centre()
        identity, pki = tmp_path / "identity", storm.centre / "pki"
        shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        shown.load_cert_chain(pki / "server.crt", pki / "server.key")
        dialled = ssl.create_default_context(cafile=str(identity / "ca.crt"))
        dialled.load_cert_chain(identity / "panel.crt", identity / "panel.key")
        with MqttChaos(
            ("127.0.0.1", broker), shown, dialled, seed=31, server_name="localhost"
        ) as chaos:
            storm.start_panel(chaos.port)
            change_at = 0
            while storm.moves < MOVES:
                storm.step(4)
                if storm.moves >= change_at:
                    chaos.up, chaos.down = _mischief(storm), _mischief(storm)
                    change_at = storm.moves + 28
                time.sleep(0.1)  # pace of the driver: what breaks needs time to be noticed
            storm.settle(30)
            chaos.up = chaos.down = Mischief()
            storm.await_delivery(90)
            tally = chaos.tally
        counts = storm.judge()
    finally:
        storm.stop()
    print(f"bad messages: {counts}, {tally}")
    assert tally["up"].dropped > 20
    assert tally["up"].doubled > 20
    assert tally["up"].reordered > 20
    assert tally["down"].dropped > 20, "acknowledgements must have been lost too"


@pytest.mark.system
@pytest.mark.slow
def test_bad_line_loses_and_doubles_nothing(tmp_path: Path) -> None:
    storm = Storm(tmp_path, 32)
    done = dict.fromkeys(Mode, 0)
    try:
        broker = storm.start_centre()
        with LinkSim(("127.0.0.1", broker), seed=32) as line:
            storm.start_panel(line.port)
            change_at = 0
            while storm.moves < MOVES:
                storm.step(4)
                if storm.moves >= change_at:
                    mode = storm.random.choice([Mode.OPEN, Mode.OPEN, *Mode])
                    if mode is Mode.OPEN and storm.random.random() < 0.3:
                        line.strand()  # half-open: the old connection falls silent for ever
                    line.set(mode)
                    line.condition(_conditions(storm), _conditions(storm))
                    done[mode] += 1
                    change_at = storm.moves + 28
                time.sleep(0.1)  # pace of the driver: what breaks needs time to be noticed
            storm.settle(30)
            line.condition(Conditions(), Conditions())
            line.set(Mode.OPEN)
            storm.await_delivery(120)
            connections = line.accepted
        counts = storm.judge()
    finally:
        storm.stop()
    print(f"bad line: {counts}, {done}, {connections} connections")
    assert min(done.values()) > 0, "every way to fail must have been drawn"
    assert connections > 5
