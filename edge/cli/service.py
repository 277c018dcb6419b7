"""`tocsin-edge run|check|status`."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from edge.adapters import config_file
from edge.adapters.local_socket import StatusAsked, ask
from edge.app import PanelBridge

out = Console()
err = Console(stderr=True)


def _load(path: Path, *, files: bool = True) -> config_file.Checked:
    try:
        return config_file.load_checked(path, files=files)
    except config_file.ConfigError as error:
        err.print(str(error), style="red", highlight=False, markup=False)
        raise typer.Exit(2) from None


def run(
    config: Annotated[Path, typer.Option("--config", help="The panel file (TOML).")] = Path(
        "panel.toml"
    ),
    data: Annotated[
        Path | None, typer.Option("--data", help="Where the journal lives. Default: the file's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Log in JSON lines.")] = False,
) -> None:
    """Run the panel bridge until it is stopped.

    Example:  tocsin-edge run --config panel.toml --data data
    An example file stands beside the package: edge/panel.example.toml.
    """
    checked = _load(config)
    for warning in checked.warnings:
        err.print(f"warning: {warning}", style="yellow", highlight=False, markup=False)
    directory = data or config.parent / checked.config.data_dir

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )

    def say(kind: str, **fields: object) -> None:
        if as_json:
            print(json.dumps({kind: True, **fields}), flush=True)
        else:
            text = " ".join(f"{name}={value}" for name, value in fields.items())
            print(f"{kind}: {text}", flush=True)

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await PanelBridge(checked.config, config.resolve().parent, directory, say).run(stop)

    try:
        asyncio.run(serve())
    except OSError as error:
        err.print(f"The panel cannot start: {error}", style="red", highlight=False, markup=False)
        raise typer.Exit(4) from None


def check(
    config: Annotated[Path, typer.Argument(help="The panel file.")] = Path("panel.toml"),
    no_files: Annotated[
        bool, typer.Option("--no-files", help="Do not look for certificate files.")
    ] = False,
) -> None:
    """Check a panel file: every problem at once, with what is expected and how to mend it."""
    checked = _load(config, files=not no_files)
    for warning in checked.warnings:
        out.print(f"warning: {warning}", style="yellow", highlight=False, markup=False)
    zones = len(checked.config.zones)
    out.print(f"[green]{config}: good[/green], {zones} zones, {len(checked.warnings)} warnings.")


def status(
    data: Annotated[Path, typer.Option("--data", envvar="TOCSIN_DATA")] = Path("data"),
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Show zones, areas, paths, clock and journal of the running panel."""
    try:
        reply = ask(data / "panel.sock", StatusAsked())
    except (OSError, TimeoutError) as error:
        err.print(f"[red]No panel answers in {data}[/red] ({error}).")
        raise typer.Exit(3) from None
    if reply.status is None:
        err.print(f"[red]The panel gave no status:[/red] {reply.reason}")
        raise typer.Exit(3)
    now = reply.status
    if as_json:
        sys.stdout.write(msgspec.json.encode(now).decode() + "\n")
        return
    out.print(
        f"[bold]{now.name}[/bold] ({now.panel})  journal {now.epoch}/{now.seq}, owed {now.owed}, "
        f"clock {now.clock}"
    )
    for name, path in now.paths.items():
        style = {"up": "green", "down": "red"}.get(path.state, "yellow")
        out.print(f"path {name}: [{style}]{path.state}[/{style}] ({path.cause}), owed {path.owed}")
    if now.faults:
        out.print("[red]Faults:[/red] " + ", ".join(now.faults))
    areas = Table("area", "name", "mode", "alarm memory")
    for area in now.areas:
        areas.add_row(str(area.number), area.name, area.mode, "latched" if area.memory else "")
    zones = Table("zone", "name", "state", "")
    for zone in now.zones:
        style = "" if zone.state == "normal" else "red"
        zones.add_row(str(zone.number), zone.name, zone.state, zone.note, style=style)
    out.print(areas, zones)
