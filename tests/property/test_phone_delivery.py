"""Dialler and call machine in a world that loses, garbles, drops, cuts and restarts.

The receiver is a model of its own (`tests/support/phone_world.py`). What must hold in every world:
nothing is lost, nothing counts as told that the receiver does not hold, the urgent goes first,
no storm of calls, and the marks account for every block that went out whole (D12).
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config_phone import PolicyKind
from edge.reporting.phone.call_types import Cause, Ended, Note
from edge.reporting.phone.dialler_types import (
    Calling,
    DiallerEffect,
    JournalEvent,
    MqttPath,
    Settled,
)
from edge.reporting.phone.line import LineStatus
from protocols.contact_id.mapping import message_of
from protocols.contact_id.message import Message, encode
from protocols.instants import NS_PER_S
from protocols.panel_event import Code, PanelEvent, Qualifier, priority_of
from protocols.phone_batch import batch_of
from tests.support.phone_site import PhoneSite, phone_config
from tests.support.phone_world import FarEnd, redraw

CODES = (
    Code.HOLDUP_SILENT,
    Code.FIRE,
    Code.BURGLARY,
    Code.ZONE_TAMPER,
    Code.ZONE_TROUBLE,
    Code.OPEN_CLOSE,
    Code.ZONE_STATE,
)
BY_PHONE = (Code.MANUAL_TEST, Code.PERIODIC_TEST)


class Watched(PhoneSite):
    """Checks as it goes; every event has a place of its own, so its digits name it."""

    def __init__(self, policy: PolicyKind, dice: random.Random) -> None:
        self.dice = dice
        self.healed = False
        self.listed: Counter[int] = Counter()
        self.kind = ""
        self.batch: PanelEvent | None = None
        self.sent: Counter[str] = Counter()
        self.begun: Counter[str] = Counter()
        self.before: list[Message] = []
        super().__init__(
            phone_config(policy=policy, wait_open_close_s=20),
            FarEnd(),
            seed=dice.randrange(1000),
            before_call=self._redraw,
            journal_ms=dice.choice([1, 50, 600, 1500]),
        )

    def _redraw(self, far: FarEnd) -> None:
        if not self.healed:
            redraw(far, self.dice)

    def heal(self) -> None:
        self.healed = True
        fresh = FarEnd()
        for name in FarEnd.__dataclass_fields__:
            setattr(self.far, name, getattr(fresh, name))
        self.journal_ms = 5

    def digits(self, event: PanelEvent) -> str:
        message = message_of(event, "1234")
        assert message is not None
        return encode(message)

    def carry(self, effects: list[DiallerEffect]) -> None:
        for effect in effects:
            match effect:
                case Settled(keys, kissed=True):
                    for key in keys:
                        event = self.events[key.seq]
                        held = message_of(event, "1234")
                        assert held in self.line.received or held in self.before
                case Note("block", detail) if detail.startswith("report"):
                    self.kind = "report"
                    chosen = int(detail.split()[1])
                    due = [
                        priority_of(event.code)
                        for event in self.owed.values()
                        if event.code not in BY_PHONE and event.code != Code.PHONE_BATCH
                    ]
                    if self.config.policy is PolicyKind.DUAL and due:
                        assert priority_of(chosen) <= min(due) or chosen in BY_PHONE
                case Note("block", detail):
                    self.kind = detail.split()[0]
                case Note("kiss_off") if self.kind == "mark":
                    assert self.batch is not None
                    batch = batch_of(self.batch)
                    assert batch is not None
                    for one in batch.sent:
                        self.listed[one.seq] += one.tries
                case JournalEvent(event) if event.code == Code.PHONE_BATCH:
                    self.batch = event
            super().carry([effect])

    def restart(self) -> None:
        self.before = [*self.before, *self.line.received]
        self._count_whole()
        super().restart()

    def _count_whole(self) -> None:
        for digits in self.line.whole:
            self.sent[digits] += 1
        for _, digits in self.line.plays:
            self.begun[digits] += 1
        self.line.whole.clear()
        self.line.plays.clear()

    def check_marks(self) -> None:
        """Every sending that was begun is in a mark that was kissed off, or kept for the next."""
        self._count_whole()
        kept = {one.seq: one.tries for one in self.memory.unmarked}
        for seq, event in self.events.items():
            if event.code in (Code.PHONE_BATCH, Code.ZONE_STATE) or event.code in BY_PHONE:
                continue
            told = self.listed[seq] + kept.get(seq, 0)
            digits = self.digits(event)
            assert self.sent[digits] <= told == self.begun[digits], (seq, event)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 10**9), policy=st.sampled_from([PolicyKind.DUAL, PolicyKind.FALLBACK]))
def test_nothing_is_lost_and_nothing_counts_that_was_not_told(
    seed: int, policy: PolicyKind
) -> None:
    dice = random.Random(seed)
    site = Watched(policy, dice)
    given_keys = []
    for number in range(dice.randint(1, 40)):
        code = dice.choice(CODES)
        q = dice.choice([Qualifier.NEW, Qualifier.RESTORE])
        by_user = code == Code.OPEN_CLOSE
        event = PanelEvent(
            code, q, area=1, zone=0 if by_user else number + 1, user=number + 1 if by_user else 0
        )
        given_keys.append(site.record(event))
        site.run(dice.choice([0, 1, 5, 30, 300, 2000]))
        fate = dice.random()
        if fate < 0.05:
            site.restart()
        elif fate < 0.10:
            site.give(LineStatus(False, "no_voltage"))
            site.run(dice.choice([1, 60, 2000]))
            site.give(LineStatus(True))
        elif fate < 0.15:
            site.give(MqttPath(dice.random() < 0.5))
        elif fate < 0.25:
            site.mqtt_acknowledges(*dice.sample(given_keys, dice.randint(1, len(given_keys))))
    site.heal()
    site.run(4 * 3600)
    assert not site.owed, site.owed
    _no_storm(site)
    site.check_marks()
    site.run(25 * 3600)  # the daily test call's mark covers what is left
    site.check_marks()
    assert not site.memory.unmarked
    ended = [effect for _, effect in site.log if isinstance(effect, Ended)]
    calls = [effect for _, effect in site.log if isinstance(effect, Calling)]
    assert len(calls) - len(ended) <= 8, "each call ends in a cause (a restart may cut one off)"


def _no_storm(site: PhoneSite) -> None:
    failed: list[float] = []
    for at, effect in site.log:
        if isinstance(effect, Ended) and effect.cause not in (Cause.DONE, Cause.IN_USE):
            failed.append(at)
    for start in failed:
        hour = sum(1 for at in failed if start <= at < start + 3600)
        assert hour <= site.config.failed_calls_per_hour


@pytest.mark.parametrize("seed", range(4))
def test_a_receiver_that_never_answers_costs_a_bounded_number_of_calls(seed: int) -> None:
    dice = random.Random(seed)
    site = PhoneSite(phone_config(policy=PolicyKind.DUAL), FarEnd(answer_ms=None), seed=seed)
    for _ in range(200):
        site.record(PanelEvent(dice.choice(CODES), area=1, zone=dice.randint(1, 99)))
        site.run(dice.choice([1, 60, 400]))
    _no_storm(site)
    begun = site.now / NS_PER_S
    site.run(24 * 3600)
    times = [at for at, _ in site.calls() if at > begun]
    assert len(times) >= 24 * 4 - 4, "and it never stops trying (users.md L4)"
