"""The confirmation rules as data: one TOML file, versioned (standards 3.3).

`parse_rules` never raises for what stands in the file: it returns the first thing wrong with it.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from collector.records.case import Decision, Kind

US_PER_MIN: Final = 60_000_000

Minutes = Annotated[float, Meta(gt=0, le=24 * 60)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Whom = Annotated[str, Meta(pattern="^(110|119|120)?$")]


class Burglary(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sequential confirmation."""

    window_min: Annotated[float, Meta(ge=30, le=60)]
    across_areas: bool
    entry_door_disables: bool
    overlapping_confirm: bool


class PathLoss(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Confirmation by loss of a path."""

    alarm_then_loss: bool
    loss_then_alarm: bool
    both_paths: bool
    planned_s: Seconds


class Cancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What takes an unconfirmed burglary back."""

    by: tuple[Annotated[str, Meta(pattern="^(cancel|abort|disarm)$")], ...]
    cancel_within_min: Minutes
    disarm_within_min: Minutes
    duress_within_min: Minutes


class Holdup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Grading; a hold-up is handed over whatever its grade (R44)."""

    same_case_min: Minutes
    apart_s: Seconds
    tamper_within_s: Seconds
    window_h: Annotated[float, Meta(ge=8, le=20)]


class Runaway(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a detector trips too often to prove anything."""

    trips: Annotated[int, Meta(ge=2, le=100)]
    within_min: Minutes


class OnTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an account on test still hands over."""

    hand_over: tuple[Kind, ...]
    max_min: Minutes


class HandoverRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who must be told of what."""

    burglary: Whom
    holdup: Annotated[str, Meta(pattern="^(110|119|120)$")]
    fire: Whom
    medical: Whom
    gas: Whom
    guards: Annotated[str, Meta(pattern="^(first|confirmed|never)$")]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    version: Annotated[str, Meta(min_length=1, max_length=40)]
    burglary: Burglary
    path_loss: PathLoss
    cancel: Cancel
    holdup: Holdup
    runaway: Runaway
    on_test: OnTest
    handover: HandoverRule


@dataclass(frozen=True, slots=True)
class Rules:
    """One rule file as read."""

    version: str
    sha256: str
    burglary: Burglary
    path_loss: PathLoss
    cancel: Cancel
    holdup: Holdup
    runaway: Runaway
    on_test: OnTest
    handover: HandoverRule

    @property
    def window_us(self) -> int:
        """The confirmation window."""
        return round(self.burglary.window_min * US_PER_MIN)

    def is_of(self, decision: Decision) -> bool:
        """Whether the decision was made under this very file."""
        return decision.sha256 == self.sha256


@dataclass(frozen=True, slots=True)
class RulesRefused:
    """Why a rule file cannot be used: origin, what is wrong and what is expected."""

    origin: str
    reason: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.reason}"


def parse_rules(data: bytes, origin: str = "rules") -> Rules | RulesRefused:
    """Rules from the bytes of a TOML file; `origin` names it in a refusal."""
    try:
        raw = tomllib.loads(data.decode())
    except UnicodeDecodeError:
        return RulesRefused(origin, "not UTF-8 text")
    except tomllib.TOMLDecodeError as broken:
        return RulesRefused(origin, f"not TOML: {broken}")
    try:
        read = msgspec.convert(raw, _File)
    except msgspec.ValidationError as wrong:
        return RulesRefused(origin, _explain(str(wrong)))
    return Rules(
        version=read.version,
        sha256=hashlib.sha256(data).hexdigest(),
        burglary=read.burglary,
        path_loss=read.path_loss,
        cancel=read.cancel,
        holdup=read.holdup,
        runaway=read.runaway,
        on_test=read.on_test,
        handover=read.handover,
    )


def _explain(message: str) -> str:
    """Msgspec's words with the key first: `burglary.window_min: expected ...`."""
    text, _, where = message.partition(" - at `$")
    key = where.rstrip("`").lstrip(".")
    return f"{key}: {text}" if key else text
