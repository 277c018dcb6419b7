"""One contract for every telephone line of the panel, against the simulated exchange.

All kinds of line make a call side by side: each scenario runs once per kind, on a line of its own.
The exchange's clock goes SPEED times faster than life; lines and far ends go by its samples.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

from edge.adapters.line_modem import ModemLine, Timing
from edge.adapters.line_socket import SocketLine
from edge.config_phone import LineDriver, PhoneLineConfig
from edge.reporting.phone.line import (
    Busy,
    Deliver,
    Dial,
    Dialled,
    Dropped,
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
from hil.drivers.voice_modem import SubscriberModem
from protocols.contact_id.message import Message, encode, keys_of
from protocols.tones.elements import Digits, Progress, ProgressHeard, Silence, Tone, ToneHeard
from tests.support.phone_far_end import HANDSHAKE, PhoneFarEnd

T = TypeVar("T")
RECEIVER, BUSY, ENGAGED, NOBODY, VOICE = "100", "101", "102", "103", "104"
MESSAGE = encode(Message("1234", "1", "131", "01", "015"))
REPORT = Play((Silence(260), Digits(keys_of(MESSAGE))))
SPEED = 3.0
KINDS = {
    "1001": "socket",
    "1002": "conexant",
    "1003": "usr",
    "1004": "silabs",
    "1005": "elder",
    "1006": "tones",
}
"""Kind of line by its number; all but the socket are modems."""
VOLTAGE = {"1001", "1002", "1006"}
"""Lines that can tell whether there is voltage; the others have only the dial tone."""


class World:
    """Exchange, receiver, and a device for each line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.far = PhoneFarEnd()
        # a modem turns from playing to hearing in its own time, however fast the samples go
        self.far.handshake = (Silence(round(300 * SPEED)), *HANDSHAKE)
        self.far.kiss_after_ms = round(150 * SPEED)
        self.far.start()
        self.exchange = Exchange(speed=SPEED)
        self.modems: dict[str, SubscriberModem] = {}

    def start(self) -> None:
        self.exchange.start()
        self.exchange.route(RECEIVER, address=self.far.address, ring_ms=200)
        for number, to in ((BUSY, "busy"), (ENGAGED, "congestion"), (NOBODY, "no_answer")):
            self.exchange.route(number, to)
        self.exchange.route(VOICE, "voice", ring_ms=200)
        for name, kind in KINDS.items():
            if kind != "socket":
                modem = SubscriberModem(self.address, kind, self.folder / name, name)
                self.modems[name] = modem.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.exchange.port}"

    def stop(self) -> None:
        for modem in self.modems.values():
            modem.stop()
        self.exchange.stop()
        self.far.stop()

    def line(self, name: str, loop: asyncio.AbstractEventLoop, deliver: Deliver) -> Line:
        if KINDS[name] == "socket":
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
            raise AssertionError(f"{self.name}: waited in vain; told: {passed}") from None

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


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.start()
    yield world
    world.stop()


def each(world: World, scenario: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    """The scenario on every line at the same time."""

    async def one(name: str) -> None:
        async with Rig(world, name) as rig:
            try:
                await scenario(rig)
            except Exception as error:
                error.add_note(f"on line {name}, {KINDS[name]}")
                raise

    async def whole() -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for name in KINDS:
                group.create_task(one(name))

    asyncio.run(whole())


def test_a_whole_report_with_its_kiss_off(world: World) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.call(RECEIVER)
        await rig.handshake()
        rig.line.order(REPORT)
        await rig.a(Played)
        # told when it has gone, not when queued: but for what is on its way, it has arrived
        (call,) = rig.answered()
        assert len(call.keys) >= 13
        kiss = await rig.tone(1400, on=False)
        assert 780 <= kiss.lasted_ms <= 920
        # a second block in the same call
        rig.line.order(REPORT)
        await rig.a(Played)
        await rig.tone(1400, on=False)
        await rig.release()
        assert call.blocks == [MESSAGE, MESSAGE]
        await rig.until_true(lambda: call.ended)
        await rig.booked("released")
        (booked,) = await rig.calls()
        assert booked["number"] == RECEIVER
        # each digit once, none cut in two
        assert booked["digits"] == 2 * keys_of(MESSAGE)

    each(world, scenario)


def test_a_short_tone_is_told_with_its_length(world: World) -> None:
    world.far.kiss_ms = 300

    async def scenario(rig: Rig) -> None:
        await rig.call(RECEIVER)
        await rig.handshake()
        rig.line.order(REPORT)
        await rig.a(Played)
        short = await rig.tone(1400, on=False)
        assert 250 <= short.lasted_ms <= 350

    each(world, scenario)


def test_pulse_dialling(world: World) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.call(RECEIVER, pulse=True)
        await rig.handshake()
        await rig.release()
        await rig.booked("released")
        (booked,) = await rig.calls()
        # a holder that is told the number dials as it likes; a modem breaks the loop
        assert booked["how"] == ("signalled" if KINDS[rig.name] == "socket" else "pulse")

    each(world, scenario)


def test_busy_congestion_and_nobody(world: World) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.call(BUSY)
        await rig.until(
            lambda one: (
                one == Busy() or (isinstance(one, ProgressHeard) and one.progress is Progress.BUSY)
            )
        )
        await rig.release()
        rig.line.order(Seize())
        await rig.a(Seized)
        await rig.progress(Progress.DIAL_TONE)
        rig.line.order(Dial(NOBODY))
        await rig.progress(Progress.RINGING)
        await rig.release()
        await rig.booked("busy", "released")

    each(world, scenario)


def test_the_call_is_dropped_at_a_digit(world: World) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.exchange(faults={"drop_at_digit": 7})
        await rig.call(RECEIVER)
        await rig.handshake()
        rig.line.order(REPORT)
        await rig.until(
            lambda one: (
                isinstance(one, Dropped)
                or (isinstance(one, ProgressHeard) and one.progress is Progress.BUSY)
            )
        )
        await rig.release()
        (booked,) = await rig.calls()
        assert (booked["digits"], booked["end"]) == (keys_of(MESSAGE)[:7], "dropped")
        # and the line is good for the next call
        await rig.exchange(faults={"drop_at_digit": 0})
        await rig.call(RECEIVER)
        await rig.handshake()
        await rig.release()

    each(world, scenario)


def test_released_in_the_middle_of_playing(world: World) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.call(RECEIVER)
        await rig.handshake()
        rig.line.order(Play((Digits(keys_of(MESSAGE) * 4),)))
        (call,) = rig.answered()
        await rig.until_true(lambda: len(call.keys) >= 4)
        began = time.monotonic()
        await rig.release()
        assert time.monotonic() - began < 2
        await rig.until_true(lambda: call.ended)
        assert Played() not in rig.told
        await rig.call(RECEIVER)
        await rig.handshake()

    each(world, scenario)


def test_no_dial_tone(world: World) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.exchange(faults={"no_dial_tone": True})
        rig.line.order(Seize())
        await rig.a(Seized)
        with pytest.raises(AssertionError):
            await rig.until(
                lambda one: isinstance(one, ProgressHeard) and one.progress is Progress.DIAL_TONE,
                within_s=3 / SPEED,
            )
        # blind dialling is the machine's choice, and works
        rig.line.order(Dial(RECEIVER))
        await rig.a(Dialled)
        await rig.handshake()
        await rig.release()

    each(world, scenario)


def test_the_line_is_cut_and_healed(world: World) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.call(RECEIVER)
        await rig.handshake()
        await rig.exchange(faults={"cut": True})
        if rig.name in VOLTAGE:
            await rig.until(lambda one: isinstance(one, NoLine | Dropped))
        await rig.release()
        (call,) = rig.answered()
        await rig.until_true(lambda: call.ended)
        if rig.name in VOLTAGE:
            await rig.until_true(lambda: LineStatus(False, "no_voltage") in rig.history)
            rig.line.order(Seize())
            no = await rig.a(NoLine)
            assert no.cause == "no_voltage"
            await rig.exchange(faults={"cut": False})
            await rig.status(True)
        else:
            await rig.exchange(faults={"cut": False})
            await rig.until_true(lambda: world.modems[rig.name].dce.volts > 3)
        await rig.call(RECEIVER)
        await rig.handshake()

    each(world, scenario)


def test_a_person_on_the_line_is_cut_off_only_by_force(world: World) -> None:
    async def scenario(rig: Rig) -> None:
        if rig.name not in VOLTAGE:
            return
        await rig.exchange(faults={"in_use": True})
        if KINDS[rig.name] != "socket":
            await rig.until_true(lambda: world.modems[rig.name].dce.in_use)
        rig.line.order(Seize())
        assert (await rig.a(NoLine)).cause == "in_use"
        rig.line.order(Seize(force=True))
        await rig.a(Seized)
        await rig.progress(Progress.DIAL_TONE)

    each(world, scenario)


def test_a_voice_answers(world: World) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.call(VOICE)
        with pytest.raises(AssertionError):
            await rig.until(
                lambda one: isinstance(one, ToneHeard) and one.on and one.lasted_ms > 60,
                within_s=5 / SPEED,
            )

    each(world, scenario)


def test_single_tones_and_mixed_plays(world: World) -> None:
    """Pieces of all kinds follow each other on every line, tones made by the modem or not."""

    async def scenario(rig: Rig) -> None:
        await rig.call(RECEIVER)
        await rig.handshake()
        rig.line.order(Play((Digits("12"), Tone(1000, 200), Silence(100), Digits("34", 70, 70))))
        await rig.a(Played)
        rig.line.order(Play(()))
        await rig.a(Played)
        (call,) = rig.answered()
        await rig.until_true(lambda: call.keys == "1234")

    each(world, scenario)


def test_what_holds_the_line_goes_and_comes_back(world: World) -> None:
    """The modem is pulled, the connection breaks: in a call first, then at rest."""

    async def scenario(rig: Rig) -> None:
        await rig.call(RECEIVER)
        await rig.handshake()
        modem = world.modems.get(rig.name)
        if modem is not None:
            await asyncio.to_thread(modem.unplug)
            cause = "modem_gone"
        else:
            await asyncio.to_thread(world.exchange.pull, rig.name)
            cause = "no_connection"
        await rig.until_true(lambda: NoLine(cause) in rig.history)
        await rig.until_true(lambda: LineStatus(False, cause) in rig.history)
        await rig.release()
        (call,) = rig.answered()
        await rig.until_true(lambda: call.ended)
        if modem is not None:
            rig.line.order(Seize())
            assert (await rig.a(NoLine)).cause == cause
            await asyncio.to_thread(modem.plug)
        await rig.status(True)
        await rig.call(RECEIVER)
        await rig.handshake()

    each(world, scenario)


def test_a_modem_that_misbehaves(world: World) -> None:
    async def scenario(rig: Rig) -> None:
        modem = world.modems.get(rig.name)
        if modem is None:
            return
        modem.set(garbage=True, slow_s=0.1 / SPEED)
        await rig.call(RECEIVER)
        await rig.handshake()
        rig.line.order(REPORT)
        await rig.a(Played)
        await rig.tone(1400, on=False)
        await rig.release()
        modem.set(garbage=False, slow_s=0.0, refuses="NO CARRIER")
        rig.line.order(Seize())
        await rig.progress(Progress.DIAL_TONE)
        rig.line.order(Dial(RECEIVER))
        assert (await rig.a(Dropped)).cause == "no_carrier"
        await rig.release()
        modem.set(refuses="", deaf=True)
        await rig.until_true(lambda: LineStatus(False, "modem_gone") in rig.history, 20)
        modem.set(deaf=False)
        await rig.status(True)
        await rig.call(RECEIVER)
        await rig.handshake()

    each(world, scenario)
