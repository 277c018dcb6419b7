"""kill -9 while a hardware receiver reports: each event is told once and none is lost."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from collector.adapters.automation_sim import ReceiverSim
from collector.adapters.automation_tcp import TcpServer
from collector.adapters.spool_reading import peek_entries, verify
from protocols.automation.encoding import SurGardEncoder
from protocols.automation.sending import Habits
from protocols.contact_id.message import Message
from protocols.mqtt.reception import Report
from tests.support.receiver_process import ReceiverProcess

CONFIG = """
id = "rx-1"
[[hardware]]
name = "mlr2"
dialect = "sur-gard-3"
connect = "127.0.0.1:{wire}"
"""
KILLS = 6


@pytest.mark.system
@pytest.mark.slow
def test_each_event_of_a_hardware_receiver_is_told_once_over_kills(tmp_path: Path) -> None:
    wire = TcpServer("127.0.0.1", 0)
    sim = ReceiverSim(SurGardEncoder(), wire, Habits(ack_s=0.5, beat_s=0.5))
    sim.start()
    draw = random.Random(5)
    receiver = ReceiverProcess(tmp_path, CONFIG.replace("{wire}", str(wire.port)))
    sent = 0
    try:
        for _ in range(KILLS):
            receiver.start()
            upto = sim.done + draw.randrange(3, 12)
            while sent < upto + 3:  # some always wait, so that a kill meets one on its way
                sent += 1
                sim.put(
                    lambda n, zone=sent: sim.encoder.contact_id(
                        Message("1234", "1", "130", "01", f"{zone:03d}"), n
                    )
                )
            end = time.monotonic() + 30
            while sim.done < upto:
                assert time.monotonic() < end, receiver.errors()
            receiver.kill()
        receiver.start()
        end = time.monotonic() + 30
        while sim.done < sent:
            assert time.monotonic() < end, receiver.errors()
            time.sleep(0.01)
    finally:
        receiver.stop()
        sim.stop()
        wire.shut()
    assert verify(receiver.data) == []
    told = Counter(
        each.what.event.zone
        for each in peek_entries(receiver.data, 0, 10_000)
        if isinstance(each.what, Report)
    )
    assert set(told) == set(range(1, sent + 1))
    twice = [zone for zone, times in told.items() if times > 1]
    assert len(twice) <= 1, "only a kill in the instant between mark and acknowledgement leaves two"
