"""Hostile images and transfers: nothing raises, nothing but the signed image is ever believed."""

from firmware.node.image import MAX_FILES, header_length, parse_header, parse_start
from firmware.node.slots import IMAGE
from tests.shared.firmware_images import FIRST, SECOND, CutFlash, node

SIZE = header_length(FIRST)


class Chance:
    """The same draws on both runtimes."""

    def __init__(self, seed):
        self._state = seed

    def draw(self, below):
        self._state = self._state * 1103515245 + 12345 & 0x7FFFFFFF
        return (self._state >> 8) % below


def spoilt(chance, data):
    changed = bytearray(data)
    for _ in range(1 + chance.draw(4)):
        changed[chance.draw(len(changed))] = chance.draw(256)
    return bytes(changed)


def test_no_bytes_for_a_header_raise_and_paths_stay_below_the_slot():
    chance = Chance(1)
    read = 0
    for _ in range(3000):
        header = parse_header(spoilt(chance, FIRST[:SIZE]))
        if header is None:
            continue
        read += 1
        assert 1 <= len(header.files) <= MAX_FILES
        for file in header.files:
            assert file.path[0] != "/"
            assert ".." not in file.path
            assert file.path[-3:] == ".py" or file.path[-4:] == ".mpy"
    assert read > 100
    for size in range(80):
        assert parse_start(bytes(size)) is None
        assert parse_start(b"\xff" * size) is None


def test_no_order_of_parts_raises_or_leaves_a_false_image():
    chance = Chance(2)
    believed = 0
    for _ in range(400):
        flash = CutFlash()
        slots, updater = node(flash)
        data = FIRST if chance.draw(2) else SECOND
        sent = data if chance.draw(4) else spoilt(chance, data)
        offset = 0
        for _ in range(60):
            kind = 1 if chance.draw(40) else chance.draw(256)
            total = len(sent) if chance.draw(40) else chance.draw(1 << 32)
            place = offset if chance.draw(10) else chance.draw(len(sent) + 9)
            part = sent[place : place + 1 + chance.draw(120)]
            status, delay_ms = updater.file_part(kind, total, place, part)
            assert -3 <= status <= 2
            assert delay_ms == 0
            if not chance.draw(60):
                updater.abort()
            if place == offset and status >= 0:
                offset += len(part)
            elif status < 0:
                offset = 0
            if updater.done:
                break
        if updater.done:
            believed += 1
            assert flash.files[IMAGE] in (FIRST, SECOND)
        else:
            assert IMAGE not in flash.files
        assert len(flash.files.get("update.part", b"")) <= len(sent)
        assert slots.state.trial == 0
    assert 50 < believed < 390
