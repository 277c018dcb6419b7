"""Many panels' phone lines in one process: the real call machine on the real socket line.

    python -m tests.support.phone_callers --address HOST:PORT... --lines 8 --calls 24 --events 3

makes so many batches of so many events, each batch in as few calls as it takes (at most --dials),
and prints one JSON object: what became of every event, and of every call. An event is kissed off,
or still owed and said so; there is nothing between.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edge.adapters.line_socket import SocketLine
from edge.config_phone import LineDriver, PhoneLineConfig
from edge.reporting.phone.call import Call
from edge.reporting.phone.call_types import (
    Block,
    CallEffect,
    CallTimes,
    Ended,
    Kissed,
    Note,
    Order,
    Ready,
    Sending,
)
from edge.reporting.phone.line import LineInput, LineStatus
from protocols.contact_id.message import Message, encode
from protocols.instants import NS_PER_S, Instant


@dataclass(slots=True)
class Event:
    """One event and what became of it."""

    digits: str
    kissed: bool = False
    tries: int = 0
    dials: int = 0


@dataclass(slots=True)
class Dialled:
    """One call."""

    account: str
    cause: str
    detail: str
    lasted_s: float
    """From off-hook to on-hook."""
    answered_s: float | None = None
    kissed: int = 0
    notes: list[str] = field(default_factory=list)


def batches(calls: int, events: int, first: int = 1000) -> list[list[Event]]:
    """One account a batch, one zone an event."""
    return [
        [
            Event(encode(Message(f"{first + n:04d}", "1", "130", "01", f"{e + 1:03d}")))
            for e in range(events)
        ]
        for n in range(calls)
    ]


class Caller:
    """One line, and the batches it works off."""

    def __init__(self, address: str, number: str, name: str, dials: int, pause_s: float) -> None:
        self.dialled: list[Dialled] = []
        self._pause_s = pause_s
        self._number = number
        self._dials = dials
        self._given: asyncio.Queue[LineInput] = asyncio.Queue()
        config = PhoneLineConfig(driver=LineDriver.SOCKET, address=address)
        loop = asyncio.get_running_loop()
        self._line = SocketLine(config, Path(), loop, self._given.put_nowait, name)

    async def work(self, todo: deque[list[Event]]) -> None:
        """Until nothing is left to do."""
        self._line.start()
        try:
            await self._present()
            while todo:
                batch = todo.popleft()
                for dial in range(self._dials):
                    owed = [event for event in batch if not event.kissed]
                    if not owed:
                        break
                    if dial:
                        await asyncio.sleep(self._pause_s)
                    await self._call(owed)
        finally:
            self._line.stop()

    async def _present(self) -> None:
        async with asyncio.timeout(20):
            while True:
                given = await self._given.get()
                if isinstance(given, LineStatus) and given.present:
                    return

    async def _call(self, owed: list[Event]) -> None:
        call = Call(CallTimes())
        began = time.monotonic()
        told = Dialled(owed[0].digits[:4], "", "", 0.0)
        self.dialled.append(told)
        left = deque(range(len(owed)))
        for event in owed:
            event.dials += 1
        effects = call.start(self._number, _now())
        while True:
            queue = deque(effects)
            while queue:
                effect = queue.popleft()
                if isinstance(effect, Ended):
                    told.cause, told.detail = effect.cause.value, effect.detail
                    told.lasted_s = round(time.monotonic() - began, 3)
                    return
                queue.extend(self._one(call, effect, owed, left, told, began))
            effects = await self._next(call)

    def _one(
        self,
        call: Call,
        effect: CallEffect,
        owed: list[Event],
        left: deque[int],
        told: Dialled,
        began: float,
    ) -> list[CallEffect]:
        match effect:
            case Order(order):
                self._line.order(order)
            case Ready():
                if left:
                    return call.send(Block(left[0], owed[left.popleft()].digits), _now())
                return call.hang_up(_now())
            case Sending(block, _):
                owed[block.name].tries += 1
            case Kissed(block):
                owed[block.name].kissed = True
                told.kissed += 1
            case Note(what, _):
                told.notes.append(what)
                if what == "answered":
                    told.answered_s = round(time.monotonic() - began, 3)
            case _:
                pass
        return []

    async def _next(self, call: Call) -> list[CallEffect]:
        due = call.deadline()
        timeout = None if due is None else max(0.0, (due - _now()) / NS_PER_S)
        try:
            given = await asyncio.wait_for(self._given.get(), timeout)
        except TimeoutError:
            return call.tick(_now())
        return call.receive(given, _now())


def _now() -> Instant:
    return Instant(time.monotonic_ns())


async def run(options: argparse.Namespace) -> None:
    """All lines at once, begun one after the other so that they do not march in step."""
    work = batches(options.calls, options.events, options.first)
    todo = deque(work)
    dials, pause_s = options.dials, options.pause_s
    callers = [
        Caller(
            options.address[n % len(options.address)],
            options.number,
            f"5550{n:04d}",
            dials,
            pause_s,
        )
        for n in range(options.lines)
    ]
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for n, caller in enumerate(callers):
            group.create_task(_later(n * options.stagger_s, caller, todo))
    print(
        json.dumps(
            {
                "wall_s": round(time.monotonic() - began, 2),
                "events": [asdict(event) for batch in work for event in batch],
                "dialled": [asdict(one) for caller in callers for one in caller.dialled],
            }
        )
    )


async def _later(seconds: float, caller: Caller, todo: deque[list[Event]]) -> None:
    await asyncio.sleep(seconds)
    await caller.work(todo)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True, nargs="+")
    parser.add_argument("--number", default="5551000")
    parser.add_argument("--lines", type=int, default=4)
    parser.add_argument("--calls", type=int, default=4)
    parser.add_argument("--events", type=int, default=3)
    parser.add_argument("--dials", type=int, default=4)
    parser.add_argument(
        "--pause-s", type=float, default=0.0, help="before a batch is dialled again"
    )
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--stagger-s", type=float, default=0.2)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
