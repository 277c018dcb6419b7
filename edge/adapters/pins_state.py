"""Where the simulated pins stand, kept in a file beside the control socket.

The file outlives the panel process: a door that stands open stays open when the panel is killed,
and can be moved while the panel is down. Who changes it holds the lock file; the panel reads it
under that lock after its socket listens, so every change is either in the file before or comes
through the socket after, and none is lost in between.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

UNIX_PATH_BYTES: Final = 107
"""Longest path a unix socket address holds, without its closing zero (man 7 unix)."""

Gpio = Annotated[int, Meta(ge=0, le=27)]
Level = Annotated[int, Meta(ge=0, le=1)]
Channel = Annotated[str, Meta(pattern=r"^\d\.[0-7]$")]
Millivolts = Annotated[int, Meta(ge=0, le=10_000)]
InputName = Annotated[str, Meta(pattern=r"^(gpio:\d{1,2}|adc:\d\.[0-7])$")]


class PinsState(msgspec.Struct, frozen=True):
    """What was set by hand; whatever is not named stands at rest."""

    pins: dict[Gpio, Level] = {}
    adc: dict[Channel, Millivolts] = {}
    failed: tuple[InputName, ...] = ()

    def with_level(self, gpio: int, level: int) -> PinsState:
        """This pin moved."""
        return PinsState({**self.pins, gpio: level}, self.adc, self.failed)

    def with_mv(self, channel: str, mv: int) -> PinsState:
        """This converter input moved."""
        return PinsState(self.pins, {**self.adc, channel: mv}, self.failed)

    def with_failed(self, name: str, *, failed: bool) -> PinsState:
        """This input broke or was mended."""
        rest = tuple(other for other in self.failed if other != name)
        return PinsState(self.pins, self.adc, (*rest, name) if failed else rest)


class PinsFile:
    """The file and its lock (the same name with `.lock` added)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock_path = path.with_name(path.name + ".lock")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else, thread or process, changes the file meanwhile. Not re-entrant."""
        handle = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def read(self) -> PinsState:
        """The file; everything at rest when it is absent or unreadable."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=PinsState)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return PinsState()

    def write(self, state: PinsState) -> None:
        """Replace the file in one step. Raises OSError. Call it under `locked`."""
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.write_bytes(msgspec.json.encode(state))
        fresh.replace(self._path)


@contextlib.contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Address to bind or connect to. A path too long for a socket address is reached through a
    handle on its directory (/proc/self/fd/<n>/name), so its length does not matter.
    """
    if len(os.fsencode(path)) <= UNIX_PATH_BYTES:
        yield str(path)
        return
    handle = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)


def connect(path: Path, timeout_s: float) -> socket.socket | None:
    """A connection to whoever listens there, or None when nobody does."""
    plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        plug.settimeout(timeout_s)
        with socket_address(path) as address:
            plug.connect(address)
    except OSError:
        plug.close()
        return None
    return plug
