"""`tocsin-collector ledger verify`: is every row as it was written? (R17, R70)"""

from __future__ import annotations

import msgspec
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from collector.cli.options import (
    DataOption,
    JsonOption,
    Lang,
    LangOption,
    errors_as_text,
    pick,
    print_json,
)
from collector.cli.reading import notes, opened

FLAWED = 2
"""Exit code when something was changed or is missing."""

app = typer.Typer(no_args_is_help=True, help="The append-only, hash-chained ledger.")


class Verified(msgspec.Struct, frozen=True):
    """The verdict for programs."""

    ok: bool
    entries: int
    signals: int
    head: str
    flaws: tuple[str, ...]


@app.callback()
def ledger() -> None:
    """The append-only, hash-chained ledger."""


@app.command()
@errors_as_text
def verify(data: DataOption, lang: LangOption = Lang.EN, json: JsonOption = False) -> None:
    """Walk the whole chain and compare every row with what was written.

    Reads one consistent state; safe beside a running collector. Keep the printed head elsewhere:
    a later run that shows another digest for the same entry has found a rewritten ledger.
    Exit code 0: whole, 2: something was changed or is missing, 1: cannot be read.

    \b
    Examples:
      tocsin-collector ledger verify
      tocsin-collector ledger verify --json
    """  # noqa: D301 - \b keeps the examples as they are
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with opened(data) as reader:
        quiet = json or not notes.is_terminal
        with Progress(*columns, console=notes, disable=quiet, transient=True) as progress:
            task = progress.add_task(pick(lang, "Verifying", "正在核验"), total=None)
            report = reader.verify(lambda done, of: progress.update(task, completed=done, total=of))
    if json:
        print_json(Verified(report.ok, report.entries, report.signals, report.head, report.flaws))
    else:
        for flaw in report.flaws:
            print(flaw)
        counted = pick(
            lang,
            f"{report.entries} entries, {report.signals} signals, head {report.head}",
            f"{report.entries} 条记录，{report.signals} 条信号，链首摘要 {report.head}",
        )
        whole = pick(lang, "The ledger is whole: ", "账本完整：")
        broken = pick(
            lang,
            f"The ledger is NOT whole, {len(report.flaws)} flaws: ",
            f"账本不完整，{len(report.flaws)} 处问题：",
        )
        print((whole if report.ok else broken) + counted)
    if not report.ok:
        raise typer.Exit(FLAWED)
