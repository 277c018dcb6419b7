"""Issue 2, test 5: bad bytes are counted and recorded, never raise, never cost the good ones."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake import Admitted, Intake, Malformed, Policy, Refused, Reported, RunState, read
from protocols.instants import Instant
from protocols.mqtt.payloads import MAX_PAYLOAD_BYTES, digest_of
from protocols.mqtt.topics import FROM_PANEL, REPORT, topic
from tests.support.panel_records import chain_of, heartbeat, report_of

PANEL = "shop-1"
GOOD = chain_of(PANEL, 3)
OTHER = chain_of("shop-2", 1)[0]
ONE = json.loads(GOOD[0])

RAW_CORPUS = [
    b"",
    b"\x00",
    b"null",
    b"[]",
    b"{}",
    b"\xff\xfe\xfd",
    b'"\\ud800"',
    b"[" * 60_000,
    b'{"a":' * 12_000,
    b'{"records":[]}',
    b'{"records":{}}',
    b'{"records":[1,null,"x",[]]}',
    b'{"records":[{}]}',
    b'{"records":[' + b",".join([b"{}"] * 65) + b"]}",
    b"x" * (MAX_PAYLOAD_BYTES + 1),
    b'{"records":[' + GOOD[0][:-1] + b"]}",
    b'{"panel":"shop-1"}',
    b"9" * 5000,
    b'{"panel":"shop-1","boot":7,"epoch":1e400,"seq":1}',
]
BAD_FIELDS: list[dict[str, object]] = [
    {"panel": "shop-2"},
    {"panel": "../etc"},
    {"panel": 7},
    {"epoch": 0},
    {"epoch": 2**70},
    {"seq": 0},
    {"seq": -1},
    {"seq": 2**54},
    {"seq": 1.5},
    {"seq": "1"},
    {"boot": "x" * 37},
    {"mono": -1},
    {"mono": 10**30},
    {"utc": 10**30},
    {"utc": -5},
    {"err_us": -1},
    {"err_us": 10**30},
    {"prev": "A" * 64},
    {"prev": "0" * 63},
    {"event": None},
    {"event": {"code": 10**30}},
    {"event": {"code": -1}},
    {"event": {"code": 130, "q": 2}},
    {"event": {"code": 130, "zone": 2**40}},
    {"event": {"code": 130, "detail": "x" * 20_000}},
    {"recorded": "yes"},
]


def intake() -> Intake:
    return Intake(Policy())


def admit(machine: Intake, payload: bytes, leaf: str = REPORT) -> tuple[int, int, set[str]]:
    """(admitted, refused and kept, digests acknowledged) of one message."""
    inbound = read(topic(PANEL, leaf), payload)
    for key in machine.wanted([inbound]):
        machine.adopt(RunState(*key), Instant(0))
    machine.doubtful([inbound])
    effects = machine.receive(inbound, Instant(0), registered=True)
    acked: set[str] = set()
    for _, ack in machine.committed():
        acked |= {one.digest for one in ack.also} | {ack.head}
    admitted = sum(isinstance(effect, Admitted) for effect in effects)
    refused = sum(isinstance(effect, Refused) for effect in effects)
    return admitted, refused, acked


@pytest.mark.parametrize("leaf", FROM_PANEL)
@pytest.mark.parametrize("payload", RAW_CORPUS, ids=range(len(RAW_CORPUS)))
def test_rubbish_is_counted_and_recorded_and_the_next_good_one_is_acknowledged(
    leaf: str, payload: bytes
) -> None:
    machine = intake()
    _, refused, _ = admit(machine, payload, leaf)
    assert refused >= 1
    assert machine.refused >= 1
    admitted, _, acked = admit(machine, report_of(GOOD[0]))
    assert admitted == 1
    assert digest_of(GOOD[0]) in acked


@pytest.mark.parametrize("fields", BAD_FIELDS, ids=str)
def test_a_bad_record_costs_neither_the_one_before_nor_the_one_behind(
    fields: dict[str, object],
) -> None:
    bad = json.dumps(ONE | fields).encode()
    machine = intake()
    admitted, refused, acked = admit(machine, report_of(GOOD[0], bad, GOOD[1]))
    assert (admitted, refused) == (2, 1)
    assert digest_of(GOOD[1]) in acked


@pytest.mark.parametrize(
    "broken",
    [GOOD[1][:-5], GOOD[1].replace(b'"seq"', b'"se\xffq"', 1), b"\x00" * 40, b"}{", b'{"panel":'],
)
def test_broken_json_in_one_record_does_not_cost_its_neighbours(broken: bytes) -> None:
    payload = b'{"records":[' + GOOD[0] + b"," + broken + b"," + GOOD[2] + b"]}"
    machine = intake()
    admitted, refused, acked = admit(machine, payload)
    assert (admitted, refused) == (2, 1)
    assert {digest_of(GOOD[0]), digest_of(GOOD[2])} <= acked


def test_a_record_of_another_panel_is_refused_in_this_panels_topic() -> None:
    inbound = read(topic(PANEL, REPORT), report_of(OTHER))
    assert isinstance(inbound, Reported)
    assert inbound.carried == []
    assert inbound.malformed[0].clause == "R1"


def test_what_is_kept_of_a_flood_is_bounded_and_the_rest_is_counted() -> None:
    machine = intake()
    kept = sum(admit(machine, b"rubbish %d" % n)[1] for n in range(5000))
    assert machine.refused == 5000
    assert kept == Policy().refusals.burst


def test_an_unknown_panel_is_refused_recorded_and_gets_no_acknowledgement() -> None:
    machine = intake()
    inbound = read(topic(PANEL, REPORT), report_of(GOOD[0]))
    (refused,) = machine.receive(inbound, Instant(0), registered=False)
    assert isinstance(refused, Refused)
    assert machine.committed() == []


@pytest.mark.parametrize(
    "name",
    ["", "a", "tocsin/v1/x", "tocsin/v1/A/ev", "tocsin/v2/x/ev", "tocsin/v1/x/ev/y", "\ufffd/\0"],
)
def test_strange_topics_are_malformed(name: str) -> None:
    assert isinstance(read(name, b"{}"), Malformed)


def test_numbers_beyond_what_a_database_holds_never_get_that_far() -> None:
    beat = json.loads(heartbeat(PANEL, 1)) | {"owed": 10**30}
    inbound = read(topic(PANEL, "hb"), json.dumps(beat).encode())
    assert not isinstance(inbound, Malformed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*ONE, "records", "x"]), inner, max_size=6)
    ),
    max_leaves=20,
)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    leaf=st.sampled_from([*FROM_PANEL, "ack", "none"]),
    payload=st.binary(max_size=400) | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_nothing_raises_and_the_good_one_behind_is_acknowledged(leaf: str, payload: bytes) -> None:
    machine = intake()
    admit(machine, payload, leaf)
    admitted, _, acked = admit(machine, report_of(GOOD[0]))
    assert admitted == 1
    assert digest_of(GOOD[0]) in acked


@settings(deadline=None, derandomize=True, max_examples=300)
@given(field=st.sampled_from(list(ONE)), value=JSON)
def test_any_value_in_any_field_leaves_the_neighbours_alone(field: str, value: object) -> None:
    bad = json.dumps(ONE | {field: value}).encode()
    machine = intake()
    inbound = read(topic(PANEL, REPORT), report_of(GOOD[1], bad))
    assert isinstance(inbound, Reported)
    assert inbound.carried[0].raw == GOOD[1]
    assert len(inbound.carried) + len(inbound.malformed) == 2
    _, _, acked = admit(machine, report_of(GOOD[1], bad))
    assert digest_of(GOOD[1]) in acked


@settings(deadline=None, derandomize=True, max_examples=300)
@given(cut=st.integers(0, 2000), garble=st.integers(0, 2000), byte=st.integers(0, 255))
def test_damage_anywhere_in_a_report_never_invents_a_record(
    cut: int, garble: int, byte: int
) -> None:
    payload = bytearray(report_of(*GOOD))
    payload[garble % len(payload)] = byte
    inbound = read(topic(PANEL, REPORT), bytes(payload[: max(cut % len(payload), 1)]))
    known = {digest_of(raw) for raw in GOOD}
    if isinstance(inbound, Reported):
        changed = [one for one in inbound.carried if one.digest not in known]
        assert len(changed) <= 1
        assert all(one.digest == digest_of(one.raw) for one in inbound.carried)
    else:
        assert isinstance(inbound, Malformed)
    assert msgspec.json.encode(inbound)
