"""The words of a voice modem: result codes (`ATV1`), caller id, voltage."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Result(Enum):
    """Final and intermediate result codes in words."""

    OK = "OK"
    CONNECT = "CONNECT"
    VCON = "VCON"
    RING = "RING"
    RINGING = "RINGING"
    NO_CARRIER = "NO CARRIER"
    NO_DIALTONE = "NO DIALTONE"
    NO_ANSWER = "NO ANSWER"
    BUSY = "BUSY"
    ERROR = "ERROR"
    NO_LINE = "NO LINE"
    """No telephone line is plugged in, or it is dead (AN93)."""
    LINE_IN_USE = "LINE IN USE"
    """A telephone on the same line is off-hook (AN93, CX930xx with -STE)."""
    BLACKLISTED = "BLACKLISTED"
    """The modem itself refuses the number: too many calls failed, by its country's rule."""


_SPELLINGS: Final = {
    **{result.value.replace(" ", ""): result for result in Result},
    "NODIAL": Result.NO_DIALTONE,
    "VOICE": Result.VCON,
    "NOPHONELINE": Result.NO_LINE,
    "DELAYED": Result.BLACKLISTED,
    "BLACKLISTFULL": Result.BLACKLISTED,
}
FINAL: Final = frozenset(Result) - {Result.RING, Result.RINGING}

_NUMBER: Final = re.compile(r"(?:\+VCID:\s*)?NMBR\s*=\s*(\+?[0-9A-Z]{0,24})$")
_VOLTS: Final = re.compile(r"(?:-TRV:\s*)?(\d{1,3}(?:\.\d+)?)\s*V?")
"""A line of its own: digits in noise are no voltage."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command was answered with. `result` None: nothing in time, or not waited for."""

    result: Result | None
    lines: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """OK, or VCON which some modems say instead in voice mode."""
        return self.result in {Result.OK, Result.VCON}

    @property
    def volts(self) -> float | None:
        """The voltage in an answer to `AT-TRV`; None where it cannot tell, or noise hid it."""
        return next((volts for line in self.lines if (volts := volts_in(line)) is not None), None)


def result_of(line: str) -> Result | None:
    """The result code a line is, however it spaces it; None for other lines."""
    return _SPELLINGS.get(re.sub(r"[\s-]+", "", line.upper()))


def caller_in(line: str) -> str | None:
    """The number of a formatted caller id (`+VCID=1`: `NMBR = 02155512345`), empty where it is
    withheld (P) or not available (O); None for other lines.
    """
    match = _NUMBER.match(line.upper())
    if match is None:
        return None
    return match[1] if match[1].strip("+").isdigit() else ""


def volts_in(line: str) -> float | None:
    """The line's voltage in an answer to `AT-TRV`; None for other lines and for noise."""
    match = _VOLTS.fullmatch(line)
    return None if match is None else float(match[1])
