"""What the one-digit event codes and channels of an account mean (Express, High Speed, pulse).

No standard says what digit 3 is: each installer chose. What nobody told us surfaces as an alarm of
unknown kind with its digits in `detail`; it is never dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from protocols.panel_event import PanelEvent, Qualifier

GENERAL_ALARM: Final = 140


@dataclass(frozen=True, slots=True)
class EventRule:
    """Meaning of an event digit. `number` None: the last digit is the zone (`by_user`: user)."""

    code: int
    q: Qualifier = Qualifier.NEW
    by_user: bool = False
    number: int | None = None


UNKNOWN_ALARM: Final = EventRule(GENERAL_ALARM)


@dataclass(frozen=True, slots=True)
class Profile:
    """`events`: by both digits of a two-digit event first (`"31"`), then by the first (`"3"`).
    `channels`: by channel 1-8 of High Speed and Super Fast. Absent: UNKNOWN_ALARM.
    """

    events: Mapping[str, EventRule] = field(default_factory=dict)
    channels: Mapping[int, EventRule] = field(default_factory=dict)

    def channel(self, number: int) -> EventRule:
        """Rule of an alarm on channel `number`."""
        return self.channels.get(number, UNKNOWN_ALARM)


def event_of_digits(digits: str, profile: Profile) -> PanelEvent:
    """The event of one or two event digits (1-9, 0 for ten, B-F)."""
    rule = profile.events.get(digits) or profile.events.get(digits[:1]) or UNKNOWN_ALARM
    return event_by(rule, value_of(digits[-1:]), f"event={digits}")


def event_by(rule: EventRule, number: int, detail: str, q: Qualifier | None = None) -> PanelEvent:
    """The event of `rule` for zone or user `number`, unless the rule names its own."""
    if rule.number is not None:
        number = rule.number
    return PanelEvent(
        code=rule.code,
        q=rule.q if q is None else q,
        zone=0 if rule.by_user else number,
        user=number if rule.by_user else 0,
        detail=detail,
    )


def value_of(digit: str) -> int:
    """1-15; the digit 0 is sent as ten pulses and counts ten."""
    return 10 if digit == "0" else int(digit, 16)
