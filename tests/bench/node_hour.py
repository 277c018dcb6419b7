"""An hour of a node on a simulated clock; prints JSON. usage: node_hour.py MINUTES POLL_MS"""

import gc
import json
import sys
import time

from tests.support.node_board import MemoryBoard, MemoryFlash
from tests.support.node_rig import NodeRig
from tests.support.osdp_chance import Chance

SAMPLES = 2000


def heap() -> "tuple[int, int]":
    """Used and free bytes; zeros where the runtime does not tell."""
    gc.collect()
    if not hasattr(gc, "mem_alloc"):
        return 0, 0
    return gc.mem_alloc(), gc.mem_free()


def now_us() -> int:
    """Of the real clock."""
    return time.time_ns() // 1000


def main(minutes: int, poll_ms: int) -> None:
    """Polls, and an input that changes every few seconds."""
    before = heap()
    rig = NodeRig(MemoryBoard(MemoryFlash()))
    rig.run(100)
    rig.join()
    rig.drain()
    rig.told = []
    started = heap()
    chance = Chance(1)
    board = rig.board
    uptime = rig.node.uptime
    end_ms = uptime.now_ms + minutes * 60000
    next_change_ms = 0
    changes = polls = told = turns = worst_us = total_us = 0
    states = [0] * 8
    begun_us = now_us()
    while uptime.now_ms < end_ms:
        if uptime.now_ms >= next_change_ms:
            next_change_ms = uptime.now_ms + 1000 + chance.below(8000)
            number = chance.below(8)
            states[number] = 0 if states[number] else 1 + chance.below(6)
            board.show(number, states[number])
            changes += 1
        board.sent = []
        board.heard.append(rig.controller.ask(0x60))
        due_ms = uptime.now_ms + poll_ms
        while uptime.now_ms < due_ms:
            at_us = now_us()
            wait_ms = rig.loop.turn()
            passed_us = now_us() - at_us
            turns += 1
            total_us += passed_us
            if passed_us > worst_us:
                worst_us = passed_us
            board.wait(wait_ms)
        polls += 1
        reply = rig.controller.hear(b"".join(board.sent))
        assert reply is not None, "no answer"
        if reply[0] == 0x49:
            told += 1
    ended = heap()
    found = {
        "minutes": minutes,
        "polls": polls,
        "changes": changes,
        "told": told,
        "turns": turns,
        "turn_mean_us": total_us // turns,
        "turn_worst_us": worst_us,
        "heap_before_bytes": before[0],
        "heap_started_bytes": started[0],
        "heap_after_bytes": ended[0],
        "heap_free_bytes": ended[1],
        "real_s": (now_us() - begun_us) // 1000000,
    }
    print(json.dumps(found))


main(int(sys.argv[1]), int(sys.argv[2]))
