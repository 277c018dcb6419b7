"""Bytes of a TOML file to tables, or the place where they are none."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

from protocols.toml_file.problem import Phrase, Report

FILE_BYTES: Final = 1 << 20
_TOML: Final = Phrase("TOML 1.0, UTF-8", "TOML 1.0，UTF-8 编码")


def parse(raw: bytes, report: Report) -> dict[str, Any] | None:
    """The tables; None when the report says why not."""
    try:
        return tomllib.loads(raw.decode())
    except UnicodeDecodeError as error:
        _syntax(report, raw[: error.start].decode(), "not UTF-8 text", None)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+), column (\d+)", str(error))
        _syntax(report, raw.decode(), str(error), place)
    except (RecursionError, ValueError, OverflowError) as error:
        # tomllib lets these out for nesting without end, impossible dates and endless digits
        report.add(
            "",
            f"{type(error).__name__}: {error}",
            _TOML,
            Phrase("take out what no such file needs", "去掉此类文件不需要的内容"),
        )
    return None


def _syntax(report: Report, text: str, why: str, place: re.Match[str] | None) -> None:
    if place is not None:
        line, column = int(place[1]), int(place[2])
    else:
        line, column = text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1
    report.add(
        f"line {line}, column {column}",
        why,
        _TOML,
        Phrase(
            "mend this place: often a quote or bracket is missing there or just before",
            "修改此处：常为此处或之前缺少引号或括号",
        ),
    )
