"""The way from the panel's loop into the MQTT thread: bounded, empty after every disconnect."""

from __future__ import annotations

import select
import socket
import threading
from collections import deque

from edge.reporting.path_causes import LinkCause


class Outbox:
    """Messages handed over and not yet PUBACKed, at most `limit`, and a way to wake the thread.

    Holds nothing across a connection: the queue of what is owed is the journal's (users.md B1).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._pending = 0
        self._open = False
        self._interrupt: LinkCause | None = None
        self._sleeper, self._waker = socket.socketpair()
        self._sleeper.setblocking(False)
        self._waker.setblocking(False)

    def put(self, topic: str, payload: bytes) -> bool:
        """Take a message, from any thread. False: not connected, or too many on the way."""
        with self._lock:
            if not self._open or self._pending >= self._limit:
                return False
            self._waiting.append((topic, payload))
            self._pending += 1
        self._wake()
        return True

    def interrupt(self, cause: LinkCause) -> None:
        """End the connection or the wait for it, from any thread."""
        with self._lock:
            if self._interrupt is not LinkCause.STOPPED:
                self._interrupt = cause
        self._wake()

    def interrupted(self) -> LinkCause | None:
        """The latest interruption, once; STOPPED for good."""
        with self._lock:
            cause = self._interrupt
            if cause is not LinkCause.STOPPED:
                self._interrupt = None
        return cause

    def open(self) -> None:
        """Connected: messages are taken from now on."""
        with self._lock:
            self._open = True

    def close(self) -> None:
        """Disconnected: what is here is forgotten, and its owner still owes it."""
        with self._lock:
            self._open = False
            self._waiting.clear()
            self._pending = 0

    def take(self) -> list[tuple[str, bytes]]:
        """All that waits. The thread's own."""
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
        return taken

    def acknowledged(self) -> None:
        """One message got its PUBACK."""
        with self._lock:
            self._pending = max(0, self._pending - 1)

    def fileno(self) -> int:
        """Readable when there is something to do."""
        return self._sleeper.fileno()

    def drain(self) -> None:
        """Forget past wake-ups."""
        try:
            while self._sleeper.recv(4096):
                pass
        except BlockingIOError:
            return

    def sleep(self, seconds: float) -> None:
        """Until woken, at most so long."""
        poll = select.poll()
        poll.register(self._sleeper, select.POLLIN)
        if poll.poll(seconds * 1000):
            self.drain()

    def dispose(self) -> None:
        """Give the descriptors back; nothing may be called after this."""
        self._sleeper.close()
        self._waker.close()

    def _wake(self) -> None:
        try:
            self._waker.send(b"\0")
        except BlockingIOError:
            # full of wake-ups nobody has read: it will wake
            return
        except OSError:
            # disposed by its thread at the same moment: nobody is left to wake
            return
