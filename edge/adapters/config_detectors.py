"""Which detectors may guard what: single PIRs and pairs (R103)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge.adapters.config_problem import Phrase, Report
from edge.adapters.config_shape import Draft
from edge.adapters.config_site import is_strict
from edge.config import PanelConfig, ZoneConfig, ZoneType

BURGLARY: Final = frozenset(
    {
        ZoneType.INSTANT,
        ZoneType.ENTRY_EXIT,
        ZoneType.FOLLOWER,
        ZoneType.PERIMETER,
        ZoneType.INTERIOR,
        ZoneType.TWENTY_FOUR_HOUR,
    }
)
_LONE: Final = Phrase("no burglary zone on a single PIR", "入侵防区不得只用单一被动红外")
_MEND: Final = Phrase(
    "fit a dual-technology detector, add a second one as `pair`, "
    "or name one of another kind in `overlaps`",
    "改用双技术探测器，或以 `pair` 增加第二个探测器，或在 `overlaps` 中写明另一种探测器",
)


def refuse(draft: Draft, report: Report) -> None:
    """What must not run."""
    found = draft.fields.get("zones", [])
    zones: list[tuple[int, Draft]] = found if isinstance(found, list) else []
    for index, item in zones:
        kind = item.fields.get("type")
        if item.fields.get("pair") is not None and kind is not None and kind not in BURGLARY:
            report.add(
                f"zones[{index}].pair",
                "(a second detector)",
                Phrase(
                    f"nothing: a {kind.value} zone never waits for another detector",
                    f"空：{kind.value} 防区不得等待另一探测器",
                ),
                Phrase("give the second detector a zone of its own", "为第二个探测器另设防区"),
                "R44",
            )
    if is_strict(draft):
        # Elsewhere it is a warning: the file may say less than is fitted, and a panel that does
        # not run guards nothing at all.
        whole = [(index, item.whole) for index, item in zones if item.whole is not None]
        _lone_pirs(whole, report)


def warn(config: PanelConfig, report: Report) -> None:
    """On a configuration that is accepted."""
    zones = list(enumerate(config.zones))
    _lone_pirs(zones, report)
    for index, zone in zones:
        known = _technologies(zone)
        if zone.pair is not None and len(known) < 2 and known != {"dual"}:
            report.add(
                f"zones[{index}].technology",
                zone.technology,
                Phrase(
                    "two kinds of detector in a pair: what disturbs one leaves the other alone",
                    "成对探测器应为两种不同技术，不受同一干扰",
                ),
                Phrase(
                    'fit another kind and name both, like technology = "pir+microwave"',
                    '加装另一种并写明两者，如 technology = "pir+microwave"',
                ),
                "R103",
            )


def _technologies(zone: ZoneConfig) -> frozenset[str]:
    """Of a zone's detector or pair: "pir+microwave" is two."""
    return frozenset(part.strip().lower() for part in zone.technology.split("+")) - {""}


def _lone_pirs(zones: Sequence[tuple[int, ZoneConfig]], report: Report) -> None:
    for index, zone in zones:
        if zone.type not in BURGLARY or _technologies(zone) != {"pir"} or zone.pair is not None:
            continue
        others = {
            name
            for _, other in zones
            if other.number in zone.overlaps or zone.number in other.overlaps
            for name in _technologies(other)
        }
        if not zone.cross_zone and not others - {"pir"}:
            report.add(f"zones[{index}].technology", zone.technology, _LONE, _MEND, "R103")
