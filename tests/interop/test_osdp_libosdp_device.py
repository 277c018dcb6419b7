"""libosdp's device under the controller our tests use: what that controller accepts is OSDP."""

from __future__ import annotations

import pytest

from protocols.osdp import codes
from tests.support.osdp_board import KEY, OTHER_KEY
from tests.support.osdp_libosdp import LibosdpDevice


@pytest.mark.parametrize("key", [KEY, None])
def test_our_secure_channel_is_its_secure_channel(key: bytes | None) -> None:
    device = LibosdpDevice(key)
    assert device.open()
    for _ in range(5):
        assert device.ask(codes.POLL) == (codes.ACK, b"")
    answer = device.ask(codes.ID, b"\x00")
    assert answer is not None
    assert answer[0] == codes.PDID
    assert len(answer[1]) == 12


def test_commands_of_every_padding_arrive() -> None:
    device = LibosdpDevice()
    assert device.open()
    for count in range(1, 6):
        record = b"\x01\x02\x2c\x01"
        assert device.ask(codes.OUT, record * count) == (codes.ACK, b"")
    assert len(device.commands) == 15
    assert device.commands[0]["output_no"] == 1
    assert device.commands[0]["timer_count"] == 300


def test_another_key_does_not_open_it() -> None:
    device = LibosdpDevice()
    device.controller.key = OTHER_KEY
    assert not device.open()


def test_its_events_are_read() -> None:
    import osdp_sys

    device = LibosdpDevice()
    assert device.open()
    device.context.submit_event(
        {
            "event": osdp_sys.EVENT_STATUS,
            "type": osdp_sys.STATUS_REPORT_INPUT,
            "report": bytes(range(8)),
        }
    )
    assert device.ask(codes.POLL) == (codes.ISTATR, bytes(range(8)))
