"""Placing Records without wall time on the UTC line (D16, N2). Originals stay as they are."""

from __future__ import annotations

from typing import Final

import msgspec

from protocols.instants import UtcTime
from protocols.panel_event import Code, PanelEvent

DRIFT_PPM: Final = 200
"""Bound on a board's free-running oscillator over temperature and age."""
UNTIMED_ERR_US: Final = 10 * 365 * 86_400 * 1_000_000
"""Error bound of `at` while nothing but the time of receipt is known."""


class Anchor(msgspec.Struct, frozen=True, array_like=True):
    """At `mono` ns of boot `boot` it was `utc` ± `err_us`; told by Signal `signal`."""

    signal: int
    panel: str
    boot: str
    mono: int
    utc: int
    err_us: int


class Placement(msgspec.Struct, frozen=True):
    """Where Signal `signal` belongs on the UTC line, by the anchor of Signal `by`."""

    signal: int
    panel: str
    at: UtcTime
    err_us: int
    by: int


def anchor_of(signal: int, panel: str, boot: str, event: PanelEvent) -> Anchor | None:
    """The anchor a CLOCK_SET record carries: `detail` is `mono=<ns>;utc=<us>;err=<us>;...`."""
    if event.code != Code.CLOCK_SET:
        return None
    found: dict[str, int] = {}
    for token in event.detail.split(";"):
        key, _, value = token.partition("=")
        if key in {"mono", "utc", "err"} and value.isascii() and value.isdigit():
            found[key] = int(value[:19])
    if len(found) < 3:
        return None
    return Anchor(
        signal=signal,
        panel=panel,
        boot=boot,
        mono=found["mono"],
        utc=found["utc"],
        err_us=found["err"],
    )


def place(signal: int, mono: int, anchor: Anchor) -> Placement:
    """The time of a Record of the anchor's boot; the bound widens with the distance."""
    apart_us = (mono - anchor.mono) // 1000
    return Placement(
        signal=signal,
        panel=anchor.panel,
        at=UtcTime(anchor.utc + apart_us),
        err_us=anchor.err_us + abs(apart_us) * DRIFT_PPM // 1_000_000 + 1,
        by=anchor.signal,
    )
