"""What both ends say of a modem's port, and how patient they are with it."""

from __future__ import annotations

import errno
import os
from typing import Final

ANSWER_S: Final = 3.0
"""A command is answered within this, or not at all."""
LATE_S: Final = 0.5
"""An answer still owed is waited for so much longer before the next command."""
STUCK_S: Final = 3.0
"""A modem that takes no data for so long is gone."""
DRAIN_S: Final = 3.0
"""What was to be played has been, so long after it should have: some modems gather a second of it
before they begin.
"""
STALL_S: Final = 3.0
"""A voice stream without audio for so long has ended, whatever the modem thinks."""
HUNG_UP_S: Final = 1.5
"""On-hook for so long and an exchange has noticed."""


def why_not_open(number: int | None, text: str) -> str:
    """Why a port cannot be opened and what to do, by `errno` (None: `text` says it all)."""
    match number:
        case errno.EACCES | errno.EPERM:
            return "permission denied; add this program's user to the device's group (dialout)"
        case errno.EAGAIN | errno.EBUSY:
            return "another program has it open (ModemManager takes every modem it finds)"
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return f"{os.strerror(number)}: not plugged in, or under another name"
        case None if "ioctl" in text or "Invalid argument" in text:
            return "it is no serial port"
        case None:
            return text
        case _:
            return os.strerror(number)
