"""`tocsin-edge bus scan`: who is on a bus, at which speed, and the panel file's lines."""

from __future__ import annotations

import errno
import sys
from enum import Enum
from typing import Annotated, Final, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from edge.adapters.bus_scan import BY_ID, ScanRun, is_busy, ports_by_id, stable_path
from edge.adapters.bus_scan_modbus import ADDRESSES as MODBUS_ADDRESSES
from edge.adapters.bus_scan_modbus import ModbusScan
from edge.adapters.bus_scan_osdp import ADDRESSES as OSDP_ADDRESSES
from edge.adapters.bus_scan_osdp import OsdpScan
from edge.adapters.bus_scan_types import Question, Result, Stage
from edge.adapters.config_problem import Phrase, Problem, Report
from edge.adapters.serial_port import PortGoneError
from edge.cli.bus_scan_text import ADVICE, NOBODY, advice_grid, advices, scan_table, toml_snippet
from edge.cli.phone import Lang, LangOption, Words
from edge.cli.users import JsonOption

out = Console()
err = Console(stderr=True)
UNUSABLE: Final = 2
SPEEDS: Final = (1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400)


class Protocol(Enum):
    """What is spoken on the bus."""

    OSDP = "osdp"
    MODBUS = "modbus"


def scan(
    port: Annotated[str, typer.Argument(help="Serial port, best by /dev/serial/by-id/…")],
    protocol: Annotated[Protocol, typer.Option(help="osdp or modbus.")] = Protocol.OSDP,
    baud: Annotated[
        list[int] | None, typer.Option(help="Only this speed; may be given again.")
    ] = None,
    addresses: Annotated[
        str, typer.Option(help='Only these, such as "0-31,40". Default: all.', show_default=False)
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="All speeds, though somebody answers at one.")
    ] = False,
    wait_ms: Annotated[
        int,
        typer.Option(
            min=0,
            max=2000,
            help="Wait so long for an answer. 0: 200 ms (OSDP), 100 ms (Modbus).",
            show_default=False,
        ),
    ] = 0,
    lang: LangOption = Lang.EN,
    as_json: JsonOption = False,
) -> None:
    """Ask every address at every usual speed who is there. Nothing is changed at any node.

    For a new or strange bus. The panel must not be running on it: `tocsin-edge bus status` shows
    the nodes of a running panel.
    """
    report = Report("bus scan")
    wanted = _addresses(addresses, protocol, report)
    for each in baud or ():
        if each not in SPEEDS:
            report.add("--baud", each, _one_of_speeds(), _as_on_the_label())
    if report.problems:
        _refuse(report.problems, lang, as_json)
    plan = _plan(protocol, tuple(baud or ()), wanted, wait_ms / 1000, everything)
    run = ScanRun(port)
    try:
        if as_json or not sys.stderr.isatty():
            result = run.run(plan.run())
        else:
            err.print(_announcement(plan, everything, lang), style="dim")
            result = _with_progress(run, plan)
    except PortGoneError as error:
        _refuse([_port_problem(port, error)], lang, as_json)
    if result.foreign is not None:
        _refuse([_foreign_problem(port, result)], lang, as_json)
    if as_json:
        told = {"port": stable_path(port), "echo": run.echo, "result": result}
        print(msgspec.json.encode(told).decode())
    else:
        _show(result, port, protocol, run.echo, lang)
    if not result.findings:
        raise typer.Exit(1)


def _plan(
    protocol: Protocol,
    speeds: tuple[int, ...],
    addresses: tuple[int, ...],
    wait_s: float,
    everything: bool,
) -> OsdpScan | ModbusScan:
    if protocol is Protocol.OSDP:
        return OsdpScan(speeds, addresses, wait_s, everything)
    return ModbusScan(speeds, addresses, wait_s, everything)


def _addresses(text: str, protocol: Protocol, report: Report) -> tuple[int, ...]:
    allowed = OSDP_ADDRESSES if protocol is Protocol.OSDP else MODBUS_ADDRESSES
    if not text:
        return tuple(allowed)
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        ends = (first, last or first)
        if not all(end.isascii() and end.isdigit() and int(end) in allowed for end in ends):
            low, high = allowed[0], allowed[-1]
            report.add(
                "--addresses",
                part,
                Phrase(f"addresses {low} to {high}", f"地址 {low} 至 {high}"),
                Phrase('write them as in "0-31,40"', '写法如 "0-31,40"'),
            )
            return ()
        found.update(range(int(ends[0]), int(ends[1]) + 1))
    return tuple(sorted(found))


def _announcement(plan: OsdpScan | ModbusScan, everything: bool, lang: Lang) -> str:
    seconds = round(plan.longest_s)
    minutes, rest = divmod(seconds, 60)
    en = f"{minutes} min {rest} s" if minutes else f"{rest} s"
    zh = f"{minutes} 分 {rest} 秒" if minutes else f"{rest} 秒"
    count, settings = len(plan.addresses), len(plan.settings)
    until = Words(
        "All settings are tried." if everything else "It stops where somebody answers.",
        "将尝试全部设置。" if everything else "有应答即停止。",
    )
    text = Words(
        f"{count} address{'es' * (count != 1)}, {settings} setting{'s' * (settings != 1)}:"
        f" {en} at most. ",
        f"{count} 个地址，{settings} 种设置，最多 {zh}。",
    )
    return text.pick(lang) + until.pick(lang)


def _with_progress(run: ScanRun, plan: OsdpScan | ModbusScan) -> Result:
    columns = (TextColumn("{task.description}"), BarColumn(None), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("", total=plan.steps)
        run.told = lambda question: _advance(progress, bar, question)
        return run.run(plan.run())


def _advance(progress: Progress, bar: TaskID, question: Question) -> None:
    where = f"{question.address:>3}" if question.stage in (Stage.SWEEP, Stage.CONFIRM) else "  …"
    progress.update(
        bar,
        description=f"{question.setting!s:>10} {where}",
        advance=1 if question.stage is Stage.SWEEP else 0,
    )


def _show(result: Result, port: str, protocol: Protocol, echo: bool, lang: Lang) -> None:
    told = advices(result, echo)
    stable = stable_path(port)
    if result.findings:
        out.print(scan_table(result, protocol.value, lang))
        if not stable.startswith(str(BY_ID)):
            told.append(ADVICE["unstable"])
    elif not result.unplaced:
        out.print(NOBODY[protocol.value].pick(lang), highlight=False)
    out.print(advice_grid(told, lang))
    if result.findings:
        head = Words("For the panel file:", "写入主机配置：").pick(lang)
        out.print(f"\n[dim]# {head}[/dim]")
        print(toml_snippet(result, stable, protocol.value, lang), end="")


def _refuse(problems: list[Problem], lang: Lang, as_json: bool) -> NoReturn:
    if as_json:
        told = [msgspec.to_builtins(problem) for problem in problems]
        print(msgspec.json.encode({"ok": False, "problems": told}).decode())
    else:
        for problem in problems:
            err.print(problem.text(lang.value), markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(UNUSABLE)


def _one_of_speeds() -> Phrase:
    listed = " ".join(str(speed) for speed in SPEEDS)
    return Phrase(f"one of {listed}", f"以下之一：{listed}")


def _as_on_the_label() -> Phrase:
    return Phrase("leave --baud away to try the usual ones", "省略 --baud 则尝试常用波特率")


def _problem(port: str, value: str, expected: Phrase, mend: Phrase) -> Problem:
    return Problem(port, "port", value, expected.en, mend.en, expected.zh, mend.zh)


def _port_problem(port: str, error: PortGoneError) -> Problem:
    why = str(error.strerror or error)
    if is_busy(error):
        return _problem(
            port,
            why,
            Phrase("a port nobody else uses", "未被其他程序占用的端口"),
            Phrase(
                "if the panel runs on it, look at `tocsin-edge bus status` instead; to scan, stop"
                " the panel first (systemctl stop tocsin-edge)",
                "若主机正在使用，请改用 `tocsin-edge bus status`；如需扫描，先停止主机"
                "（systemctl stop tocsin-edge）",
            ),
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return _problem(
            port,
            why,
            Phrase("a port you may use", "有权使用的端口"),
            Phrase(
                "run it as the panel's user, or join its group: sudo usermod -aG dialout $USER,"
                " then log in again",
                "以主机用户运行，或加入 dialout 组：sudo usermod -aG dialout $USER，然后重新登录",
            ),
        )
    there = ports_by_id()
    listed = ", ".join(there)
    return _problem(
        port,
        why,
        Phrase("a serial port", "串口"),
        Phrase(
            f"take one of: {listed}"
            if there
            else "plug the adapter in; its stable name is then in /dev/serial/by-id",
            f"请选用：{listed}" if there else "请插入适配器，其固定名称见 /dev/serial/by-id",
        ),
    )


def _foreign_problem(port: str, result: Result) -> Problem:
    return _problem(
        port,
        f"another controller talks here ({result.foreign})",
        Phrase("a bus without a controller", "无其他控制器的总线"),
        Phrase(
            "two controllers garble each other: stop that one (a panel on another port?), or look"
            " at `tocsin-edge bus status` there. Nothing was asked",
            "两个控制器会互相干扰：请先停止另一个（是否有主机接在其他端口？），或在该主机上查看"
            " `tocsin-edge bus status`。未发送任何询问",
        ),
    )
