"""What is still owed on one path, kept as what was acknowledged.

Acknowledgements are stored, not debts: whatever is forgotten by damage is owed once more, which
costs a resend the collector recognises, and never an alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class PathDebt:
    """One path. Numbers are journal row ids, ascending with (epoch, seq)."""

    upto: int
    """Every Record up to here is acknowledged, but for those in `again`."""
    beyond: set[int] = field(default_factory=set)
    """Acknowledged above `upto`."""
    again: set[int] = field(default_factory=set)
    """At or below `upto`, asked for again by the collector."""
    changed: int = 0
    """Changes not stored yet."""

    def copy(self) -> PathDebt:
        """As it stands now."""
        return PathDebt(self.upto, set(self.beyond), set(self.again))

    def owes(self, row: int) -> bool:
        """Whether the Record of this row is still to be acknowledged."""
        return row in self.again or (row > self.upto and row not in self.beyond)

    def acknowledge(self, rows: Iterable[int], after: Callable[[int], int | None]) -> None:
        """Take acknowledgements; `after(row)` is the next kept row, None at the end."""
        for row in rows:
            if not self.owes(row):
                continue
            self.changed += 1
            self.again.discard(row)
            if row > self.upto:
                self.beyond.add(row)
        while self.beyond:
            following = self.upto + 1 if self.upto + 1 in self.beyond else after(self.upto)
            if following is None or following not in self.beyond:
                return
            self.beyond.discard(following)
            self.upto = following

    def ask_again(self, rows: Iterable[int]) -> None:
        """Mark rows as owed though they were acknowledged (Resend)."""
        for row in rows:
            if self.owes(row):
                continue
            self.changed += 1
            if row > self.upto:
                self.beyond.discard(row)
            else:
                self.again.add(row)

    def free_upto(self) -> int:
        """The newest row such that it and all before are acknowledged."""
        return min(self.again) - 1 if self.again else self.upto
