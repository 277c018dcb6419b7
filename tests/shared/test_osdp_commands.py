"""What each command does, and its refusals; on both runtimes."""

from protocols.osdp import codes, node_report
from protocols.osdp.frame import MAX_FRAME_BYTES
from protocols.osdp.node_report import NodeState
from tests.support.osdp_board import Pair, opened

DONE = (codes.ACK, b"")
NO_LENGTH = (codes.NAK, bytes((codes.NAK_LENGTH,)))
NO_RECORD = (codes.NAK, bytes((codes.NAK_RECORD,)))
UNKNOWN = (codes.NAK, bytes((codes.NAK_UNKNOWN_COMMAND,)))
VENDOR = codes.VENDOR.to_bytes(3, "little")


def part(total: int, offset: int, data: bytes) -> bytes:
    return (
        b"\x01"
        + total.to_bytes(4, "little")
        + offset.to_bytes(4, "little")
        + len(data).to_bytes(2, "little")
        + data
    )


def test_identity() -> None:
    pair = opened()
    told = VENDOR + b"\x07\x02\x04\x03\x02\x01\x01\x02\x03"
    assert pair.ask(codes.ID, b"\x00") == (codes.PDID, told)


def test_capabilities() -> None:
    pair = opened()
    answer = pair.ask(codes.CAP, b"\x00")
    assert answer
    told = {}
    for start in range(0, len(answer[1]), 3):
        told[answer[1][start]] = (answer[1][start + 1], answer[1][start + 2])
    assert told[codes.CAPABILITY_INPUTS] == (4, 8)
    assert told[codes.CAPABILITY_OUTPUTS] == (2, 2)
    assert told[codes.CAPABILITY_LED][0]
    assert told[codes.CAPABILITY_AUDIBLE][0]
    assert told[codes.CAPABILITY_CHECK][0] == 1
    assert told[codes.CAPABILITY_SECURITY] == (1, 0)
    size = told[codes.CAPABILITY_RECEIVE_SIZE]
    assert size[0] | size[1] << 8 == MAX_FRAME_BYTES
    assert codes.CAPABILITY_READERS not in told


def test_status_questions() -> None:
    pair = opened()
    pair.node.report_inputs(bytes((0, 1, 2, 3, 4, 5, 6, 7)))
    pair.node.report_local(True, False)
    pair.drain()
    assert pair.ask(codes.ISTAT) == (codes.ISTATR, bytes((0, 1, 2, 3, 4, 5, 6, 7)))
    assert pair.ask(codes.LSTAT) == (codes.LSTATR, b"\x01\x00")
    assert pair.ask(codes.OSTAT) == (codes.OSTATR, b"\x00\x00")
    assert pair.ask(codes.RSTAT) == UNKNOWN
    keypad = opened(readers=1)
    assert keypad.ask(codes.RSTAT) == (codes.RSTATR, b"\x00")


def test_outputs_all_or_none() -> None:
    pair = opened()
    assert pair.ask(codes.OUT, b"\x00\x02\x00\x00\x01\x05\x0a\x01") == DONE
    assert pair.board.did == [("output", 0, 2, 0), ("output", 1, 5, 0x010A)]
    assert pair.ask(codes.OSTAT) == (codes.OSTATR, b"\x01\x01")
    assert pair.ask(codes.OUT, b"\x00\x01\x00\x00\x02\x02\x00\x00") == NO_RECORD
    assert pair.ask(codes.OUT, b"\x00\x07\x00\x00") == NO_RECORD
    assert pair.ask(codes.OUT, b"\x00\x02\x00") == NO_LENGTH
    assert pair.ask(codes.OUT) == NO_LENGTH
    assert len(pair.board.did) == 2
    pair.board.refuses = True
    assert pair.ask(codes.OUT, b"\x00\x02\x00\x00") == NO_RECORD


def test_led_and_buzzer() -> None:
    pair = opened()
    led = bytes(range(14))
    assert pair.ask(codes.LED, led + led) == DONE
    assert pair.ask(codes.BUZ, b"\x00\x02\x01\x01\x03") == DONE
    assert pair.board.did == [("led", led), ("led", led), ("buzzer", b"\x00\x02\x01\x01\x03")]
    assert pair.ask(codes.LED, led[:13]) == NO_LENGTH
    assert pair.ask(codes.BUZ, b"") == NO_LENGTH
    pair.board.refuses = True
    assert pair.ask(codes.LED, led) == NO_RECORD
    assert pair.ask(codes.BUZ, b"\x00\x02\x01\x01\x03") == NO_RECORD


def test_new_address_and_speed_hold_after_the_reply() -> None:
    pair = opened()
    answer = pair.ask(codes.COMSET, b"\x09" + (115_200).to_bytes(4, "little"))
    assert answer == (codes.COM, b"\x09" + (115_200).to_bytes(4, "little"))
    assert (pair.node.address, pair.node.baud) == (9, 115_200)
    pair.controller.address = 9
    assert pair.poll() == DONE


def test_settings_that_cannot_be_are_answered_with_those_that_stay() -> None:
    pair = opened()
    stay = (codes.COM, b"\x05" + (38_400).to_bytes(4, "little"))
    assert pair.ask(codes.COMSET, b"\x7f" + (38_400).to_bytes(4, "little")) == stay
    assert pair.ask(codes.COMSET, b"\x06" + (12_345).to_bytes(4, "little")) == stay
    pair.board.refuses = True
    assert pair.ask(codes.COMSET, b"\x06" + (9_600).to_bytes(4, "little")) == stay
    assert pair.ask(codes.COMSET, b"\x06") == NO_LENGTH
    assert pair.node.address == 5


def test_keyset_takes_one_kind_of_key() -> None:
    pair = opened()
    assert pair.ask(codes.KEYSET, b"\x01\x10" + bytes(15)) == NO_LENGTH
    assert pair.ask(codes.KEYSET, b"\x02\x10" + bytes(16)) == NO_RECORD
    assert pair.ask(codes.KEYSET, b"\x01\x20" + bytes(16)) == NO_RECORD
    assert pair.board.keys == []


def test_no_keyset_without_a_session_even_where_clear_text_is_allowed() -> None:
    pair = Pair(clear=True)
    pair.ask(codes.ID, b"\x00")
    answer = pair.ask(codes.KEYSET, b"\x01\x10" + bytes(16))
    assert answer == (codes.NAK, bytes((codes.NAK_SECURITY_CONDITION,)))


def test_a_file_in_parts() -> None:
    pair = opened()
    image = bytes(range(250)) * 2
    status = []
    for offset in range(0, len(image), 100):
        answer = pair.ask(
            codes.FILETRANSFER, part(len(image), offset, image[offset : offset + 100])
        )
        assert answer
        assert answer[0] == codes.FTSTAT
        assert len(answer[1]) == 7
        status.append(answer[1][3])
    assert status == [codes.FILE_OK] * 4 + [codes.FILE_PROCESSED]
    assert pair.board.file == image


def test_a_file_part_that_lies_about_itself_is_refused() -> None:
    pair = opened()
    assert pair.ask(codes.FILETRANSFER, part(100, 0, b"abc")[:-1]) == NO_LENGTH
    assert pair.ask(codes.FILETRANSFER, part(100, 98, b"abc")) == NO_LENGTH
    assert pair.ask(codes.FILETRANSFER, bytes(10)) == NO_LENGTH
    assert pair.board.file == b""
    pair.board.refuses = True
    answer = pair.ask(codes.FILETRANSFER, part(3, 0, b"abc"))
    assert answer
    assert answer[1][3:5] == b"\xff\xff"


def test_abort_sizes_and_vendor_messages() -> None:
    pair = opened()
    assert pair.ask(codes.ABORT) == DONE
    assert pair.ask(codes.ACURXSIZE, b"\x00\x01") == DONE
    assert pair.ask(codes.ACURXSIZE, b"\x00") == NO_LENGTH
    assert pair.ask(codes.MFG, VENDOR + bytes((codes.ASK_REPORT,))) == DONE
    assert pair.board.did == [("abort",), ("vendor", bytes((codes.ASK_REPORT,)))]
    assert pair.ask(codes.MFG, b"\x01\x02\x03\x01") == NO_RECORD
    assert pair.ask(codes.MFG, VENDOR) == NO_LENGTH


def test_a_restart_waits_until_its_reply_is_out() -> None:
    pair = opened()
    assert pair.ask(codes.MFG, VENDOR + bytes((codes.ASK_RESTART,))) == DONE
    assert pair.board.restarts == 0
    pair.node.tick(pair.now_ms + 150)
    pair.node.tick(pair.now_ms + 300)
    assert pair.board.restarts == 1


def test_every_other_code_is_unknown() -> None:
    known = [
        codes.POLL,
        codes.ID,
        codes.CAP,
        codes.LSTAT,
        codes.ISTAT,
        codes.OSTAT,
        codes.OUT,
        codes.LED,
        codes.BUZ,
        codes.COMSET,
        codes.KEYSET,
        codes.CHLNG,
        codes.SCRYPT,
        codes.ACURXSIZE,
        codes.FILETRANSFER,
        codes.MFG,
        codes.ABORT,
        codes.KEEPACTIVE,
    ]
    pair = opened()
    for code in range(256):
        if code not in known:
            assert pair.ask(code, b"") == UNKNOWN, code
    assert pair.poll() == DONE


def test_every_command_of_every_wrong_length_is_answered() -> None:
    pair = opened()
    for code in (codes.POLL, codes.ID, codes.CAP, codes.LSTAT, codes.ISTAT, codes.KEEPACTIVE):
        for size in range(30):
            answer = pair.ask(code, bytes(size))
            assert answer is not None
            if answer[0] == codes.NAK:
                assert answer == NO_LENGTH


def test_the_longest_replies_fit_what_every_controller_takes() -> None:
    pair = opened(readers=1)
    pair.node.report_vendor(bytes(64))
    pair.node.report_card(512, bytes(64))
    for _ in range(2):
        raw = pair.carry(pair.controller.ask(codes.POLL))
        assert 80 < len(raw) <= 128
        assert pair.controller.hear(raw)


def test_the_report_of_a_node_says_what_was_put_in() -> None:
    state = NodeState(node_report.RESET_WATCHDOG, 3, 70_000, 12_050, 4_000_000, (1, 4, 2), True, 7)
    payload = node_report.encode(state)
    assert len(payload) == node_report.REPORT_BYTES
    back = node_report.decode(payload + b"newer")
    assert back is not None
    assert back.cause == "watchdog"
    assert (back.resets, back.lost_changes, back.supply_mv) == (3, 0xFFFF, 12_050)
    assert (back.uptime_s, back.firmware, back.trial) == (4_000_000, (1, 4, 2), True)
    assert back.loop_worst_ms == 7
    assert node_report.decode(payload[:-1]) is None
    assert node_report.decode(b"\x02" + payload[1:]) is None
    state.reset_cause = 77
    assert node_report.decode(node_report.encode(state)).cause == "unknown"  # type: ignore[union-attr]
