"""What one committed step of the collector changed, for whoever watches."""

from __future__ import annotations

import msgspec

from collector.records.case import Case, Handover
from collector.records.signal import Occurrence


class Changed(msgspec.Struct, frozen=True, omit_defaults=True):
    """New values, each as it now stands in the ledger."""

    occurrences: tuple[Occurrence, ...] = ()
    cases: tuple[Case, ...] = ()
    handovers: tuple[Handover, ...] = ()

    @property
    def empty(self) -> bool:
        """Nothing changed."""
        return not (self.occurrences or self.cases or self.handovers)
