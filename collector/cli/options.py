"""Options and printing that all commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import msgspec
import typer
from rich.console import Console

from collector import CollectorError

P = ParamSpec("P")


class Lang(StrEnum):
    """Language of what is printed for people."""

    EN = "en"
    ZH = "zh"


def default_data() -> Path:
    """Where the collector keeps its data unless told: `$XDG_DATA_HOME/tocsin-collector`."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "tocsin-collector"


DataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="TOCSIN_DATA",
        default_factory=default_data,
        show_default="~/.local/share/tocsin-collector",
        help="Folder with ledger, certificates and broker; the same for every command.",
    ),
]
LangOption = Annotated[
    Lang, typer.Option("--lang", envvar="TOCSIN_LANG", help="Language for people. 语言。")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON value per line, for programs, instead of text.")
]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def pick(lang: Lang, en: str, zh: str) -> str:
    """The text in the language asked for."""
    return zh if lang is Lang.ZH else en


def print_json(value: object) -> None:
    """One line of JSON on standard output, flushed."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def errors_as_text(command: Callable[P, None]) -> Callable[P, None]:
    """A CollectorError ends the command with its text on standard error and exit code 1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CollectorError as error:
            err.print(f"tocsin-collector: {error}", markup=False, style="red")
            raise typer.Exit(1) from None

    return run
