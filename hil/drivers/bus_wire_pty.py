"""The pty of a drop: a serial port that can be pulled, and that nobody need have open."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import tty
from pathlib import Path
from typing import Final

READ_BYTES: Final = 4096
SPEEDS: Final = {
    getattr(termios, f"B{baud}"): baud
    for baud in (1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400)
}


class WirePty:
    """`path` is where a program opens it; `link`, if given, stays the same when it is plugged
    again. While nobody has it open it is not in the epoll set, and what it should hear is lost, as
    at a real port.
    """

    def __init__(self, epoll: select.epoll, link: Path | None = None) -> None:
        self.link = link
        self.master = -1
        self.device = ""
        self.open = False
        self.overrun_bytes = 0
        """Not read in time by the program."""
        self._epoll = epoll

    @property
    def path(self) -> str:
        """Where a program opens it."""
        return str(self.link) if self.link is not None else self.device

    @property
    def speed(self) -> int:
        """What the program set; 0: nothing we know."""
        with contextlib.suppress(termios.error):
            # On the master's side these are the settings of the slave.
            return SPEEDS.get(termios.tcgetattr(self.master)[5], 0)
        return 0

    def plug(self) -> None:
        """Make it. A second time: nothing."""
        if self.master >= 0:
            return
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self.master, False)
        self.open = False
        if self.link is not None:
            # By rename, so that no reader ever finds it half made.
            fresh = self.link.with_name(f".{self.link.name}.fresh")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self.device)
            fresh.replace(self.link)

    def pull(self) -> None:
        """Gone, as when a USB plug is pulled: who has it open gets an end of file or an error."""
        if self.master < 0:
            return
        if self.open:
            self._epoll.unregister(self.master)
        os.close(self.master)
        self.master = -1
        self.open = False
        if self.link is not None:
            self.link.unlink(missing_ok=True)

    def look(self) -> None:
        """Has somebody opened it?"""
        if self.master < 0 or self.open:
            return
        poll = select.poll()
        poll.register(self.master, 0)
        if not poll.poll(0):
            self.open = True
            self._epoll.register(self.master, select.EPOLLIN)

    def read(self, events: int) -> bytes:
        """What the program wrote; b"" also when it has closed the port."""
        data = b""
        if events & select.EPOLLIN:
            with contextlib.suppress(OSError):
                data = os.read(self.master, READ_BYTES)
        if not data and events & select.EPOLLHUP:
            self._closed()
        return data

    def write(self, data: bytes) -> None:
        """The program hears this, unless it does not read."""
        if not self.open or not data:
            return
        written = 0
        with contextlib.suppress(OSError):
            written = os.write(self.master, data)
        self.overrun_bytes += len(data) - written

    def _closed(self) -> None:
        self._epoll.unregister(self.master)
        self.open = False
        try:
            # What it did not read is not kept for who opens it next.
            slave = os.open(self.device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:
            # A program killed while it had the port to itself: a real port is free again at once,
            # a pty stays locked to all but root for as long as its master lives.
            if self.link is not None:
                self.pull()
                self.plug()
            return
        with contextlib.suppress(OSError, termios.error):
            termios.tcflush(slave, termios.TCIFLUSH)
        os.close(slave)
