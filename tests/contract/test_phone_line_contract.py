"""One contract for every telephone line of the panel, against the simulated exchange."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

from edge.adapters.line_modem import ModemLine
from edge.adapters.line_modem_sim import ModemSim
from edge.adapters.line_socket import SocketLine
from edge.config_phone import LineDriver, PhoneLineConfig
from edge.reporting.phone.line import (
    Busy,
    Deliver,
    Dial,
    Dialled,
    Dropped,
    Failed,
    Line,
    LineInput,
    LineStatus,
    NoLine,
    Play,
    Played,
    Release,
    Released,
    Seize,
    Seized,
)
from hil.drivers.exchange import Exchange
from protocols.contact_id.message import Message, encode, keys_of
from protocols.tones.elements import Digits, Progress, ProgressHeard, Silence, ToneHeard
from tests.support.phone_far_end import PhoneFarEnd

T = TypeVar("T")
RECEIVER, BUSY, ENGAGED, NOBODY = "5550100", "5550101", "5550102", "5550103"
MESSAGE = encode(Message("1234", "1", "131", "01", "015"))
OVER = (Busy, Failed, Dropped, NoLine)
Make = Callable[[asyncio.AbstractEventLoop, Deliver], Line]


class Rig:
    """A line, what it told, and the world it is plugged into."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.told: list[tuple[float, LineInput]] = []
        self._came = asyncio.Event()
        self.line = world.make(asyncio.get_running_loop(), self._take)

    def _take(self, given: LineInput) -> None:
        self.told.append((time.monotonic(), given))
        self._came.set()

    async def __aenter__(self) -> Self:
        self.line.start()
        await self.until(lambda one: one == LineStatus(True))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.line.stop()

    async def until(self, wanted: Callable[[LineInput], bool], within_s: float = 15) -> LineInput:
        """The first wanted thing from now on; what came before it is taken off."""

        async def look() -> LineInput:
            while True:
                while self.told:
                    _, given = self.told.pop(0)
                    if wanted(given):
                        return given
                self._came.clear()
                await self._came.wait()

        seen = list(self.told)
        try:
            return await asyncio.wait_for(look(), within_s)
        except TimeoutError:
            raise AssertionError(f"waited {within_s} s in vain; told before: {seen}") from None

    async def a(self, kind: type[T], within_s: float = 15) -> T:
        found = await self.until(lambda one: isinstance(one, kind), within_s)
        assert isinstance(found, kind)
        return found

    async def progress(self, wanted: Progress, within_s: float = 15) -> None:
        await self.until(
            lambda one: isinstance(one, ProgressHeard) and one.progress is wanted, within_s
        )

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

    async def tone(self, hz: int, *, on: bool = True) -> ToneHeard:
        found = await self.until(
            lambda one: isinstance(one, ToneHeard) and (one.hz, one.on) == (hz, on)
        )
        assert isinstance(found, ToneHeard)
        return found

    async def release(self) -> None:
        self.line.order(Release())
        await self.a(Released)


KINDS = ["socket", "modem-duplex", "modem-half", "modem-tones"]


class World:
    """Exchange, receiver, and how the line is made."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.far = PhoneFarEnd()
        self.exchange = Exchange()
        self.far.start()
        self.exchange.start()
        self.exchange.route(RECEIVER, address=self.far.address, ring_ms=400)
        self.exchange.route(BUSY, "busy")
        self.exchange.route(ENGAGED, "congestion")
        self.exchange.route(NOBODY, "no_answer")
        self.kind = kind
        self.modem: ModemSim | None = None
        address = f"127.0.0.1:{self.exchange.port}"
        if kind == "socket":
            config = PhoneLineConfig(driver=LineDriver.SOCKET, address=address)
            self.make: Make = lambda loop, deliver: SocketLine(
                config, folder, loop, deliver, caller="1001"
            )
            return
        link = folder / "modem"
        self.modem = ModemSim(address, kind.removeprefix("modem-"), link, "1001").start()
        modem = PhoneLineConfig(driver=LineDriver.MODEM, device=str(link))
        self.make = lambda loop, deliver: ModemLine(modem, loop, deliver, poll_s=0.3)

    def stop(self) -> None:
        if self.modem is not None:
            self.modem.stop()
        self.exchange.stop()
        self.far.stop()

    def calls(self) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = self.exchange.state()["calls"].get("1001", [])
        return calls


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    world = World(request.param, tmp_path)
    yield world
    world.stop()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def test_a_whole_report(world: World) -> None:
    async def scenario() -> None:
        async with Rig(world) as rig:
            await rig.call(RECEIVER)
            await rig.handshake()
            began = time.monotonic()
            rig.line.order(Play((Silence(280), Digits(keys_of(MESSAGE)))))
            await rig.a(Played)
            played_s = time.monotonic() - began
            # 16 digits of 100 ms and the silence before: told when it has gone, not when queued
            assert 1.7 < played_s < 3.0
            kiss = await rig.tone(1400, on=False)
            assert 750 <= kiss.lasted_ms <= 950
            await rig.release()
            assert [call.blocks for call in world.far.calls] == [[MESSAGE]]
            await asyncio.to_thread(_until, lambda: world.far.calls[0].ended)
            assert world.calls()[0]["end"] == "released"

    run(scenario())


def _until(probe: Callable[[], bool], within_s: float = 10) -> None:
    end = time.monotonic() + within_s
    while not probe():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
