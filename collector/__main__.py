"""`tocsin-collector`: the alarm receiving centre."""

from __future__ import annotations

import typer

from collector.cli import accounts, cases, ledger, orders, panel, panels, receivers, replay, run

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
    help="Alarm receiving centre. Start with `run`, then add a panel with `panel add`.",
)
app.command("run")(run.run)
app.add_typer(panel.app, name="panel")
app.add_typer(receivers.app, name="receiver")
app.add_typer(accounts.app, name="account")
app.command("panels")(panels.panels)
app.command("cases")(cases.cases)
app.command("case")(cases.case)
app.command("take")(orders.take)
app.command("close")(orders.close)
app.command("stand-down")(orders.stand_down)
app.command("replay")(replay.replay)
app.add_typer(ledger.app, name="ledger")


def main() -> None:
    """Entry point of the command."""
    app(prog_name="tocsin-collector")


if __name__ == "__main__":
    main()
