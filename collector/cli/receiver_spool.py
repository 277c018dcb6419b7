"""`tocsin-receiver spool show|verify`: what stands in the spool, read beside a running receiver."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.adapters.spool_reading import peek, peek_entries, verify
from collector.cli.options import JsonOption, Lang, LangOption, out, pick, print_json
from collector.cli.receiver_options import DataOption, errors_as_text, local_time
from protocols.mqtt.reception import LineState, Report, Taken, Unrecognised

app = typer.Typer(no_args_is_help=True, help="What was taken on the lines, as kept on disk.")


@app.command()
@errors_as_text
def show(
    data: DataOption,
    after: Annotated[
        int | None, typer.Option("--after", min=0, help="Only entries after this number.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="At most so many.")] = 50,
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """The newest entries, oldest first."""
    state = peek(data)
    if state is None:
        out.print(pick(lang, f"No spool in {data} yet.", f"{data} 中还没有记录。"), markup=False)
        return
    first = max(0, state.newest - most) if after is None else after
    for each in peek_entries(data, first, most):
        if json:
            print_json(each)
        else:
            mark = " " if each.seq <= state.acked else "*"
            out.print(
                f"{mark}{each.seq:>8}  {local_time(each.at)}  {each.line}  {describe(each)}",
                markup=False,
            )
    if not json:
        out.print(
            pick(
                lang,
                f"* not yet acknowledged by the collector: {state.waiting}",
                f"* 中心尚未确认：{state.waiting}",
            ),
            markup=False,
        )


@app.command("verify")
@errors_as_text
def verify_spool(data: DataOption, lang: LangOption = Lang.EN, json: JsonOption = False) -> None:
    """Read every entry. Exit code 1: something is wrong, and what."""
    wrong = verify(data)
    if json:
        print_json({"ok": not wrong, "wrong": wrong})
    elif wrong:
        out.print("\n".join(wrong), markup=False)
    else:
        out.print(pick(lang, "The spool is in order.", "记录完好。"))
    if wrong:
        raise typer.Exit(1)


def describe(taken: Taken) -> str:
    """One entry in a line."""
    match taken.what:
        case Report(account=account, format=name, raw=raw, index=index, caller=caller):
            return f"{account} {raw} ({name}, #{index}, from {caller or '?'})"
        case Unrecognised(caller=caller, reason=reason, audio=audio):
            return f"unrecognised, from {caller or '?'}: {reason} [{audio or 'no recording'}]"
        case LineState(up=up, cause=cause):
            return f"line {'up' if up else 'DOWN'} {cause}"
