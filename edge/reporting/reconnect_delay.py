"""How long to wait before the next connection (users.md D4)."""

from __future__ import annotations

from protocols.instants import NS_PER_S, Instant

FIRST_S = 2.0
SETTLED_S = 60.0
"""A session that lived shorter counts as one more failure: brokers also kick accepted sessions."""


class ReconnectDelay:
    """Exponential, jittered, capped. `jitter` is a random number in [0, 1) from the caller."""

    def __init__(self, cap_s: float) -> None:
        self._cap_s = cap_s
        self._failures = 0
        self._accepted: Instant | None = None

    def accepted(self, now: Instant) -> None:
        """A session was accepted."""
        self._accepted = now

    def after_loss(self, now: Instant, jitter: float) -> float:
        """Seconds to wait after a failed attempt or a lost session: 0.1 to 1 of the step."""
        if self._accepted is not None and now - self._accepted >= SETTLED_S * NS_PER_S:
            self._failures = 0
        self._accepted = None
        step_s = min(self._cap_s, FIRST_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return step_s * (0.1 + 0.9 * jitter)
