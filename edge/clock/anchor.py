"""An anchor ties monotonic time to UTC; stamps are counted from it, never read off the wall clock.

A CLOCK_SET event carries one in its `detail`: `mono=<ns>;utc=<us>;err=<us>`, valid for the boot of
the Record it came in. Records of that boot without UTC are placed by it, both ways (D16).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.instants import Instant, UtcTime

PRE_SYNC_SLEW_US: Final = 1_000_000
"""Before the first anchor chrony may have turned the clock by its makestep limit unseen."""
_MAX: Final = 2**62


@dataclass(frozen=True, slots=True)
class Stamp:
    """UTC with the truth within ±`err_us`; both None before the first synchronisation."""

    utc: UtcTime | None
    err_us: int | None


NO_STAMP: Final = Stamp(None, None)


@dataclass(frozen=True, slots=True)
class Anchor:
    """At `mono` it was `utc` ± `err_us`."""

    mono: Instant
    utc: UtcTime
    err_us: int

    def detail(self) -> str:
        """For the CLOCK_SET event."""
        return f"mono={self.mono};utc={self.utc};err={self.err_us}"

    @staticmethod
    def parse(detail: str) -> Anchor | None:
        """The anchor in a CLOCK_SET's `detail`; None when there is none."""
        found: dict[str, int] = {}
        for token in detail.split(";"):
            name, _, value = token.partition("=")
            if name in ("mono", "utc", "err"):
                digits = value.removeprefix("-")
                if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
                    return None
                found[name] = int(value)
        if found.keys() != {"mono", "utc", "err"} or found["err"] < 0:
            return None
        return Anchor(Instant(found["mono"]), UtcTime(found["utc"]), found["err"])

    def utc_at(self, mono: Instant) -> UtcTime:
        """UTC counted from here."""
        return UtcTime(self.utc + (mono - self.mono) // 1000)

    def err_at(self, mono: Instant, drift_ppm: float) -> int:
        """The bound grown by the oscillator's drift."""
        return self.err_us + round(abs(mono - self.mono) / 1000 * drift_ppm / 1e6) + 1

    def place(self, mono: Instant, drift_ppm: float) -> Stamp:
        """Corrected time of a Record of the same boot that has none."""
        slew = PRE_SYNC_SLEW_US if mono < self.mono else 0
        return Stamp(self.utc_at(mono), self.err_at(mono, drift_ppm) + slew)
