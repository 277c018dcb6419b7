"""What can still be read of a damaged spool: entries found by their text in file and log.

The tree of a broken database often cannot be walked, but each entry is one piece of JSON in one
page. How far the collector had acknowledged stands in a small file beside the spool too.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Final

import msgspec

from protocols.mqtt.reception import Taken

ACKED: Final = "spool.acked"
_BEGIN: Final = b'{"seq":'
_LONGEST: Final = 8192


class AckedNote(msgspec.Struct, frozen=True):
    """The collector holds all of `epoch` up to `upto`."""

    receiver: str
    epoch: int
    upto: int


def write_acked(folder: Path, note: AckedNote) -> None:
    """Not synced: a lost one costs repeats after a damage, no more."""
    scratch = folder / f".{ACKED}"
    with contextlib.suppress(OSError):
        scratch.write_bytes(msgspec.json.encode(note))
        scratch.replace(folder / ACKED)


def read_acked(folder: Path) -> AckedNote | None:
    """The last note; None when there is none that can be read."""
    try:
        return msgspec.json.decode((folder / ACKED).read_bytes(), type=AckedNote)
    except (OSError, msgspec.DecodeError):
        return None


def salvage(path: Path, note: AckedNote | None) -> list[Taken]:
    """Entries of the damaged file `path` and its log that were not acknowledged, by number."""
    found: dict[int, Taken] = {}
    for file in (path, path.with_name(path.name + "-wal")):
        with contextlib.suppress(OSError):
            for each in _scan(file.read_bytes()):
                found[each.seq] = each
    acked = 0 if note is None else note.upto
    return [found[seq] for seq in sorted(found) if seq > acked]


def _scan(data: bytes) -> list[Taken]:
    decoder = json.JSONDecoder()
    found: list[Taken] = []
    at = data.find(_BEGIN)
    while at >= 0:
        text = data[at : at + _LONGEST].decode("utf-8", "replace")
        with contextlib.suppress(ValueError, RecursionError, msgspec.ValidationError):
            value, _ = decoder.raw_decode(text)
            found.append(msgspec.convert(value, Taken))
        at = data.find(_BEGIN, at + 1)
    return found
