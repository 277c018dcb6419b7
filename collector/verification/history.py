"""The canonical order of one panel's Occurrences, whatever order they arrived in.

A panel's own Records stand in (epoch, seq) order, which no clock can upset; what carries no
identity (phone, centre) is merged in by the latest time it can have happened: a phone report tells
of what the network had not brought, so what the network did bring most likely came before it.
"""

from __future__ import annotations

from collections.abc import Iterable

from collector.records.signal import Occurrence


def in_order(occurrences: Iterable[Occurrence]) -> list[Occurrence]:
    """The Occurrences in canonical order: a function of the set alone."""
    records: list[Occurrence] = []
    loose: list[Occurrence] = []
    for occurrence in occurrences:
        (records if occurrence.epoch else loose).append(occurrence)
    records.sort(key=lambda one: (one.epoch, one.seq, one.id))
    loose.sort(key=lambda one: (_latest(one), one.id))
    merged: list[Occurrence] = []
    place = 0
    for record in records:
        while place < len(loose) and _latest(loose[place]) < record.at:
            merged.append(loose[place])
            place += 1
        merged.append(record)
    merged.extend(loose[place:])
    return merged


def follows(ordered: list[Occurrence], occurrence: Occurrence) -> bool:
    """Whether it certainly comes last. False only means: put it in order and see."""
    if not ordered:
        return True
    if not occurrence.epoch:
        mine = _latest(occurrence)
        return all(
            known.at <= mine if known.epoch else (_latest(known), known.id) < (mine, occurrence.id)
            for known in ordered
        )
    key = (occurrence.epoch, occurrence.seq, occurrence.id)
    return all(
        (known.epoch, known.seq, known.id) < key if known.epoch else _latest(known) < occurrence.at
        for known in ordered
    )


def _latest(occurrence: Occurrence) -> int:
    return occurrence.at + occurrence.err_us
