"""Intake: bytes from panels -> Signals, acknowledgements, gaps, supervision (README.md)."""

from collector.intake.admission import (
    Admitted,
    BeatSeen,
    CardSeen,
    Effect,
    Intake,
    Policy,
    WillSeen,
)
from collector.intake.gaps import Ask, Noticed
from collector.intake.reading import (
    Beat,
    Card,
    Carried,
    Gone,
    Inbound,
    Malformed,
    Reported,
    Willed,
    read,
)
from collector.intake.refusals import Refused
from collector.intake.run import Run, RunState
from collector.intake.supervision import PathChanged, Supervisor, Verdict
from collector.intake.supervision import Policy as SupervisionPolicy

__all__ = [
    "Admitted",
    "Ask",
    "Beat",
    "BeatSeen",
    "Card",
    "CardSeen",
    "Carried",
    "Effect",
    "Gone",
    "Inbound",
    "Intake",
    "Malformed",
    "Noticed",
    "PathChanged",
    "Policy",
    "Refused",
    "Reported",
    "Run",
    "RunState",
    "SupervisionPolicy",
    "Supervisor",
    "Verdict",
    "WillSeen",
    "Willed",
    "read",
]
