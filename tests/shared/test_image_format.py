"""The image container and its signature, under CPython and MicroPython alike."""

import hashlib

from firmware.node.image import header_length, parse_header
from firmware.node.verify import SignatureCheck, encoded_block, read_key, verify
from tests.shared.firmware_images import FIRST, MODULUS, image, sign

HEADER = FIRST[: header_length(FIRST)]
SIGNATURE = FIRST[len(HEADER) : len(HEADER) + 384]


def test_a_header_says_what_was_packed():
    header = parse_header(HEADER)
    assert header.board == "test"
    assert header.version == (1, 2, 3)
    assert [(file.path, file.length) for file in header.files] == [
        ("main.py", 5),
        ("node/part.py", 0),
    ]
    assert header.total == len(FIRST)
    assert FIRST[header.body_offset :] == b"first"


def test_no_changed_byte_of_a_header_keeps_the_signature():
    for place in range(0, len(HEADER), 11):
        changed = bytearray(HEADER)
        changed[place] ^= 1 << (place % 8)
        assert not verify(MODULUS, SIGNATURE, bytes(changed))
    assert verify(MODULUS, SIGNATURE, HEADER)


def test_a_cut_or_lengthened_header_is_none():
    for size in range(len(HEADER)):
        assert parse_header(HEADER[:size]) is None
    assert parse_header(HEADER + b"\0") is None


def test_paths_that_leave_the_slot_are_refused():
    for path in (
        "../main.py",
        "/main.py",
        "a/../../b.py",
        "a//b.py",
        "./a.py",
        "main",
        "Main.py",
        ".py",
        "a/.mpy",
        "a\\b.py",
        "head",
        "a/b/c/d/e.py",
        "x" * 50 + ".py",
    ):
        data = image([(path, b"x")], signed=False)
        assert parse_header(data[: header_length(data)]) is None, path


def test_a_path_named_twice_is_refused():
    data = image([("a.py", b"x"), ("a.py", b"y")], signed=False)
    assert parse_header(data[: header_length(data)]) is None


def test_a_signature_is_taken_whole_or_not_at_all():
    assert not verify(MODULUS, SIGNATURE[:-1], HEADER)
    assert not verify(MODULUS, SIGNATURE + b"\0", HEADER)
    assert not verify(MODULUS, b"\0" * 384, HEADER)
    assert not verify(MODULUS, b"\xff" * 384, HEADER)
    assert not verify(0, SIGNATURE, HEADER)
    larger = int.from_bytes(SIGNATURE, "big") + MODULUS
    if larger < 1 << 3072:
        assert not verify(MODULUS, larger.to_bytes(384, "big"), HEADER)


def test_padding_that_is_shorter_than_the_key_is_refused():
    # The classic forgery: a right digest block with rubbish after it.
    digest = hashlib.sha256(HEADER).digest()
    block = encoded_block(digest)
    assert len(block) == 384
    assert block[:2] == b"\x00\x01"
    assert block[2:332] == b"\xff" * 330
    assert block[-32:] == digest


def test_the_steps_of_a_check_come_to_the_verdict_of_the_whole():
    check = SignatureCheck(MODULUS, SIGNATURE, hashlib.sha256(HEADER).digest())
    steps = 0
    while check.verdict is None:
        check.step()
        steps += 1
    assert check.verdict is True
    assert steps == 17
    assert sign(HEADER) == SIGNATURE


def test_a_key_file_is_384_bytes_and_a_check():
    raw = MODULUS.to_bytes(384, "big")
    good = raw + hashlib.sha256(raw).digest()[:4]
    assert read_key(good) == MODULUS
    assert read_key(good[:-1]) == 0
    assert read_key(b"\x00" + good[1:]) == 0
    assert read_key(b"") == 0
    even = (MODULUS - 1).to_bytes(384, "big")
    assert read_key(even + hashlib.sha256(even).digest()[:4]) == 0
