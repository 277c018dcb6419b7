"""The panel's file as types: what its patterns and keys are in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from edge.adapters.config_problem import Phrase, Report
from protocols.toml_file import shape
from protocols.toml_file.shape import Draft, Words

__all__ = ["Draft", "convert"]

_PATTERNS: Final[dict[str, Phrase]] = {
    (
        r"^(gpio:\d{1,2}|adc:\d\.[0-7]"
        r"|bus:[a-z][a-z0-9]{0,11}\.\d{1,3}\.(\d{1,2}|tamper|power))$"
    ): Phrase(
        'a pin like "gpio:17", a converter input like "adc:0.3" or a bus input like "bus:main.5.3"',
        '引脚如 "gpio:17"，模数转换输入如 "adc:0.3"，或总线输入如 "bus:main.5.3"',
    ),
    r"^([01]\d|2[0-3]):[0-5]\d$": Phrase('a local time like "08:30"', '当地时间，如 "08:30"'),
    r"^[0-9*#,]{1,32}$": Phrase(
        'a number as dialled: digits, * and #, "," for a pause of 2 s',
        '拨打的号码：数字、* 和 #，"," 表示停顿 2 秒',
    ),
    r"^([0-9B-F]{4}|[0-9B-F]{10})$": Phrase(
        "4 digits, or 10, as the centre gave them; digits are 0-9 and B-F",
        "接警中心分配的 4 位或 10 位账号；可用 0-9 与 B-F",
    ),
    r"^[0-9a-f]{64}$": Phrase(
        "64 hexadecimal digits as printed by `tocsin-edge hash-code`",
        "`tocsin-edge hash-code` 输出的 64 位十六进制数",
    ),
    r"^[0-9a-f]{32}$": Phrase("32 hexadecimal digits", "32 位十六进制数"),
    r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$": Phrase(
        "1 to 32 small letters, digits and inner hyphens", "1 至 32 个小写字母、数字或中间的连字符"
    ),
    r"^(siren|strobe|relay:[a-z0-9_]+|armed:\d{1,2})$": Phrase(
        '"siren", "strobe", "relay:<name>" or "armed:<area>"',
        '"siren"、"strobe"、"relay:<名称>" 或 "armed:<防区组号>"',
    ),
}
_MENDS: Final[dict[str, Phrase]] = {
    "code_hash": Phrase("run `tocsin-edge hash-code`", "运行 `tocsin-edge hash-code`"),
    "duress_hash": Phrase("run `tocsin-edge hash-code`", "运行 `tocsin-edge hash-code`"),
    "code_salt": Phrase(
        "run `openssl rand -hex 16` once for this panel, then hash the codes anew",
        "为本主机运行一次 `openssl rand -hex 16`，再重新生成密码散列",
    ),
    "exit_delay_s": Phrase("CP-01 sets 45 to 255 s", "CP-01 规定 45 至 255 秒"),
    "entry_delay_s": Phrase("CP-01 sets 30 to 240 s", "CP-01 规定 30 至 240 秒"),
    "abort_window_s": Phrase("CP-01 sets 15 to 45 s", "CP-01 规定 15 至 45 秒"),
}
_WORDS: Final = Words(_PATTERNS, _MENDS)


def convert(data: Mapping[str, Any], kind: type[msgspec.Struct], report: Report) -> Draft:
    """`data` as a `kind`; what does not fit is told and left out of the draft."""
    return shape.convert(data, kind, report, _WORDS)
