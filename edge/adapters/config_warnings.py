"""What a configuration may do but should not: clauses it does not fulfil yet, and slips."""

from __future__ import annotations

from typing import Final

from edge.adapters.config_problem import ABSENT, Phrase, Report
from edge.config import PanelConfig, UserConfig, ZoneConfig, ZoneType

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


def warn(config: PanelConfig, report: Report) -> None:
    """What may run but is against a clause or good sense, on a configuration that is accepted."""
    roles = {point.role for point in config.points}
    for role, why, clause in _WANTED_POINTS:
        if role not in roles:
            mend = Phrase(
                f'add a [[points]] with role = "{role}"', f'增加 role = "{role}" 的 [[points]]'
            )
            report.add("points", ABSENT, why, mend, clause)
    if config.site_class == "finance":
        report.add(
            "site_class",
            "finance",
            Phrase("no wireless at all, detectors and paths alike", "探测与传输均不得使用无线"),
            Phrase("make sure the network path is a cable", "请确认网络线路为有线"),
            "R100",
        )
    for index, zone in enumerate(config.zones):
        _lone_pir(index, zone, config, report)
    for index, user in enumerate(config.users):
        _areas_of_user(index, user, report)


_WANTED_POINTS: Final = (
    ("enclosure", Phrase("the panel's tamper switch", "主机防拆开关"), "R104"),
    ("battery_low", Phrase("a supervised backup battery", "受监测的备用电池"), "R104"),
    ("battery_missing", Phrase("a supervised backup battery", "受监测的备用电池"), "R104"),
    ("mains", Phrase("supervised mains", "受监测的市电"), "R38"),
)


def _lone_pir(index: int, zone: ZoneConfig, config: PanelConfig, report: Report) -> None:
    if zone.type not in BURGLARY or zone.technology.strip().lower() != "pir":
        return
    others = {
        other.technology.strip().lower()
        for other in config.zones
        if other.number in zone.overlaps or zone.number in other.overlaps
    }
    if zone.cross_zone or others - {"pir", ""}:
        return
    report.add(
        f"zones[{index}].technology",
        zone.technology,
        Phrase("no burglary zone on a single PIR", "入侵防区不得只用单一被动红外"),
        Phrase(
            "fit a dual-technology detector, or name one of another kind in `overlaps`",
            "改用双技术探测器，或在 `overlaps` 中写明另一种探测器",
        ),
        "R103",
    )


def _areas_of_user(index: int, user: UserConfig, report: Report) -> None:
    if len(set(user.areas)) != len(user.areas):
        report.add(
            f"users[{index}].areas",
            list(user.areas),
            Phrase("each area once", "每个防区组一次"),
            Phrase("remove the repetition", "删除重复项"),
        )
