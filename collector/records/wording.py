"""What a language must supply: phrases with named places, and names for every Code and token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wording:
    """One language. Phrases are `str.format` templates; README of the package lists no others."""

    # the first sentence
    zone: str
    node: str
    user: str
    area: str
    panel: str
    first: str
    then: str
    at_once: str
    times: str
    more_zones: str
    reported: str
    reported_at: str
    unknown_code: str
    user_did: str
    armed_since: str
    armed_by: str
    mode_stay: str
    mode_night: str
    not_armed: str
    no_disarm: str
    disarmed: str
    disarmed_by: str
    cancelled: str
    cancelled_by: str
    in_area: str
    comma: str
    stop: str
    between: str
    # times
    seconds: str
    minutes: str
    hours: str
    days: str
    about: str
    day_and_time: str
    utc: str
    # remarks
    unconfirmed: str
    window_over: str
    confirmed: str
    to_tell: str
    told_guards: str
    closed: str
    restored: str
    merged: str
    on_test: str
    on_test_told: str
    runaway: str
    more: str
    late: str
    uncertain: str
    untimed: str
    unrecorded: str
    path_lost: str
    recent_close: str
    exit_error: str
    revised: str
    reopened: str
    grade: str
    taken: str
    by_paths: str
    both: str
    account: str
    account_unknown: str
    account_doubt: str
    unread_call: str
    unknown_caller: str
    line_down: str
    # names
    list_comma: str
    paths: Mapping[str, str]
    why: Mapping[str, str]
    kinds: Mapping[str, str]
    states: Mapping[str, str]
    outcomes: Mapping[str, str]
    destinations: Mapping[str, str]
    codes: Mapping[int, str]
    ranges: tuple[tuple[int, int, str], ...]
    """DC-05 families, for numbers this panel does not make."""
