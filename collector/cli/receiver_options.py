"""What the commands of `tocsin-receiver` share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from collector import CollectorError
from collector.adapters.automation_hosting import DIALECTS
from collector.adapters.phone_formats import load_phone_formats
from collector.adapters.receiver_checks import Known
from collector.adapters.receiver_file import ReceiverConfigError
from collector.cli.options import err
from collector.reception.format_names import FORMATS
from collector.reception.profile import HANDSHAKES
from protocols.instants import UtcTime

P = ParamSpec("P")


def default_data() -> Path:
    """Where a receiver keeps its data unless told: `$XDG_DATA_HOME/tocsin-receiver`."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "tocsin-receiver"


DataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="TOCSIN_RECEIVER_DATA",
        default_factory=default_data,
        show_default="~/.local/share/tocsin-receiver",
        help="Folder with spool, log of calls and recordings; the same for every command.",
    ),
]
ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config",
        envvar="TOCSIN_RECEIVER_CONFIG",
        help="The receiver's file; see receiver.example.toml.",
    ),
]


def errors_as_text(command: Callable[P, None]) -> Callable[P, None]:
    """A CollectorError ends the command with its text on standard error and exit code 1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CollectorError as error:
            text = str(error)
            if isinstance(error, ReceiverConfigError):
                text = error.text(str(kwargs.get("lang", "en")))
            err.print(f"tocsin-receiver: {text}", markup=False, style="red")
            raise typer.Exit(1) from None

    return run


def known_here(plugins: bool) -> Known:
    """The names that a file may use on this machine, with its plug-ins or without."""
    formats = load_phone_formats()[0] if plugins else []
    brought = [one.name for each in formats for one in each.handshakes]
    return Known(
        frozenset({*FORMATS, *(each.name for each in formats)}),
        frozenset({*HANDSHAKES, *brought}),
        frozenset(DIALECTS),
    )


def local_time(at: UtcTime | None) -> str:
    """For people, by this machine's zone."""
    if at is None:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at / 1_000_000))
