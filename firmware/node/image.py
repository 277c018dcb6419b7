"""The firmware image: one container that is signed, sent over the bus and unpacked. [both runtimes]

    header: fixed part, then the table of files    everything a node must know to refuse early
    signature: 384 bytes                           RSA-3072 of the header's SHA-256
    body: the files, one after the other           bound to the header by each file's own hash

The signature stands before the body, so a node refuses a stranger's image before it has written
much of it. Numbers are little-endian.
"""

import struct

MAGIC = b"TOCSINFW"
FORMAT = 1
SIGNATURE_BYTES = 384
MAX_HEADER_BYTES = 4096
MAX_IMAGE_BYTES = 256 * 1024
MAX_FILES = 64
MAX_PATH = 48
SOURCES = 0
"""In `mpy`: holds .py files, which any runtime compiles for itself."""

_FIXED = "<8sBBHI3sI16s32sB"
FIXED_BYTES = struct.calcsize(_FIXED)
_PATH_LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789_"


class ImageFile:
    """One file of the image: path below the slot, length, SHA-256, place in the body."""

    def __init__(self, path: str, length: int, digest: bytes, offset: int) -> None:
        self.path = path
        self.length = length
        self.digest = digest
        self.offset = offset


class Header:
    """What the signed header says. `security`: the number that never goes back (anti-rollback).

    `files` are there only when the whole header was read.
    """

    def __init__(self, start: bytes | bytearray) -> None:
        values = struct.unpack_from(_FIXED, start, 0)
        _, _, mpy, size, total, version, security, name, digest, count = values
        self.mpy: int = mpy
        self.size: int = size
        self.total: int = total
        self.security: int = security
        self.board: str = name.rstrip(b"\0").decode() if _plain(name.rstrip(b"\0")) else ""
        self.version = (version[0], version[1], version[2])
        self.body_digest: bytes = digest
        self.count: int = count
        self.files: list[ImageFile] = []
        self.raw = b""

    @property
    def body_offset(self) -> int:
        """Where the body begins in the container."""
        return self.size + SIGNATURE_BYTES


def pack_header(
    board: str,
    version: tuple[int, int, int],
    security: int,
    mpy: int,
    body_digest: bytes,
    files: list[tuple[str, int, bytes]],
) -> bytes:
    """The header over `files` (path, length, sha256) in body order. The host's: no checks."""
    table = b""
    body_bytes = 0
    for path, length, digest in files:
        name = path.encode()
        table += bytes((len(name),)) + name + struct.pack("<I", length) + digest
        body_bytes += length
    size = FIXED_BYTES + len(table)
    return (
        struct.pack(
            _FIXED,
            MAGIC,
            FORMAT,
            mpy,
            size,
            size + SIGNATURE_BYTES + body_bytes,
            bytes(version),
            security,
            board.encode(),
            body_digest,
            len(files),
        )
        + table
    )


def header_length(start: bytes | bytearray) -> int:
    """Length of the header whose fixed part is `start`; 0 when this is no image of ours."""
    if len(start) < FIXED_BYTES or bytes(start[:8]) != MAGIC or start[8] != FORMAT:
        return 0
    size = int(struct.unpack_from("<H", start, 10)[0])
    return size if FIXED_BYTES <= size <= MAX_HEADER_BYTES else 0


def parse_start(start: bytes | bytearray) -> Header | None:
    """What the fixed part says, the table unread; None: no image of ours."""
    size = header_length(start)
    if not size:
        return None
    header = Header(start)
    if not header.board or not 1 <= header.count <= MAX_FILES:
        return None
    if not size + SIGNATURE_BYTES <= header.total <= MAX_IMAGE_BYTES:
        return None
    return header


def parse_header(raw: bytes | bytearray) -> Header | None:
    """The header in exactly `raw`, or None when anything about it is not as it must be."""
    header = parse_start(raw)
    if header is None or header.size != len(raw):
        return None
    files = _files(raw, header.count)
    if files is None:
        return None
    if header.total != header.body_offset + files[-1].offset + files[-1].length:
        return None
    header.files = files
    header.raw = bytes(raw)
    return header


def _files(raw: bytes | bytearray, count: int) -> list[ImageFile] | None:
    files: list[ImageFile] = []
    seen: set[bytes] = set()
    position = FIXED_BYTES
    offset = 0
    for _ in range(count):
        if position >= len(raw):
            return None
        size = raw[position]
        end = position + 1 + size + 36
        if end > len(raw):
            return None
        path = bytes(raw[position + 1 : position + 1 + size])
        if not _safe_path(path) or path in seen:
            return None
        seen.add(path)
        length = int(struct.unpack_from("<I", raw, end - 36)[0])
        if length > MAX_IMAGE_BYTES:
            return None
        files.append(ImageFile(path.decode(), length, bytes(raw[end - 32 : end]), offset))
        offset += length
        position = end
    return files if position == len(raw) else None


def _plain(name: bytes) -> bool:
    return all(letter in _PATH_LETTERS for letter in name)


def _safe_path(path: bytes) -> bool:
    """Relative, lower case, no way up, ends in .py or .mpy: nothing outside its slot is named."""
    if not 0 < len(path) <= MAX_PATH:
        return False
    parts = path.split(b"/")
    last = parts[-1]
    if last[-4:] == b".mpy":
        parts[-1] = last[:-4]
    elif last[-3:] == b".py":
        parts[-1] = last[:-3]
    else:
        return False
    if len(parts) > 4:
        return False
    return all(part and _plain(part) for part in parts)
