"""`tocsin-receiver`: the phone receiver."""

from __future__ import annotations

import typer

from collector.cli import receiver_calls, receiver_run, receiver_spool

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
    help="Phone receiver of the alarm centre: answers lines, keeps what panels report, tells the "
    "collector.",
)
app.command("run")(receiver_run.run)
app.command("check")(receiver_run.check)
app.command("status")(receiver_run.status)
app.add_typer(receiver_calls.app, name="calls")
app.add_typer(receiver_spool.app, name="spool")


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="tocsin-receiver")


if __name__ == "__main__":
    main()
