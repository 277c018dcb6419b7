"""Reads and checks the panel's TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge.config import PanelConfig


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in the file: where, what stands there, what should, how to mend it."""

    file: str
    key: str
    value: str
    expected: str
    mend: str


class ConfigError(Exception):
    """The file cannot be used. `str` tells every problem at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(
            f"{p.file}: {p.key}: {p.value}: expected {p.expected}; {p.mend}" for p in self.problems
        )


def load(path: Path) -> PanelConfig:
    """The checked configuration. Raises ConfigError, nothing else."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), PanelConfig)
    except (OSError, ValueError) as error:
        raise ConfigError((Problem(path.name, "", str(error), "", ""),)) from error
