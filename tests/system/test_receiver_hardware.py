"""A hardware receiver of receiver.toml: from its port into the spool, ACK after the commit."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from collector.adapters.automation_sim import ReceiverSim
from collector.adapters.automation_tcp import TcpServer
from protocols.automation.encoding import SurGardEncoder
from protocols.automation.sending import Habits
from protocols.contact_id.message import Message
from tests.support.receiver_here import comes, receiver_here

CONFIG = """
id = "receiver-1"
plugins = false
[[hardware]]
name = "mlr2"
dialect = "sur-gard-3"
connect = "127.0.0.1:{port}"
"""


@pytest.mark.system
def test_an_mlr2_is_acknowledged_after_the_commit_only(tmp_path: Path) -> None:
    listener = TcpServer("127.0.0.1", 0)
    sim = ReceiverSim(SurGardEncoder(), listener, Habits(ack_s=0.5, beat_s=0.5))

    async def run() -> None:
        async with receiver_here(tmp_path, CONFIG.format(port=listener.port)) as here:
            await comes(lambda: here.line("mlr2").state == "up")
            here.refuse(True)
            sim.put(lambda n: sim.encoder.contact_id(Message("1234", "1", "130", "01", "007"), n))
            await comes(lambda: here.refused >= 2)  # sent, and sent again
            assert sim.done == 0
            assert here.reports("mlr2") == []
            here.refuse(False)
            await comes(lambda: sim.done == 1)
            (report,) = here.reports("mlr2")
            assert (report.account, report.event.code, report.event.zone) == ("1234", 130, 7)

    sim.start()
    try:
        asyncio.run(run())
    finally:
        sim.stop()
        listener.shut()
    assert sim.naks == 0
