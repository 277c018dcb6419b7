"""Judges a panel's identity: the certificate, key and CA an installer is about to mount (R1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from protocols.instants import US_PER_S, UtcTime
from protocols.mqtt.topics import PANEL_ID

DAY_US = 86_400 * US_PER_S


class Grade(Enum):
    """How bad a finding is."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Identity:
    """What the three files say. `signed_by_ca` and `key_matches` were proved, not read."""

    common_name: str
    not_before: UtcTime
    not_after: UtcTime
    ca_name: str
    ca_not_after: UtcTime
    signed_by_ca: bool
    key_matches: bool
    key_private: bool
    """The key file is readable by its owner only."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement: what was looked at, what was found, how to mend it."""

    grade: Grade
    what: str
    found: str
    mend: str = ""


def judge(identity: Identity, panel: str | None, now: UtcTime) -> list[Finding]:
    """Every finding, good ones too. `panel` None: any valid panel id is accepted."""
    again = "issue it again at the centre: tocsin-collector panel renew"
    good, warning, bad = Grade.GOOD, Grade.WARNING, Grade.BAD
    found: list[Finding] = []

    def say(ok: bool, what: str, seen: str, mend: str, otherwise: Grade = bad) -> None:
        found.append(Finding(good, what, seen) if ok else Finding(otherwise, what, seen, mend))

    named = panel is None or identity.common_name == panel
    valid = PANEL_ID.fullmatch(identity.common_name) is not None
    say(
        named and valid,
        "panel id",
        identity.common_name,
        f"expected {panel or 'a panel id'}; {again}",
    )
    say(
        identity.signed_by_ca,
        "signed by the centre",
        identity.ca_name,
        f"wrong CA file, or {again}",
    )
    say(identity.key_matches, "key belongs to it", "yes" if identity.key_matches else "no", again)
    say(
        identity.key_private, "key is private", "yes" if identity.key_private else "no", "chmod 600"
    )
    say(identity.not_before <= now, "already valid", _day(identity.not_before), "set this clock")
    left_days = (identity.not_after - now) // DAY_US
    say(left_days >= 0, "not expired", f"{left_days} days left", again)
    if left_days >= 0:
        say(left_days > 30, "good for long", f"{left_days} days left", again, warning)
    ca_days = (identity.ca_not_after - now) // DAY_US
    say(ca_days > 365, "CA good for long", f"{ca_days} days left", "plan the CA's renewal", warning)
    return found


def _day(at: UtcTime) -> str:
    return datetime.fromtimestamp(at / US_PER_S, UTC).strftime("%Y-%m-%d")
