"""What a configuration names outside itself: certificate files, the time zone, its own mode."""

from __future__ import annotations

import stat
import zoneinfo
from pathlib import Path
from typing import Final

from edge.adapters.config_problem import Phrase, Report
from edge.adapters.config_shape import Draft

_FILES: Final = ("ca", "cert", "key")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def refuse(draft: Draft, path: Path, report: Report, warnings: Report) -> None:
    """Certificate files that cannot be read. Secrets others can read are warned of."""
    mqtt = draft.fields.get("mqtt")
    if isinstance(mqtt, Draft):
        for field in _FILES:
            name = mqtt.fields.get(field)
            if name is not None:
                _readable(f"mqtt.{field}", name, path.parent, report)
        key = mqtt.fields.get("key")
        if key is not None:
            _private("mqtt.key", key, path.parent, warnings)
    if draft.fields.get("users"):
        _private("", path.name, path.parent, warnings)


def time_zone_known(name: str) -> bool:
    """The system or the tzdata package knows this zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _readable(key: str, name: str, directory: Path, report: Report) -> None:
    try:
        with (directory / name).open("rb") as stream:
            if stream.read(1):
                return
        why = Phrase("the file is empty", "文件为空")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        why = Phrase(f"the system says: {reason}", f"系统提示：{reason}")
    report.add(
        key,
        name,
        Phrase("a readable file beside the configuration file", "与配置文件同目录的可读文件"),
        Phrase(
            f"{why.en}; provision the panel anew or correct the name",
            f"{why.zh}；请重新配发或改正文件名",
        ),
    )


def _private(key: str, name: str, directory: Path, warnings: Report) -> None:
    try:
        mode = (directory / name).stat().st_mode
    except (OSError, ValueError):
        return  # told as unreadable
    if mode & _OTHERS:
        warnings.add(
            key,
            f"{name}, mode {stat.S_IMODE(mode):04o}",
            Phrase("readable by its owner only", "仅属主可读"),
            Phrase(f"chmod 600 {name}", f"chmod 600 {name}"),
            "R21",
        )
