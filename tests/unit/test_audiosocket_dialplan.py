"""The example for Asterisk: what its variables make is a call id that bears the caller."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest

from protocols.audiosocket import caller_of

EXAMPLE = Path("collector/receiver.extensions.conf")


def cut(text: str, at: str, length: str) -> str:
    """`${NAME:at:length}` as Asterisk has it: a negative `at` counts from the end."""
    rest = text[int(at) :]
    return rest[: int(length)] if length else rest


def dialled(text: str, caller: str) -> list[uuid.UUID]:
    """The ids of all AudioSocket() lines of the file."""
    known: dict[str, str] = {}
    found: list[uuid.UUID] = []

    def value(written: str) -> str:
        written = written.replace("${FILTER(0-9,${CALLERID(num)})}", re.sub("[^0-9]", "", caller))
        written = written.replace("${UUID()}", str(uuid.uuid4()))
        return re.sub(
            r"\$\{(\w):(-?\d+):?(\d*)\}", lambda got: cut(known[got[1]], got[2], got[3]), written
        )

    for line in text.splitlines():
        if line.startswith(";"):
            continue
        if setting := re.search(r"Set\((\w)=(.*)\)$", line):
            known[setting[1]] = value(setting[2])
        if socket := re.search(r"AudioSocket\((.*),[\d.]+:\d+\)$", line):
            found.append(uuid.UUID(value(socket[1])))
    return found


@pytest.mark.parametrize(
    ("caller", "told"),
    [
        ("02155501234", "02155501234"),
        ("+8613800001234", "8613800001234"),
        ("anonymous", ""),
        ("", ""),
    ],
)
def test_the_example_carries_the_caller(caller: str, told: str) -> None:
    ids = dialled(EXAMPLE.read_text(), caller)
    assert [caller_of(each) for each in ids] == [told, told]
    assert len(set(ids)) == 2
