"""Dedupe: Signals -> Occurrences. Joining needs proof, doubt leaves two (DESIGN rule 4)."""

from collector.dedupe.effects import (
    Effect,
    Joined,
    Opened,
    Repeated,
    Retired,
    absorbed,
    joined,
    opened,
    retired,
)
from collector.dedupe.joining import Joiner, Policy

__all__ = [
    "Effect",
    "Joined",
    "Joiner",
    "Opened",
    "Policy",
    "Repeated",
    "Retired",
    "absorbed",
    "joined",
    "opened",
    "retired",
]
