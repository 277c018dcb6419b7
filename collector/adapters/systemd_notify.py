"""systemd notification: READY, WATCHDOG, STOPPING. Silent when not under systemd."""

from __future__ import annotations

import os
import socket


def notify(message: str) -> None:
    """Send one sd_notify datagram when there is somebody to tell."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(message.encode(), address)
    except OSError:
        return
