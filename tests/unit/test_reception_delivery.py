"""From spool to collector: window, resend, heartbeat; against a collector that forgets."""

from __future__ import annotations

import json
import random

import pytest

from collector.reception.delivery import (
    LINES_BYTES,
    Acknowledged,
    Ahead,
    AskFloor,
    Beat,
    Committed,
    Delivery,
    Effect,
    Floor,
    LinkDown,
    LinkUp,
    Policy,
    Send,
    lines_to_tell,
)
from protocols.instants import Instant, later
from protocols.mqtt.reception import ReceptionAck

POLICY = Policy(window=100, batch=40, resend_s=5, resend_most_s=20, heartbeat_s=10)
ZERO = Instant(0)


def after(seconds: float) -> Instant:
    return later(ZERO, seconds)


def test_at_link_up_a_heartbeat_then_what_waits_within_the_window() -> None:
    delivery = Delivery(7, 250, 100, POLICY)
    assert delivery.receive(LinkUp(), ZERO) == [Beat(), Send(100, 40), Send(140, 40), Send(180, 20)]
    assert delivery.receive(Committed(251), ZERO) == []
    assert delivery.receive(ReceptionAck(7, 140), ZERO) == [Acknowledged(140), Send(200, 40)]
    assert delivery.waiting == 111


def test_unacknowledged_it_is_all_sent_again_ever_more_seldom() -> None:
    delivery = Delivery(7, 10, 0, POLICY)
    delivery.receive(LinkUp(), ZERO)
    times = []
    now = ZERO
    while len(times) < 4:
        deadline = delivery.deadline()
        assert deadline is not None
        now = max(now, deadline)
        if Send(0, 10) in delivery.tick(now):
            times.append(now / 1e9)
    assert times == [5, 15, 35, 55]


def test_heartbeat_when_nothing_else_is_sent() -> None:
    delivery = Delivery(7, 0, 0, POLICY)
    assert delivery.receive(LinkUp(), ZERO) == [Beat()]
    assert delivery.tick(after(9)) == []
    assert delivery.tick(after(10)) == [Beat()]
    assert delivery.receive(LinkDown(), after(11)) == []
    assert delivery.deadline() is None
    assert delivery.tick(after(100)) == []


def test_acknowledgements_of_another_epoch_count_for_nothing() -> None:
    delivery = Delivery(7, 10, 0, POLICY)
    delivery.receive(LinkUp(), ZERO)
    assert delivery.receive(ReceptionAck(6, 10), ZERO) == []
    assert delivery.waiting == 10


def test_a_collector_with_more_than_the_spool_shows_an_old_copy() -> None:
    delivery = Delivery(7, 10, 0, POLICY)
    delivery.receive(LinkUp(), ZERO)
    assert delivery.receive(ReceptionAck(7, 11), ZERO) == [Ahead(11)]
    assert delivery.receive(Committed(12), ZERO) == []


def test_a_collector_that_lost_its_ledger_gets_what_is_still_there() -> None:
    delivery = Delivery(7, 500, 500, POLICY)
    delivery.receive(LinkUp(), ZERO)
    now = after(100)
    assert delivery.receive(ReceptionAck(7, 0), now) == [AskFloor()]
    assert delivery.receive(Floor(451), now) == [Send(450, 40), Send(490, 10)]
    assert delivery.receive(ReceptionAck(7, 450), now) == []
    assert delivery.receive(ReceptionAck(7, 500), now) == [Acknowledged(500)]


@pytest.mark.parametrize("seed", range(30))
def test_every_entry_arrives_in_order_over_a_lossy_link(seed: int) -> None:
    draw = random.Random(seed)
    delivery = Delivery(7, 0, 0, POLICY)
    held = newest = 0
    up = False
    now = ZERO
    acks: list[ReceptionAck] = []

    def carry(effects: list[Effect]) -> None:
        nonlocal held
        for effect in effects:
            match effect:
                case Send(begin, most):
                    last = min(newest, begin + most)
                    if draw.random() > 0.2:
                        if begin <= held < last:  # the collector takes nothing beyond a hole
                            held = last
                        if draw.random() > 0.2:
                            acks.append(ReceptionAck(7, held))
                case Acknowledged(upto):
                    assert upto <= held
                case Beat():
                    acks.append(ReceptionAck(7, held))
                case _:
                    raise AssertionError(effect)

    for step in range(4000):
        now = later(now, draw.choice((0.01, 0.5, 3)))
        if step < 1000 and draw.random() < 0.5:
            newest += draw.randrange(5)
            carry(delivery.receive(Committed(newest), now))
        if draw.random() < 0.02:
            up = not up
            carry(delivery.receive(LinkUp() if up else LinkDown(), now))
        while acks and up and draw.random() < 0.8:
            carry(delivery.receive(acks.pop(0), now))
        carry(delivery.tick(now))
        if step > 1000 and delivery.waiting == 0:
            break
    if not up:
        carry(delivery.receive(LinkUp(), now))
    for _ in range(200):
        while acks:
            carry(delivery.receive(acks.pop(0), now))
        now = later(now, 5)
        carry(delivery.tick(now))
    assert held == newest
    assert delivery.waiting == 0


def test_a_thousand_lines_in_trouble_leave_room_for_the_entries() -> None:
    lines = {f"line-{n:04d}": "down: 超时" * 100 for n in range(1000)} | {"spool": "full"}
    told = lines_to_tell(lines)
    assert next(iter(told.items())) == ("spool", "full")
    assert 20 < len(told) < 1000
    assert len(json.dumps(told)) <= LINES_BYTES
    assert lines_to_tell({"a": "idle"}) == {"a": "idle"}
