"""Sequence, secure channel and refusals of the peripheral; on both runtimes."""

from protocols.osdp import codes
from protocols.osdp.aes import encrypt
from protocols.osdp.frame import FrameReader, build, close, header
from protocols.osdp.peripheral import FRAME_GAP_MS, SILENCE_MS
from protocols.osdp.secure_channel import complement
from tests.support.osdp_board import KEY, OTHER_KEY, Pair, opened

NO_SESSION = (codes.NAK, bytes((codes.NAK_SECURITY_CONDITION,)))
OUT_1_ON = b"\x01\x02\x00\x00"


def reason(raw: bytes) -> int:
    """Of a NAK in clear."""
    (frame,) = FrameReader().feed(raw)
    assert frame.data[0] == codes.NAK  # type: ignore[union-attr]
    return frame.data[1]  # type: ignore[union-attr]


def test_a_session_opens_and_polls_are_acknowledged() -> None:
    pair = opened()
    assert pair.poll() == (codes.ACK, b"")
    assert pair.node.secure
    assert pair.node.online
    assert pair.node.counts.sessions == 1


def test_no_session_with_another_key() -> None:
    pair = Pair(controller_key=OTHER_KEY)
    assert not pair.open()
    assert not pair.node.secure


def test_a_forged_proof_is_refused() -> None:
    pair = Pair()
    pair.controller.restart()
    pair.controller.hear(pair.carry(pair.controller.challenge()))
    forged = pair.controller.ask_block(codes.SCS_13, bytes((codes.SCRYPT,)) + bytes(16))
    assert reason(pair.carry(forged)) == codes.NAK_SECURITY_CONDITION
    assert not pair.node.secure
    assert pair.node.counts.failed_handshakes == 1


def test_a_keyed_node_refuses_the_default_key() -> None:
    pair = Pair(controller_key=codes.DEFAULT_KEY)
    assert reason(pair.carry(pair.controller.challenge())) == codes.NAK_SECURITY_CONDITION


def test_a_node_as_delivered_takes_the_default_key_only_for_its_own_key() -> None:
    pair = Pair(key=None)
    assert pair.open()
    assert not pair.node.secure
    assert pair.poll() == NO_SESSION
    assert pair.ask(codes.OUT, OUT_1_ON) == NO_SESSION
    assert pair.ask(codes.ID, b"\x00")[0] == codes.PDID  # type: ignore[index]
    assert pair.ask(codes.CAP, b"\x00")[0] == codes.PDCAP  # type: ignore[index]
    assert pair.ask(codes.KEYSET, b"\x01\x10" + KEY) == (codes.ACK, b"")
    assert pair.board.keys == [KEY]
    pair.controller.key = KEY
    assert pair.open()
    assert pair.node.secure
    assert pair.board.did == []


def test_the_default_key_is_never_stored_as_its_own() -> None:
    pair = Pair(key=None)
    assert pair.open()
    assert pair.ask(codes.KEYSET, b"\x01\x10" + codes.DEFAULT_KEY) == NO_SESSION
    assert pair.board.keys == []
    assert not pair.node.keyed


def test_a_key_the_board_cannot_store_does_not_count() -> None:
    pair = opened()
    pair.board.refuses = True
    assert pair.ask(codes.KEYSET, b"\x01\x10" + OTHER_KEY) == NO_SESSION
    assert pair.open()


def test_a_new_key_counts_from_the_next_session() -> None:
    pair = opened()
    assert pair.ask(codes.KEYSET, b"\x01\x10" + OTHER_KEY) == (codes.ACK, b"")
    assert pair.poll() == (codes.ACK, b"")
    assert not pair.open()
    pair.controller.key = OTHER_KEY
    assert pair.open()


def test_clear_text_gets_no_further_than_identity_capabilities_and_handshake() -> None:
    for key in (KEY, None):
        for code in range(0x60, 0x100):
            pair = Pair(key=key)
            answer = pair.ask(code, b"\x00")
            if code == codes.ID:
                assert answer
                assert answer[0] == codes.PDID
            elif code == codes.CAP:
                assert answer
                assert answer[0] == codes.PDCAP
            elif code in (codes.CHLNG, codes.SCRYPT):
                assert answer
                assert answer[0] == codes.NAK
            else:
                assert answer == NO_SESSION, code
            assert pair.board.did == []


def test_clear_text_inside_a_session_is_refused_and_changes_nothing() -> None:
    pair = opened()
    number = pair.controller.next_sequence()
    for code in (codes.POLL, codes.ID, codes.OUT):
        raw = pair.carry(build(5, number, bytes((code,)) + OUT_1_ON))
        assert reason(raw) == codes.NAK_SECURITY_CONDITION
    assert pair.board.did == []
    assert pair.poll() == (codes.ACK, b"")


def test_a_repeat_gets_the_same_bytes_and_is_not_done_twice() -> None:
    pair = opened()
    command = pair.controller.ask(codes.OUT, OUT_1_ON)
    first = pair.carry(command)
    assert pair.carry(command) == first
    assert pair.carry(command) == first
    assert len(pair.board.did) == 1
    assert pair.node.counts.repeats == 2
    assert pair.controller.hear(first) == (codes.ACK, b"")
    assert pair.poll() == (codes.ACK, b"")


def test_the_number_of_the_last_command_with_other_bytes_is_refused() -> None:
    pair = opened()
    pair.poll()
    number = pair.controller.sequence
    assert reason(pair.carry(build(5, number, b"\x60"))) == codes.NAK_SEQUENCE
    assert pair.poll() == (codes.ACK, b"")


def test_a_number_out_of_order_is_refused_and_changes_nothing() -> None:
    pair = opened()
    pair.controller.sequence = pair.controller.next_sequence()
    raw = pair.carry(pair.controller.ask(codes.POLL))
    assert reason(raw) == codes.NAK_SEQUENCE
    assert pair.node.secure


def test_a_refusal_outside_a_session_uses_up_its_number() -> None:
    # libosdp and others count on: they try their own key first, then the default key.
    pair = Pair(key=None, controller_key=KEY)
    refused = pair.carry(pair.controller.challenge())
    assert pair.carry(pair.controller.asked) == refused
    assert pair.controller.hear(refused) == NO_SESSION
    pair.controller.key = codes.DEFAULT_KEY
    answer = pair.controller.hear(pair.carry(pair.controller.challenge()))
    proof = pair.controller.prove(answer)
    assert pair.controller.sequence == 1
    assert pair.controller.settle(pair.controller.hear(pair.carry(proof)))


def test_a_number_out_of_order_does_not_move_the_count() -> None:
    pair = Pair()
    assert pair.ask(codes.ID, b"\x00")[0] == codes.PDID  # type: ignore[index]
    assert reason(pair.carry(build(5, 3, b"\x61\x00"))) == codes.NAK_SEQUENCE
    assert pair.ask(codes.ID, b"\x00")[0] == codes.PDID  # type: ignore[index]


def test_a_frame_begun_is_given_up_after_a_silence() -> None:
    pair = Pair(clear=True, crc=False)
    pair.carry(b"\x53\x05\xc8\x00\x00")
    assert pair.carry(pair.controller.ask(codes.ID, b"\x00")) == b""
    pair.now_ms += FRAME_GAP_MS
    assert pair.ask(codes.ID, b"\x00")[0] == codes.PDID  # type: ignore[index]


def test_a_payload_without_its_end_mark_is_not_carried_out() -> None:
    pair = opened()
    channel = pair.controller.channel
    assert channel is not None
    sealed = encrypt(channel._encryption_key, complement(channel._reply_mac), bytes(16))
    head = header(5, pair.controller.next_sequence(), 30, False, True, b"\x02\x17")
    body = head + bytes((codes.POLL,)) + sealed
    raw = pair.carry(close(body + channel.command_mac(body)))
    assert reason(raw) == codes.NAK_SECURITY_CONDITION
    assert not pair.node.secure


def test_only_number_0_starts_a_conversation() -> None:
    pair = Pair(clear=True)
    assert reason(pair.carry(build(5, 2, b"\x60"))) == codes.NAK_SEQUENCE
    assert pair.ask(codes.ID, b"\x00")[0] == codes.PDID  # type: ignore[index]


def test_number_0_ends_the_session() -> None:
    pair = opened()
    pair.carry(build(5, 0, b"\x61\x00"))
    assert not pair.node.secure
    raw = pair.carry(build(5, 1, b"\x60", block=b"\x02\x15", mac=b"abcd"))
    assert reason(raw) == codes.NAK_SECURITY_CONDITION


def test_a_wrong_mac_ends_the_session_and_nothing_is_done() -> None:
    for place in range(8, 12):
        pair = opened()
        command = pair.controller.ask(codes.OUT, OUT_1_ON)
        (frame,) = FrameReader().feed(command)
        signed = bytearray(frame.raw[:-2])
        signed[place] ^= 0x10
        forged = build(
            5,
            frame.sequence,
            bytes(signed[7:-4]),
            block=b"\x02\x17",
            mac=bytes(signed[-4:]),  # type: ignore[union-attr]
        )
        assert reason(pair.carry(forged)) == codes.NAK_SECURITY_CONDITION
        assert not pair.node.secure
        assert pair.board.did == []
        assert pair.node.counts.bad_macs == 1


def test_a_recorded_command_does_not_work_again() -> None:
    pair = opened()
    recorded = pair.controller.ask(codes.OUT, OUT_1_ON)
    pair.controller.hear(pair.carry(recorded))
    pair.poll()
    pair.poll()
    # Three commands on its number fits again, its MAC does not.
    assert reason(pair.carry(recorded)) == codes.NAK_SECURITY_CONDITION
    assert len(pair.board.did) == 1


def test_a_recorded_session_does_not_work_again() -> None:
    pair = Pair()
    drawn = [0]

    def fresh(count: int) -> bytes:
        drawn[0] += 1
        return bytes([drawn[0]] * count)

    pair.node._random_bytes = fresh
    recorded = [pair.controller.challenge()]
    answer = pair.controller.hear(pair.carry(recorded[0]))
    recorded.append(pair.controller.prove(answer))
    assert pair.controller.settle(pair.controller.hear(pair.carry(recorded[1])))
    recorded.append(pair.controller.ask(codes.OUT, OUT_1_ON))
    pair.controller.hear(pair.carry(recorded[2]))
    for command in recorded:
        pair.carry(command)
    assert not pair.node.secure
    assert len(pair.board.did) == 1


def test_silence_ends_the_session() -> None:
    pair = opened()
    pair.now_ms += SILENCE_MS - 100
    assert pair.poll() == (codes.ACK, b"")
    pair.now_ms += SILENCE_MS
    assert pair.poll() == NO_SESSION
    assert not pair.node.secure
    assert pair.open()


def test_a_replayed_last_command_does_not_keep_it_online() -> None:
    pair = opened()
    last = pair.controller.ask(codes.POLL)
    pair.carry(last)
    for _ in range(5):
        pair.now_ms += SILENCE_MS // 4
        pair.carry(last)
    assert not pair.node.online
    assert not pair.node.secure


def test_keepactive_bears_a_longer_silence_once() -> None:
    pair = opened()
    assert pair.ask(codes.KEEPACTIVE, b"\x88\x13") == (codes.ACK, b"")
    pair.now_ms += SILENCE_MS + 4000
    assert pair.poll() == (codes.ACK, b"")
    pair.now_ms += SILENCE_MS
    assert pair.poll() == NO_SESSION


def test_a_checksum_is_refused_where_security_is_wanted() -> None:
    pair = Pair(crc=False)
    assert reason(pair.carry(build(5, 0, b"\x61\x00", crc=False))) == codes.NAK_CHECK


def test_checksum_or_crc_is_answered_in_kind_where_clear_text_is_allowed() -> None:
    for crc in (False, True):
        for mark in (False, True):
            pair = Pair(clear=True, crc=crc, mark=mark)
            raw = pair.carry(pair.controller.ask(codes.ID, b"\x00"))
            assert (raw[0] == 0xFF) == mark
            (frame,) = FrameReader().feed(raw)
            assert frame.crc == crc  # type: ignore[union-attr]


def test_everybody_is_addressed_by_7f_but_no_session_ends_by_it() -> None:
    pair = Pair()
    (frame,) = FrameReader().feed(pair.carry(build(0x7F, 0, b"\x61\x00")))
    assert frame.address == 0x7F  # type: ignore[union-attr]
    assert frame.data[0] == codes.PDID  # type: ignore[union-attr]
    pair = opened()
    assert pair.carry(build(0x7F, 0, b"\x61\x00")) == b""
    assert pair.node.secure


def test_other_addresses_and_replies_are_not_for_us() -> None:
    pair = Pair()
    assert pair.carry(build(6, 0, b"\x61\x00")) == b""
    assert pair.carry(build(5, 0, b"\x61\x00", True)) == b""
    assert pair.node.counts.foreign == 2


def test_a_secure_frame_without_a_mac_is_refused() -> None:
    # PyPI osdp polls like that before its handshake.
    pair = Pair()
    raw = pair.carry(build(5, 0, b"\x60", block=b"\x02\x15"))
    assert reason(raw) == codes.NAK_SECURITY_CONDITION
    pair = opened()
    raw = pair.carry(build(5, pair.controller.next_sequence(), b"\x60", block=b"\x02\x15"))
    assert reason(raw) == codes.NAK_SECURITY_CONDITION
    assert not pair.node.secure


def test_unknown_security_blocks_are_refused() -> None:
    pair = Pair()
    raw = pair.carry(build(5, 0, b"\x61\x00", block=b"\x02\x01"))
    assert reason(raw) == codes.NAK_NO_SECURE_CHANNEL


def test_a_lost_handshake_reply_is_repeated() -> None:
    pair = Pair()
    challenge = pair.controller.challenge()
    assert pair.carry(challenge)
    proof = pair.controller.prove(pair.controller.hear(pair.carry(challenge)))
    first = pair.carry(proof)
    assert pair.carry(proof) == first
    assert pair.controller.settle(pair.controller.hear(first))
    assert pair.poll() is not None
