"""A hardware receiver over TCP, either way round: we call it, or it calls us."""

from __future__ import annotations

import contextlib
import select
import socket
from typing import Final

CONNECT_S: Final = 5.0
WRITE_S: Final = 2.0
READ_BYTES: Final = 4096


class TcpClient:
    """A Transport (automation_port): we connect (System III listens on 1025)."""

    def __init__(self, host: str, port: int) -> None:
        self._peer = (host, port)
        self._socket: socket.socket | None = None

    @property
    def waits(self) -> bool:
        """We connect."""
        return False

    def open(self, timeout_s: float) -> bool:
        """Connect."""
        opened = socket.create_connection(self._peer, timeout=max(timeout_s, CONNECT_S))
        opened.settimeout(None)
        _keep_alive(opened)
        self._socket = opened
        return True

    def read(self, timeout_s: float) -> bytes:
        """What has come within `timeout_s`."""
        return _read(_opened(self._socket), timeout_s)

    def write(self, data: bytes) -> None:
        """Send all of it."""
        _write(_opened(self._socket), data)

    def close(self) -> None:
        """Close; never raises."""
        _close(self._socket)
        self._socket = None


class TcpServer:
    """A Transport (automation_port): the receiver connects. One at a time; a new connection takes
    the place of the old, which is mostly half-open then. `allowed`: addresses of receivers, empty
    for any; these formats have no other authentication.
    """

    def __init__(self, host: str, port: int, allowed: frozenset[str] = frozenset()) -> None:
        self._allowed = allowed
        self._listener = socket.create_server((host, port), backlog=4)
        self._listener.setblocking(False)
        self._socket: socket.socket | None = None
        self._next: socket.socket | None = None

    @property
    def port(self) -> int:
        """Where it listens (for port 0)."""
        return int(self._listener.getsockname()[1])

    @property
    def waits(self) -> bool:
        """The receiver connects."""
        return True

    def open(self, timeout_s: float) -> bool:
        """Wait for a receiver to connect."""
        self._socket, self._next = self._next, None
        if self._socket is None:
            self._socket = self._accept() if _ready(timeout_s, self._listener) else None
        return self._socket is not None

    def read(self, timeout_s: float) -> bytes:
        """What has come within `timeout_s`. Raises ConnectionResetError when another connection
        takes over.
        """
        opened = _opened(self._socket)
        readable = _ready(timeout_s, opened, self._listener)
        if opened in readable:
            return _read(opened, 0.0)
        if self._listener in readable:
            self._next = self._accept()
            if self._next is not None:
                raise ConnectionResetError("another connection took over")
        return b""

    def write(self, data: bytes) -> None:
        """Send all of it."""
        _write(_opened(self._socket), data)

    def close(self) -> None:
        """Close the connection, not the listening port; never raises."""
        _close(self._socket)
        self._socket = None

    def shut(self) -> None:
        """Close the listening port too."""
        self.close()
        _close(self._next)
        _close(self._listener)

    def _accept(self) -> socket.socket | None:
        try:
            accepted, (address, *_) = self._listener.accept()
        except BlockingIOError:
            return None
        if self._allowed and address not in self._allowed:
            _close(accepted)
            return None
        accepted.setblocking(True)
        _keep_alive(accepted)
        return accepted


def _opened(one: socket.socket | None) -> socket.socket:
    if one is None:
        raise ConnectionResetError("not connected")
    return one


def _ready(timeout_s: float, *sockets: socket.socket) -> list[socket.socket]:
    """Those that can be read without waiting. `poll`, for a receiver holds more than 1024 files."""
    poll = select.poll()
    by_number = {one.fileno(): one for one in sockets}
    for number in by_number:
        poll.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poll.poll(timeout_s * 1000)]


def _read(one: socket.socket, timeout_s: float) -> bytes:
    if not _ready(timeout_s, one):
        return b""
    data = one.recv(READ_BYTES)
    if not data:
        raise ConnectionResetError("the receiver hung up")
    return data


def _write(one: socket.socket, data: bytes) -> None:
    poll = select.poll()
    poll.register(one, select.POLLOUT)
    if not poll.poll(WRITE_S * 1000):
        raise TimeoutError("the receiver takes no answer")
    one.sendall(data)


def _keep_alive(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _close(one: socket.socket | None) -> None:
    if one is not None:
        with contextlib.suppress(OSError):
            one.close()
