"""kill -9 while many panels report in real time: what was kissed off is in the spool (A1)."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from collector.adapters.spool_reading import peek_entries, verify
from protocols.mqtt.reception import Report
from tests.support.audio_panel import AudioPanel, dtmf
from tests.support.receiver_process import ReceiverProcess
from tests.support.reception_line import block_of

CONFIG = """
id = "receiver-1"
[[line]]
name = "trunk"
listen = "127.0.0.1:{port}"
lines = 64
"""
PANELS = 32
KILLS = 4
SECONDS = 20.0
MOST_SECONDS = 120.0
"""On a machine that is busy with other things."""


async def report_for_ever(
    number: int, receiver: ReceiverProcess, acknowledged: set[str], over: asyncio.Event
) -> None:
    """Calls again and again, each block unique, until `over`; notes what was kissed off."""
    count = 0
    await asyncio.sleep(number * 0.11)
    while not over.is_set():
        raws = [block_of(f"{3000 + number}", number=f"{count + n:03d}") for n in range(4)]
        panel = AudioPanel("127.0.0.1", receiver.port, caller=f"1370000{number:04d}")
        await panel.call([dtmf(raw) for raw in raws])
        done = [raws[place] for place in panel.acknowledged]
        acknowledged.update(done)
        count += len(done)
        await asyncio.sleep(0.2)


async def storm(receiver: ReceiverProcess, acknowledged: set[str], draw: random.Random) -> int:
    over = asyncio.Event()
    tasks = [
        asyncio.create_task(report_for_ever(number, receiver, acknowledged, over))
        for number in range(PANELS)
    ]
    loop = asyncio.get_running_loop()
    began = loop.time()
    kills = 0

    def enough() -> bool:
        done = kills >= KILLS and len(acknowledged) >= PANELS
        return loop.time() > began + (SECONDS if done else MOST_SECONDS)

    while not enough():
        await asyncio.sleep(draw.uniform(2.0, 5.5))
        await asyncio.to_thread(receiver.kill)
        kills += 1
        await asyncio.to_thread(receiver.start)
    over.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 60)
    return kills


@pytest.mark.system
@pytest.mark.slow
def test_kissed_off_is_a_subset_of_the_spool(tmp_path: Path) -> None:
    receiver = ReceiverProcess(tmp_path, CONFIG).start()
    acknowledged: set[str] = set()
    try:
        kills = asyncio.run(storm(receiver, acknowledged, random.Random(11)))
    finally:
        receiver.kill()
    assert kills >= KILLS
    assert len(acknowledged) >= PANELS, "the storm left no call alive"
    assert verify(receiver.data) == []
    entries = peek_entries(receiver.data, 0, 1_000_000)
    kept = {each.what.raw for each in entries if isinstance(each.what, Report)}
    assert acknowledged <= kept, sorted(acknowledged - kept)
