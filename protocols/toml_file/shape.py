"""Parsed TOML to configuration types, telling everything that does not fit, not only the first."""

from __future__ import annotations

import difflib
import functools
import re
import types
import typing
import unicodedata
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from protocols.toml_file.problem import ABSENT, Phrase, Report

_CONTROL: Final = ("Cc", "Cs", "Zl", "Zp")
_WRITE_ONE: Final = Phrase("write such a value", "改写为这样的值")


class Words(NamedTuple):
    """What a file's patterns mean, by pattern, and how to mend a key, by its name."""

    patterns: Mapping[str, Phrase] = {}
    mends: Mapping[str, Phrase] = {}


def convert(
    data: Mapping[str, Any], kind: type[msgspec.Struct], report: Report, words: Words | None = None
) -> Draft:
    """`data` as a `kind`; what does not fit is told and left out of the draft."""
    return _Shaper(report, words or Words()).struct(data, kind, "")


class Draft:
    """A struct as far as it could be read: `fields` has what is right, defaults included.

    A field that is a struct is a Draft; one that holds several is a list of (index, Draft), or of
    (name, Draft) where they are named.
    """

    def __init__(self, kind: type[msgspec.Struct], raw: Mapping[str, Any]) -> None:
        self.kind = kind
        self.raw = raw
        self.fields: dict[str, Any] = {}
        self.whole: Any = None
        """The finished struct, None when anything in it is wrong."""


class _Several(Enum):
    """How many structs a field holds."""

    ONE = auto()
    LISTED = auto()
    NAMED = auto()


class _Shaper:
    def __init__(self, report: Report, words: Words) -> None:
        self._report = report
        self._words = words

    def struct(self, data: Mapping[str, Any], kind: type[msgspec.Struct], key: str) -> Draft:
        """One table."""
        report = self._report
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
                    report.add(here, ABSENT, self._expected(kind, field), mend)
                else:
                    draft.fields[name] = _default(field)
                continue
            self._field(draft, field, data[name], here)
        if len(report.problems) == before:
            draft.whole = self._whole(draft, key)
        return draft

    def _field(
        self, draft: Draft, field: msgspec.structs.FieldInfo, value: object, key: str
    ) -> None:
        report = self._report
        inner, several = _struct_type(field.type)
        if inner is None:
            self._leaf(draft, field, value, key)
        elif value is None and field.default is None:
            draft.fields[field.name] = None
        elif several is _Several.LISTED:
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
            places = [(index, f"{key}[{index}]", item) for index, item in enumerate(value)]
            draft.fields[field.name] = self._tables(places, inner)
        elif not isinstance(value, dict):
            report.add(key, value, Phrase(f"a table [{key}]", f"表 [{key}]"), _WRITE_ONE)
        elif several is _Several.NAMED:
            places = [(name, _join(key, name), item) for name, item in value.items()]
            draft.fields[field.name] = self._tables(places, inner)
        else:
            draft.fields[field.name] = self.struct(value, inner, key)

    def _tables(
        self, places: list[tuple[Any, str, object]], kind: type[msgspec.Struct]
    ) -> list[tuple[Any, Draft]]:
        drafts = []
        for name, key, item in places:
            if isinstance(item, dict):
                drafts.append((name, self.struct(item, kind, key)))
            else:
                self._report.add(key, item, Phrase("a table", "表"), _WRITE_ONE)
        return drafts

    def _leaf(
        self, draft: Draft, field: msgspec.structs.FieldInfo, value: object, key: str
    ) -> None:
        try:
            read = msgspec.convert(value, field.type)
            if _fits(value, _types(draft.kind)[field.name]):
                draft.fields[field.name] = read
                return
        except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
            pass
        mend = self._words.mends.get(field.name, _WRITE_ONE)
        self._report.add(key, value, self._expected(draft.kind, field), mend)

    def _whole(self, draft: Draft, key: str) -> Any:
        values: dict[str, Any] = {}
        for name, field in _fields(draft.kind).items():
            value = draft.fields[name]
            if isinstance(value, Draft):
                values[name] = value.whole
            elif isinstance(value, list) and _struct_type(field.type)[0] is not None:
                named = _struct_type(field.type)[1] is _Several.NAMED
                items = [(place, item.whole) for place, item in value]
                values[name] = dict(items) if named else tuple(item for _, item in items)
            else:
                values[name] = value
        try:
            return draft.kind(**values)
        except (TypeError, ValueError) as error:  # a check in the type that none above foresaw
            self._report.add(key, draft.raw, Phrase(str(error), str(error)), _WRITE_ONE)
            return None

    def _expected(self, kind: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> Phrase:
        inner, several = _struct_type(field.type)
        if inner is not None:
            head = f"[[{field.name}]]" if several is _Several.LISTED else f"[{field.name}]"
            return Phrase(f"a table {head}", f"表 {head}")
        return self._described(_types(kind)[field.name])

    def _described(self, kind: inspect.Type) -> Phrase:
        match kind:
            case inspect.StrType(pattern=str(pattern)):
                known = self._words.patterns.get(pattern)
                if known is not None:
                    return known
                return _choice(re.sub(r"[\^$()]", "", pattern).replace("|", ", "))
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
                return _choice(", ".join(str(member.value) for member in cls))
            case inspect.LiteralType(values):
                return _choice(", ".join(map(str, values)))
            case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
                each = self._described(item)
                return Phrase(
                    f"a list in brackets, each {each.en}", f"方括号内的列表，每项为{each.zh}"
                )
            case inspect.UnionType(types=several):
                return self._described(
                    next(one for one in several if not isinstance(one, inspect.NoneType))
                )
            case _:
                return Phrase(type(kind).__name__, type(kind).__name__)


def _choice(values: str) -> Phrase:
    return Phrase(f"one of: {values}", f"下列之一：{values}")


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(kind)}


@functools.cache
def _types(kind: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    """Msgspec resolves annotations anew each time it is asked, which takes a millisecond."""
    return {name: inspect.type_info(field.type) for name, field in _fields(kind).items()}


def _fits(value: object, kind: inspect.Type) -> bool:
    """Stricter than msgspec, whose patterns let a last newline pass and digits of any script."""
    if isinstance(kind, inspect.UnionType):
        return any(_fits(value, one) for one in kind.types)
    if isinstance(kind, inspect.StrType) and isinstance(value, str):
        if any(unicodedata.category(char) in _CONTROL for char in value):
            return False
        return kind.pattern is None or re.fullmatch(kind.pattern, value, re.ASCII) is not None
    if isinstance(kind, inspect.VarTupleType | inspect.ListType) and isinstance(
        value, list | tuple
    ):
        return all(_fits(item, kind.item_type) for item in value)
    return True


def _default(field: msgspec.structs.FieldInfo) -> Any:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    inner, several = _struct_type(field.type)
    if inner is None or value is None:
        return value
    if several is not _Several.ONE:
        return []
    draft = Draft(inner, {})
    draft.whole = value
    draft.fields = {name: getattr(value, name) for name in value.__struct_fields__}
    return draft


@functools.cache
def _struct_type(kind: Any) -> tuple[type[msgspec.Struct] | None, _Several]:
    """The struct inside this annotation, and whether there may be several."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in {tuple, list}:
        return _struct_type(typing.get_args(kind)[0])[0], _Several.LISTED
    if typing.get_origin(kind) is dict:
        return _struct_type(typing.get_args(kind)[1])[0], _Several.NAMED
    if isinstance(kind, types.UnionType):
        several = [one for one in typing.get_args(kind) if one is not types.NoneType]
        return _struct_type(several[0]) if len(several) == 1 else (None, _Several.ONE)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind, _Several.ONE
    return None, _Several.ONE


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
