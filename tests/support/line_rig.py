"""Telephone lines of every kind on one simulated exchange, and what each of them told.

The exchange's clock goes SPEED times faster than life; lines and far ends go by its samples.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from edge.adapters.line_modem import ModemLine, Timing
from edge.adapters.line_socket import SocketLine
from edge.config_phone import LineDriver, PhoneLineConfig
from edge.reporting.phone.line import (
    Deliver,
    Dial,
    Dialled,
    Line,
    LineInput,
    LineStatus,
    Release,
    Released,
    Seize,
    Seized,
)
from hil.drivers.exchange import Exchange
from hil.drivers.voice_modem import SubscriberModem
from protocols.tones.elements import Progress, ProgressHeard, Silence, ToneHeard
from tests.support.phone_far_end import HANDSHAKE, PhoneFarEnd

T = TypeVar("T")
RECEIVER, BUSY, ENGAGED, NOBODY, VOICE = "100", "101", "102", "103", "104"
SPEED = 4.0
PATIENCE_S = 1.5
"""Everything here is one process: on a busy machine its threads wait for each other."""


class World:
    """Exchange, receiver, and a device for each line."""

    def __init__(self, folder: Path, kinds: dict[str, str]) -> None:
        """`kinds`: by the line's number, `socket` or a kind of modem."""
        self.folder = folder
        self.kinds = kinds
        self.far = PhoneFarEnd()
        # a modem turns from playing to hearing in its own time, however fast the samples go
        self.far.handshake = (Silence(round(150 * SPEED)), *HANDSHAKE)
        self.far.kiss_after_ms = round(150 * SPEED)
        self.far.next_digit_ms = round(400 * SPEED)
        self.far.start()
        self.exchange = Exchange(speed=SPEED, patience_s=PATIENCE_S)
        self.modems: dict[str, SubscriberModem] = {}

    def start(self) -> None:
        self.exchange.start()
        self.exchange.route(RECEIVER, address=self.far.address, ring_ms=200)
        for number, to in ((BUSY, "busy"), (ENGAGED, "congestion"), (NOBODY, "no_answer")):
            self.exchange.route(number, to)
        self.exchange.route(VOICE, "voice", ring_ms=200)
        for name, kind in self.kinds.items():
            if kind != "socket":
                modem = SubscriberModem(self.address, kind, self.folder / name, name)
                self.modems[name] = modem.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.exchange.port}"

    def stop(self) -> None:
        for modem in self.modems.values():
            modem.stop()
        self.exchange.stop()
        self.far.stop()

    def line(self, name: str, loop: asyncio.AbstractEventLoop, deliver: Deliver) -> Line:
        if self.kinds[name] == "socket":
            config = PhoneLineConfig(driver=LineDriver.SOCKET, address=self.address)
            return SocketLine(config, self.folder, loop, deliver, caller=name)
        config = PhoneLineConfig(driver=LineDriver.MODEM, device=str(self.folder / name))
        return ModemLine(config, loop, deliver, Timing(poll_s=0.3, answer_s=1.0, speed=SPEED))


class Rig:
    """One line and what it told."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.told: list[LineInput] = []
        self.history: list[LineInput] = []
        self._came = asyncio.Event()
        self.line = world.line(name, asyncio.get_running_loop(), self._take)

    def _take(self, given: LineInput) -> None:
        self.told.append(given)
        self.history.append(given)
        self._came.set()

    async def __aenter__(self) -> Self:
        self.line.start()
        await self.a(LineStatus)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.line.stop)

    async def until(self, wanted: Callable[[LineInput], bool], within_s: float = 15) -> LineInput:
        """The first wanted thing from now on; what came before it is taken off."""
        passed: list[LineInput] = []

        async def look() -> LineInput:
            while True:
                while self.told:
                    given = self.told.pop(0)
                    if wanted(given):
                        return given
                    passed.append(given)
                self._came.clear()
                await self._came.wait()

        try:
            return await asyncio.wait_for(look(), within_s)
        except TimeoutError:
            raise AssertionError(
                f"{self.name}: waited in vain; told: {passed}, before: {self.history[-8:]}"
            ) from None

    async def a(self, kind: type[T], within_s: float = 15) -> T:
        found = await self.until(lambda one: isinstance(one, kind), within_s)
        assert isinstance(found, kind)
        return found

    async def status(self, present: bool) -> LineStatus:
        found = await self.until(lambda one: isinstance(one, LineStatus) and one.present is present)
        assert isinstance(found, LineStatus)
        return found

    async def progress(self, *wanted: Progress) -> None:
        await self.until(lambda one: isinstance(one, ProgressHeard) and one.progress in wanted)

    async def tone(self, hz: int, *, on: bool = True) -> ToneHeard:
        found = await self.until(
            lambda one: isinstance(one, ToneHeard) and (one.hz, one.on) == (hz, on)
        )
        assert isinstance(found, ToneHeard)
        return found

    async def call(self, number: str, *, pulse: bool = False) -> None:
        """Off-hook, dial tone, dial."""
        self.line.order(Seize())
        await self.a(Seized)
        await self.progress(Progress.DIAL_TONE)
        self.line.order(Dial(number, pulse))
        await self.a(Dialled)

    async def handshake(self) -> None:
        await self.tone(1400)
        await self.tone(2300)
        await self.tone(2300, on=False)

    async def release(self) -> None:
        self.line.order(Release())
        await self.a(Released)

    async def exchange(self, **changes: Any) -> None:
        await asyncio.to_thread(lambda: self.world.exchange.line(self.name, **changes))

    async def calls(self) -> list[dict[str, Any]]:
        """The exchange's book of this line's calls."""
        state = await asyncio.to_thread(self.world.exchange.state)
        calls: list[dict[str, Any]] = state["calls"].get(self.name, [])
        return calls

    async def now_ms(self) -> int:
        """How much audio the line has had."""
        state = await asyncio.to_thread(self.world.exchange.state)
        return int(state["lines"][self.name]["now_ms"])

    async def booked(self, *ends: str) -> None:
        """Until the exchange's book shows these ends of calls."""
        until = time.monotonic() + 5
        while (found := tuple(call["end"] for call in await self.calls())) != ends:
            assert time.monotonic() < until, f"{self.name}: {found}"
            await asyncio.sleep(0.02)

    async def until_true(self, probe: Callable[[], bool], within_s: float = 10) -> None:
        end = time.monotonic() + within_s
        while not probe():
            assert time.monotonic() < end, f"{self.name}: waited in vain"
            await asyncio.sleep(0.01)

    def answered(self) -> list[Any]:
        """The receiver's calls from this line."""
        return [call for call in self.world.far.calls if call.caller == self.name]


def each(world: World, scenario: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    """The scenario on every line at the same time."""

    async def one(name: str) -> None:
        async with Rig(world, name) as rig:
            try:
                await scenario(rig)
            except Exception as error:
                error.add_note(f"on line {name}, {world.kinds[name]}")
                raise

    async def whole() -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for name in world.kinds:
                group.create_task(one(name))

    asyncio.run(whole())
