"""Occurrence -> Case: the confirmation rules as data and the machine that applies them."""

from collector.verification.machine import CaseChanged, CaseEffect, CaseMachine, HandOver
from collector.verification.rules import Rules, RulesRefused, parse_rules

__all__ = [
    "CaseChanged",
    "CaseEffect",
    "CaseMachine",
    "HandOver",
    "Rules",
    "RulesRefused",
    "parse_rules",
]
