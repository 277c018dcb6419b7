"""Starts the node on the board this is. [both runtimes]"""

import os
import sys

from firmware.node.latch import Latch
from firmware.node.loop import commissioned, run
from firmware.node.node import Node
from firmware.node.settings import SettingsStore
from firmware.node.update import updater_for
from firmware.node.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.boards.board import Board


def this_board() -> "Board":
    """By NODE_BOARD, else by what MicroPython runs on."""
    if sys.platform == "rp2":
        from firmware.boards.rp2040 import Rp2040Board

        return Rp2040Board()
    from firmware.boards.unix_sim import UnixBoard

    return UnixBoard(os.getenv("NODE_DIR") or ".", os.getenv("NODE_UART") or "")


def main() -> None:
    """Never returns."""
    board = this_board()
    store = SettingsStore(board.flash)
    settings = commissioned(board, store)
    updater = updater_for(board.flash, board.name)
    run(Node(board, settings, store, Latch(board), VERSION, updater))


if __name__ == "__main__":
    main()
