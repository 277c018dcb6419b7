"""The main loop: samples, serves, checks itself, feeds the watchdog (K2). [both runtimes]"""

import gc
import sys

from firmware.node.lamp import Lamp
from firmware.node.node import Node
from firmware.node.settings import Settings, SettingsStore
from firmware.node.ticks import ticks_add, ticks_diff
from firmware.node.watch import BUS, CHECK, SAMPLE, TIMEOUT_MS, Watch
from protocols.osdp.node_report import RESET_FAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.boards.board import Board

SAMPLE_MS = 8
CHECK_MS = 100
COLLECT_MS = 1000
EMPTY_MS = 250


class Loop:
    """The loop's own state; `turn` is one round of it, without the waiting."""

    def __init__(self, node: Node) -> None:
        now = node.board.ticks()
        self.node = node
        self.watch = Watch()
        self._sample = now
        self._check = now
        self._collect = now

    def turn(self) -> int:
        """One round. Returns how long to wait for the bus, ms."""
        node = self.node
        board = node.board
        now = board.ticks()
        if ticks_diff(now, self._sample) >= 0:
            self._sample = ticks_add(now, SAMPLE_MS)
            node.sample(now)
            self.watch.progressed(SAMPLE)
        node.serve(now)
        self.watch.progressed(BUS)
        if ticks_diff(now, self._check) >= 0:
            self._check = ticks_add(now, CHECK_MS)
            if node.check(now):
                self.watch.progressed(CHECK)
        if self.watch.take():
            board.feed_watchdog()
        if ticks_diff(now, self._collect) >= 0:
            # At a time of our choosing, and never in the middle of a reply.
            self._collect = ticks_add(now, COLLECT_MS)
            gc.collect()
        after = board.ticks()
        passed_ms = ticks_diff(after, now)
        if passed_ms > node.loop_worst_ms:
            node.loop_worst_ms = passed_ms
        return max(0, min(SAMPLE_MS, ticks_diff(self._sample, after)))


def commissioned(board: "Board", store: SettingsStore) -> Settings:
    """The settings; waits for them, lamp blinking and off the bus, while the node has none."""
    lamp = Lamp(board.ticks())
    due = board.ticks()
    said = False
    while True:
        now = board.ticks()
        if ticks_diff(now, due) >= 0:
            due = ticks_add(now, EMPTY_MS)
            settings = store.load()
            if settings is not None:
                return settings
            if not said:
                said = True
                print("settings damaged" if store.damaged else "not commissioned")
        board.set_lamp(lamp.lit(now))
        board.feed_watchdog()
        board.wait(50)


def run(node: Node) -> None:
    """Never returns; what the code did not foresee resets the node, and is told as a fault."""
    board = node.board
    loop = Loop(node)
    board.start_watchdog(TIMEOUT_MS)
    try:
        while True:
            board.wait(loop.turn())
    except Exception as error:
        if hasattr(sys, "print_exception"):
            sys.print_exception(error)
        else:
            print(repr(error))
        node.reset(RESET_FAULT)
