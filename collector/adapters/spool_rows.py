"""One entry of the spool as a row with a check: SQLite does not see a byte that changed within one.

A row that does not stand its check is not believed and not held back either: what is behind it must
get through, and what is left of it must come before an operator.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

import msgspec

from protocols.instants import UtcTime
from protocols.mqtt.reception import SPOOL_LINE, Taken, Unrecognised

Row = tuple[int, object, object]
"""(number, JSON of a Taken, CRC-32 of both or None: written before there was one), as found."""
SCHEMA: Final = "create table entry(seq integer primary key, body blob not null, crc integer);"
SELECT: Final = "select seq, body, crc from entry"
INSERT: Final = "insert into entry(seq, body, crc) values (?, ?, ?)"
_AT: Final = re.compile(rb'"at":(\d{1,18})')
_LEFT_CHARS: Final = 512


def row_of(taken: Taken) -> tuple[int, bytes, int]:
    """As it is written."""
    body = msgspec.json.encode(taken)
    return taken.seq, body, _check(taken.seq, body)


def read_row(row: Row) -> Taken:
    """The entry; of a damaged one what is left, for people, the same at each reading."""
    found = _read(row)
    return found if isinstance(found, Taken) else _left_of(row)


def wrong_with(row: Row) -> str:
    """Why the row is not to be believed; empty: it is."""
    found = _read(row)
    return found if isinstance(found, str) else ""


def _read(row: Row) -> Taken | str:
    seq, body, crc = row
    if not isinstance(body, bytes):
        return "is no entry"
    if crc is not None and crc != _check(seq, body):
        return "does not stand its check"
    try:
        taken = msgspec.json.decode(body, type=Taken)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"cannot be read: {error}"
    return taken if taken.seq == seq else "bears another number"


def _left_of(row: Row) -> Taken:
    seq, body, _ = row
    raw = body if isinstance(body, bytes) else repr(body).encode()
    at = _AT.search(raw)
    left = "".join(char if char.isprintable() else "?" for char in raw.decode("utf-8", "replace"))
    what = Unrecognised(
        call="",
        tried="",
        heard=left[:_LEFT_CHARS],
        reason="an entry was damaged on the receiver's disk, left of it:",
    )
    return Taken(seq, UtcTime(int(at[1]) if at else 0), SPOOL_LINE, what)


def _check(seq: int, body: bytes) -> int:
    return zlib.crc32(body, seq & 0xFFFFFFFF)
