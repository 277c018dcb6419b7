"""A hardware receiver over TCP, either way round: we call it, or it calls us."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import select
import socket
import struct
from collections.abc import Iterable
from typing import Final

_log = logging.getLogger(__name__)
CONNECT_S: Final = 5.0
READ_BYTES: Final = 4096
KEEP_IDLE_S: Final = 30
KEEP_EVERY_S: Final = 10
KEEP_TRIES: Final = 3
"""A receiver that lost its power is found out within a minute, though we have nothing to send."""

UNREAD_BYTES: Final = 16_384
"""Room for answers that nobody reads (the kernel counts near 1 kB for each); a receiver has one
under way.
"""

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def networks(allowed: Iterable[str]) -> Networks:
    """Addresses and networks. Raises ValueError that names what is neither."""
    return tuple(ipaddress.ip_network(each.strip()) for each in allowed)


class TcpClient:
    """A Transport (automation_port): we connect (System III listens on 1025)."""

    def __init__(self, host: str, port: int) -> None:
        self._peer = (host, port)
        self._socket: socket.socket | None = None

    @property
    def waits(self) -> bool:
        """We connect."""
        return False

    @property
    def may_be_dead(self) -> bool:
        """What we hold may be the connection of a receiver that was started anew."""
        return True

    def open(self, timeout_s: float) -> bool:
        """Connect."""
        try:
            opened = socket.create_connection(self._peer, timeout=max(timeout_s, CONNECT_S))
        except UnicodeError as error:
            raise OSError(f"{self._peer[0]!r} is no name of a machine") from error
        opened.settimeout(None)
        _set_up(opened)
        self._socket = opened
        return True

    def read(self, timeout_s: float) -> bytes:
        """What has come within `timeout_s`."""
        return _read(_opened(self._socket), timeout_s)

    def write(self, data: bytes) -> None:
        """Send all of it, now."""
        _write(_opened(self._socket), data)

    def close(self) -> None:
        """Close; never raises."""
        _close(self._socket)
        self._socket = None


class TcpServer:
    """A Transport (automation_port): the receiver connects. One at a time; a new connection takes
    the place of the old, which is mostly half-open then. `allowed`: addresses and networks of
    receivers, empty for any; these formats have no other authentication. ValueError for what is
    none. `refused` counts others' connections; the log has the first, second, fourth and so on.
    """

    def __init__(self, host: str, port: int, allowed: Iterable[str] = ()) -> None:
        self._allowed = networks(allowed)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=4)
        self._listener.setblocking(False)
        self._socket: socket.socket | None = None
        self._next: socket.socket | None = None
        self.refused = 0

    @property
    def port(self) -> int:
        """Where it listens (for port 0)."""
        return int(self._listener.getsockname()[1])

    @property
    def waits(self) -> bool:
        """The receiver connects."""
        return True

    @property
    def may_be_dead(self) -> bool:
        """A receiver started anew connects anew."""
        return False

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
        """Send all of it, now."""
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
        except OSError:  # gone again, or no file left for it: no fault of the one connected
            return None
        if not self._is_allowed(address):
            self.refused += 1
            if self.refused.bit_count() == 1:
                told = "a connection from %s was refused, %d so far: it is not in `allow`"
                _log.warning(told, address, self.refused)
            _close(accepted)
            return None
        accepted.setblocking(True)
        _set_up(accepted)
        return accepted

    def _is_allowed(self, address: str) -> bool:
        here = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(here, "ipv4_mapped", None)
        return not self._allowed or any((mapped or here) in each for each in self._allowed)


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
    """At once or not at all: the thread that writes is the one that commits for all lines. Who has
    left so many answers unread that no room is left reads none, and is cut off.
    """
    try:
        sent = one.send(data, socket.MSG_DONTWAIT)
    except BlockingIOError:
        sent = 0
    if sent < len(data):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionResetError("the receiver takes no answer")


def _set_up(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_IDLE_S)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_EVERY_S)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEP_TRIES)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _close(one: socket.socket | None) -> None:
    if one is not None:
        with contextlib.suppress(OSError):
            one.close()
