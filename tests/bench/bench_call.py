"""Call time from alarm to kiss-off against the arithmetic minimum of the format (issue: <= 1.2x).

Real audio: the panel's dialler and socket line, the simulated exchange, a receiver that is not
ours. The minimum adds up only what nobody on the panel's side can shorten:
  exchange: ringing (its dial tone counts as ours, which is against us);
  receiver: silence after answering, handshake, pause before and length of its kiss-off;
  format: 250 ms after the handshake, 16 digits of 50 ms with 15 gaps of 50 ms.
Everything else (recognising tones, 20 ms frames, scheduling) is ours and shows in the ratio. It
counts from the Record's commit to the END of the kiss-off, when the panel strikes the Record off.
Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge.adapters.line_socket import SocketLine
from edge.adapters.wall_clock import monotonic
from edge.config_phone import LineDriver, PhoneConfig, PhoneLineConfig, PolicyKind
from edge.journal.record_types import OwedKey
from edge.reporting.phone.call_types import Ended, Note
from edge.reporting.phone.dialler import Dialler
from edge.reporting.phone.dialler_types import (
    Calling,
    DiallerEffect,
    DiallerInput,
    JournalEvent,
    Keep,
    NotCommunicated,
    OwePhone,
    Reportable,
    Settled,
)
from edge.reporting.phone.line import LineStatus
from edge.reporting.reporter_types import PathState
from hil.drivers.exchange import Exchange
from protocols.instants import NS_PER_S
from protocols.panel_event import Code, PanelEvent, priority_of
from tests.support.phone_far_end import PhoneFarEnd

RING_MS = 1000
ANSWER_SILENCE_MS, HANDSHAKE_MS = 400, 300  # tests.support.phone_far_end.HANDSHAKE
KISS_PAUSE_MS, KISS_MS = 150, 850
PAUSE_MS, BLOCK_MS = 250, 16 * 50 + 15 * 50
MINIMUM_MS = (
    RING_MS + ANSWER_SILENCE_MS + HANDSHAKE_MS + PAUSE_MS + BLOCK_MS
    + KISS_PAUSE_MS + KISS_MS
)  # fmt: skip
ALARM = PanelEvent(Code.BURGLARY, area=1, zone=3)


class Panel:
    """The phone path without the rest of a panel: one alarm, one call, again."""

    def __init__(self, port: int, base: Path, name: str) -> None:
        line = PhoneLineConfig(driver=LineDriver.SOCKET, address=f"127.0.0.1:{port}")
        config = PhoneConfig(
            account="1234", numbers=("1",), line=line, policy=PolicyKind.DUAL, marks=False
        )
        self.loop = asyncio.get_running_loop()
        self.dialler = Dialler(config, seed=1)
        self.line = SocketLine(line, base, self.loop, self.give, caller=name)
        self.present, self.kissed, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.notes: list[tuple[float, str]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._seq = 0

    def give(self, given: DiallerInput) -> None:
        if isinstance(given, LineStatus) and given.present:
            self.present.set()
        self._carry(self.dialler.receive(given, monotonic()))

    def _carry(self, effects: list[DiallerEffect]) -> None:
        for effect in effects:
            match effect:
                case Settled(kissed=True):
                    self.kissed.set()
                case Ended():
                    self.ended.set()
                case Note(what):
                    self.notes.append((time.monotonic(), what))
                case Settled() | JournalEvent() | NotCommunicated() | Keep() | PathState():
                    pass
                case Calling():
                    pass
                case _:
                    self.line.order(effect)
        if self._timer is not None:
            self._timer.cancel()
        due = self.dialler.deadline()
        if due is not None:
            wait_s = max(0.0, (due - monotonic()) / NS_PER_S)
            self._timer = self.loop.call_later(
                wait_s, lambda: self._carry(self.dialler.tick(monotonic()))
            )

    async def alarm_ms(self) -> tuple[float, dict[str, float]]:
        """One call: its time, and when each step came."""
        self._seq += 1
        self.kissed.clear()
        self.ended.clear()
        self.notes.clear()
        key = OwedKey(1, self._seq, "", int(priority_of(ALARM.code)), ALARM.zone)
        began = time.monotonic()
        self.give(OwePhone((Reportable(key, ALARM),)))
        await asyncio.wait_for(self.kissed.wait(), 60)
        taken_ms = (time.monotonic() - began) * 1000
        steps = {what: round((at - began) * 1000) for at, what in self.notes}
        await asyncio.wait_for(self.ended.wait(), 20)
        await asyncio.sleep(2.1)  # on-hook between calls
        return taken_ms, steps

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.to_thread(self.line.stop)


async def measure(port: int, base: Path, calls: int) -> tuple[list[float], dict[str, float]]:
    panel = Panel(port, base, "101")
    panel.line.start()
    await asyncio.wait_for(panel.present.wait(), 10)
    taken, steps = [], {}
    for _ in range(calls):
        ms, steps = await panel.alarm_ms()
        taken.append(ms)
    await panel.stop()
    return taken, steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10)
    words = parser.parse_args()
    far = PhoneFarEnd()
    far.kiss_ms = KISS_MS
    far.start()
    exchange = Exchange()
    exchange.start()
    exchange.route("1", address=far.address, ring_ms=RING_MS)
    try:
        with tempfile.TemporaryDirectory() as directory:
            taken, steps = asyncio.run(measure(exchange.port, Path(directory), words.calls))
    finally:
        exchange.stop()
        far.stop()
    ratios = [ms / MINIMUM_MS for ms in taken]
    print(
        json.dumps(
            {
                "call_time": {
                    "calls": len(taken),
                    "minimum_ms": MINIMUM_MS,
                    "median_ms": round(statistics.median(taken)),
                    "ratio_median": round(statistics.median(ratios), 3),
                    "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
                    "limit": 1.2,
                    "last_call_steps_ms": steps,
                }
            }
        )
    )


if __name__ == "__main__":
    main()
