"""Files that are either wholly the old or wholly the new ones, also after a power cut."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from collector import CollectorError

PRIVATE = 0o600
PUBLIC = 0o644


class AlreadyHeldError(CollectorError):
    """Somebody else holds the lock file `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"another process holds {path}")
        self.path = path


def replace_file(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Replace `path` by `content`, synced, never half written; `mode` holds from the first byte."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            scratch.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def locked(path: Path, wait_s: float = 60) -> Iterator[None]:
    """Hold `path` against other processes. The kernel lets go when the holder dies.

    Raises AlreadyHeldError when somebody else still holds it after `wait_s`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        end = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise AlreadyHeldError(path) from None
                time.sleep(0.005)
        yield
    finally:
        os.close(descriptor)
