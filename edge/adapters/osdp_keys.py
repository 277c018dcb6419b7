"""Keys of OSDP nodes: derived from one master, renewed without locking either side out.

Key = HKDF-SHA256 (RFC 5869) of the master with panel, bus, address and generation, 16 bytes. A new
generation is on disk as pending before a node hears of it; it is committed once a handshake with it
succeeded. Between the two, after a power cut too, both are tried: no side can be locked out.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
from pathlib import Path
from typing import Final

import msgspec

MASTER_BYTES: Final = 32
KEY_BYTES: Final = 16
OWNER_ONLY: Final = 0o600
_SALT: Final = b"tocsin osdp node keys 1"


class KeysUnusableError(Exception):
    """The master cannot be read, is not the owner's alone, or is no master; the text says which."""


class Generations(msgspec.Struct, forbid_unknown_fields=True):
    """Of one node. `pending`: on its way to the node, perhaps there."""

    committed: int = 0
    pending: int | None = None


def hkdf_sha256(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, at most 255 * 32 bytes."""
    extracted = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    block, output, count = b"", b"", 1
    while len(output) < length:
        block = hmac.new(extracted, block + info + bytes([count]), hashlib.sha256).digest()
        output += block
        count += 1
    return output[:length]


def write_durably(path: Path, data: bytes) -> None:
    """Replaced as a whole and on disk, readable by the owner only, or OSError."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, OWNER_ONLY)
    try:
        os.fchmod(descriptor, OWNER_ONLY)
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class NodeKeys:
    """All node keys of one panel; from any thread, one instance a bus or one for all."""

    _lock = threading.Lock()

    def __init__(self, directory: Path, panel_id: str, master_file: str = "bus.master") -> None:
        """Raises KeysUnusableError; a master that is not there is made."""
        self._panel_id = panel_id
        self._path = directory / "bus.generations.json"
        if self._path.exists() and not (directory / master_file).exists():
            # A fresh master would lock out every node that was ever paired.
            raise KeysUnusableError(f"{master_file}: gone, but nodes were paired with it")
        self._master = _master(directory / master_file)
        self._load()

    def __repr__(self) -> str:
        return "NodeKeys()"

    def _load(self) -> dict[str, Generations]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Generations])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            raise KeysUnusableError(f"{self._path.name}: {error}") from error

    def key(self, bus: str, address: int, generation: int | None = None) -> bytes:
        """Of this generation; None: the committed one."""
        if generation is None:
            generation = self.generations(bus, address).committed
        info = msgspec.json.encode([self._panel_id, bus, address, generation])
        return hkdf_sha256(self._master, _SALT, info, KEY_BYTES)

    def generations(self, bus: str, address: int) -> Generations:
        """As on disk."""
        with self._lock:
            return self._load().get(f"{bus}.{address}", Generations())

    def candidates(self, bus: str, address: int) -> tuple[int, ...]:
        """Generations the node may hold, the likeliest first."""
        known = self.generations(bus, address)
        if known.pending is None:
            return (known.committed,)
        return (known.pending, known.committed)

    def begin(self, bus: str, address: int) -> int:
        """A new generation, pending on disk before this returns. OSError: it could not be kept.

        One that is pending already is taken again: the node may hold it.
        """
        with self._lock:
            name = f"{bus}.{address}"
            nodes = self._load()
            known = nodes.get(name, Generations())
            if known.pending is None:
                pending = known.committed + 1
                self._keep({**nodes, name: Generations(known.committed, pending)})
                return pending
            return known.pending

    def commit(self, bus: str, address: int, generation: int) -> None:
        """A handshake with this generation succeeded: the other one is over. OSError."""
        with self._lock:
            name = f"{bus}.{address}"
            nodes = self._load()
            known = nodes.get(name, Generations())
            if known.pending is not None or known.committed != generation:
                self._keep({**nodes, name: Generations(generation)})

    def _keep(self, nodes: dict[str, Generations]) -> None:
        write_durably(self._path, msgspec.json.format(msgspec.json.encode(nodes)))


def _master(path: Path) -> bytes:
    try:
        found = path.stat()
    except FileNotFoundError:
        master = secrets.token_bytes(MASTER_BYTES)
        try:
            write_durably(path, master.hex().encode() + b"\n")
        except OSError as error:
            raise KeysUnusableError(f"{path.name}: {error.strerror}") from error
        return master
    except OSError as error:
        raise KeysUnusableError(f"{path.name}: {error.strerror}") from error
    if found.st_mode & 0o077:
        raise KeysUnusableError(f"{path.name}: readable by others (chmod 600)")
    try:
        master = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise KeysUnusableError(f"{path.name}: not 64 hexadecimal digits") from error
    if len(master) != MASTER_BYTES:
        raise KeysUnusableError(f"{path.name}: not 64 hexadecimal digits")
    return master
