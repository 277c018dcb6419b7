"""`tocsin-edge journal`: verify, show, export. Read-only; the panel may be running."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from edge.adapters import journal_reader
from edge.clock.anchor import Anchor
from edge.config import ClockConfig
from edge.journal.chain import read_record
from protocols.instants import US_PER_S, UtcTime
from protocols.mqtt.payloads import Record
from protocols.panel_event import Code

app = typer.Typer(no_args_is_help=True)

DataDir = Annotated[Path, typer.Option("--data", help="The panel's data directory. 数据目录")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable. 机器可读")]


def _stop(message: object) -> typer.Exit:
    Console(stderr=True).print(f"[red]{message}[/red]")
    return typer.Exit(2)


@app.command()
def verify(data: DataDir = Path("data"), as_json: AsJson = False) -> None:
    """Check every Record and link. Exit 1: broken; 2: no journal. 校验事件日志"""
    try:
        report = journal_reader.verify(data)
    except journal_reader.NoJournalError as error:
        raise _stop(error) from error
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        console = Console()
        console.print(
            f"{report.database}: panel {report.panel}, {report.records} Records in "
            f"{report.epochs} epochs, newest {report.newest_epoch}:{report.newest_seq}"
        )
        for loss in report.losses:
            console.print(f"[yellow]lost and reported 已报告的丢失: {loss}[/yellow]")
        for flaw in report.flaws:
            console.print(f"[red]{flaw}[/red]")
        console.print(
            "[red]BROKEN 日志链断裂[/red]" if report.flaws else "[green]sound 日志链完整[/green]"
        )
    raise typer.Exit(1 if report.flaws else 0)


@dataclass(frozen=True, slots=True)
class Shown:
    """A Record and, where it has no UTC of its own, the time found for it later (D16)."""

    record: Record
    placed_utc: UtcTime | None
    placed_err_us: int | None


def newest_records(data: Path, last: int, zone: int | None) -> list[Shown]:
    """The newest `last` Records, oldest first; raises NoJournalError."""
    anchors: dict[str, Anchor] = {}
    found: list[Shown] = []
    drift_ppm = ClockConfig().drift_ppm
    with journal_reader.reading(data) as database:
        for row in journal_reader.rows_down(database):
            record = read_record(row.raw)
            if record is None:
                continue
            if record.event.code == Code.CLOCK_SET:
                anchor = Anchor.parse(record.event.detail)
                if anchor is not None:
                    anchors[record.boot] = anchor
            if zone is not None and record.event.zone != zone:
                continue
            placed_utc = placed_err = None
            if record.utc is None and record.boot in anchors:
                stamp = anchors[record.boot].place(record.mono, drift_ppm)
                placed_utc, placed_err = stamp.utc, stamp.err_us
            found.append(Shown(record, placed_utc, placed_err))
            if len(found) >= last:
                break
    return found[::-1]


@app.command()
def show(
    data: DataDir = Path("data"),
    last: Annotated[int, typer.Option(min=1, help="How many. 条数")] = 50,
    zone: Annotated[int | None, typer.Option(help="Only this zone. 仅此防区")] = None,
    timezone: Annotated[str, typer.Option("--tz", help="Time zone. 时区")] = "",
    as_json: AsJson = False,
) -> None:
    """The newest Records with local times; `≈` marks a time found after the fact. 显示事件"""
    try:
        where = ZoneInfo(timezone) if timezone else None
        shown = newest_records(data, last, zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise _stop(f"unknown time zone 未知时区: {timezone}") from error
    except journal_reader.NoJournalError as error:
        raise _stop(error) from error
    if as_json:
        for each in shown:
            print(msgspec.json.encode(each).decode())
        return
    table = Table(
        "time 时间", "± ms", "epoch:seq", "code 事件", "q", "area", "zone", "user", "detail"
    )
    for each in shown:
        record, event = each.record, each.record.event
        utc = record.utc if record.utc is not None else each.placed_utc
        err_us = record.err_us if record.utc is not None else each.placed_err_us
        mark = "" if record.utc is not None else "≈ "
        time = mark + _local(utc, where) if utc is not None else f"+{record.mono / 1e9:.3f} s"
        table.add_row(
            time,
            "" if err_us is None else f"{err_us / 1000:.1f}",
            f"{record.epoch}:{record.seq}" + ("" if record.recorded else " (memory)"),
            f"{event.code} {_name(event.code)}",
            event.q.name,
            *(str(number or "") for number in (event.area, event.zone, event.user)),
            event.detail,
        )
    Console().print(table)


def _name(code: int) -> str:
    try:
        return Code(code).name
    except ValueError:
        return ""


def _local(utc: UtcTime, where: tzinfo | None) -> str:
    try:
        moment = datetime.fromtimestamp(utc / US_PER_S, UTC).astimezone(where)
    except (ValueError, OverflowError, OSError):
        return f"{utc} µs"
    return moment.isoformat(sep=" ", timespec="milliseconds")


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="File to write, one Record a line. 导出文件")],
    data: DataDir = Path("data"),
) -> None:
    """Write every Record byte for byte, oldest first, for checking elsewhere. 导出全部事件"""
    count = 0
    try:
        with journal_reader.reading(data) as database, out.open("xb") as file:
            for row in journal_reader.rows_up(database):
                file.write(row.raw + b"\n")
                count += 1
    except (journal_reader.NoJournalError, OSError) as error:
        raise _stop(error) from error
    Console().print(f"{count} -> {out}")
