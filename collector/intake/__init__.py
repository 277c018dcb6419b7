"""Intake: bytes from panels -> Signals, acknowledgements, gaps, supervision (README.md)."""

from collector.intake.accounts import Account, AccountBook, Resolved
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
from collector.intake.pin_lists import PinLists, pins_for
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
from collector.intake.receiver_watch import PhonePath, PhoneWatch, ReceiverVerdict, ReceiverWatch
from collector.intake.reception_reading import Entry, Received, Unreadable
from collector.intake.receptions import Policy as ReceptionPolicy
from collector.intake.receptions import ReceiverSeen, Receptions, SpoolState, TakenIn
from collector.intake.refusals import Refused
from collector.intake.run import Run, RunState
from collector.intake.supervision import PathChanged, Supervisor, Verdict
from collector.intake.supervision import Policy as SupervisionPolicy

__all__ = [
    "Account",
    "AccountBook",
    "Admitted",
    "Ask",
    "Beat",
    "BeatSeen",
    "Card",
    "CardSeen",
    "Carried",
    "Effect",
    "Entry",
    "Gone",
    "Inbound",
    "Intake",
    "Malformed",
    "Noticed",
    "PathChanged",
    "PhonePath",
    "PhoneWatch",
    "PinLists",
    "Policy",
    "Received",
    "ReceiverSeen",
    "ReceiverVerdict",
    "ReceiverWatch",
    "ReceptionPolicy",
    "Receptions",
    "Refused",
    "Reported",
    "Resolved",
    "Run",
    "RunState",
    "SpoolState",
    "SupervisionPolicy",
    "Supervisor",
    "TakenIn",
    "Unreadable",
    "Verdict",
    "WillSeen",
    "Willed",
    "pins_for",
    "read",
]
