"""Accounts pinned to a format at the collector reach its receivers, and hold there without it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from collector.adapters.broker_session import BrokerAddress, BrokerSession, Terms
from collector.adapters.pins_file import FILE, PinsFile, read_pins
from collector.app import Collector
from collector.intake import Account, AccountBook, PinLists, pins_for
from collector.reception.format_names import FORMATS
from collector.reception.pinned import origins, pinned
from protocols.instants import Instant, later
from protocols.mqtt.reception import MAX_PINS, Pin, ReceiverPins, Reception, pins_version
from protocols.mqtt.topics import RECEIVER_PINS
from protocols.panel_event import PanelEvent
from tests.support.collector_rig import Everyone, NotedLink, collector_in, until
from tests.support.phone_receiver import PhoneReceiver
from tests.support.receiver_here import ReceiverHere, comes, receiver_here

START = Instant(1_000_000_000_000)
GRANTED_REFUSED = ("Granted QoS 0", "Not authorized")


def book(*accounts: Account) -> AccountBook:
    return AccountBook(accounts)


def test_only_what_all_accounts_of_a_number_agree_on_is_pinned() -> None:
    accounts = book(
        Account("1111", "a", format="contact-id"),
        Account("2222", "b", format="contact-id", caller="02155501234"),
        Account("2222", "c", format="express-4-1", caller="02155505678"),
        Account("3333", "d", format="contact-id", receiver="rx-2"),
        Account("4444", "e", format="contact-id"),
        Account("4444", "f", format="super-fast", line="trunk"),
        Account("5555", "g"),
        Account("6666", "h", format="3+1", line="pstn"),
    ).accounts
    assert pins_for(accounts, "rx-1") == (
        Pin("1111", "contact-id"),
        Pin("4444", "contact-id"),
        Pin("4444", "", "trunk"),
        Pin("6666", "3+1", "pstn"),
    )
    assert Pin("3333", "contact-id") in pins_for(accounts, "rx-2")


def test_on_a_line_the_file_goes_first_and_an_unknown_format_pins_nothing() -> None:
    listed = [
        Pin("1111", "contact-id"),
        Pin("2222", "contact-id"),
        Pin("2222", "", "trunk"),
        Pin("3333", "nobody-reads-this"),
        Pin("4444", "contact-id"),
    ]
    own = {"4444": "express-4-1"}
    assert pinned(own, listed, "pstn", FORMATS) == {
        "1111": "contact-id",
        "2222": "contact-id",
        "4444": "express-4-1",
    }
    assert "2222" not in pinned(own, listed, "trunk", FORMATS)
    told = {(each.pin.account, each.source): each.unused for each in origins(own, listed, FORMATS)}
    assert told["4444", "receiver.toml"] == ""
    assert "receiver.toml" in told["4444", "collector"]
    assert "no such format" in told["3333", "collector"]


def test_a_list_of_thousands_goes_in_parts_and_only_to_whom_it_is_new(tmp_path: Path) -> None:
    accounts = book(*(Account(f"{n:010d}", f"p{n}", format="contact-id") for n in range(2500)))
    lists = PinLists()

    def sent(version: str | None, at_s: float) -> list[ReceiverPins]:
        header = Reception("rx-1", 3, pins=version)
        return list(lists.receive(header, accounts, later(START, at_s)))

    parts = sent("", 0)
    assert len(parts) == -(-2500 // MAX_PINS)
    assert max(len(msgspec.json.encode(part)) for part in parts) < 16_384
    assert sent("", 1) == [], "a backlog says its version many times a second"
    assert sent("", 6) == parts
    assert sent(None, 60) == [], "a receiver that takes no list"
    changed: list[int] = []
    file = PinsFile(tmp_path, lambda: changed.append(1), lambda text: pytest.fail(text))
    for part in [parts[3], *parts[:5], *parts]:  # strays and a list cut off half-way change nothing
        file.offer(msgspec.json.encode(part))
    assert len(file.pins) == 2500
    assert changed == [1]
    assert sent(file.version, 120) == []
    assert PinsFile(tmp_path, lambda: None, lambda _: None).version == file.version
    for part in PinLists().receive(Reception("rx-1", 3, pins=file.version), book(), START):
        file.offer(msgspec.json.encode(part))
    assert (file.pins, file.version) == ((), "")


@pytest.mark.parametrize(
    "damaged",
    [b"", b"null", b"[" * 50_000, b'{"version":"x","part":9,"parts":1,"pins":[]}',
     b'{"version":"","part":0,"parts":1,"pins":[{"account":"1"},7]}', b"\xff\x00"],
)  # fmt: skip
def test_what_is_no_list_is_counted_and_changes_nothing(tmp_path: Path, damaged: bytes) -> None:
    pins = (Pin("1234", "contact-id"),)
    file = PinsFile(tmp_path, lambda: None, lambda _: None)
    file.offer(msgspec.json.encode(ReceiverPins(pins_version(pins), 0, 1, list(pins))))
    file.offer(damaged)
    assert file.malformed == 1
    file.offer(msgspec.json.encode(ReceiverPins("another list", 0, 1, [])))
    assert file.pins == read_pins(tmp_path) == pins
    (tmp_path / FILE).write_bytes(damaged)
    assert PinsFile(tmp_path, lambda: None, lambda _: None).version == ""


def test_the_collector_answers_a_heartbeat_with_its_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = Account("1234", "shop-1", format="contact-id")
    monkeypatch.setattr(Everyone, "accounts", book(pin))
    link = NotedLink()
    collector: Collector = collector_in(tmp_path, link)
    collector.start()
    try:
        receiver = PhoneReceiver(collector.offer, time.time_ns() // 1000)
        receiver.send(pins="")

        def lists() -> list[ReceiverPins]:
            return [
                msgspec.json.decode(payload, type=ReceiverPins)
                for who, leaf, payload in list(link.sent)
                if (who, leaf) == ("rx-1", RECEIVER_PINS)
            ]

        until(lambda: len(lists()) == 1)
        (told,) = lists()
        assert told.pins == [Pin("1234", "contact-id")]
        report = receiver.report("1234", PanelEvent(130))
        receiver.send(report, pins=told.version)
        until(lambda: receiver.upto(link.sent) == 1)
        assert len(lists()) == 1
    finally:
        collector.stop()


def test_a_broker_that_knows_no_pins_yet_does_not_cost_the_link(tmp_path: Path) -> None:
    """A receiver may be brought up to date before its collector."""
    nowhere = BrokerAddress("127.0.0.1", 1, tmp_path, tmp_path, tmp_path)
    granted, refused = (ReasonCode(PacketTypes.SUBACK, name) for name in GRANTED_REFUSED)
    for codes, ready in (([granted, refused], True), ([refused, granted], False)):
        terms = Terms(["acks"], "ours", 0, 15, may_miss=["pins"])
        session = BrokerSession(nowhere, "rx-1", terms, lambda *_: None)
        session._subscribed(session.client, None, 1, codes, None)
        assert session._ready.is_set() is ready


CONFIG = """
id = "rx-1"
[[line]]
name = "trunk"
listen = "127.0.0.1:0"
"""


def held(here: ReceiverHere) -> Mapping[str, str]:
    """The pins of a call that begins now."""
    return here.receiver.line_call("trunk", "default", "c", "")._call._pins


def test_a_pin_from_the_collector_holds_for_the_next_call_and_over_a_restart(
    tmp_path: Path,
) -> None:
    pins = [Pin("1234", "express-4-1")]
    told = msgspec.json.encode(ReceiverPins(pins_version(pins), 0, 1, pins))

    async def story() -> None:
        async with receiver_here(tmp_path, CONFIG) as here:
            assert held(here) == {}
            await asyncio.to_thread(here.receiver._pins.offer, told)
            await comes(lambda: held(here) == {"1234": "express-4-1"})
        async with receiver_here(tmp_path, CONFIG) as here:
            assert held(here) == {"1234": "express-4-1"}
            (pin,) = here.receiver._status().pins
            assert (pin.account, pin.format, pin.source) == ("1234", "express-4-1", "collector")
        own = '[account.1234]\nformat = "contact-id"\n'
        async with receiver_here(tmp_path, CONFIG + own) as here:
            assert held(here) == {"1234": "contact-id"}
            assert [(each.source, bool(each.unused)) for each in here.receiver._status().pins] == [
                ("collector", True),
                ("receiver.toml", False),
            ]

    asyncio.run(story())
