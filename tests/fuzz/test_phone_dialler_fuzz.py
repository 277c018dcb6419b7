"""The dialler under inputs in any order at any time: it never raises, never waits for a moment that
is past, and settles as kissed only what it was given and a call has sent, once.
"""

from __future__ import annotations

import random

import pytest

from edge.config_phone import LineDriver, PhoneLineConfig, PolicyKind
from edge.journal.record_types import OwedKey
from edge.reporting.phone.call_types import Note, Step
from edge.reporting.phone.dialler import Dialler
from edge.reporting.phone.dialler_types import (
    CallAsked,
    DiallerEffect,
    DiallerInput,
    Elsewhere,
    EndListenIn,
    Forget,
    JournalEvent,
    LineVoltage,
    MqttPath,
    OwePhone,
    Reportable,
    Settled,
)
from edge.reporting.phone.line import (
    Busy,
    Connected,
    Dialled,
    Dropped,
    Failed,
    LineInput,
    LineStatus,
    NoLine,
    Played,
    Released,
    Seized,
)
from protocols.instants import NS_PER_MS, Instant
from protocols.panel_event import PanelEvent, Qualifier, priority_of
from protocols.tones.elements import DigitHeard, Progress, ProgressHeard, ToneHeard
from tests.support.phone_site import SOCKET, phone_config

STEPS = 300
TICKS = 50
WAITS_MS = (0, 1, 100, 1_000, 10_000, 300_000)
CODES = (110, 122, 130, 144, 301, 401, 602, 606, 1030, 5000)
MODEM = PhoneLineConfig(driver=LineDriver.MODEM, device="/dev/ttyACM0")
FORWARD = (Seized(), Dialled(), Played(), ProgressHeard(Progress.DIAL_TONE, 0))
LINE = (
    *FORWARD, LineStatus(True), LineStatus(False, "x"), Connected(), Busy(), NoLine("in_use"),
    NoLine("x"), Dropped(""), Failed("503"), Released(),
)  # fmt: skip
LOW_ON, LOW_OFF = ToneHeard(1400, True, 0, 30), ToneHeard(1400, False, 100, 100)
HIGH_ON, HIGH_OFF = ToneHeard(2300, True, 0, 30), ToneHeard(2300, False, 300, 100)
KISS_OFF = ToneHeard(1400, False, 900, 850)
TONES = (LOW_ON, LOW_OFF, HIGH_ON, HIGH_OFF, KISS_OFF, DigitHeard("#", 0, 50))
FITS: dict[str, tuple[LineInput, ...]] = {
    Step.SEIZING.value: (Seized(),),
    Step.DIAL_TONE.value: (ProgressHeard(Progress.DIAL_TONE, 0),),
    Step.DIALLING.value: (Dialled(),),
    Step.ANSWER.value: (LOW_OFF, HIGH_OFF),
    Step.SENDING.value: (Played(),),
    Step.KISS.value: (LOW_ON, KISS_OFF),
    Step.RELEASING.value: (Released(),),
}
"""What a good line says in this step."""
BETWEEN = (Step.PAUSE.value, Step.READY.value)
GOOD = 0.8


class World:
    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        config = phone_config(
            policy=self.dice.choice([PolicyKind.DUAL, PolicyKind.FALLBACK]),
            listen_in_s=self.dice.choice([0, 60]),
            line=self.dice.choice([SOCKET, MODEM]),
        )
        self.dialler = Dialler(config, seed)
        self.now = Instant(0)
        self.seq = 0
        self.asked: list[PanelEvent] = []
        self.sent = 0
        self.kissed: list[int] = []
        self.listened = False

    def owe(self, event: PanelEvent) -> OwePhone:
        self.seq += 1
        key = OwedKey(1, self.seq, "a" * 64, int(priority_of(event.code)), event.zone)
        return OwePhone((Reportable(key, event),))

    def draw(self) -> DiallerInput:
        dice = self.dice
        match dice.randrange(16):
            case 0:
                q = dice.choice(list(Qualifier))
                detail = dice.choice(["", "by=phone"])
                return self.owe(
                    PanelEvent(dice.choice(CODES), q, 1, dice.randint(0, 3), detail=detail)
                )
            case 1 if self.asked:
                return self.owe(self.asked.pop())
            case 2:
                known = OwedKey(1, dice.randint(1, self.seq + 1), "a" * 64, 0, 0)
                return dice.choice(
                    [Elsewhere((known,)), MqttPath(dice.random() < 0.5), CallAsked("x"),
                     Forget(1, dice.randint(0, self.seq)), EndListenIn("y"),
                     LineVoltage(dice.random() < 0.5)]
                )  # fmt: skip
            case 3 | 4:
                return dice.choice(LINE)
            case 5 | 6 | 7:
                return dice.choice(FORWARD)
            case 8 | 9:
                return ProgressHeard(dice.choice(list(Progress)), 0)
            case _:
                return dice.choice(TONES)

    def take(self, effects: list[DiallerEffect]) -> None:
        for effect in effects:
            match effect:
                case JournalEvent(event):
                    self.asked.append(event)
                case Note("block"):
                    self.sent += 1
                case Note("voice"):
                    self.listened = True
                case Settled(keys, kissed=True):
                    self.kissed += [key.seq for key in keys]


def _checked(world: World, given: DiallerInput, waits_ms: int) -> None:
    world.now = Instant(world.now + waits_ms * NS_PER_MS)
    world.take(world.dialler.receive(given, world.now))
    ticks = 0
    while (due := world.dialler.deadline()) is not None and due <= world.now:
        world.take(world.dialler.tick(world.now))
        ticks += 1
        assert ticks < TICKS, "it spins"


def _lived(seed: int) -> World:
    world = World(seed)
    for _ in range(STEPS):
        step = world.dialler.view(world.now).step
        fits = FITS.get(step, ())
        if step in BETWEEN and world.asked:
            _checked(world, world.owe(world.asked.pop()), 5)
        elif fits and world.dice.random() < GOOD:
            for given in fits:
                _checked(world, given, 300)
        else:
            _checked(world, world.draw(), world.dice.choice(WAITS_MS))
    return world


@pytest.mark.parametrize("first", range(0, 90, 30))
def test_nothing_a_line_or_a_clock_does_breaks_the_dialler(first: int) -> None:
    worlds = [_lived(seed) for seed in range(first, first + 30)]
    for world in worlds:
        assert len(world.kissed) == len(set(world.kissed)), "nothing is settled twice"
        assert set(world.kissed) <= set(range(1, world.seq + 1))
        assert len(world.kissed) <= world.sent
    assert sum(len(world.kissed) for world in worlds) > 100, "calls do get through"
    assert any(world.listened for world in worlds)
