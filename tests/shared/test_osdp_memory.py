"""What the peripheral takes of a board's memory, on both runtimes by their own measure."""

import gc

from protocols.osdp import aes, codes
from protocols.osdp.secure_channel import padded, same
from tests.support.osdp_board import opened

try:
    used = gc.mem_alloc  # type: ignore[attr-defined]
    NODE_BYTES = 20_000
except AttributeError:
    import tracemalloc

    NODE_BYTES = 60_000

    def used() -> int:
        """CPython counts only what is made while somebody looks."""
        if not tracemalloc.is_tracing():
            tracemalloc.start()
        return tracemalloc.get_traced_memory()[0]


def test_a_node_with_a_full_queue_is_small_and_polling_leaves_nothing_behind() -> None:
    gc.collect()
    before = used()
    pair = opened()
    for number in range(100):
        pair.node.report_inputs(bytes([number & 7] * 8))
    gc.collect()
    full = used() - before
    assert full < NODE_BYTES, full
    pair.drain()
    gc.collect()
    drained = used()
    for _ in range(300):
        pair.poll()
    gc.collect()
    assert used() - drained < 2_000
    if "tracemalloc" in globals():
        tracemalloc.stop()


def test_aes_is_aes() -> None:
    # FIPS 197, appendix B; and CBC chains.
    key = bytes((0x2B, 0x7E, 0x15, 0x16, 0x28, 0xAE, 0xD2, 0xA6))
    key += bytes((0xAB, 0xF7, 0x15, 0x88, 0x09, 0xCF, 0x4F, 0x3C))
    plain = b"\x32\x43\xf6\xa8\x88\x5a\x30\x8d\x31\x31\x98\xa2\xe0\x37\x07\x34"
    sealed = b"\x39\x25\x84\x1d\x02\xdc\x09\xfb\xdc\x11\x85\x97\x19\x6a\x0b\x32"
    assert aes.encrypt(key, aes.ZERO_IV, plain) == sealed
    assert aes.decrypt(key, aes.ZERO_IV, sealed) == plain
    two = aes.encrypt(key, plain, plain + sealed)
    assert aes.decrypt(key, plain, two) == plain + sealed
    assert two[16:] == aes.encrypt(key, two[:16], sealed)


def test_padding_always_marks_the_end() -> None:
    for size in range(40):
        data = padded(bytes(size))
        assert len(data) % 16 == 0
        assert len(data) > size
        assert data[size] == 0x80


def test_equal_bytes_only_are_the_same() -> None:
    assert same(b"abcd", b"abcd")
    assert not same(b"abcd", b"abce")
    assert not same(b"abcd", b"bbcd")
    assert not same(b"abcd", b"abc")
    assert not same(b"", b"a")
    assert codes.DEFAULT_KEY[0] == 0x30
