"""A panel's voice modem misbehaves: each fault on a modem of its own, all at once, and what the
line makes of it. Whatever it is, it is told, and the line is good again when the modem is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
import serial

from edge.adapters.line_modem import ModemLine
from edge.reporting.phone.line import (
    Dial,
    Dropped,
    Failed,
    LineStatus,
    NoLine,
    Play,
    Played,
    Seize,
    Seized,
)
from hil.drivers.voice_modem import SubscriberModem
from protocols.contact_id.message import Message, encode, keys_of
from protocols.tones.elements import Digits, Progress, Silence
from tests.support.line_rig import RECEIVER, Rig, World
from tests.support.talking_device import noise

MESSAGE = encode(Message("1234", "1", "131", "01", "015"))
REPORT = Play((Silence(260), Digits(keys_of(MESSAGE))))
Fault = Callable[[Rig, SubscriberModem], Coroutine[None, None, None]]


async def report(rig: Rig) -> None:
    """A whole report goes out and is kissed off."""
    await rig.call(RECEIVER)
    await rig.handshake()
    rig.line.order(REPORT)
    await rig.a(Played)
    assert (await rig.tone(1400, on=False)).lasted_ms > 600
    await rig.release()
    assert rig.answered()[-1].blocks == [MESSAGE]


async def echoes_whatever_it_is_told(rig: Rig, modem: SubscriberModem) -> None:
    await report(rig)


async def keeps_a_profile_without_answers(rig: Rig, modem: SubscriberModem) -> None:
    await report(rig)


async def refuses_the_number(rig: Rig, modem: SubscriberModem) -> None:
    rig.line.order(Seize())
    await rig.progress(Progress.DIAL_TONE)
    rig.line.order(Dial(RECEIVER))
    assert (await rig.a(Failed)).cause == "blacklisted"
    await rig.until_true(lambda: not modem.in_call)
    modem.set(refuses="")
    await rig.release()
    await report(rig)


async def stops_its_audio_without_an_end(rig: Rig, modem: SubscriberModem) -> None:
    assert isinstance(rig.line, ModemLine)
    line = rig.line
    await rig.call(RECEIVER)
    modem.set(stalls=True)
    await rig.until_true(lambda: line.stalls == 1)
    modem.set(stalls=False)
    rig.line.order(REPORT)  # heard again, and good for a report
    await rig.a(Played)
    assert (await rig.tone(1400, on=False)).lasted_ms > 600
    await rig.release()


async def goes_deaf_in_a_call(rig: Rig, modem: SubscriberModem) -> None:
    await rig.call(RECEIVER)
    modem.set(deaf=True)
    assert await rig.a(NoLine) == NoLine("modem_gone")
    modem.set(deaf=False)
    await rig.status(True)
    await report(rig)


async def loses_shields(rig: Rig, modem: SubscriberModem) -> None:
    """<DLE>s are lost from audio and ends of streams alike: documented outcomes, no more."""
    for _ in range(2):
        rig.line.order(Seize())
        await rig.a(Seized)
        rig.line.order(Dial(RECEIVER))
        rig.line.order(REPORT)
        await rig.until(lambda one: isinstance(one, Played | Dropped | Failed))
        await rig.release()
    modem.set(lose_dle=0)
    await report(rig)


async def loses_the_call(rig: Rig, modem: SubscriberModem) -> None:
    """As it may be noticed: loop current, an end of stream and NO CARRIER, NO CARRIER alone."""
    for how, why in (
        ("loop", Dropped("loop_current")),
        ("no_carrier", Dropped("no_carrier")),
        ("words", Dropped("no_carrier")),
    ):
        await rig.call(RECEIVER)
        await rig.handshake()
        await asyncio.to_thread(modem.drop, how)
        assert await rig.a(Dropped) == why, how
        await rig.until_true(lambda: not modem.in_call)
    await report(rig)


async def rings_when_the_line_is_wanted(rig: Rig, modem: SubscriberModem) -> None:
    await asyncio.to_thread(modem.ring)
    await rig.until_true(lambda: modem.dce.ringing)
    await asyncio.sleep(0)
    before = modem.lifted
    await rig.exchange(faults={"dial_tone_late_ms": 100})
    await report(rig)
    assert modem.lifted - before == 2  # answered and hung up on, then ours


async def is_set_to_another_speed(rig: Rig, modem: SubscriberModem) -> None:
    assert LineStatus(False, "modem_gone") in rig.history
    modem.set(baud=115200)
    await rig.status(True)
    await report(rig)


async def is_held_by_another_program(rig: Rig, modem: SubscriberModem) -> None:
    assert LineStatus(False, "modem_gone") in rig.history
    HELD.pop().close()
    await rig.status(True)
    await report(rig)


async def is_no_modem(rig: Rig, modem: SubscriberModem) -> None:
    assert rig.history == [LineStatus(False, "modem_gone")]
    rig.line.order(Seize())
    assert await rig.a(NoLine) == NoLine("modem_gone")


HELD: list[serial.Serial] = []
FAULTS: dict[str, tuple[str, dict[str, object], Fault]] = {
    "2001": ("usr", {"echo": True}, echoes_whatever_it_is_told),
    "2002": ("elder", {"mute_profile": True}, keeps_a_profile_without_answers),
    "2003": ("silabs", {"refuses": "BLACKLISTED"}, refuses_the_number),
    "2004": ("conexant", {}, stops_its_audio_without_an_end),
    "2005": ("conexant", {"lose_dle": 3}, loses_shields),
    "2006": ("conexant", {}, loses_the_call),
    "2007": ("usr", {}, rings_when_the_line_is_wanted),
    "2008": ("silabs", {"baud": 9600}, is_set_to_another_speed),
    "2009": ("elder", {}, is_held_by_another_program),
    "2010": ("silabs", {}, goes_deaf_in_a_call),
    "2011": ("usr", {}, is_no_modem),
}


def test_every_fault_of_a_modem_is_told_and_got_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, {name: kind for name, (kind, _, _) in FAULTS.items()})

    async def one(name: str, fault: Fault) -> str:
        async with Rig(world, name) as rig:
            try:
                await fault(rig, world.modems[name])
            except Exception as error:
                return f"{fault.__name__}: {error!r}; told: {rig.history[-12:]}"
        return ""

    async def whole() -> list[str]:
        async with asyncio.timeout(60):
            return await asyncio.gather(
                *(one(name, fault) for name, (_, _, fault) in FAULTS.items())
            )

    with noise() as noisy, world:
        for name, (_, troubles, _) in FAULTS.items():
            world.modems[name].set(**troubles)
        HELD.append(serial.Serial(str(tmp_path / "2009"), exclusive=True))
        (tmp_path / "2011").unlink()
        (tmp_path / "2011").symlink_to(noisy)
        assert "\n".join(filter(None, asyncio.run(whole()))) == ""
    for text in (
        "no answer to AT commands at 115200 baud",
        "another program has it open",
        "refuses to dial: too many calls failed",
    ):
        assert any(text in each for each in caplog.messages), text
