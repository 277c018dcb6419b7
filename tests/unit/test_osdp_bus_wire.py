"""One exchange on the wire against a line that says what it is told to, and noise of any kind."""

from __future__ import annotations

import random
import time

import pytest

from edge.adapters.osdp_seal import Seal
from edge.adapters.osdp_wire import REPEATS, Exchange, Wire, command_of
from protocols.osdp import codes
from protocols.osdp.frame import build

POLL = build(5, 2, bytes([codes.POLL]), mark=True)
ACK = build(5, 2, bytes([codes.ACK]), reply=True)


class Script:
    """A line: after each command the next of `answers` can be read, in pieces."""

    character_s = 0.00001

    def __init__(self, *answers: bytes, piece: int = 64) -> None:
        self.sent: list[bytes] = []
        self.waiting = b""
        self._answers = list(answers)
        self._piece = piece

    def write(self, data: bytes) -> None:
        self.sent.append(data)
        if self._answers:
            self.waiting += self._answers.pop(0)

    def read(self) -> bytes:
        data, self.waiting = self.waiting[: self._piece], self.waiting[self._piece :]
        return data

    def wait(self, timeout_s: float) -> bool:
        if not self.waiting:
            time.sleep(min(timeout_s, 0.0005))
        return bool(self.waiting)


def exchanged(line: Script, timeout_s: float = 0.005) -> Exchange:
    return Wire(line, 0.0).exchange(POLL, timeout_s, Seal())


def test_a_good_reply_is_taken_at_the_first_try() -> None:
    line = Script(ACK)
    done = exchanged(line)
    assert done.reply is not None
    assert done.reply.raw == ACK
    assert (done.tries, done.garbled, done.foreign) == (1, 0, 0)
    assert line.sent == [POLL]


def test_silence_is_not_repeated_in_the_same_turn() -> None:
    line = Script()
    done = exchanged(line)
    assert done.reply is None
    assert line.sent == [POLL]


def test_a_garbled_reply_has_the_identical_bytes_sent_again() -> None:
    spoilt = bytes([*ACK[:-1], ACK[-1] ^ 1])
    line = Script(spoilt, spoilt, ACK)
    done = exchanged(line)
    assert done.reply is not None
    assert (done.tries, done.garbled) == (3, 2)
    assert line.sent == [POLL] * 3


STRAYS = {
    "echo": POLL,
    "another node": build(6, 2, bytes([codes.ACK]), reply=True),
    "an earlier question": build(5, 1, bytes([codes.ISTATR, 1]), reply=True),
    "broadcast": build(0x7F, 2, bytes([codes.ISTATR, 1]), reply=True),
    "another controller": build(5, 2, bytes([codes.OUT, 0, 2, 0, 0])),
}


@pytest.mark.parametrize("stray", STRAYS)
@pytest.mark.parametrize("piece", [1, 7, 64])
def test_what_is_not_the_answer_does_not_get_through(stray: str, piece: int) -> None:
    done = exchanged(Script(STRAYS[stray] + ACK, piece=piece))
    assert done.reply is not None
    assert done.reply.raw == ACK
    assert done.foreign == (stray != "echo")
    alone = exchanged(Script(STRAYS[stray], piece=piece))
    assert alone.reply is None


def test_busy_is_an_answer_but_none_for_libosdp() -> None:
    done = exchanged(Script(build(5, 0, bytes([codes.BUSY]), reply=True)))
    assert done.busy
    assert done.answered
    assert done.reply is None


def test_a_refused_check_is_sent_again_and_never_reaches_libosdp() -> None:
    refused = build(5, 2, bytes([codes.NAK, codes.NAK_CHECK]), reply=True)
    line = Script(refused, ACK)
    done = exchanged(line)
    assert done.reply is not None
    assert done.reply.raw == ACK
    assert exchanged(Script(refused, refused, refused)).reply is None


def test_any_noise_around_a_reply_costs_at_most_the_repeats_of_one_turn() -> None:
    rng = random.Random(41)
    for _ in range(300):
        noise = rng.randbytes(rng.randint(1, 40))
        if rng.random() < 0.4:
            noise = b"\x53\x85" + noise  # looks like the beginning of a reply
        cut = rng.randint(0, len(ACK))
        spoilt = rng.choice([noise + ACK, ACK + noise, ACK[:cut] + noise + ACK[cut:], noise])
        line = Script(spoilt, ACK, ACK, piece=rng.choice([1, 5, 64]))
        done = Wire(line, 0.0).exchange(POLL, 0.001, Seal())
        if done.reply is not None:
            assert done.reply.raw == ACK
        else:
            again = Wire(line, 0.0).exchange(POLL, 0.001, Seal())
            assert again.reply is not None
        assert done.tries <= REPEATS + 1


def test_a_line_that_never_stops_talking_holds_a_turn_only_so_long() -> None:
    class Babble(Script):
        def read(self) -> bytes:
            return rng.randbytes(8)

        def wait(self, timeout_s: float) -> bool:
            time.sleep(0.0002)
            return True

    rng = random.Random(2)
    began = time.monotonic()
    wire = Wire(Babble(), 0.0)
    assert wire.exchange(POLL, 0.005, Seal()).reply is None
    assert time.monotonic() - began < 2.5
    assert wire.unasked_bytes > 16


def test_a_frame_s_parts_are_found_with_and_without_mark_and_block() -> None:
    secure = build(9, 3, bytes([codes.LED, 1, 2]), block=b"\x02\x17", mac=bytes(4))
    assert command_of(POLL) == (5, 2, codes.POLL)
    assert command_of(secure) == (9, 3, codes.LED)
    assert command_of(b"\xff\x53") == (-1, 0, 0)
