"""Our node under libosdp's controller: every command, keys, files, and what must be refused."""

from __future__ import annotations

import os
from collections.abc import Callable

import osdp_sys
import pytest

from protocols.osdp import codes
from protocols.osdp.frame import MAX_FRAME_BYTES
from protocols.osdp.peripheral import Peripheral
from tests.support.osdp_board import IDENTITY, KEY, OTHER_KEY, Board
from tests.support.osdp_libosdp import LibosdpController

INPUT = osdp_sys.STATUS_REPORT_INPUT
LOCAL = osdp_sys.STATUS_REPORT_LOCAL
OUTPUT = osdp_sys.STATUS_REPORT_OUTPUT
RED, GREEN = osdp_sys.LED_COLOR_RED, osdp_sys.LED_COLOR_GREEN


class Bench:
    def __init__(
        self, key: bytes | None = KEY, controller_key: bytes | None = KEY, **how: object
    ) -> None:
        self.board = Board()
        clear = bool(how.pop("clear", False))
        readers = int(str(how.pop("readers", 0)))
        self.node = Peripheral(
            IDENTITY, self.board, 5, key, os.urandom, readers=readers, clear=clear
        )
        self.panel = LibosdpController(self.node.receive, controller_key, **how)  # type: ignore[arg-type]

    def until(self, done: Callable[[], object], within_s: float = 3.0) -> bool:
        return self.panel.until(done, within_s)


def connected(**how: object) -> Bench:
    bench = Bench(**how)  # type: ignore[arg-type]
    assert bench.until(lambda: bench.panel.secure and bench.panel.states(LOCAL))
    return bench


def test_identity_and_capabilities_as_it_understands_them() -> None:
    bench = connected()
    told = bench.panel.context.get_pd_id(0)
    assert told["vendor_code"] == codes.VENDOR
    assert (told["model"], told["version"]) == (7, 2)
    assert told["serial_number"] == 0x01020304
    assert told["firmware_version"] == 0x010203
    wanted = {
        osdp_sys.CAP_CONTACT_STATUS_MONITORING: (4, 8),
        osdp_sys.CAP_OUTPUT_CONTROL: (2, 2),
        osdp_sys.CAP_READER_LED_CONTROL: (1, 1),
        osdp_sys.CAP_READER_AUDIBLE_OUTPUT: (1, 1),
        osdp_sys.CAP_CHECK_CHARACTER_SUPPORT: (1, 0),
        osdp_sys.CAP_COMMUNICATION_SECURITY: (1, 0),
        osdp_sys.CAP_RECEIVE_BUFFERSIZE: (MAX_FRAME_BYTES & 0xFF, MAX_FRAME_BYTES >> 8),
    }
    for capability, value in wanted.items():
        assert bench.panel.context.check_capability(0, capability) == value


def test_every_input_state_tamper_and_power_come_by_poll() -> None:
    bench = connected()
    before = len(bench.panel.states(INPUT))
    told = [bytes((code + place) % 8 for place in range(8)) for code in range(8)]
    for states in told:
        bench.node.report_inputs(states)
    bench.node.report_local(True, False)
    bench.node.report_local(True, True)
    assert bench.until(lambda: len(bench.panel.states(LOCAL)) == 3)
    assert bench.panel.states(INPUT)[before:] == told
    assert bench.panel.states(LOCAL)[1:] == [b"\x01\x00", b"\x01\x01"]


def test_outputs_leds_buzzer_and_questions() -> None:
    bench = connected()
    command = bench.panel.command
    assert command(command=osdp_sys.CMD_OUTPUT, output_no=1, control_code=5, timer_count=30)
    assert command(command=osdp_sys.CMD_STATUS, type=OUTPUT)
    assert command(command=osdp_sys.CMD_STATUS, type=INPUT)
    assert command(command=osdp_sys.CMD_STATUS, type=LOCAL)
    assert bench.panel.states(OUTPUT) == [b"\x00\x01"]
    assert command(
        command=osdp_sys.CMD_BUZZER,
        reader=0,
        control_code=2,
        on_count=1,
        off_count=2,
        rep_count=3,
    )
    assert command(
        command=osdp_sys.CMD_LED,
        reader=0,
        led_number=0,
        control_code=1,
        on_count=1,
        off_count=0,
        on_color=RED,
        off_color=GREEN,
        timer_count=0,
        temporary=False,
    )
    did = bench.board.did
    assert did[0] == ("output", 1, 5, 30)
    assert did[1] == ("buzzer", b"\x00\x02\x01\x02\x03")
    assert did[2] == ("led", bytes((0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, RED, GREEN)))
    assert bench.panel.secure


def test_keys_and_cards_arrive() -> None:
    bench = connected(readers=1)
    bench.node.report_keys("159#")
    bench.node.report_card(26, b"\xab\xcd\xef\x40")
    events = bench.panel.events
    assert bench.until(lambda: events[-1]["event"] == osdp_sys.EVENT_CARDREAD)
    keys, card = events[-2:]
    assert keys["data"] == b"159\x0d"
    assert (card["length"], card["data"]) == (26, b"\xab\xcd\xef\x40")


def test_vendor_messages_both_ways() -> None:
    bench = connected()
    assert bench.panel.command(
        command=osdp_sys.CMD_MFG, vendor_code=codes.VENDOR, data=bytes((codes.ASK_REPORT, 7))
    )
    assert bench.board.did == [("vendor", bytes((codes.ASK_REPORT, 7)))]
    bench.node.report_vendor(b"\x01" + bytes(17))
    events = bench.panel.events
    assert bench.until(lambda: events[-1]["event"] == osdp_sys.EVENT_MFGREP)
    assert (events[-1]["vendor_code"], events[-1]["data"]) == (codes.VENDOR, b"\x01" + bytes(17))


def test_a_new_key_and_the_session_under_it() -> None:
    bench = connected()
    assert bench.panel.command(command=osdp_sys.CMD_KEYSET, type=1, data=OTHER_KEY)
    assert bench.until(lambda: bench.node.counts.sessions == 2 and bench.panel.secure)
    assert bench.board.keys == [OTHER_KEY]
    bench.node.report_local(True, True)
    assert bench.until(lambda: b"\x01\x01" in bench.panel.states(LOCAL))


def test_a_node_as_delivered_gets_its_key_in_install_mode() -> None:
    bench = Bench(key=None, controller_key=KEY, flags=osdp_sys.FLAG_INSTALL_MODE)
    assert bench.until(lambda: bench.node.secure and bench.panel.online)
    assert bench.board.keys == [KEY]
    assert bench.until(lambda: bench.panel.states(INPUT))


def test_a_new_address_holds_for_the_next_poll() -> None:
    bench = connected()
    assert bench.panel.command(command=osdp_sys.CMD_COMSET, address=9, baud_rate=115200)
    bench.node.report_local(True, False)
    assert bench.until(lambda: b"\x01\x00" in bench.panel.states(LOCAL))
    assert (bench.node.address, bench.node.baud) == (9, 115200)


def test_a_file_gets_through_whole() -> None:
    bench = connected()
    image = os.urandom(2000)
    closed: list[int] = []
    operations = {
        "open": lambda _kind, _size: len(image),
        "read": lambda size, offset: image[offset : offset + size],
        "write": lambda data, _offset: len(data),
        "close": lambda kind: closed.append(kind) or 0,  # type: ignore[func-returns-value]
    }
    assert bench.panel.context.register_file_ops(0, operations)
    assert bench.panel.context.submit_command(
        0, {"command": osdp_sys.CMD_FILE_TX, "id": 1, "flags": 0}
    )
    assert bench.until(lambda: closed)
    assert bench.board.file == image
    assert bench.panel.secure


def test_a_lost_reply_is_asked_for_again_and_the_output_set_once() -> None:
    bench = connected()
    drops = [1]

    def lose_once(reply: bytes) -> bytes:
        if bench.board.did and drops:
            drops.pop()
            return b""
        return reply

    bench.panel.channel.spoil_reply = lose_once
    assert bench.panel.command(
        command=osdp_sys.CMD_OUTPUT, output_no=0, control_code=2, timer_count=0
    )
    assert len(bench.board.did) == 1
    assert bench.node.counts.repeats == 1
    assert bench.panel.secure


def test_another_key_is_refused() -> None:
    bench = Bench(controller_key=OTHER_KEY)
    assert bench.until(lambda: bench.node.counts.commands >= 2)
    assert not bench.until(lambda: bench.panel.secure or bench.node.secure, 0.3)


def test_a_controller_without_security_gets_nothing() -> None:
    bench = Bench(controller_key=None, flags=0)
    bench.node.report_inputs(bytes(8))
    assert bench.until(lambda: bench.node.counts.refused_clear)
    assert not bench.until(lambda: bench.panel.states(INPUT), 0.3)
    assert not bench.node.secure


@pytest.mark.parametrize("crc", [True, False])
def test_where_clear_text_is_allowed_it_works(crc: bool) -> None:
    bench = Bench(key=None, controller_key=None, flags=0, clear=True)
    if not crc:
        bench.panel.channel.spoil = in_checksum
    assert bench.until(lambda: bench.panel.online)
    assert bench.until(lambda: bench.panel.states(LOCAL))


def in_checksum(command: bytes) -> bytes:
    """The same command under a checksum."""
    start = 1 if command[0] == codes.MARK else 0
    length = command[start + 2] | command[start + 3] << 8
    control = command[start + 4] & ~codes.CONTROL_CRC
    head = bytes((codes.SOM, command[start + 1], length - 1 & 0xFF, length - 1 >> 8, control))
    body = head + command[start + 5 : -2]
    return body + bytes((-sum(body) & 0xFF,))
