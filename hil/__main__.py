"""`tocsin-hil`: plays scenarios on a rig. The demo is the burglary on the simulated one."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from hil.account import Claim, Seen, check
from hil.drivers.process import RigError
from hil.runner import play
from hil.scenario import Scenario, parse

app = typer.Typer(
    help="Hardware-in-the-loop rig of Tocsin.", no_args_is_help=True, pretty_exceptions_enable=False
)
out = Console(highlight=False)


@app.callback()
def rig() -> None:
    """Hardware-in-the-loop rig of Tocsin: real programs, simulated or real hardware."""


def _scenario(name: str) -> Scenario:
    path = Path(name)
    try:
        text = (
            path.read_text()
            if path.suffix == ".toml"
            else (files("hil") / "scenarios" / f"{name}.toml").read_text()
        )
        return parse(text)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        out.print(f"[red]Scenario {name} cannot be played:[/red] {error}")
        out.print("There is: burglary. Or give the path of a .toml file.")
        raise typer.Exit(2) from None


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running to look at.")] = False,
    lang: Annotated[str, typer.Option(help="Language of the case: en or zh.")] = "en",
    scenario: Annotated[str, typer.Option(help="What to play.")] = "burglary",
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where to put it. Default: a new temporary one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The account for programs.")] = False,
) -> None:
    """Play a scenario on real programs with simulated pins and line; check the account.

    Exit 0 only when what the centre shows is what happened.
    """
    from hil.drivers.sim_rig import SimRig

    for number in (signal.SIGTERM, signal.SIGHUP):
        # Ended from outside, or its terminal closed: the programs it started end too.
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    played = _scenario(scenario)
    root = directory or Path(tempfile.mkdtemp(prefix="tocsin-demo-"))
    if as_json:
        out.quiet = True
    out.rule(played.title_zh if lang == "zh" and played.title_zh else played.title)
    began = time.monotonic()
    with SimRig(root, lang, phone=played.phone, bus=played.bus) as sim:
        try:
            out.print(
                "        [dim]starting collector with its broker and database, then panel[/dim]"
            )
            sim.build()
            play(played, sim, lambda at, text: out.print(f"[cyan]{at:5.1f} s[/cyan] {text}"))
            seen = Seen(
                sim.moved,
                sim.journal(),
                sim.occurrences(),
                sim.cases(),
                sim.verify(),
                sim.calls(),
            )
        except RigError as error:
            out.quiet = False
            out.print(f"[red]The scenario failed:[/red] {error}", markup=True)
            out.print(f"Logs and data: {root}")
            raise typer.Exit(1) from None
        claims = check(seen)
        took_s = time.monotonic() - began
        if as_json:
            rows = [{"holds": c.holds, "claim": c.text, "found": c.found} for c in claims]
            print(json.dumps({"ok": all(c.holds for c in claims), "s": took_s, "claims": rows}))
        _show(sim.show_case(), claims, took_s)
        if keep:
            _keep(sim, root)
    if all(claim.holds for claim in claims):
        if directory is None and not keep:
            shutil.rmtree(root)
    else:
        out.print(f"[red]The account does not hold.[/red] Logs and data: {root}")
        raise typer.Exit(1)


def _show(case: str, claims: list[Claim], took_s: float) -> None:
    out.rule("What the operator sees")
    out.print(case, markup=False)
    out.rule("The account, checked against what was done")
    table = Table("", "claim", "found", box=None)
    for claim in claims:
        mark = "[green]✓[/green]" if claim.holds else "[red]✗[/red]"
        table.add_row(mark, claim.text, claim.found)
    out.print(table)
    out.print(f"{sum(c.holds for c in claims)} of {len(claims)} claims hold; {took_s:.0f} s.")


def _keep(sim: object, root: Path) -> None:
    tool = f"{Path(sys.executable).parent}/tocsin"
    out.rule("Still running; Ctrl-C ends it")
    for words in (
        f"{tool}-collector cases --data {root}/centre --follow",
        f"{tool}-collector panels --data {root}/centre",
        f"{tool}-receiver calls list --data {root}/receiver",
        f"{tool}-edge status --data {root}/panel",
        f"{tool}-edge phone test-call --data {root}/panel",
        f"{tool}-edge bus status --data {root}/panel",
        f"TOCSIN_CODE=246813 {tool}-edge arm --data {root}/panel",
        f"{tool}-hil zone 4 alarm --dir {root}     # press the hold-up button",
    ):
        out.print(f"  {words}", markup=False, soft_wrap=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        out.print("ending …")


@app.command()
def zone(
    number: Annotated[int, typer.Argument(help="Zone number.")],
    state: Annotated[str, typer.Argument(help="normal, alarm, tamper, short, open, masked, lost.")],
    directory: Annotated[Path, typer.Option("--dir", help="Directory of a kept demo.")],
) -> None:
    """Move a detector's loop of a kept demo.

    Example:  tocsin-hil zone 4 alarm --dir /tmp/tocsin-demo-x    presses the hold-up button
    """
    from edge.adapters.config_file import ConfigError
    from hil.drivers.sim_rig import SimRig

    try:
        SimRig(directory).set_zone(number, state)
    except (ConfigError, OSError, ValueError, RigError) as error:
        out.print(f"[red]Cannot move zone {number} to {state}:[/red] {error}")
        raise typer.Exit(2) from None


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
