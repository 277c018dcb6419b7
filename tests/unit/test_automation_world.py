"""A played receiver and our machine over a bad wire, in simulated time: what is acknowledged is
stored, nothing is lost, and what has a number is told once.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from protocols.automation.ademco685 import Ademco685
from protocols.automation.bosch import BoschSia
from protocols.automation.dialect import Dialect
from protocols.automation.effects import Arrived, Effect, Send
from protocols.automation.encoding import (
    Ademco685Encoder,
    BoschEncoder,
    Encoder,
    RadionicsEncoder,
    SurGardEncoder,
)
from protocols.automation.machine import Automation
from protocols.automation.radionics import Radionics6500
from protocols.automation.sending import Habits, Sender
from protocols.automation.surgard import SurGard
from protocols.contact_id.message import Message
from protocols.instants import Instant, later
from protocols.mqtt.reception import Report

MAKES: list[tuple[Dialect, Encoder, Habits]] = [
    (SurGard(), SurGardEncoder(), Habits()),
    (SurGard(head_digits=5), SurGardEncoder("01001"), Habits()),
    (Ademco685(), Ademco685Encoder(), Habits(ack_s=2.0, repeats=1)),
    (Radionics6500(), RadionicsEncoder(), Habits()),
    (BoschSia(), BoschEncoder(), Habits()),
]
STEP_S = 0.05
EVENTS = 80


@dataclass
class World:
    dialect: Dialect
    sender: Sender
    rng: random.Random
    trouble: float
    stored: list[int] = field(default_factory=list)
    unheard: int = 0
    storing: list[tuple[Instant, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = Instant(0)
        self.machine = Automation(self.dialect)
        self.machine.connected(self.now)

    def bad(self) -> bool:
        return self.rng.random() < self.trouble

    def send(self, frames: list[bytes]) -> None:
        """To our machine; now and then with a wrong byte, halved, or not at all."""
        for frame in frames:
            data = bytearray(frame)
            if self.bad():
                data[self.rng.randrange(len(data))] ^= 0x80
            elif self.bad():
                del data[len(data) // 2 :]
            elif self.bad():
                continue
            self.take(self.machine.receive(bytes(data), self.now))

    def take(self, effects: list[Effect]) -> None:
        for one in effects:
            if isinstance(one, Arrived):
                (report,) = one.what
                assert isinstance(report, Report)
                slow_s = self.rng.choice((0.0, 0.1, 1.0, 1.7, 3.8, 6.0)) if self.bad() else 0.0
                due = later(self.now, slow_s)
                self.storing.append((due, one.token, report.event.zone))
            elif isinstance(one, Send) and self.bad():
                self.unheard += one.settles
            elif isinstance(one, Send):
                self.send(self.sender.receive(one.data, self.now))

    def step(self) -> None:
        self.now = later(self.now, STEP_S)
        for due in [each for each in self.storing if each[0] <= self.now]:
            self.storing.remove(due)
            if self.bad():
                self.machine.refused(due[1])
                continue
            self.stored.append(due[2])
            self.take(self.machine.stored(due[1], self.now))
        if self.trouble and self.rng.random() < 0.002:
            self.take(self.machine.disconnected("cut", self.now))
            self.machine.connected(self.now)
            self.send(self.sender.reconnected(self.now))
        self.take(self.machine.tick(self.now))
        if self.now >= self.sender.deadline():
            self.send(self.sender.tick(self.now))
        acknowledged = set(range(1, self.sender.done + 1))
        assert acknowledged <= set(self.stored), "acknowledged and not stored"


@pytest.mark.parametrize(("dialect", "encoder", "habits"), MAKES, ids=lambda one: str(one)[:12])
@pytest.mark.parametrize("trouble", [0.0, 0.02, 0.15])
def test_what_is_acknowledged_is_stored_and_nothing_is_lost(
    dialect: Dialect, encoder: Encoder, habits: Habits, trouble: float
) -> None:
    world = World(dialect, Sender(encoder, habits), random.Random(int(trouble * 100)), trouble)
    for zone in range(1, EVENTS + 1):
        message = Message("1234", "1", "130", "01", f"{zone:03d}")
        world.send(world.sender.put(lambda n, one=message: encoder.contact_id(one, n), world.now))  # type: ignore[misc]
        for _ in range(world.rng.randrange(20)):
            world.step()
    while world.sender.waiting:
        world.step()
        assert world.now < later(Instant(0), 100_000)
    assert sorted(set(world.stored)) == list(range(1, EVENTS + 1))
    extra = len(world.stored) - EVENTS
    if isinstance(dialect, BoschSia) or not trouble:
        assert extra == 0
    elif trouble < 0.1:  # beyond it heartbeats are spoilt for minutes, and time makes doubt too
        assert extra <= world.unheard, "told twice with no acknowledgement lost"
