"""When the sequence mark goes (D12): at the end of a call, between reports when a list is full, and
once by a call of its own after an alarm whose mark nobody kissed off.
"""

from __future__ import annotations

from typing import Final

from edge.journal.record_types import OwedKey
from edge.reporting.phone.unmarked import Unmarked
from protocols.instants import Instant, later
from protocols.panel_event import PanelEvent, Priority, Qualifier
from protocols.phone_batch import MAX_SENT, Sent, batch_event

LIST_FULL: Final = MAX_SENT - 8
"""So many reports without a mark: one goes before the next. A list holds no more than MAX_SENT, and
what stands in no list the centre cannot join. A few hold-ups still go ahead.
"""
AGAIN_S: Final = 10.0
AFTER_START_S: Final = 300.0
"""A panel that starts again and again must not call each time."""
ALARMS: Final = range(100, 200)


def begins_alarm(event: PanelEvent) -> bool:
    """An alarm that brings people to their feet: no restore, no cancelling, no test."""
    return event.q is Qualifier.NEW and not event.test and event.code in ALARMS


class Marks:
    """What no mark covers, and when to send one. Off, nothing is ever wanted.

    Until its mark is heard the operator may see an alarm twice. So after a call that told one and
    whose mark failed, one call is made for the mark alone; if that fails too, the next call's mark
    covers it. One for each call with an alarm, under the quotas of `Redial`: it cannot storm.
    """

    def __init__(self, sent: tuple[Sent, ...], *, on: bool) -> None:
        self._on = on
        self._unmarked = Unmarked(sent)
        self._alarms: set[tuple[int, int]] = set()
        """Told in the call under way and not covered."""
        self.call_at: Instant | None = None
        """When a call for the mark alone may begin."""
        self._alone = False

    @property
    def wanted(self) -> bool:
        """Something was sent that no mark covers."""
        return self._on and len(self._unmarked) > 0

    def full(self, priority: int) -> bool:
        """Whether the mark goes before a report of this priority."""
        limit = MAX_SENT if priority <= Priority.HOLDUP else LIST_FULL
        return self._on and len(self._unmarked) >= limit

    def event(self) -> PanelEvent:
        """The list to be journalled, whose Record is the mark."""
        return batch_event(self._unmarked.batch())

    def all(self) -> tuple[Sent, ...]:
        """To be kept over a restart."""
        return self._unmarked.all()

    def sending(self, key: OwedKey) -> None:
        """A report begins to go out."""
        if self._on:
            self._unmarked.sent(key)

    def kissed(self, key: OwedKey, event: PanelEvent) -> None:
        """And was kissed off."""
        if not self._on:
            return
        self._unmarked.kissed(key)
        if begins_alarm(event):
            self._alarms.add((key.epoch, key.seq))
            self._alone = False

    def marked(self, event: PanelEvent) -> None:
        """The mark of this PHONE_BATCH was kissed off."""
        self._unmarked.marked(event)
        self._alarms = {name for name in self._alarms if name in self._unmarked}
        if not self._unmarked:
            self.call_at = None

    def start(self, now: Instant) -> None:
        """The dialler starts, with what is left of the run before."""
        self.call_at = later(now, AFTER_START_S) if self.wanted else None

    def call_begins(self, *, alone: bool) -> None:
        """A call; `alone`: for the mark and nothing else."""
        self._alone = alone
        self._alarms.clear()
        if alone:
            self.call_at = None

    def call_over(self, now: Instant) -> None:
        """It has ended."""
        if self._alarms and not self._alone:
            self.call_at = later(now, AGAIN_S)
        self._alarms.clear()
