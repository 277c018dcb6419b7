"""The panel's program on one voice modem, the receiver on another, the exchange between them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from edge.adapters.config_file import load
from edge.adapters.pins_client import Pins
from edge.field.reading import ReadingState
from hil.drivers.exchange import Exchange
from hil.drivers.process import Program
from hil.drivers.voice_modem import CalledModem, SubscriberModem
from protocols.contact_id.message import Message, decode
from tests.support.receiver_here import ReceiverHere, comes, receiver_here

pytestmark = [pytest.mark.system, pytest.mark.slow]

NUMBER, ACCOUNT = "5550100", "1234"
PANEL = """\
id = "phone-1"
name = "Phone"
data_dir = "data"
hardware = {{ driver = "sim" }}
clock = {{ chronyc = [] }}

[[areas]]
number = 1
name = "Shop"

[[zones]]
number = 4
name = "Button"
area = 1
type = "holdup_silent"
loop = {{ input = "gpio:13", wiring = "no" }}

[phone]
account = "{account}"
numbers = ["{number}"]
policy = "phone-only"
redial_s = 1

[phone.line]
driver = "modem"
device = "{device}"
"""
RECEIVER = """
id = "receiver-1"
plugins = false
[profile.default]
answer_silence_s = 0.5
handshakes = ["dual"]
[[modem]]
name = "m"
device = "{device}"
rings = 1
"""


def told(here: ReceiverHere) -> list[tuple[str, str]]:
    """(account, code) of each Contact ID block in the spool, in order."""
    messages = [decode(report.raw) for report in here.reports("m")]
    return [(each.account, each.code) for each in messages if isinstance(each, Message)]


def test_a_hold_up_goes_from_modem_to_modem(tmp_path: Path) -> None:
    file, data = tmp_path / "panel.toml", tmp_path / "data"
    program = Program(
        "panel",
        [sys.executable, "-m", "edge", "run", "--config", str(file), "--data", str(data), "--json"],
        tmp_path / "panel.log",
    )

    async def run(ours: SubscriberModem, theirs: CalledModem) -> None:
        async with receiver_here(tmp_path / "rx", RECEIVER.format(device=theirs.device)) as here:
            await comes(lambda: here.line("m").state == "idle")
            file.write_text(PANEL.format(device=ours.device, account=ACCOUNT, number=NUMBER))
            await asyncio.to_thread(program.start)
            await asyncio.to_thread(program.ready, 30)
            config = load(file)
            await asyncio.to_thread(
                lambda: Pins.of(config, data).set_zone(config, 4, ReadingState.ALARM)
            )
            await comes(lambda: (ACCOUNT, "122") in told(here), 60)
            await comes(lambda: not ours.in_call and not theirs.in_call, 60)
            told_once = [each for each in told(here) if each == (ACCOUNT, "122")]
            assert len(told_once) == 1, told(here)  # kissed off, heard, not said again
            assert all(call.kissed == call.stored for call in here.calls("m"))

    with (
        Exchange() as exchange,
        CalledModem("silabs", ring_s=0.2) as theirs,
        SubscriberModem(f"127.0.0.1:{exchange.port}", "usr") as ours,
    ):
        address = f"{theirs.wall.host}:{theirs.wall.port}"
        exchange.route(NUMBER, address=address, ring_ms=200)
        try:
            asyncio.run(run(ours, theirs))
        finally:
            program.stop()
