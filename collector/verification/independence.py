"""Whether two trips come from independent detectors (BS 8243, standards 3.3)."""

from __future__ import annotations

from typing import Final

from collector.records.case import Evidence
from collector.verification.rules import Rules
from protocols.mqtt.payloads import CardZone, SiteCard

INDEPENDENT: Final = "independent_detectors"


def card_zone(card: SiteCard | None, zone: int) -> CardZone | None:
    """The zone's entry on the site card."""
    if card is None:
        return None
    return next((known for known in card.zones if known.zone == zone), None)


def is_outside(card: SiteCard | None, trip: Evidence) -> bool:
    """Outside detectors confirm nothing."""
    known = card_zone(card, trip.event.zone)
    return known is not None and known.outside


def compare(one: Evidence, other: Evidence, card: SiteCard | None, rules: Rules) -> str:
    """INDEPENDENT, or the token that says why the two do not prove each other.

    Without a card the zone number is all that is known of a detector: two numbers are two
    detectors, as at any receiver.
    """
    a, b = one.event.zone, other.event.zone
    if a == b:
        return "same_detector" if a else "unknown_detector"
    if not a or not b:
        return "unknown_detector"
    first, second = card_zone(card, a), card_zone(card, b)
    if first is None or second is None:
        lone = first or second
        return "outside_detector" if lone is not None and lone.outside else INDEPENDENT
    if first.outside or second.outside:
        return "outside_detector"
    if first.detector and first.detector == second.detector:
        return "same_detector"
    overlap = b in first.overlaps or a in second.overlaps
    if overlap and not rules.burglary.overlapping_confirm:
        if not first.technology or not second.technology:
            return "overlap_unknown_technology"
        if first.technology == second.technology:
            return "overlap_same_technology"
    return INDEPENDENT
