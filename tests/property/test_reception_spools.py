"""Spools under loss, repeats, crashes before the acknowledgement: each entry once, acks true."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake import (
    Malformed,
    Received,
    ReceptionPolicy,
    Receptions,
    SpoolState,
    TakenIn,
    read,
)
from protocols.instants import Instant, UtcTime
from protocols.mqtt.reception import Reception, Report, Taken
from protocols.mqtt.topics import RECEPTION, topic
from protocols.panel_event import Code, PanelEvent

ENTRIES = [
    Taken(n, UtcTime(n), "l1", Report("1234", "contact_id", str(n), PanelEvent(Code.BURGLARY)))
    for n in range(1, 31)
]
Step = tuple[int, int, bool, bool]


@given(st.lists(st.tuples(st.integers(0, 29), st.integers(1, 8), st.booleans(), st.booleans())))
@settings(max_examples=200, deadline=None)
def test_each_entry_is_stored_once_and_no_ack_tells_of_what_is_not(steps: list[Step]) -> None:
    machine = Receptions(ReceptionPolicy())
    stored: dict[tuple[int, str], int] = {}
    upto = 0
    for start, count, fails, dies in [*steps, *[(n, 8, False, False) for n in range(0, 30, 8)]]:
        message = Reception("rx-1", 3, ENTRIES[start : start + count], floor=1)
        inbound = read(topic("rx-1", RECEPTION), msgspec.json.encode(message))
        assert isinstance(inbound, Received)
        for receiver, epoch in machine.wanted([inbound]):
            machine.adopt(SpoolState(receiver, epoch, upto))
        machine.doubtful([inbound])
        machine.inform(("rx-1", 3, seq, digest) for seq, digest in stored)
        made = machine.receive(inbound, Instant(0))
        if fails:
            machine.rolled_back()
            continue
        for effect in made:
            if isinstance(effect, TakenIn):
                key = (effect.entry.seq, effect.entry.digest)
                stored[key] = stored.get(key, 0) + 1
        for state in machine.changed():
            upto = state.upto
        if dies:  # committed, and killed before the acknowledgement left
            machine = Receptions(ReceptionPolicy())
            continue
        for _, ack in machine.committed():
            assert {seq for seq, _ in stored} >= set(range(1, ack.upto + 1))
    assert set(stored.values()) == {1}
    assert {seq for seq, _ in stored} == set(range(1, 31))


@given(st.binary(max_size=300), st.integers(0, 2000), st.binary(max_size=4))
@settings(max_examples=300, deadline=None)
def test_any_bytes_on_rx_have_a_documented_outcome(noise: bytes, at: int, cut: bytes) -> None:
    good = msgspec.json.encode(Reception("rx-1", 3, ENTRIES[:3]))
    damaged = good[: at % len(good)] + cut + good[at % len(good) + len(cut) :]
    for payload in (noise, damaged):
        inbound = read(topic("rx-1", RECEPTION), payload)
        assert isinstance(inbound, Received | Malformed)
