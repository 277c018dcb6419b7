"""systemd notification: READY, STATUS, WATCHDOG, STOPPING. Silent when not under systemd."""

from __future__ import annotations

import os
import socket


def notify(message: str) -> bool:
    """Send one sd_notify datagram; False when there is nobody to tell."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(message.encode(), address)
    except OSError:
        return False
    return True


def interval_s() -> float | None:
    """Half of systemd's watchdog time, or None when it does not watch."""
    micros = os.environ.get("WATCHDOG_USEC", "")
    if not micros.isdigit() or int(micros) == 0:
        return None
    return int(micros) / 2_000_000
