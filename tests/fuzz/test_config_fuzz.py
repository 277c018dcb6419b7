"""Whatever stands in the file, loading it gives a configuration or a ConfigError."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.adapters import config_checks, config_shape, config_warnings
from edge.adapters.config_file import ConfigError, Problem, load
from edge.adapters.config_problem import Report
from edge.config import PanelConfig
from edge.field.point import FieldMachine

EXAMPLE = (Path(__file__).parents[2] / "edge" / "panel.example.toml").read_bytes()
DATA = tomllib.loads(EXAMPLE.decode())
DATA["users"] = [{"number": 1, "name": "Owner", "code_hash": "ab" * 32, "areas": [1]}]
DATA["code_salt"] = "0123456789abcdef" * 2

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, 27, 400, 2**63, 2**300]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["gpio:17", "adc:0.3", "adc:9.0", "gpio:99", "double_eol", "nc", "armed:1"]),
    st.datetimes(),
    st.dates(),
    st.times(),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


PLACES = places(DATA)


def changed(changes: list[tuple[tuple[Any, ...], Any]]) -> dict[str, Any]:
    """The example with these values; a change whose place an earlier one took away is dropped."""
    data = copy.deepcopy(DATA)
    for path, value in changes:
        at: Any = data
        try:
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    return data


def judged(data: dict[str, Any]) -> PanelConfig | None:
    """Shape and rules; every text can be printed in both languages."""
    report = Report("panel.toml")
    draft = config_shape.convert(data, PanelConfig, report)
    config_checks.refuse(draft, report)
    error = ConfigError(tuple(report.problems))
    for text in (str(error), error.text("zh")):
        text.encode()
        assert all(char.isprintable() or char == "\n" for char in text)
    if report.problems:
        assert all(problem.expected and problem.mend for problem in report.problems)
        return None
    assert isinstance(draft.whole, PanelConfig)
    config_warnings.warn(draft.whole, report)
    return draft.whole


@settings(deadline=None, derandomize=True, max_examples=700)
@given(st.lists(st.tuples(st.sampled_from(PLACES), _VALUES), min_size=1, max_size=4))
def test_any_value_anywhere(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    config = judged(changed(changes))
    if config is not None:
        FieldMachine(config)  # what was accepted can be run


@settings(deadline=None, derandomize=True, max_examples=200)
@given(_VALUES.filter(lambda value: isinstance(value, dict)))
def test_any_table_as_the_whole_file(data: dict[str, Any]) -> None:
    assert judged(data) is None


@settings(deadline=None, derandomize=True, max_examples=500)
@given(st.data())
def test_the_example_with_bytes_cut_turned_and_put_in(data: st.DataObject) -> None:
    content = bytearray(EXAMPLE)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 20))
        content[start : start + length] = data.draw(st.binary(max_size=20))
    _loads(bytes(content))


@settings(deadline=None, derandomize=True, max_examples=500)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes(content: bytes) -> None:
    _loads(content)


@pytest.fixture(autouse=True, scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> None:
    _PATHS.append(tmp_path_factory.mktemp("fuzz") / "panel.toml")


_PATHS: list[Path] = []


def _loads(content: bytes) -> None:
    _PATHS[-1].write_bytes(content)
    found: tuple[Problem, ...] | None = None
    try:
        load(_PATHS[-1], files=False)
    except ConfigError as error:
        found = error.problems
    if found is not None:
        assert found
        assert str(ConfigError(found))


def test_a_number_too_long_to_print() -> None:
    _loads(b"id = 0x" + b"f" * 6000)
