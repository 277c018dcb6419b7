"""The account of a scenario: what was done against what the centre says happened. Pure.

Every claim is checked; one that does not hold makes the demo fail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found afterwards, as the commands print it."""

    moved: Sequence[tuple[float, int, str]]
    """Ground truth: (UTC seconds, zone, state)."""
    journal: Sequence[Mapping[str, Any]]
    occurrences: Sequence[Mapping[str, Any]]
    cases: Sequence[Mapping[str, Any]]
    verified: Mapping[str, bool]
    calls: Sequence[Mapping[str, Any]] = ()
    """Phone calls as the exchange saw them; empty when there is no phone line."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One checked statement."""

    holds: bool
    text: str
    found: str


PHONE_BATCH = 1030
SLACK_S = 1.5
"""Debounce, minimum pulse and start-up of a killed panel stand between a move and its Record."""


def check(seen: Seen) -> list[Claim]:
    """All claims, those that hold and those that do not."""
    return [
        *_delivered(seen),
        *_detectors(seen),
        *_one_case(seen),
        *(_phone(seen) if seen.calls else ()),
        *(
            Claim(good, f"the {name}'s hash chain is whole", "verified" if good else "broken")
            for name, good in seen.verified.items()
        ),
    ]


def _delivered(seen: Seen) -> list[Claim]:
    # A PHONE_BATCH lists what a call carried: evidence for joining, nothing that happened.
    happened = [row for row in seen.journal if row["event"]["code"] != PHONE_BATCH]
    recorded = [(row["epoch"], row["seq"]) for row in happened]
    arrived = Counter((row["epoch"], row["seq"]) for row in seen.occurrences)
    lost = [key for key in recorded if key not in arrived]
    doubled = [key for key, times in arrived.items() if times > 1]
    invented = [key for key in arrived if key not in set(recorded)]
    return [
        Claim(
            not lost and bool(recorded),
            "every Record of the panel is an Occurrence at the centre",
            f"{len(recorded)} recorded, {len(lost)} lost",
        ),
        Claim(not doubled, "none is there twice", f"{len(doubled)} doubled"),
        Claim(not invented, "none was invented", f"{len(invented)} without a Record"),
    ]


def _detectors(seen: Seen) -> list[Claim]:
    """Each move of a loop is one Record, in order, at its time within the stated bound."""
    claims = []
    for zone in sorted({zone for _, zone, _ in seen.moved}):
        moves = [(at, state) for at, number, state in seen.moved if number == zone]
        rows = [
            row
            for row in seen.journal
            if row["event"].get("zone") == zone and _is_activation(row["event"]["code"])
        ]
        changes = _changes(rows)
        right = len(changes) == len(moves) and all(
            (state == "normal") == (not active)
            for (_, state), (active, _) in zip(moves, changes, strict=True)
        )
        late = [
            (row["utc"] - at * 1e6) / 1e6
            for (at, _), (_, row) in zip(moves, changes, strict=False)
            if row.get("utc") is not None
        ]
        claims.append(
            Claim(
                right,
                f"zone {zone}: each of {len(moves)} movements of its loop is on record, once",
                f"{len(changes)} changes recorded",
            )
        )
        if late:
            claims.append(
                Claim(
                    min(late) > -0.01,
                    f"zone {zone}: no Record claims an earlier time than the truth",
                    f"{min(late):.2f} to {max(late):.2f} s after it",
                )
            )
    return claims


def _is_activation(code: int) -> bool:
    return 100 <= code < 200 or code in (1001, 1002, 1009)


def _changes(rows: Sequence[Mapping[str, Any]]) -> list[tuple[bool, Mapping[str, Any]]]:
    """(active, Record) at each change of the zone between rest and activity."""
    changes: list[tuple[bool, Mapping[str, Any]]] = []
    open_codes: set[int] = set()
    for row in rows:
        was = bool(open_codes)
        event = row["event"]
        if event["code"] in (1002, 1009):
            continue  # entry delay and entry door say more about an activation already recorded
        if event.get("q", 1) == 3:
            open_codes.discard(event["code"])
        else:
            open_codes.add(event["code"])
        if bool(open_codes) is not was:
            changes.append((not was, row))
    return changes


def _one_case(seen: Seen) -> list[Claim]:
    burglaries = [case for case in seen.cases if case["kind"] == "burglary"]
    claims = [
        Claim(
            len(burglaries) == 1,
            "the burglary is one case",
            f"{len(burglaries)} burglary cases of {len(seen.cases)} cases in all",
        )
    ]
    if len(burglaries) == 1:
        state = burglaries[0]["state"]
        claims.append(
            Claim(
                state in ("confirmed", "handed_over"),
                "two independent detectors confirmed it",
                f"its state is {state}",
            )
        )
    return claims


def _phone(seen: Seen) -> list[Claim]:
    """What was told by phone is what was told by MQTT, joined and not shown again."""
    by_phone = [row for row in seen.occurrences if "phone" in row["paths"]]
    alarms = [row for row in by_phone if 100 <= row["code"] < 200]
    alone = [row for row in by_phone if row["paths"] == ["phone"]]
    first = sum(row["paths"][0] == "phone" for row in alarms)
    digits = sum(len(call["digits"]) for call in seen.calls)
    return [
        Claim(
            first > 0,
            "an alarm was at the centre by phone before the network brought it",
            f"{first} of {len(alarms)} alarms told by phone; {len(seen.calls)} calls, "
            f"{digits} DTMF digits",
        ),
        Claim(
            not alone,
            "every report by phone was joined to its Record",
            f"{len(by_phone)} told by phone, {len(alone)} not joined",
        ),
    ]
