"""Parsed TOML to configuration types, telling everything that does not fit, not only the first."""

from __future__ import annotations

import difflib
import functools
import re
import types
import typing
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

from edge.adapters.config_problem import ABSENT, Phrase, Report

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
_CONTROL: Final = ("Cc", "Cs", "Zl", "Zp")
_WRITE_ONE: Final = Phrase("write such a value", "改写为这样的值")


def convert(data: Mapping[str, Any], kind: type[msgspec.Struct], report: Report) -> Draft:
    """`data` as a `kind`; what does not fit is told and left out of the draft."""
    return _struct(data, kind, "", report)


class Draft:
    """A struct as far as it could be read: `fields` has what is right, defaults included.

    A field that is a struct is a Draft, one that holds several is a list of (index, Draft).
    """

    def __init__(self, kind: type[msgspec.Struct], raw: Mapping[str, Any]) -> None:
        self.kind = kind
        self.raw = raw
        self.fields: dict[str, Any] = {}
        self.whole: Any = None
        """The finished struct, None when anything in it is wrong."""


def _struct(data: Mapping[str, Any], kind: type[msgspec.Struct], key: str, report: Report) -> Draft:
    draft = Draft(kind, data)
    fields = _fields(kind)
    before = len(report.problems)
    for name in data:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            known = ", ".join(fields)
            report.add(
                _join(key, name),
                data[name],
                Phrase(f"one of: {known}", f"下列之一：{known}"),
                Phrase(f"did you mean `{near[0]}`?", f"是否应为 `{near[0]}`？")
                if near
                else Phrase("remove it", "删除此项"),
            )
    for name, field in fields.items():
        here = _join(key, name)
        if name not in data:
            if field.required:
                mend = Phrase(f"add `{name}`", f"补写 `{name}`")
                report.add(here, ABSENT, _expected(kind, field), mend)
            else:
                draft.fields[name] = _default(field)
            continue
        _field(draft, field, data[name], here, report)
    if len(report.problems) == before:
        draft.whole = _whole(draft, key, report)
    return draft


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(kind)}


@functools.cache
def _types(kind: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    """Msgspec resolves annotations anew each time it is asked, which takes a millisecond."""
    return {name: inspect.type_info(field.type) for name, field in _fields(kind).items()}


def _field(
    draft: Draft, field: msgspec.structs.FieldInfo, value: object, key: str, report: Report
) -> None:
    inner, several = _struct_type(field.type)
    if inner is None:
        _leaf(draft, field, value, key, report)
    elif value is None and field.default is None:
        draft.fields[field.name] = None
    elif several:
        if not isinstance(value, list | tuple):
            report.add(
                key,
                value,
                Phrase(f"tables headed [[{key}]]", f"以 [[{key}]] 开头的表"),
                Phrase(f"write [[{key}]] with double brackets", f"用双括号写 [[{key}]]"),
            )
            return
        if not value and field.required:
            mend = Phrase(f"add a [[{key}]]", f"补写一个 [[{key}]]")
            report.add(key, value, Phrase("at least one", "至少一个"), mend)
        drafts = []
        for index, item in enumerate(value):
            place = f"{key}[{index}]"
            if isinstance(item, dict):
                drafts.append((index, _struct(item, inner, place, report)))
            else:
                report.add(place, item, Phrase("a table", "表"), _WRITE_ONE)
        draft.fields[field.name] = drafts
    elif isinstance(value, dict):
        draft.fields[field.name] = _struct(value, inner, key, report)
    else:
        report.add(key, value, Phrase(f"a table [{key}]", f"表 [{key}]"), _WRITE_ONE)


def _leaf(
    draft: Draft, field: msgspec.structs.FieldInfo, value: object, key: str, report: Report
) -> None:
    try:
        read = msgspec.convert(value, field.type)
        if _fits(value, _types(draft.kind)[field.name]):
            draft.fields[field.name] = read
            return
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
        pass
    mend = _MENDS.get(field.name, _WRITE_ONE)
    report.add(key, value, _expected(draft.kind, field), mend)


def _fits(value: object, kind: inspect.Type) -> bool:
    """Stricter than msgspec, whose patterns let a last newline pass and digits of any script."""
    if isinstance(kind, inspect.UnionType):
        return any(_fits(value, one) for one in kind.types)
    if isinstance(kind, inspect.StrType) and isinstance(value, str):
        if any(unicodedata.category(char) in _CONTROL for char in value):
            return False
        return kind.pattern is None or re.fullmatch(kind.pattern, value, re.ASCII) is not None
    if isinstance(kind, inspect.VarTupleType) and isinstance(value, list | tuple):
        return all(_fits(item, kind.item_type) for item in value)
    return True


def _whole(draft: Draft, key: str, report: Report) -> Any:
    values = {
        name: value.whole
        if isinstance(value, Draft)
        else tuple(item.whole for _, item in value)
        if isinstance(value, list)
        else value
        for name, value in draft.fields.items()
    }
    try:
        return draft.kind(**values)
    except (TypeError, ValueError) as error:  # a check in the type itself that none above foresaw
        report.add(key, draft.raw, Phrase(str(error), str(error)), _WRITE_ONE)
        return None


def _default(field: msgspec.structs.FieldInfo) -> Any:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    inner, several = _struct_type(field.type)
    if inner is None or value is None:
        return value
    if several:
        return []
    draft = Draft(inner, {})
    draft.whole = value
    draft.fields = {name: getattr(value, name) for name in value.__struct_fields__}
    return draft


def _struct_type(kind: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """The struct inside this annotation, and whether there may be several."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) is tuple:
        inner, _ = _struct_type(typing.get_args(kind)[0])
        return inner, True
    if isinstance(kind, types.UnionType):
        several = [one for one in typing.get_args(kind) if one is not types.NoneType]
        return _struct_type(several[0]) if len(several) == 1 else (None, False)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind, False
    return None, False


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _expected(kind: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> Phrase:
    inner, several = _struct_type(field.type)
    if inner is not None:
        head = f"[[{field.name}]]" if several else f"[{field.name}]"
        return Phrase(f"a table {head}", f"表 {head}")
    return _described(_types(kind)[field.name])


def _described(kind: inspect.Type) -> Phrase:
    match kind:
        case inspect.StrType(pattern=str(pattern)):
            known = _PATTERNS.get(pattern)
            if known is not None:
                return known
            choices = re.sub(r"[\^$()]", "", pattern).replace("|", ", ")
            return Phrase(f"one of: {choices}", f"下列之一：{choices}")
        case inspect.StrType(min_length=int(low), max_length=int(high)):
            return Phrase(f"text of {low} to {high} characters", f"{low} 至 {high} 个字符")
        case inspect.StrType():
            return Phrase("one line of text in quotes", "引号内的一行文字")
        case inspect.IntType(ge=low, le=high) | inspect.FloatType(ge=low, le=high):
            whole = isinstance(kind, inspect.IntType)
            noun = Phrase("a whole number", "整数") if whole else Phrase("a number", "数")
            if low is None or high is None:
                return noun
            return Phrase(f"{noun.en} from {low} to {high}", f"{low} 至 {high} 的{noun.zh}")
        case inspect.BoolType():
            return Phrase("true or false", "true 或 false")
        case inspect.EnumType(cls):
            values = ", ".join(str(member.value) for member in cls)
            return Phrase(f"one of: {values}", f"下列之一：{values}")
        case inspect.VarTupleType(item_type=item):
            each = _described(item)
            return Phrase(f"a list in brackets, each {each.en}", f"方括号内的列表，每项为{each.zh}")
        case inspect.UnionType(types=several):
            return _described(next(one for one in several if not isinstance(one, inspect.NoneType)))
        case _:
            return Phrase(type(kind).__name__, type(kind).__name__)
