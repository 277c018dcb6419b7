"""`tocsin-provision`: the installer's tool. So far: is this panel's identity fit to be mounted?"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from protocols.instants import UtcTime
from provisioning.adapters.identity_files import IdentityError, read
from provisioning.pairing.identity import Grade, judge

app = typer.Typer(
    help="Installer's tool of Tocsin.", no_args_is_help=True, pretty_exceptions_enable=False
)
STYLE = {Grade.GOOD: "green", Grade.WARNING: "yellow", Grade.BAD: "red"}


@app.callback()
def tool() -> None:
    """Installer's tool of Tocsin."""


@app.command()
def identity(
    directory: Annotated[Path, typer.Argument(help="Directory with the panel's files.")],
    panel: Annotated[str | None, typer.Option(help="The panel id it must carry.")] = None,
    certificate: Annotated[str, typer.Option(help="Certificate file.")] = "panel.crt",
    key: Annotated[str, typer.Option(help="Key file.")] = "panel.key",
    ca: Annotated[str, typer.Option(help="The centre's CA file.")] = "ca.crt",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Judge the identity files that 'tocsin-collector panel add' wrote, before they are mounted.

    Example:  tocsin-provision identity ./shop-1 --panel shop-1
    """
    console = Console()
    try:
        findings = judge(
            read(directory, certificate, key, ca), panel, UtcTime(time.time_ns() // 1000)
        )
    except IdentityError as error:
        Console(stderr=True).print(str(error), style="red", highlight=False, markup=False)
        raise typer.Exit(2) from None
    if as_json:
        rows = [
            {"grade": f.grade.value, "what": f.what, "found": f.found, "mend": f.mend}
            for f in findings
        ]
        print(json.dumps({"ok": all(f.grade is not Grade.BAD for f in findings), "findings": rows}))
    else:
        table = Table("", "what", "found", "mend")
        for f in findings:
            table.add_row(f.grade.value, f.what, f.found, f.mend, style=STYLE[f.grade])
        console.print(table)
    if any(f.grade is Grade.BAD for f in findings):
        raise typer.Exit(1)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
