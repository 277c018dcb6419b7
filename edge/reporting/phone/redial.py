"""When the next call may be made: back-off, and never a storm of calls."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Final

from protocols.instants import NS_PER_S, Instant, later
from protocols.panel_event import Priority

WINDOW_S: Final = 900.0
ON_HOOK_S: Final = 2.0
"""Between two calls: the exchange must see that we hung up."""
GATHER_S: Final = 20.0
"""After a call that went well, what is no alarm waits so long for company."""
IN_USE_S: Final = 15.0
RESERVED: Final = 2
"""Failed calls of a window that are kept for hold-ups, and as many again for other alarms."""
URGENT: Final = Priority.TAMPER
"""Up to here it is an alarm: it takes the line from a person and sits out nobody's back-off."""
FRESH_ALARM: Final = 2
_WINDOW_NS: Final = round(WINDOW_S * NS_PER_S)


class Redial:
    """Delays double from `first_s` to `cap_s`; failed calls are counted in any 15 minutes.

    `seed` makes the jitter: a core draws no random number. Two panels need two seeds. Calls that
    never dialled are counted apart: they troubled nobody, and are forgotten when the line is back.
    """

    def __init__(self, first_s: float, cap_s: float, failed_per_hour: int, seed: int) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._quota = failed_per_hour // 4
        self._seed = seed
        self._drawn = 0
        self._exponent = 0
        self._next_at = Instant(0)
        self._idle_at = Instant(0)
        self._polite_at = Instant(0)
        self._failed: deque[Instant] = deque()
        self._undialled: deque[Instant] = deque()
        self._polite: deque[Instant] = deque()
        """Ends of the calls that were begun for what is no alarm."""

    def jitter(self) -> float:
        """A number in [0, 1), another each time."""
        self._drawn += 1
        raw = hashlib.sha256(f"{self._seed}:{self._drawn}".encode()).digest()
        return int.from_bytes(raw[:6], "big") / float(1 << 48)

    def may_start_at(self, priority: int) -> Instant:
        """The earliest a call for something of this priority may begin."""
        at = max(self._idle_at, self._next_at)
        held = 0 if priority <= Priority.HOLDUP else 1 if priority <= URGENT else 2
        limit = max(1, self._quota - held * RESERVED)
        at = max(at, _room(self._failed, limit), _room(self._undialled, limit))
        if priority > Priority.BURGLARY:
            # A tamper that flutters is no reason for a call each time; other alarms shut down.
            polite = self._quota if priority <= URGENT else max(2, self._quota - RESERVED)
            at = max(at, self._polite_at, _room(self._polite, polite))
        return at

    def fresh(self, priority: int, now: Instant) -> None:
        """A new alarm does not sit out the back-off of older ones; a hold-up begins it anew."""
        if priority > URGENT:
            return
        self._exponent = 0 if priority <= Priority.HOLDUP else min(self._exponent, FRESH_ALARM)
        self._next_at = min(self._next_at, now)

    def hurry(self, now: Instant) -> None:
        """The fault is over, or a person asks: try now."""
        self._exponent = 0
        self._next_at = self._polite_at = min(self._next_at, now)

    def line_back(self, now: Instant) -> None:
        """The line was gone: what failed for want of it says nothing about the next call."""
        self._undialled.clear()
        self.hurry(now)

    def succeeded(
        self, now: Instant, priority: int = Priority.BURGLARY, *, more: bool = False
    ) -> None:
        """A call that was begun for this ended well; `more`: something is due already."""
        self._exponent = 0
        self._next_at = now
        self._over(now, priority)
        self._polite_at = now if more else later(now, GATHER_S)

    def in_use(self, now: Instant) -> None:
        """Somebody is on the phone; alarms will not ask."""
        self._over(now)
        self._polite_at = later(now, IN_USE_S)

    def checked(self, now: Instant) -> None:
        """The line was only listened to."""
        self._over(now)

    def failed(
        self,
        now: Instant,
        priority: int = Priority.BURGLARY,
        *,
        delivered: bool,
        dialled: bool = True,
    ) -> None:
        """A call begun for this ended badly; `delivered`: something was kissed off before that."""
        if delivered:
            self._exponent = 0
        step_s = min(self._cap_s, self._first_s * 2.0 ** min(self._exponent, 16))
        self._exponent += 1
        self._next_at = later(now, step_s * (0.75 + 0.25 * self.jitter()))
        if not delivered:
            (self._failed if dialled else self._undialled).append(now)
        self._over(now, priority)

    def _over(self, now: Instant, priority: int = Priority.HOLDUP) -> None:
        self._idle_at = later(now, ON_HOOK_S)
        if priority > Priority.BURGLARY:
            self._polite.append(now)
        for window in (self._failed, self._undialled, self._polite):
            while window and window[0] <= now - _WINDOW_NS:
                window.popleft()


def _room(window: deque[Instant], limit: int) -> Instant:
    """When fewer than `limit` of these lie in the window."""
    if len(window) < limit:
        return Instant(0)
    return Instant(window[len(window) - limit] + _WINDOW_NS)
