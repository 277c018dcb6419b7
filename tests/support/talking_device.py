"""A serial device that is no modem."""

from __future__ import annotations

import os
import random
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def noise() -> Iterator[str]:
    """A device that talks without end and hears nothing."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    over = threading.Event()
    dice = random.Random(3)

    def talk() -> None:
        while not over.wait(0.01):
            with suppress(BlockingIOError):
                os.write(master, bytes(each for each in dice.randbytes(500) if each != ord("O")))
                os.read(master, 4096)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        over.set()
        thread.join()
        os.close(master)
        os.close(slave)
