"""Payload packing, reconnect delay, dates of certificates."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.adapters.certificate_dates import not_after_der
from edge.adapters.mqtt_delivery import Malformed, decode
from edge.reporting.reconnect_delay import FIRST_S, ReconnectDelay
from edge.reporting.report_batch import pack
from protocols.instants import Instant, later
from protocols.mqtt.payloads import Report


@given(sizes=st.lists(st.integers(0, 900), max_size=200))
@settings(deadline=None, derandomize=True)
def test_packed_records_come_out_byte_for_byte_within_bounds(sizes: list[int]) -> None:
    records = [b'{"n": "' + b"x" * size + b'" }' for size in sizes]
    payloads = pack(records, 2_000)
    out = [bytes(raw) for p in payloads for raw in msgspec.json.decode(p, type=Report).records]
    assert out == records
    assert all(len(payload) <= 2_000 for payload in payloads)


def test_packed_by_64_and_an_oversize_one_goes_alone() -> None:
    payloads = pack([b"1"] * 130 + [b'"' + b"y" * 70_000 + b'"', b"2"])
    lengths = [len(msgspec.json.decode(p, type=Report).records) for p in payloads]
    assert lengths == [64, 64, 2, 1, 1]


def test_delay_doubles_to_its_cap_and_early_drops_count() -> None:
    delay = ReconnectDelay(30)
    now = Instant(0)
    waits = []
    for _ in range(8):
        delay.accepted(now)
        now = later(now, 5)
        waits.append(delay.after_loss(now, 1.0))
    assert waits == [2, 4, 8, 16, 30, 30, 30, 30]
    delay.accepted(now)
    assert delay.after_loss(later(now, 60), 1.0) == FIRST_S, "a settled session starts anew"


@given(jitter=st.floats(0, 1, exclude_max=True), failures=st.integers(0, 2000))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_delay_stays_in_its_bounds(jitter: float, failures: int) -> None:
    delay = ReconnectDelay(30)
    for _ in range(failures):
        delay.after_loss(Instant(0), 0.5)
    assert 0.1 * FIRST_S <= delay.after_loss(Instant(0), jitter) < 30


@pytest.mark.parametrize(
    "end", [datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC), datetime(2080, 1, 2, tzinfo=UTC)]
)
def test_end_of_a_certificate_in_both_notations(end: datetime) -> None:
    """RFC 5280 4.1.2.5: UTCTime to 2049, GeneralizedTime from 2050."""
    der = _der(end)
    assert not_after_der(der) == end


def _der(end: datetime) -> bytes:
    cert = trustme.CA().issue_cert("a.test", not_before=end - timedelta(days=1), not_after=end)
    return ssl.PEM_cert_to_DER_cert(cert.cert_chain_pems[0].bytes().decode())


GOOD = _der(datetime(2031, 5, 6, tzinfo=UTC))


@given(
    cut=st.integers(0, len(GOOD)),
    at=st.integers(0, len(GOOD) - 1),
    value=st.integers(0, 255),
)
@settings(deadline=None, derandomize=True, max_examples=500)
def test_a_damaged_certificate_gives_a_date_or_a_value_error(cut: int, at: int, value: int) -> None:
    changed = bytearray(GOOD)
    changed[at] = value
    for der in (bytes(changed), GOOD[:cut]):
        try:
            assert not_after_der(der).tzinfo is UTC
        except ValueError:
            continue


@given(topic=st.text(max_size=40), payload=st.binary(max_size=200))
@settings(deadline=None, derandomize=True, max_examples=300)
def test_any_message_is_decoded_or_malformed(topic: str, payload: bytes) -> None:
    assert isinstance(decode("p", topic, payload), Malformed)
    for leaf in ("ack", "cmd", "ev"):
        decode("p", f"tocsin/v1/p/{leaf}", payload)
    assert isinstance(decode("p", "tocsin/v1/q/ack", b'{"epoch":1}'), Malformed)
    assert isinstance(decode("p", "tocsin/v1/p/ack", b'{"epoch":1}' + b" " * 70_000), Malformed)
