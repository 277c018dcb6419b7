"""Which Record each report of a call tells of: the panel's list against what was heard. Pure.

The panel lists each Record it sent with how often it went out whole and whether it heard the
kiss-off; then the receiver holds it at least once. Two things are certain of the order: Records of
one content are sent one after the other, the next when the one before is kissed off or given up;
and within one call nothing comes between the copies of one Record. So each content is matched for
itself, and repeats of earlier calls may lie among other reports.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from collector.dedupe.seen import Key


class Entry(msgspec.Struct, frozen=True):
    """One Record as listed. `key` None: its content is not known yet, anything may fit."""

    key: Key | None
    least: int
    most: int


class Heard(msgspec.Struct, frozen=True):
    """One report: its content, and the call it came in."""

    key: Key
    call: int


def align(listed: Sequence[Entry], heard: Sequence[Heard]) -> list[set[int]] | None:
    """For each report the entries it can be a copy of, over every possible alignment.

    None: the list does not account for every report, or a report that must be there is not.
    """
    found: list[set[int]] = [set() for _ in heard]
    places: dict[Key, list[int]] = {}
    for place, report in enumerate(heard):
        places.setdefault(report.key, []).append(place)
    for one in listed:
        if one.key is not None and one.least and one.key not in places:
            return None
    for key, mine in places.items():
        entries = [n for n, one in enumerate(listed) if one.key in (None, key)]
        possible = _of_one_content(listed, heard, entries, mine, key)
        if possible is None:
            return None
        for place, which in zip(mine, possible, strict=True):
            found[place] = which
    return found if _one_content_each(listed, heard, found) else None


def _one_content_each(
    listed: Sequence[Entry], heard: Sequence[Heard], found: list[set[int]]
) -> bool:
    """Take an entry of unknown content that a report must be from all reports of other contents.
    False: that leaves a report none.
    """
    taken: dict[int, Key] = {}
    while True:
        new = {
            next(iter(which)): heard[place].key
            for place, which in enumerate(found)
            if len(which) == 1 and (entry := next(iter(which))) not in taken
            if listed[entry].key is None
        }
        if not new:
            return True
        taken |= new
        for place, which in enumerate(found):
            which -= {entry for entry in which & taken.keys() if taken[entry] != heard[place].key}
            if not which:
                return False


def _of_one_content(
    listed: Sequence[Entry], heard: Sequence[Heard], entries: list[int], mine: list[int], key: Key
) -> list[set[int]] | None:
    least = [listed[n].least if listed[n].key == key else 0 for n in entries]
    most = [listed[n].most for n in entries]
    # joined[j]: report j may be a copy of the same Record as the one before it
    joined = [
        at > 0 and not (heard[mine[at - 1]].call == heard[place].call and place != mine[at - 1] + 1)
        for at, place in enumerate(mine)
    ]
    rows, columns = len(entries), len(mine)
    before = _reach(least, most, joined, columns)
    if not before[rows][columns]:
        return None
    # The same from the end: a run that ends at j backwards is one that begins there.
    turned = [False, *reversed(joined[1:])] if columns else []
    behind = _reach(least[::-1], most[::-1], turned, columns)
    possible: list[set[int]] = [set() for _ in mine]
    for row, entry in enumerate(entries):
        for start in range(columns + 1):
            if not before[row][start]:
                continue
            for end in _ends(least[row], most[row], joined, columns, start):
                if behind[rows - row - 1][columns - end]:
                    for at in range(start, end):
                        possible[at].add(entry)
    return possible


def _reach(least: list[int], most: list[int], joined: list[bool], columns: int) -> list[list[bool]]:
    """[i][j]: the first i entries can account for exactly the first j reports."""
    reach = [[False] * (columns + 1) for _ in range(len(least) + 1)]
    reach[0][0] = True
    for row, (low, high) in enumerate(zip(least, most, strict=True)):
        for start in range(columns + 1):
            if reach[row][start]:
                for end in _ends(low, high, joined, columns, start):
                    reach[row + 1][end] = True
    return reach


def _ends(least: int, most: int, joined: list[bool], columns: int, start: int) -> list[int]:
    """Where the copies of one Record that begin at `start` may end."""
    ends = [start] if least == 0 else []
    end = start
    while end < columns and end - start < most and (end == start or joined[end]):
        end += 1
        if end - start >= least:
            ends.append(end)
    return ends
