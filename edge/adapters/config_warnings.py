"""What a configuration may do but should not: clauses it does not fulfil yet, and slips."""

from __future__ import annotations

from typing import Final

from edge.adapters.config_problem import ABSENT, Phrase, Report
from edge.adapters.config_site import BANKS
from edge.config import PanelConfig, UserConfig


def warn(config: PanelConfig, report: Report) -> None:
    """What may run but is against a clause or good sense, on a configuration that is accepted."""
    roles = {point.role for point in config.points}
    for role, why, clause in _WANTED_POINTS:
        if role not in roles:
            mend = Phrase(
                f'add a [[points]] with role = "{role}"', f'增加 role = "{role}" 的 [[points]]'
            )
            report.add("points", ABSENT, why, mend, clause)
    if config.important or config.site_class in BANKS:
        report.add(
            "important" if config.important else "site_class",
            config.important or config.site_class,
            Phrase("no wireless at all, detectors and paths alike", "探测与传输均不得使用无线"),
            Phrase("make sure the network path is a cable", "请确认网络线路为有线"),
            "R100",
        )
    for index, user in enumerate(config.users):
        _areas_of_user(index, user, report)


_WANTED_POINTS: Final = (
    ("enclosure", Phrase("the panel's tamper switch", "主机防拆开关"), "R104"),
    ("battery_low", Phrase("a supervised backup battery", "受监测的备用电池"), "R104"),
    ("battery_missing", Phrase("a supervised backup battery", "受监测的备用电池"), "R104"),
    ("mains", Phrase("supervised mains", "受监测的市电"), "R38"),
)


def _areas_of_user(index: int, user: UserConfig, report: Report) -> None:
    if len(set(user.areas)) != len(user.areas):
        report.add(
            f"users[{index}].areas",
            list(user.areas),
            Phrase("each area once", "每个防区组一次"),
            Phrase("remove the repetition", "删除重复项"),
        )
