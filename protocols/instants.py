"""The two kinds of time. They never mix: mypy keeps them apart."""

from typing import NewType

Instant = NewType("Instant", int)
"""Monotonic nanoseconds within one boot of one machine."""

UtcTime = NewType("UtcTime", int)
"""UTC microseconds since 1970-01-01, by somebody's wall clock."""

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
US_PER_S = 1_000_000


def later(now: Instant, seconds: float) -> Instant:
    """The instant `seconds` after `now`."""
    return Instant(now + round(seconds * NS_PER_S))


def utc_later(now: UtcTime, seconds: float) -> UtcTime:
    """The wall time `seconds` after `now`."""
    return UtcTime(now + round(seconds * US_PER_S))
