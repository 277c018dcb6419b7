"""What waits for the writer thread: messages of panels and requests of operators, bounded.

A full inbox makes the giver wait, so the network thread stops reading and the broker or the panels
keep what they have: nothing is dropped (A3).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something with a payload."""

    @property
    def payload(self) -> bytes:
        """Its bytes."""
        ...


M = TypeVar("M", bound=Sized)
OVERHEAD_BYTES = 256
"""What one waiting message costs besides its payload."""


class Inbox(Generic[M]):
    """Many givers, one taker."""

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._messages: deque[M] = deque()
        self._requests: deque[Callable[[], None]] = deque()
        self._closed = False
        lock = threading.Lock()
        self._filled = threading.Condition(lock)
        self._emptied = threading.Condition(lock)
        self._waiting = False

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def bytes(self) -> int:
        """Bytes waiting."""
        return self._bytes

    def put(self, message: M) -> bool:
        """Hand over a message, waiting while there is no room. False: closed, it was not taken."""
        size = len(message.payload) + OVERHEAD_BYTES
        with self._filled:
            while not self._closed and (
                len(self._messages) >= self._max_messages or self._bytes >= self._max_bytes
            ):
                self._emptied.wait()
            if self._closed:
                return False
            self._messages.append(message)
            self._bytes += size
            if self._waiting:
                self._filled.notify()
            return True

    def request(self, act: Callable[[], None]) -> bool:
        """Have the taker run `act` between two batches. False: closed."""
        with self._filled:
            if self._closed:
                return False
            self._requests.append(act)
            self._filled.notify()
            return True

    def take(self, most: int, wait_s: float) -> tuple[list[M], list[Callable[[], None]]]:
        """Up to `most` messages and all requests; waits when there is nothing at all."""
        with self._filled:
            if not self._messages and not self._requests and not self._closed and wait_s > 0:
                self._waiting = True
                self._filled.wait(wait_s)
                self._waiting = False
            count = min(most, len(self._messages))
            taken = [self._messages.popleft() for _ in range(count)]
            self._bytes -= sum(len(message.payload) + OVERHEAD_BYTES for message in taken)
            requests = list(self._requests)
            self._requests.clear()
            if taken:
                self._emptied.notify_all()
            return taken, requests

    def close(self) -> None:
        """Take nothing more; wake everybody."""
        with self._filled:
            self._closed = True
            self._emptied.notify_all()
            self._filled.notify_all()
