"""Who may bring audio: a kernel filter on the library's RTP sockets.

The library follows audio from any address once ten packets came from it without one of the old
peer's between (made for callers behind NAT): a stranger who sends fast takes over the call, could
speak digits to the receiver or a kiss-off to the panel. Classic BPF (Linux) on the socket drops
what does not come from where it may, before the library sees it. IPv4, as the programs' SIP is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import stat
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

from protocols.sip.addresses import Network

SO_ATTACH_FILTER: Final = 26
_NETWORK_HEADER: Final = 0x1_0000_0000 - 0x10_0000
"""SKF_NET_OFF, unsigned: offsets from here on are the IP header's."""
_SOURCE: Final = 12
_LOAD, _AND, _JUMP_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06


def program(networks: Iterable[Network]) -> bytes:
    """Instructions that let pass what comes from one of the networks. IPv6 ones are passed over."""
    among = [one for one in dict.fromkeys(networks) if isinstance(one, IPv4Network)]
    steps: list[tuple[int, int, int, int]] = []
    for one in among:
        steps += [
            (_LOAD, 0, 0, _NETWORK_HEADER + _SOURCE),
            (_AND, 0, 0, int(one.netmask)),
            (_JUMP_EQUAL, 0, 1, int(one.network_address)),
            (_RETURN, 0, 0, 0xFFFF_FFFF),
        ]
    steps.append((_RETURN, 0, 0, 0))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def admit(local: str, peer: str, further: Iterable[Network] = ()) -> bool:
    """Let the UDP socket bound to `local` (IP:PORT) of this process hear only `peer`'s address and
    the `further` networks. False when there is no such socket, or `peer` is no IPv4 address.
    """
    try:
        from_peer = IPv4Network(IPv4Address(peer.rpartition(":")[0]))
    except ValueError:
        return False
    code = program((from_peer, *further))
    buffer = ctypes.create_string_buffer(code, len(code))
    option = struct.pack("HL", len(code) // 8, ctypes.addressof(buffer))
    host, _, port = local.rpartition(":")
    found = False
    for twin in _sockets():
        with twin, contextlib.suppress(OSError):
            if twin.type == socket.SOCK_DGRAM and twin.getsockname()[:2] == (host, int(port)):
                twin.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)
                found = True
    return found


def _sockets() -> Iterator[socket.socket]:
    """A twin of each socket of this process; to be closed."""
    for path in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            descriptor = int(path.name)
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                yield socket.socket(fileno=os.dup(descriptor))
