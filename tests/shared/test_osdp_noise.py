"""A hostile wire: spoilt and forged frames never raise, act or pile up; on both runtimes."""

from protocols.osdp import codes
from protocols.osdp.frame import MAX_FRAME_BYTES, build
from tests.support.osdp_board import Pair, opened
from tests.support.osdp_chance import Chance
from tests.support.osdp_mutation import mutated

OUT_1_ON = b"\x01\x02\x00\x00"


def test_mutated_secure_commands_never_act() -> None:
    chance = Chance(11)
    for _ in range(40):
        pair = opened()
        command = pair.controller.ask(codes.OUT, OUT_1_ON)
        for _ in range(4):
            bad = mutated(chance, command)
            if bad != command:
                pair.carry(bad)
        assert pair.board.did == []
        assert pair.node._reader.pending <= 2 * MAX_FRAME_BYTES


def test_any_bytes_are_borne() -> None:
    chance = Chance(12)
    pair = Pair()
    for _ in range(150):
        pair.carry(chance.data(chance.below(300)))
        assert pair.node._reader.pending <= 2 * MAX_FRAME_BYTES
    assert pair.board.did == []
    assert pair.open()


def test_well_formed_nonsense_is_borne() -> None:
    chance = Chance(13)
    pair = Pair()
    for _ in range(150):
        block = None
        if chance.below(2):
            block = bytes((3, 0x10 + chance.below(10), chance.below(3)))
        data = bytes((0x60 + chance.below(0x50),)) + chance.data(chance.below(40))
        pair.carry(build(5, chance.below(4), data, block=block, mac=chance.data(4)))
    assert pair.board.did == []
    assert pair.open()


def test_garbage_between_delays_a_poll_by_one_exchange_at_most() -> None:
    chance = Chance(14)
    pair = opened()
    for number in range(60):
        pair.node.report_inputs(bytes([number & 7] * 8))
        pair.node.receive(chance.data(chance.below(60)), pair.now_ms)
        command = pair.controller.ask(codes.POLL)
        answer = pair.controller.hear(pair.carry(command))
        if answer is None:
            answer = pair.controller.hear(pair.carry(command))
        assert answer is not None
        pair.drain()
