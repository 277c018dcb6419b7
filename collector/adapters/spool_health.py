"""How the spool does, for people and for the collector: commits refused, the reserve in use."""

from __future__ import annotations

from collections.abc import Callable

from collector.adapters.spool_sqlite import Spool
from collector.adapters.spool_writer import SpoolWriter


class SpoolHealth:
    """`look` every few seconds; `on_problem` is called when something changed."""

    def __init__(
        self, spool: Spool, writer: SpoolWriter, on_problem: Callable[[str], None]
    ) -> None:
        self._spool = spool
        self._writer = writer
        self._on_problem = on_problem
        self._told = ""

    @property
    def fault(self) -> str:
        """What is wrong now; empty: nothing."""
        if self._writer.fault:
            return self._writer.fault
        if self._spool.reserve_used:
            return (
                "the disk is full: alarms go into the room kept for them until that is full too;"
                f" make room on the disk of {self._spool.folder}"
            )
        return ""

    def look(self) -> None:
        """Take the reserve back where there is room again, and tell of what changed."""
        if self._spool.reserve_used:
            self._spool.keep_reserve()
        fault = self.fault
        if fault != self._told:
            self._told = fault
            self._on_problem(fault or "the spool takes commits again, with room in reserve")
