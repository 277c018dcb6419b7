"""The node's end of the bus under any bytes: no exception, no forged command, no growth (J1)."""

from __future__ import annotations

import random
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.osdp import codes
from protocols.osdp.frame import MAX_FRAME_BYTES, Frame, FrameReader, build
from tests.support.osdp_board import Pair, opened
from tests.support.osdp_chance import Chance
from tests.support.osdp_mutation import mutated

PIECES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.builds(
            build,
            st.integers(0, 127),
            st.integers(0, 3),
            st.binary(min_size=1, max_size=40),
            st.booleans(),
            crc=st.booleans(),
            mark=st.booleans(),
        ),
        st.sampled_from([b"\x53", b"\xff\x53", b"\x53\x05\xff\x00\x04", b"\x53\x05\x08\x00\x04"]),
    ),
    max_size=8,
)


def found_in(stream: bytes, step: int) -> list[bytes]:
    reader = FrameReader()
    found: list[bytes] = []
    for start in range(0, len(stream), step):
        some = reader.feed(stream[start : start + step])
        found += [what.raw for what in some if isinstance(what, Frame)]
        assert reader.pending <= 2 * MAX_FRAME_BYTES
    return found


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(PIECES, st.integers(1, 9))
def test_every_frame_found_was_in_the_stream(pieces: list[bytes], step: int) -> None:
    stream = b"".join(pieces)
    for raw in found_in(stream, step):
        assert raw in stream


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(st.binary(max_size=120), st.integers(1, 300))
def test_after_any_garbage_the_second_good_frame_is_found(noise: bytes, step: int) -> None:
    first = build(5, 1, b"\x60", block=b"\x02\x15", mac=b"abcd")
    second = build(5, 2, b"\x60", block=b"\x02\x15", mac=b"efgh")
    found = found_in(noise + first + second, step)
    assert second in found
    if b"\x53" not in noise:
        assert first in found


@settings(max_examples=800, deadline=None, derandomize=True)
@given(st.binary(max_size=40), st.integers(0, 20))
def test_garbage_inside_a_frame_costs_that_frame_only(noise: bytes, place: int) -> None:
    first = build(5, 1, b"\x68" + bytes(12))
    second = build(5, 2, b"\x60")
    spoilt = first[:place] + noise + first[place:]
    third = build(5, 3, b"\x60")
    assert third in found_in(spoilt + second + third, 7)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.binary(max_size=80), st.integers(0, 400)), max_size=30))
def test_a_node_bears_any_bytes_at_any_time(fed: list[tuple[bytes, int]]) -> None:
    pair = Pair()
    for data, gap_ms in fed:
        pair.now_ms += gap_ms
        pair.node.receive(data, pair.now_ms)
    assert pair.board.did == []
    assert pair.board.keys == []
    pair.now_ms += 300
    assert pair.open()


def test_no_mutation_of_a_secure_command_is_carried_out() -> None:
    commands = [
        (codes.OUT, b"\x00\x02\x00\x00"),
        (codes.KEYSET, b"\x01\x10" + bytes(16)),
        (codes.COMSET, b"\x09\x00\x96\x00\x00"),
        (codes.LED, bytes(14)),
        (codes.BUZ, bytes(5)),
        (codes.ABORT, b""),
        (codes.FILETRANSFER, b"\x01\x03\x00\x00\x00\x00\x00\x00\x00\x03\x00abc"),
        (codes.MFG, codes.VENDOR.to_bytes(3, "little") + b"\x02"),
    ]
    for seed in range(6000):
        chance = Chance(seed)
        pair = opened()
        command = pair.controller.ask(*commands[seed % len(commands)])
        for _ in range(3):
            bad = mutated(chance, command)
            if command not in bad:
                pair.carry(bad)
        pair.node.tick(pair.now_ms + 1000)
        board = pair.board
        assert (board.did, board.keys, board.file, board.restarts) == ([], [], b"", 0), seed
        assert pair.node.address == 5


def test_what_a_node_keeps_does_not_grow() -> None:
    draw = random.Random(5)
    pair = opened()

    def storm(rounds: int) -> None:
        for _ in range(rounds):
            pair.now_ms += 7
            pair.node.receive(draw.randbytes(draw.randrange(200)), pair.now_ms)
            pair.node.report_inputs(draw.randbytes(8))
            pair.node.report_keys("1234567890")
            pair.node.report_vendor(draw.randbytes(20))

    storm(100)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        storm(1500)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # What is kept is replaced, not added to; all of the queue and the reader is about 20 KB here.
    assert grown < 40_000
    assert pair.node.queued <= 66
