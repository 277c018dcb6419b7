"""A disk that forgets: logs what SQLite writes and syncs, and builds what a power cut leaves.

A SQLite VFS around the built-in one, made with ctypes and set as the default, so that the code
under test runs as it is. Un-synced writes are then lost, kept or torn at 512 bytes, each by chance;
what was synced stays. Does not model a drive that lies about syncing.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int),
        ("os_file_bytes", ctypes.c_int),
        ("max_pathname", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("app_data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
        ("delete", ctypes.c_void_p),
        ("others", ctypes.c_void_p * 14),
    ]


class _Methods(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int),
        ("close", ctypes.c_void_p),
        ("read", ctypes.c_void_p),
        ("write", ctypes.c_void_p),
        ("truncate", ctypes.c_void_p),
        ("sync", ctypes.c_void_p),
        ("others", ctypes.c_void_p * 13),
    ]


class _File(ctypes.Structure):
    _fields_ = [("methods", ctypes.POINTER(_Methods))]


_INT, _PTR, _I64 = ctypes.c_int, ctypes.c_void_p, ctypes.c_int64
# The name stays a pointer: SQLite keeps it, and URI parameters stand behind it.
_OPEN = ctypes.CFUNCTYPE(_INT, _PTR, _PTR, _PTR, _INT, _PTR)
_DELETE = ctypes.CFUNCTYPE(_INT, _PTR, ctypes.c_char_p, _INT)
_WRITE = ctypes.CFUNCTYPE(_INT, _PTR, _PTR, _INT, _I64)
_TRUNCATE = ctypes.CFUNCTYPE(_INT, _PTR, _I64)
_SYNC = ctypes.CFUNCTYPE(_INT, _PTR, _INT)


@dataclass(frozen=True)
class Op:
    """`data` None: a truncation to `offset`."""

    kind: str
    name: str
    offset: int = 0
    data: bytes | None = None


@dataclass
class Log:
    """Everything that went to the disk, in order."""

    ops: list[Op] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ops)


@contextmanager
def logged(log: Log) -> Iterator[None]:
    """Every database opened inside goes through the log."""
    file = getattr(_sqlite3, "__file__", None)
    library = ctypes.CDLL(file)
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
    plain = library.sqlite3_vfs_find(None)
    names: dict[int, str] = {}
    wrapped: dict[int, _Methods] = {}
    keep: list[object] = []
    plain_open, plain_delete = _OPEN(plain.contents.open), _DELETE(plain.contents.delete)

    def methods_for(original: ctypes._Pointer[_Methods]) -> _Methods:
        address = ctypes.addressof(original.contents)
        if address in wrapped:
            return wrapped[address]
        copy = _Methods.from_buffer_copy(original.contents)
        write, truncate = _WRITE(copy.write), _TRUNCATE(copy.truncate)
        sync = _SYNC(copy.sync)

        def on_write(this: int, data: int, size: int, offset: int) -> int:
            log.ops.append(Op("write", names[this], offset, ctypes.string_at(data, size)))
            return int(write(this, data, size, offset))

        def on_truncate(this: int, size: int) -> int:
            log.ops.append(Op("truncate", names[this], size))
            return int(truncate(this, size))

        def on_sync(this: int, flags: int) -> int:
            answer = int(sync(this, flags))
            log.ops.append(Op("sync", names[this]))
            return answer

        hooks: list[Callable[..., int]] = [
            _WRITE(on_write),
            _TRUNCATE(on_truncate),
            _SYNC(on_sync),
        ]
        keep.extend(hooks)
        copy.write, copy.truncate, copy.sync = (
            ctypes.cast(each, _PTR).value  # type: ignore[arg-type]
            for each in hooks
        )
        wrapped[address] = copy
        return copy

    def on_open(_: int, name: int | None, this: int, flags: int, out: int) -> int:
        answer = int(plain_open(ctypes.addressof(plain.contents), name, this, flags, out))
        opened = ctypes.cast(this, ctypes.POINTER(_File)).contents
        if answer == 0 and opened.methods:
            names[this] = Path(ctypes.string_at(name).decode()).name if name else ""
            opened.methods = ctypes.pointer(methods_for(opened.methods))
        return answer

    def on_delete(_: int, name: bytes, sync_directory: int) -> int:
        log.ops.append(Op("delete", Path(name.decode()).name))
        return int(plain_delete(ctypes.addressof(plain.contents), name, sync_directory))

    vfs = _Vfs.from_buffer_copy(plain.contents)
    vfs.name = b"forgetful"
    hooks = [_OPEN(on_open), _DELETE(on_delete)]
    vfs.open, vfs.delete = (ctypes.cast(each, _PTR).value for each in hooks)
    library.sqlite3_vfs_register.argtypes = [ctypes.POINTER(_Vfs), _INT]
    library.sqlite3_vfs_unregister.argtypes = [ctypes.POINTER(_Vfs)]
    assert library.sqlite3_vfs_register(ctypes.byref(vfs), 1) == 0
    try:
        yield
    finally:
        library.sqlite3_vfs_unregister(ctypes.byref(vfs))
        library.sqlite3_vfs_register(plain, 1)
        keep.clear()
        hooks.clear()


class Disk:
    """Replays a log: what is safely down, and what is still in flight."""

    def __init__(self, directory: Path) -> None:
        """Start from a directory whose content is all synced."""
        self.safe = {
            each.name: bytearray(each.read_bytes())
            for each in directory.iterdir()
            if each.is_file() and not each.name.endswith("-shm")
        }
        self.flying: dict[str, list[Op]] = {}

    def take(self, op: Op) -> None:
        """One more operation reached the drive."""
        if op.kind == "delete":
            self.safe.pop(op.name, None)
            self.flying.pop(op.name, None)
        elif op.kind == "sync":
            content = self.safe.setdefault(op.name, bytearray())
            for each in self.flying.pop(op.name, []):
                _apply(content, each)
        elif op.kind == "replace":
            self.safe[op.name] = bytearray(op.data or b"")
        else:
            self.flying.setdefault(op.name, []).append(op)

    def cut(self, directory: Path, dice: random.Random) -> None:
        """Write what is found after the power comes back."""
        directory.mkdir()
        keep = dice.choice([0.0, 0.5, 0.9, 1.0])
        for name in self.safe.keys() | self.flying.keys():
            content = bytearray(self.safe.get(name, b""))
            for op in self.flying.get(name, []):
                if dice.random() >= keep:
                    continue
                torn = op
                if op.data is not None and len(op.data) > SECTOR and dice.random() < 0.3:
                    sectors = dice.randrange(len(op.data) // SECTOR)
                    torn = Op(op.kind, op.name, op.offset, op.data[: sectors * SECTOR])
                _apply(content, torn)
            (directory / name).write_bytes(content)


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        del content[op.offset :]
        return
    assert op.data is not None
    if len(content) < op.offset:
        content.extend(bytes(op.offset - len(content)))
    content[op.offset : op.offset + len(op.data)] = op.data
