"""The times of dedupe."""

from __future__ import annotations

import msgspec


class Policy(msgspec.Struct, frozen=True):
    """`settle_s` must exceed the time in which a dead path is noticed (period + margin).

    `late_s`: how old the event of a phone report may be at most, by redials and dead lines.
    `alarm_hold_s`: a hold-up or fire already on the screen waits for its mark so long at most, and
    only when that was shown within `alarm_recent_s`; others `recent_s`.
    """

    settle_s: float = 100.0
    proof_s: float = 5.0
    """A heartbeat sent so long after a report knows of the report's Record."""
    in_flight_s: float = 60.0
    """So long a report may still come of which the panel said it owes it no more: what the network
    took in mid-call is sent to its end."""
    slack_s: float = 5.0
    clock_s: float = 900.0
    """By how much more than it says a Record's time may be wrong: a clock that was set wrong does
    not know it."""
    late_s: float = 12 * 3600.0
    widest_s: float = 900.0
    """A Record whose time is known no better than this joins by identity or mark only."""
    extend_s: float = 24 * 3600.0
    """How long the proof may still come for what has been shown twice."""
    alarm_hold_s: float = 45.0
    alarm_recent_s: float = 180.0
    recent_s: float = 900.0
    keep_s: float = 13 * 3600.0
    """Longer than `late_s`: what is forgotten sooner proves nothing."""
    keep_phone_s: float = 72 * 3600.0
    keep_count: int = 400
    stretches: int = 64
