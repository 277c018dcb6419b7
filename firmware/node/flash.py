"""The node's flash file system, below one folder; everything that survives. [both runtimes]

A write or an append may be cut anywhere by a lost supply; a rename happens or it does not (LittleFS
and POSIX both promise that). Nothing here raises: False or None says it failed.
"""

import os

_DIRECTORY = 0x4000
READ_BYTES = 512


class Flash:
    """Files below `root`; paths use "/"."""

    def __init__(self, root: str) -> None:
        self.root = root

    def _at(self, path: str) -> str:
        return self.root + "/" + path

    def read(self, path: str, limit: int) -> bytes | None:
        """The file, when it is there and has at most `limit` bytes."""
        try:
            with open(self._at(path), "rb") as file:
                data = file.read(limit + 1)
        except OSError:
            return None
        return data if len(data) <= limit else None

    def size(self, path: str) -> int:
        """Bytes of the file; -1: there is none."""
        try:
            status = os.stat(self._at(path))
        except OSError:
            return -1
        return -1 if status[0] & _DIRECTORY else status[6]

    def copy(self, path: str, offset: int, length: int, sink: "Sink") -> bool:
        """Feeds `length` bytes from `offset` to `sink` in small pieces."""
        try:
            with open(self._at(path), "rb") as file:
                file.seek(offset)
                while length > 0:
                    piece = file.read(min(READ_BYTES, length))
                    if not piece or not sink.take(piece):
                        return False
                    length -= len(piece)
        except OSError:
            return False
        return True

    def write(self, path: str, data: bytes | bytearray, append: bool = False) -> bool:
        """Writes or appends; the folder must be there."""
        try:
            with open(self._at(path), "ab" if append else "wb") as file:
                file.write(data)
        except OSError:
            return False
        return True

    def rename(self, old: str, new: str) -> bool:
        """`new` is replaced when it is there."""
        try:
            os.rename(self._at(old), self._at(new))
        except OSError:
            return False
        return True

    def remove(self, path: str) -> bool:
        """True when the file is gone, also when there was none."""
        try:
            os.remove(self._at(path))
        except OSError:
            return self.size(path) < 0
        return True

    def folder(self, path: str) -> bool:
        """Makes the folder; True when it is there."""
        try:
            os.mkdir(self._at(path))
        except OSError:
            return self.is_folder(path)
        return True

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder of that name."""
        try:
            return bool(os.stat(self._at(path))[0] & _DIRECTORY)
        except OSError:
            return False

    def list(self, path: str) -> list[str]:
        """Names in the folder; none when it is not there."""
        try:
            return os.listdir(self._at(path))
        except OSError:
            return []

    def clear(self, path: str, depth: int = 5) -> bool:
        """Removes every file below the folder; the folders stay."""
        done = True
        for name in self.list(path):
            entry = path + "/" + name
            if not self.is_folder(entry):
                done = self.remove(entry) and done
            elif depth:
                done = self.clear(entry, depth - 1) and done
        return done


class Sink:
    """What `Flash.copy` feeds."""

    def take(self, piece: bytes) -> bool:
        """False stops the copy, which has then failed."""
        raise NotImplementedError
