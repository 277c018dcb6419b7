"""When the phone path is tried though nothing is owed: test calls, and looks for the dial tone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge.config_phone import DialToneWait, LineDriver, PhoneConfig
from protocols.instants import Instant, later

FIRST_TEST_S: Final = (30.0, 300.0)
"""After a start whose memory tells nothing: spread, so that a district does not call at once."""
MODEM_CHECK_S: Final = 120.0
RECHECK_S: Final = 20.0


class Rhythm:
    """Each path is tested on its own schedule, with no fallback (users.md M2)."""

    def __init__(self, config: PhoneConfig, test_at: Instant | None) -> None:
        self.test_at = test_at
        self.check_at: Instant | None = None
        self.told_at: Instant | None = None
        """When a test was last kissed off since the start."""
        self._begun = False
        self._testing: Instant | None = None
        self._test_s = config.test_s
        self._check_s = config.line_check_s
        by_tone = config.dial_tone is DialToneWait.NEEDED  # else there is none to be heard
        if self._check_s is None and config.line.driver is LineDriver.MODEM and by_tone:
            self._check_s = MODEM_CHECK_S

    def begin(self, now: Instant, jitter: Callable[[], float]) -> bool:
        """Set what is not set yet. True the first time."""
        if self._begun:
            return False
        self._begun = True
        if self.test_at is None:
            low_s, high_s = FIRST_TEST_S
            self.test_at = later(now, low_s + (high_s - low_s) * jitter())
        # Kept under another configuration, or on a disk that lies: never later than it should be.
        self.test_at = min(self.test_at, later(now, self._test_s))
        if self._check_s is not None:
            self.check_at = later(now, self._check_s)
        return True

    def test_due(self, now: Instant) -> bool:
        """Whether a test call is due."""
        return self.test_at is not None and now >= self.test_at

    def test_begins(self, now: Instant, *, asked: bool) -> bool:
        """A test is wanted. False: one is owed already and will be told."""
        self.test_at = later(now, self._test_s)
        owed = self._testing is not None and now < later(self._testing, self._test_s)
        if owed and not asked:
            return False
        self._testing = now
        return True

    def test_told(self, now: Instant) -> None:
        """A test was kissed off."""
        self._testing = None
        self.told_at = now
        self.test_at = later(now, self._test_s)

    def test_within(self, now: Instant, seconds: float) -> None:
        """Test no later than that."""
        self.test_at = min(self.test_at or now, later(now, seconds))

    def check_due(self, now: Instant) -> bool:
        """Whether to look for the dial tone; sets the next time."""
        if self.check_at is None or now < self.check_at:
            return False
        self.check_at = None if self._check_s is None else later(now, self._check_s)
        return True

    def recheck(self, now: Instant) -> None:
        """It was not there: look again soon, before it is called a fault."""
        self.check_at = later(now, RECHECK_S)
