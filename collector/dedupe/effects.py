"""What dedupe decides, and the Occurrences that come of it."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from collector.records.signal import Occurrence, Signal


class Opened(msgspec.Struct, frozen=True):
    """Something new happened."""

    occurrence: Occurrence


class Joined(msgspec.Struct, frozen=True):
    """The Signal tells of an Occurrence that is known already (`joined` makes its new value)."""

    occurrence_id: int
    signal: Signal


class Retired(msgspec.Struct, frozen=True):
    """An Occurrence that was shown turned out to be one of `same_as`, which is shown too.

    One: they are the same, and it takes over the Signals (`absorbed`). Several: it repeats one of
    them and it cannot be told which; it only leaves the screen.
    """

    occurrence_id: int
    same_as: tuple[int, ...]


class Repeated(msgspec.Struct, frozen=True):
    """The Signal, never shown by itself, repeats one of these Occurrences: nothing new."""

    signal_id: int
    same_as: tuple[int, ...]


Effect = Opened | Joined | Retired | Repeated


def opened(signal: Signal) -> Occurrence:
    """The Occurrence of a Signal standing alone."""
    return Occurrence(
        id=signal.id,
        panel=signal.panel,
        event=signal.event,
        at=signal.at,
        err_us=signal.err_us,
        received=signal.received,
        signals=(signal.id,),
        paths=(signal.path,),
        epoch=signal.epoch,
        seq=signal.seq,
        recorded=signal.recorded,
        boot=signal.boot,
        mono=signal.mono,
    )


def joined(occurrence: Occurrence, signal: Signal) -> Occurrence:
    """The Occurrence with one more Signal; the better time and the identity win."""
    if signal.id in occurrence.signals:
        return occurrence
    return _with(occurrence, opened(signal), identified=bool(signal.digest))


def absorbed(kept: Occurrence, gone: Occurrence) -> Occurrence:
    """The kept Occurrence with all that the other one held."""
    if set(gone.signals) <= set(kept.signals):
        return kept
    return _with(kept, gone, identified=bool(gone.boot))


def retired(gone: Occurrence, same_as: tuple[int, ...]) -> Occurrence:
    """What stays of an Occurrence that was no event of its own."""
    return replace(gone, same_as=same_as)


def _with(kept: Occurrence, more: Occurrence, *, identified: bool) -> Occurrence:
    signals = dict.fromkeys((*kept.signals, *more.signals))
    paths = dict.fromkeys((*kept.paths, *more.paths))
    both = replace(kept, signals=tuple(signals), paths=tuple(paths))
    if more.err_us < both.err_us:
        both = replace(both, at=more.at, err_us=more.err_us)
    if identified and not kept.boot:
        # The panel's own Record says more than a phone report: user, detail, test.
        both = replace(
            both,
            event=more.event,
            epoch=more.epoch,
            seq=more.seq,
            recorded=more.recorded,
            boot=more.boot,
            mono=more.mono,
        )
    return both
