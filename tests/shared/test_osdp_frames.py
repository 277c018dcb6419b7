"""Frames of OSDP: built, found, refused; on both runtimes."""

from protocols.osdp.frame import (
    MAX_FRAME_BYTES,
    Frame,
    FrameReader,
    Malformed,
    build,
    checksum,
    crc16,
    crc16_by_table,
)
from tests.support.osdp_chance import Chance

POLL = build(5, 2, b"\x60")


def frames(found: "list[Frame | Malformed]") -> "list[bytes]":
    return [what.raw for what in found if isinstance(what, Frame)]


def test_crc_is_the_published_one_and_both_ways_agree() -> None:
    assert crc16(b"123456789") == 0xE5CC
    chance = Chance(1)
    for size in range(40):
        data = chance.data(size)
        assert crc16(data) == crc16_by_table(data)


def test_a_poll_byte_for_byte() -> None:
    assert build(0, 0, b"\x60") == b"\x53\x00\x08\x00\x04\x60\xeb\xaa"
    assert build(0, 0, b"\x60", crc=False, mark=True) == b"\xff\x53\x00\x07\x00\x00\x60\x46"
    assert sum(build(9, 1, b"\x60", crc=False)) & 0xFF == 0
    assert checksum(b"\x01\x02") == 0xFD


def test_a_frame_says_what_it_was_built_from() -> None:
    raw = build(0x11, 3, b"\x68\x01\x02", True, b"\x02\x15", b"abcd", mark=True)
    (frame,) = FrameReader().feed(raw)
    assert isinstance(frame, Frame)
    assert (frame.address, frame.reply, frame.sequence, frame.crc) == (0x11, True, 3, True)
    assert (frame.block, frame.data, frame.mac) == (b"\x02\x15", b"\x68\x01\x02", b"abcd")
    assert frame.raw == raw[1:]
    assert frame.marked
    assert frame.signed == raw[1:-6]


def test_handshake_frames_have_no_mac() -> None:
    (frame,) = FrameReader().feed(build(1, 0, b"\x76" + bytes(8), block=b"\x03\x11\x01"))
    assert isinstance(frame, Frame)
    assert frame.mac == b""
    assert frame.data == b"\x76" + bytes(8)


def test_byte_by_byte_is_the_same_as_at_once() -> None:
    stream = b"\x00\x53" + POLL + b"\xff\xff" + build(6, 1, b"\x41\x01", True, crc=False) + POLL
    whole = frames(FrameReader().feed(stream))
    reader = FrameReader()
    single = []
    for place in range(len(stream)):
        single += frames(reader.feed(stream[place : place + 1]))
    assert whole == single
    assert whole.count(POLL) == 2


def test_a_false_start_in_noise_does_not_hold_up_the_next_frame() -> None:
    # 53 announces 200 bytes that never come.
    reader = FrameReader()
    assert reader.feed(b"\x53\x01\xc8\x00\x04\x60") == []
    assert frames(reader.feed(POLL)) == [POLL]
    assert reader.pending == 0


def test_a_refused_start_leaves_no_blind_spot() -> None:
    reader = FrameReader()
    reader.feed(b"\x53\x01\x0c\x00\x04" + bytes(5))
    reader.feed(bytes(2))
    assert reader.pending == 0
    reader.feed(b"\x53\x01\xc8\x00\x04")
    assert frames(reader.feed(POLL)) == [POLL]


def test_a_cut_frame_costs_itself_only() -> None:
    for kept in range(1, len(POLL)):
        reader = FrameReader()
        reader.feed(POLL[:kept])
        assert frames(reader.feed(POLL)) == [POLL], kept


def test_any_one_byte_changed_is_no_frame() -> None:
    for place in range(len(POLL)):
        for flip in (0x01, 0x80, 0xFF):
            bad = bytearray(POLL)
            bad[place] ^= flip
            assert frames(FrameReader().feed(bytes(bad))) == []


def test_garbage_before_behind_and_between_leaves_good_frames() -> None:
    chance = Chance(7)
    for _ in range(150):
        noise = chance.data(chance.below(40))
        reader = FrameReader()
        found = frames(reader.feed(noise))
        # One exchange may be lost to a frame the noise began; the next may not.
        first = frames(reader.feed(POLL))
        second = frames(reader.feed(POLL))
        assert POLL in found + first + second
        assert second[-1:] == [POLL]


def test_what_is_kept_is_bounded() -> None:
    chance = Chance(3)
    reader = FrameReader()
    for _ in range(60):
        reader.feed(b"\x53\x01\xff\x00\x04" + chance.data(60))
        assert reader.pending <= 2 * MAX_FRAME_BYTES
    reader.feed(b"\x53\x00" * 700)
    assert reader.pending <= 2 * MAX_FRAME_BYTES
    reader.reset()
    assert reader.pending == 0


def test_a_node_is_given_its_own_commands_only() -> None:
    reader = FrameReader(5)
    stream = (
        build(6, 1, b"\x60", crc=False)
        + POLL
        + build(5, 2, b"\x40", True)
        + build(7, 1, bytes(200))
        + build(0x7F, 0, b"\x61\x00")
    )
    assert frames(reader.feed(stream)) == [POLL, build(0x7F, 0, b"\x61\x00")]
    assert reader.foreign == 3
    assert reader.noise_bytes == 0
    bad = bytearray(build(6, 1, b"\x60"))
    bad[-1] ^= 1
    assert frames(reader.feed(bytes(bad) + POLL)) == [POLL]
    assert reader.foreign == 3


def test_impossible_lengths_and_blocks_are_no_frames() -> None:
    for raw in (
        b"\x53\x01\x06\x00\x04\x60\x00",
        b"\x53\x01\xff\xff\x04\x60\x00",
        build(1, 1, b"\x60", block=b"\x09\x15"),
        build(1, 1, b"\x60", block=b"\x00\x15"),
        build(1, 1, b"", block=b"\x02\x15"),
    ):
        assert frames(FrameReader().feed(raw)) == []
