"""Whether the phone path is really up: only a kiss-off proves it (users.md D1, M2)."""

from __future__ import annotations

from typing import Final

from edge.reporting.phone.call_types import Cause
from edge.reporting.phone.line import LineStatus
from edge.reporting.reporter_types import PathState
from protocols.instants import Instant, later

ABSENT_S: Final = 5.0
"""A line may seem gone for a moment while somebody picks up or it rings."""
FAILED_CALLS: Final = 3
NO_LINE_CALLS: Final = 2
IN_USE_S: Final = 1800.0
_LINE: Final = (Cause.NO_LINE, Cause.NO_DIAL_TONE, Cause.LINE_CUT)


class PhoneTruth:
    """`up` None: not known yet. Every change is told once."""

    def __init__(self) -> None:
        self.up: bool | None = None
        self.cause = "not_tried"
        self.line_present: bool | None = None
        self._said: list[LineStatus | None] = [None, None]
        """By the line itself, by the monitor."""
        self.failed = 0
        """Calls in a row that delivered nothing."""
        self.kissed_at: Instant | None = None
        self._no_line = 0
        self._line_lost = False
        self._gone_at: Instant | None = None
        self._gone_cause = ""
        self._in_use_since: Instant | None = None

    def line(self, status: LineStatus, now: Instant) -> bool:
        """What the line says of itself. True: it is back after it was counted as lost."""
        self._said[0] = status
        return self._judge(now)

    def monitored(self, status: LineStatus, now: Instant) -> bool:
        """What a monitor beside it says. True: as above."""
        self._said[1] = status
        return self._judge(now)

    def _judge(self, now: Instant) -> bool:
        said = [one for one in self._said if one is not None]
        status = next((one for one in said if not one.present), said[0])
        self.line_present = status.present
        if status.present:
            self._gone_at = None
            back, self._line_lost = self._line_lost, False
            self._no_line = 0
            return back
        if self._gone_at is None and not self._line_lost:
            self._gone_at = later(now, ABSENT_S)
        self._gone_cause = status.cause or "line_absent"
        return False

    def tick(self, now: Instant) -> list[PathState]:
        """Let time pass."""
        if self._gone_at is None or now < self._gone_at:
            return []
        self._gone_at = None
        self._line_lost = True
        return self._set(False, self._gone_cause)

    def deadline(self) -> Instant | None:
        """When `tick` is needed."""
        return self._gone_at

    def kissed(self, now: Instant) -> list[PathState]:
        """A kiss-off was heard."""
        self.kissed_at = now
        self.failed = self._no_line = 0
        self._in_use_since = None
        self._line_lost = False
        return self._set(True, "kissed_off")

    def call_failed(self, cause: Cause, now: Instant, *, delivered: bool) -> list[PathState]:
        """A call, or a look for the dial tone, ended badly."""
        self._in_use_since = None
        if delivered:
            return []
        self.failed += 1
        self._no_line = self._no_line + 1 if cause in _LINE else 0
        if self._no_line >= NO_LINE_CALLS:
            self._line_lost = True
            return self._set(False, cause.value)
        return self._set(False, cause.value) if self.failed >= FAILED_CALLS else []

    def in_use(self, now: Instant) -> list[PathState]:
        """Somebody is on the phone. For ever, that is a fault too."""
        if self._in_use_since is None:
            self._in_use_since = now
        if now >= later(self._in_use_since, IN_USE_S):
            return self._set(False, Cause.IN_USE.value)
        return []

    def dial_tone_back(self) -> bool:
        """The dial tone was heard. True: it is back after the line was counted as lost."""
        self._no_line = 0
        self._in_use_since = None
        back, self._line_lost = self._line_lost, False
        return back

    def _set(self, up: bool, cause: str) -> list[PathState]:
        known, self.up, self.cause = self.up, up, cause
        if known is up:
            return []
        return [PathState(up, cause)]
