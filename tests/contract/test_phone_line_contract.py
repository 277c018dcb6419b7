"""One contract for every telephone line of the panel, against the simulated exchange.

All kinds of line make a call side by side: each scenario runs once per kind, on a line of its own.
The exchange's clock goes SPEED times faster than life; lines and far ends go by its samples.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.reporting.phone.line import (
    Busy,
    Dial,
    Dialled,
    Dropped,
    LineStatus,
    NoLine,
    Play,
    Played,
    Seize,
    Seized,
)
from protocols.contact_id.message import Message, encode, keys_of
from protocols.tones.elements import Digits, Progress, ProgressHeard, Silence, Tone, ToneHeard
from tests.support.line_rig import BUSY, NOBODY, RECEIVER, SPEED, VOICE, Rig, World, each

MESSAGE = encode(Message("1234", "1", "131", "01", "015"))
REPORT = Play((Silence(260), Digits(keys_of(MESSAGE))))
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
WORDS = {"1004"}
"""Modems that say NO LINE when they are to lift."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, KINDS) as world:
        yield world


def test_a_whole_report_with_its_kiss_off(world: World) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.call(RECEIVER)
        await rig.handshake()
        began_ms = await rig.now_ms()
        rig.line.order(REPORT)
        await rig.a(Played)
        # 16 digits of 100 ms and the silence before: told when it has gone, not when queued
        assert 1500 < await rig.now_ms() - began_ms < 6000
        kiss = await rig.tone(1400, on=False)
        assert 780 <= kiss.lasted_ms <= 920
        # a second block in the same call
        rig.line.order(REPORT)
        await rig.a(Played)
        await rig.tone(1400, on=False)
        await rig.release()
        (call,) = rig.answered()
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
            rig.line.order(Seize())
            if rig.name in WORDS:
                assert (await rig.a(NoLine)).cause == "no_voltage"
            else:  # the machine finds no dial tone
                await rig.a(Seized)
                await rig.release()
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


def test_a_poor_line(world: World) -> None:
    """Weak, twisted, noisy, shifted, coded twice, with our own echo: on every kind, 8 bits too."""

    async def scenario(rig: Rig) -> None:
        out = {"gain_db": -10.0, "twist_db": 3.0, "snr_db": 20.0, "shift_hz": 5.0, "law": "a"}
        back = {"gain_db": -14.0, "twist_db": -2.0, "snr_db": 20.0, "shift_hz": -5.0, "law": "u"}
        await rig.exchange(out={**out, "echo_db": -14.0, "echo_ms": 24}, in_=back)
        await rig.call(RECEIVER)
        await rig.handshake()
        rig.line.order(REPORT)
        await rig.a(Played)
        assert 780 <= (await rig.tone(1400, on=False)).lasted_ms <= 920
        await rig.release()
        (call,) = rig.answered()
        assert call.blocks == [MESSAGE]

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
