"""The supply fails at every byte and every operation of an update: the node always starts again."""

import sys

from firmware.node.slots import BUILT_IN
from tests.shared.firmware_images import (
    FIRST,
    SECOND,
    CutFlash,
    PowerCut,
    contents,
    node,
    proven,
    send,
    started,
)

STRIDE = 1 if sys.implementation.name == "cpython" else 9
"""Every byte where it is fast; where it is slow, each ninth: the operations still all come up."""


def updated(flash, running, data):
    """One whole update on `flash`: transfer, restart, trial, confirmation."""
    send(node(flash, running)[1], data)
    proven(started(flash)[2])


def with_first():
    flash = CutFlash()
    updated(flash, BUILT_IN, FIRST)
    return flash


def survive(flash, old, new, data):
    """After a cut: what starts is whole, old or new; and the update can still be had."""
    slot, slots, updater = started(flash.restarted())
    assert contents(flash, slot) in (old, new), "neither the old nor the new firmware"
    assert slot == BUILT_IN or slots.sound(slot)
    if slots.state.good:
        assert slots.sound(slots.state.good), "the record names a slot that is not whole"
    proven(updater)
    if contents(flash, slot) != new:
        assert send(updater, data) == 2
        proven(started(flash.restarted())[2])
        slot, slots, _ = started(flash.restarted())
    assert contents(flash, slot) == new
    assert slots.state.good == slot
    assert slots.state.trial == 0


def cut(act, *words):
    """Runs `act` until it is done or the supply fails: whether it failed."""
    try:
        act(*words)
    except PowerCut:
        return True
    return False


def mended(flash):
    slot, _, updater = started(flash)
    proven(updater)
    if contents(flash, slot) != b"second!":
        send(updater, SECOND)


def every_cut(start, running, old, new, data):
    whole = start.copied()
    updated(whole, running, data)
    assert whole.spent > len(data)
    for budget in range(0, whole.spent, STRIDE):
        flash = start.copied(budget)
        assert cut(updated, flash, running, data), "the supply held"
        survive(flash, old, new, data)
    return whole.spent


def test_a_cut_anywhere_in_the_first_update_leaves_a_node_that_starts():
    assert every_cut(CutFlash(), BUILT_IN, b"", b"first", FIRST) > 1000


def test_a_cut_anywhere_in_a_later_update_leaves_a_node_that_starts():
    assert every_cut(with_first(), 1, b"first", b"second!", SECOND) > 1000


def test_a_second_cut_while_the_first_is_mended_leaves_a_node_that_starts():
    start = with_first()
    draw = 12345
    for _ in range(300 // STRIDE):
        draw = draw * 1103515245 + 12345 & 0x7FFFFFFF
        flash = start.copied(draw >> 8 & 0x7FF)
        cut(updated, flash, 1, SECOND)
        for _ in range(3):
            draw = draw * 1103515245 + 12345 & 0x7FFFFFFF
            flash = flash.restarted(draw >> 8 & 0xFF)
            cut(mended, flash)
        survive(flash, b"first", b"second!", SECOND)


def test_cuts_during_a_roll_back_leave_the_last_good_one():
    start = with_first()
    send(node(start, 1)[1], SECOND)
    for _ in range(3):
        started(start)
    whole = start.copied()
    assert contents(whole, started(whole)[0]) == b"first"
    assert whole.spent > 30
    for budget in range(whole.spent):
        flash = start.copied(budget)
        assert cut(started, flash), "the supply held"
        slot, slots, _ = started(flash.restarted())
        assert contents(flash, slot) == b"first"
        assert slots.state.trial == 0
