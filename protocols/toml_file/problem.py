"""What is wrong in a configuration file, in words whoever wrote it can act on, in two languages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, NamedTuple

SECRET_KEYS: Final = frozenset({"code_hash", "duress_hash", "card_hash", "code_salt"})
VALUE_CHARS: Final = 60


class Phrase(NamedTuple):
    """The same in both languages."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: the file, the key's path, what stands there, what should, how to mend it.

    `key` is like `zones[3].loop.input`, counted from 0; empty for the file as a whole. `clause` is
    the rule behind it, where there is one.
    """

    file: str
    key: str
    value: str
    expected: str
    mend: str
    expected_zh: str = ""
    mend_zh: str = ""
    clause: str = ""

    def __str__(self) -> str:
        return self.text()

    def text(self, language: str = "en") -> str:
        """In English or Chinese ("zh"), two lines."""
        clause = f" [{self.clause}]" if self.clause else ""
        where = f"{self.file}: {self.key or '-'} = {self.value}"
        if language == "zh" and self.expected_zh:
            return f"{where}{clause}\n    应为：{self.expected_zh}\n    修改：{self.mend_zh}"
        return f"{where}{clause}\n    expected: {self.expected}\n    to mend:  {self.mend}"


class ConfigError(Exception):
    """The file cannot be used. `str` tells every problem at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return self.text()

    def text(self, language: str = "en") -> str:
        """All problems in English or Chinese ("zh")."""
        return "\n".join(problem.text(language) for problem in self.problems)


class Report:
    """Collects the problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def add(
        self, key: str, value: object, expected: Phrase, mend: Phrase, clause: str = ""
    ) -> None:
        """One more. The value of a secret key is not shown."""
        leaf = key.rpartition(".")[2].partition("[")[0]
        shown = "(not shown)" if leaf in SECRET_KEYS and value != ABSENT else show(value)
        key = _clean(key)
        self.problems.append(
            Problem(self.file, key, shown, expected.en, mend.en, expected.zh, mend.zh, clause)
        )


ABSENT: Final = Phrase("(absent)", "（缺）")


def show(value: object) -> str:
    """A value as it may be printed: one line, short, nothing a terminal obeys."""
    if value is ABSENT:
        return ABSENT.en
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):  # numbers of thousands of digits, nesting without end
        text = f"({type(value).__name__})"
    text = _clean(text)
    return text if len(text) <= VALUE_CHARS else text[: VALUE_CHARS - 1] + "…"


def _clean(text: str) -> str:
    """Nothing a terminal obeys: keys and values come from the file."""
    return "".join(char if char.isprintable() else "?" for char in text)
