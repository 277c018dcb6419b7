"""`tocsin-receiver calls list|show|replay`: the log of calls, and recordings heard again."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from collector import CollectorError
from collector.adapters.calls_sqlite import read_calls
from collector.adapters.phone_formats import load_phone_formats
from collector.adapters.pins_file import read_pins
from collector.adapters.receiver_config import ReceiverConfig, profile_of, readers_of
from collector.adapters.receiver_file import load
from collector.adapters.reception_call import CallRecord
from collector.adapters.recordings import FOLDER, read_recording
from collector.adapters.replay_call import Replayed, replay
from collector.cli.options import JsonOption, Lang, LangOption, out, pick, print_json
from collector.cli.receiver_options import DataOption, errors_as_text, known_here, local_time
from collector.reception.format_names import FORMATS
from collector.reception.pinned import pinned
from protocols.mqtt.reception import Pin

app = typer.Typer(no_args_is_help=True, help="Calls that were answered, newest first.")

CallArgument = Annotated[
    str, typer.Argument(metavar="CALL", help="Call id, or its beginning, as `calls list` shows it.")
]


@app.command("list")
@errors_as_text
def list_calls(
    data: DataOption,
    most: Annotated[int, typer.Option("--most", min=1, help="At most so many.")] = 30,
    unrecognised: Annotated[
        bool, typer.Option("--unrecognised", help="Only calls nothing could be made of.")
    ] = False,
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Calls, newest first; works with the collector, and the receiver itself, dead."""
    calls = read_calls(data, most if not unrecognised else 1_000_000)
    if unrecognised:
        calls = [each for each in calls if each.unrecognised][:most]
    if json:
        for each in calls:
            print_json(each)
        return
    if not calls:
        out.print(pick(lang, "No calls yet.", "还没有来电。"))
        return
    counted = pick(
        lang,
        "+: stored/acknowledged/refused messages",
        "+：保存/应答/拒收的消息数",
    )
    table = Table(box=None, pad_edge=False, caption=counted, caption_justify="left")
    for titles in (("call", "呼叫"), ("began", "开始"), ("line", "线路"), ("caller", "主叫")):
        table.add_column(pick(lang, *titles), no_wrap=True)
    table.add_column("+", no_wrap=True)
    table.add_column(pick(lang, "outcome", "结果"), ratio=1)
    for each in calls:
        table.add_row(
            each.call[:12],
            local_time(each.began),
            escape(each.line),
            escape(each.caller) or "-",
            f"{each.stored}/{each.kissed}/{each.failed}",
            escape(", ".join(each.formats) or each.unrecognised or each.cause),
        )
    out.print(table)


@app.command()
@errors_as_text
def show(
    call: CallArgument, data: DataOption, lang: LangOption = Lang.EN, json: JsonOption = False
) -> None:
    """All that is known of one call."""
    found = _one(data, call)
    if json:
        print_json(found)
        return
    audio = str(data / FOLDER / found.audio) if found.audio else "-"
    rows = (
        (("call", "呼叫"), found.call),
        (("line", "线路"), found.line),
        (("caller", "主叫"), found.caller or "-"),
        (("began", "开始"), local_time(found.began)),
        (("ended", "结束"), f"{local_time(found.ended)} ({found.cause})"),
        (("handshakes", "握手"), ", ".join(found.tried) or "-"),
        (("heard", "听到"), found.heard or "-"),
        (("formats", "格式"), ", ".join(found.formats) or "-"),
        (
            ("stored/acknowledged/refused", "保存/应答/拒收"),
            f"{found.stored}/{found.kissed}/{found.failed}",
        ),
        (("not recognised", "未识别"), found.unrecognised or "-"),
        (("recording", "录音"), audio),
    )
    for titles, value in rows:
        out.print(f"{pick(lang, *titles)}: {value}", markup=False)
    for line in found.refused:
        out.print(f"  - {line}", markup=False)


class ReplayLine(msgspec.Struct, frozen=True):
    """One message found in a recording. `by`: the call machine, or a plug-in."""

    by: str
    format: str
    account: str
    raw: str
    events: list[msgspec.Raw]


@app.command("replay")
@errors_as_text
def replay_call(
    data: DataOption,
    call: Annotated[
        str | None, typer.Argument(metavar="[CALL]", help="Call id or its beginning.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A WAV file instead: 8 kHz, 16 bit, mono.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every recording that is kept.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="The receiver's file, for pins and profiles.")
    ] = None,
    profile: Annotated[str, typer.Option("--profile", help="Profile to answer with.")] = "default",
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Hear a recorded call again with the formats and plug-ins installed now.

    Nothing is sent and nothing stored: it shows what would be read. Exit code 1: nothing was.
    """
    loaded = load(config, known_here) if config is not None else ReceiverConfig("replay")
    found = False
    for path in _paths(data, call, file, every=every):
        result = _heard_again(path, loaded, profile, read_pins(data), _line_of(data, path))
        lines = _lines(result)
        found = found or bool(lines)
        if json:
            print_json(
                {"recording": path.name, "found": lines, "heard": result.heard,
                 "refused": [each.reason for each in result.refused], "faults": result.faults}
            )  # fmt: skip
            continue
        out.print(f"{path.name}:", markup=False)
        for each in lines:
            out.print(f"  {each.by}: {each.format} {each.account} {each.raw}", markup=False)
        for refused in result.refused:
            out.print(f"  - {refused.reason}: {refused.raw}", markup=False)
        for fault in result.faults:
            out.print(f"  ! {fault}", markup=False)
        if not lines:
            nothing = pick(lang, "nothing recognised; heard: ", "未识别；听到：")
            out.print(f"  {nothing}{result.heard or '-'}", markup=False)
    if not found:
        raise typer.Exit(1)


def _heard_again(
    path: Path, config: ReceiverConfig, profile: str, listed: Collection[Pin], line: str
) -> Replayed:
    plugins, failed = load_phone_formats()
    if failed:
        raise CollectorError("; ".join(f"plug-in {each.name}: {each.why}" for each in failed))
    more = {one.name: one for each in plugins for one in each.handshakes}
    known = {*FORMATS, *(each.name for each in plugins)}
    pins = pinned(config.pins, listed, line, known)
    formats = readers_of(config, profile, pins, plugins)
    return replay(read_recording(path), profile_of(config, profile, more), formats, plugins, pins)


def _lines(result: Replayed) -> list[ReplayLine]:
    lines = [
        ReplayLine(
            "receiver", each.format, each.account, each.raw, [_raw(msgspec.json.encode(each.event))]
        )
        for each in result.reports
    ]
    lines += [
        ReplayLine(
            "plug-in",
            each.format,
            each.account,
            each.raw,
            [_raw(msgspec.json.encode(one.event)) for one in each.events],
        )
        for each in result.decoded
    ]
    return lines


def _raw(data: bytes) -> msgspec.Raw:
    return msgspec.Raw(data)


def _paths(data: Path, call: str | None, file: Path | None, *, every: bool) -> list[Path]:
    if sum((call is not None, file is not None, every)) != 1:
        raise CollectorError("give one of: a call, --file, --all")
    if file is not None:
        return [file]
    if every:
        return sorted((data / FOLDER).glob("*.wav"))
    assert call is not None
    found = _one(data, call)
    if not found.audio:
        raise CollectorError(f"call {found.call} has no recording: only unrecognised calls have")
    return [data / FOLDER / found.audio]


def _line_of(data: Path, path: Path) -> str:
    """The line a kept recording was made on; empty for a file from elsewhere."""
    return next((each.line for each in read_calls(data, 1, path.stem)), "")


def _one(data: Path, call: str) -> CallRecord:
    found = read_calls(data, 2, call)
    if not found:
        raise CollectorError(f"no call begins with {call!r}; see `tocsin-receiver calls list`")
    if len(found) > 1:
        raise CollectorError(f"more than one call begins with {call!r}: write more of it")
    return found[0]
