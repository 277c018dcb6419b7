"""Resets: what the latch keeps (K3), when the watchdog is fed (K2), what is reported."""

from firmware.node.latch import Latch, seal, unseal
from firmware.node.loop import run
from firmware.node.watch import ALL, BUS, CHECK, SAMPLE, Watch
from protocols.osdp import codes
from protocols.osdp.node_report import (
    RESET_COMMAND,
    RESET_FAULT,
    RESET_POWER,
    RESET_WATCHDOG,
    decode,
)
from tests.support.node_board import MemoryBoard, MemoryFlash, Reset
from tests.support.node_rig import NodeRig

ALARM = codes.INPUT_ALARM
QUIET = bytes(8)


def rig(start=0):
    found = NodeRig(MemoryBoard(MemoryFlash(), start=start))
    found.run(100)
    return found


def joined(start=0):
    found = rig(start)
    found.join()
    found.drain()
    return found


def states(number, state):
    made = bytearray(8)
    made[number] = state
    return bytes(made)


def reports(found):
    return [decode(p[3:]) for code, p in found.told if code == codes.MFGREP]


def rig_told():
    found = rig()
    found.join()
    found.drain()
    return found


def test_an_alarm_not_acknowledged_before_a_reset_is_told_after_it():
    found = rig()
    found.board.show(2, ALARM)
    found.run(400)
    found.board.show(2, 0)
    found.run(400)
    after = NodeRig(found.board.restarted())
    after.run(100)
    after.join()
    after.drain()
    assert after.inputs()[0] == states(2, ALARM)
    assert after.inputs()[-1] == QUIET
    # Told once: acknowledged now.
    again = NodeRig(after.board.restarted())
    again.run(100)
    again.join()
    again.drain()
    assert set(again.inputs()) == {QUIET}


def test_an_acknowledged_alarm_is_not_told_again_after_a_reset():
    found = joined()
    found.board.show(2, ALARM)
    found.run(400)
    found.board.show(2, 0)
    found.run(400)
    found.drain()
    assert states(2, ALARM) in found.inputs()
    after = NodeRig(found.board.restarted())
    after.run(100)
    after.join()
    after.drain()
    assert set(after.inputs()) == {QUIET}


def test_a_tamper_not_acknowledged_is_told_after_a_reset():
    found = rig()
    found.board.open = True
    found.run(200)
    found.board.open = False
    found.run(1500)
    after = NodeRig(found.board.restarted())
    after.run(100)
    after.join()
    told = [payload for code, payload in after.drain() if code == codes.LSTATR]
    assert told[0] == b"\x01\x00"
    assert told[-1] == b"\x00\x00"


def test_an_alarm_outlives_what_came_after_it_in_the_latch():
    board = MemoryBoard(MemoryFlash())
    latch = Latch(board)
    latch.inputs(states(4, ALARM))
    latch.inputs(states(4, codes.INPUT_OPEN))
    latch.inputs(QUIET)
    assert Latch(board.restarted()).over(QUIET) == states(4, ALARM)


def test_an_acknowledged_state_that_still_stands_is_not_latched_with_the_next_change():
    board = MemoryBoard(MemoryFlash())
    latch = Latch(board)
    latch.inputs(states(4, ALARM))
    latch.local(True, False)
    latch.acknowledged()
    latch.inputs(bytes((0, ALARM, 0, 0, ALARM, 0, 0, 0)))
    latch.local(True, True)
    after = Latch(board.restarted())
    assert after.over(QUIET) == states(1, ALARM)
    assert after.power
    assert not after.tamper


def test_every_damaged_scratch_word_is_a_lost_supply_and_no_alarm():
    for bit in range(32):
        assert unseal(seal(0x123456) ^ 1 << bit) == -1
    assert unseal(0) == -1
    for word in range(3):
        board = MemoryBoard(MemoryFlash())
        Latch(board).inputs(states(1, ALARM))
        board.scratch[word] ^= 0x100
        kept = Latch(board).over(QUIET)
        assert kept == (QUIET if word == 0 else states(1, ALARM))


def test_cause_and_count_of_resets_are_in_the_report():
    found = joined()
    assert [(r.reset_cause, r.resets) for r in reports(rig_told())] == [(RESET_POWER, 0)]
    after = NodeRig(found.board.restarted())
    after.run(100)
    after.join()
    after.drain()
    assert [(r.reset_cause, r.resets) for r in reports(after)] == [(RESET_WATCHDOG, 1)]
    after.ask(codes.MFG, bytes((0x54, 0x4F, 0x43, codes.ASK_RESTART)))
    asked = False
    try:
        after.run(500)
    except Reset:
        asked = True
    assert asked
    third = NodeRig(after.board.restarted())
    third.run(100)
    third.join()
    third.drain()
    assert [(r.reset_cause, r.resets) for r in reports(third)] == [(RESET_COMMAND, 2)]


def test_what_the_code_did_not_foresee_resets_the_node_and_is_told():
    found = joined()
    found.board.show(2, ALARM)
    found.run(400)

    def broken(*words):
        raise ValueError("as a test")

    found.node.sample = broken
    ended = False
    try:
        run(found.node)
    except Reset:
        ended = True
    assert ended
    after = NodeRig(found.board.restarted())
    after.run(100)
    after.join()
    after.drain()
    assert reports(after)[0].reset_cause == RESET_FAULT
    assert after.inputs()[0] == states(2, ALARM)


def test_the_watchdog_is_fed_only_when_every_duty_has_progressed():
    for missing in (SAMPLE, BUS, CHECK):
        watch = Watch()
        for _ in range(5):
            for duty in (SAMPLE, BUS, CHECK):
                if duty != missing:
                    watch.progressed(duty)
            assert not watch.take()
        watch.progressed(missing)
        assert watch.take()
        assert not watch.take()
        watch.progressed(ALL)
        assert watch.take()
