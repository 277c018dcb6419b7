"""`tocsin-edge`: the panel bridge."""

from __future__ import annotations

import typer

from edge.cli import service, users
from edge.cli.bus import app as bus
from edge.cli.journal import app as journal
from edge.cli.phone import app as phone

app = typer.Typer(
    help="Tocsin panel bridge: reads detectors, keeps the journal, reports to the centre.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("run")(service.run)
app.command("check")(service.check)
app.command("status")(service.status)
app.command("hash-code")(users.hash_code_command)
app.command("arm")(users.arm)
app.command("disarm")(users.disarm)
app.command("bypass")(users.bypass)
app.command("walk-test")(users.walk_test)
app.command("panel-test")(users.panel_test)
app.command("test")(users.manual_test)
app.add_typer(journal, name="journal", help="Verify, show and export the journal.")
app.add_typer(bus, name="bus", help="Detector buses: status, pairing, keys, firmware.")
app.add_typer(phone, name="phone", help="The phone path: status, test call.")


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
