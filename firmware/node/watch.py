"""The watchdog is fed only when every duty progressed since the last feed (K2). [both runtimes]"""

SAMPLE = 1
BUS = 2
CHECK = 4
ALL = SAMPLE | BUS | CHECK

TIMEOUT_MS = 2000
"""Of the watchdog. The slowest duty comes every quarter of a second."""


class Watch:
    """Which duties have progressed."""

    def __init__(self) -> None:
        self._progressed = 0

    def progressed(self, duty: int) -> None:
        """This duty did its work to the end."""
        self._progressed |= duty

    def take(self) -> bool:
        """True: feed now. Each duty must then progress anew."""
        if self._progressed != ALL:
            return False
        self._progressed = 0
        return True
