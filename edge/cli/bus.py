"""`tocsin-edge bus …`: the detector buses, seen and served on the spot."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from edge.adapters.config_problem import Problem
from edge.adapters.local_socket import BusAsked, BusCommandAsked, Reply, Request, ask
from edge.bus.bus_types import NodeReport
from edge.cli.bus_master import new_master
from edge.cli.bus_refusal import image_problem, node_problem, reason_and_mend
from edge.cli.bus_scan import scan
from edge.cli.bus_status import status_table
from edge.cli.phone import Lang, LangOption, Words
from edge.cli.users import DataOption, JsonOption

out = Console()
err = Console(stderr=True)
app = typer.Typer(no_args_is_help=True)
app.command()(scan)
app.command("new-master")(new_master)
NodeArgument = Annotated[
    str, typer.Argument(metavar="BUS.ADDRESS", help='A node of the panel file, such as "main.5".')
]
COMMAND_S: Final = 910.0
POLL_S: Final = 0.3

DONE: Final[dict[str, Words]] = {
    "report": Words("the node tells:", "节点自述："),
    "pair": Words("paired: the node has its own key", "已配对：节点已换用专用密钥"),
    "close_pairing": Words("the pairing window is closed", "配对窗口已关闭"),
    "rekey": Words("the node has its next key", "节点已换新密钥"),
    "update": Words(
        "the image is taken; the node starts it on trial", "固件已接收，节点将试运行新固件"
    ),
}


def _ask(data: Path, request: Request, lang: Lang, timeout_s: float = 10) -> Reply:
    try:
        return ask(data / "panel.sock", request, timeout_s)
    except (OSError, TimeoutError) as error:
        none = Words("No panel answers in", "主机无应答：").pick(lang)
        mend = Words(
            "Mend: start it with 'tocsin-edge run', or name its directory with --data.",
            "处理：用 'tocsin-edge run' 启动，或用 --data 指定其目录。",
        )
        err.print(f"[red]{none}[/red] {escape(str(data))} ({escape(str(error))})")
        err.print(mend.pick(lang))
        raise typer.Exit(3) from None


@app.command()
def status(
    data: DataOption = Path("data"), lang: LangOption = Lang.EN, as_json: JsonOption = False
) -> None:
    """Every node of every bus: is it there, how fast, how clean is the line.

    A node that is lost, many retries or CRC errors: look at its cable, its ends (120 ohm) and the
    polarity of A and B before you change anything else.
    """
    buses = _ask(data, BusAsked(), lang).buses or []
    if as_json:
        print(msgspec.json.encode(buses).decode())
        return
    if not buses:
        out.print(Words("This panel has no bus.", "本主机未配置总线。").pick(lang))
    for bus in buses:
        out.print(status_table(bus, lang))


def _usable(problem: Problem | None, lang: Lang, as_json: bool) -> None:
    """Nothing wrong, or the end."""
    if problem is None:
        return
    if as_json:
        print(msgspec.json.encode({"ok": False, "problems": [problem]}).decode())
    else:
        err.print(problem.text(lang.value), markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(2)


def _order(data: Path, request: BusCommandAsked, lang: Lang, as_json: bool) -> None:
    _usable(node_problem(request.node), lang, as_json)
    reply = _ask(data, request, lang, COMMAND_S)
    _tell(reply, request.what, lang, as_json)


def _tell(reply: Reply, what: str, lang: Lang, as_json: bool) -> None:
    if as_json:
        said = {"ok": reply.ok, "reason": reply.reason}
        if reply.report is not None:
            said["report"] = msgspec.to_builtins(reply.report)
        print(msgspec.json.encode(said).decode())
    elif reply.ok:
        out.print(f"[green]{DONE[what].pick(lang)}[/green]")
        if reply.report is not None:
            _print_report(reply.report, lang)
    else:
        reason, mend = reason_and_mend(reply.reason)
        refused = Words("Refused", "未执行").pick(lang)
        err.print(f"[red]{refused}:[/red] {escape(reason.pick(lang))}", highlight=False)
        if mend is not None:
            err.print(f"{Words('Mend', '处理').pick(lang)}: {mend.pick(lang)}", highlight=False)
    if not reply.ok:
        raise typer.Exit(1)


def _print_report(told: NodeReport, lang: Lang) -> None:
    trial = Words(" (on trial)", "（试运行）").pick(lang) if told.trial else ""
    rows = (
        (Words("firmware", "固件"), told.firmware + trial),
        (Words("running for", "已运行"), f"{told.uptime_s} s"),
        (Words("last reset", "上次复位原因"), told.reset_cause),
        (Words("resets", "复位次数"), str(told.resets)),
        (Words("supply", "供电电压"), f"{told.supply_mv / 1000:.1f} V"),
        (Words("changes lost", "丢失的变化"), str(told.lost_changes)),
        (Words("worst loop", "最长循环"), f"{told.loop_worst_ms} ms"),
    )
    table = Table(box=None, show_header=False)
    for name, value in rows:
        table.add_row(name.pick(lang), value)
    out.print(table)


@app.command()
def pair(
    node: NodeArgument,
    data: DataOption = Path("data"),
    lang: LangOption = Lang.EN,
    as_json: JsonOption = False,
) -> None:
    """Take a new node in: the one moment at which OSDP's well-known default key is accepted.

    The node must be new or reset to the factory state. It is given a key of its own at once; the
    window closes by itself (`bus_keys.pairing_window_s`), and the default key works nowhere after.
    """
    _usable(node_problem(node), lang, as_json)
    if sys.stdout.isatty() and not as_json:
        words = Words("Waiting for the node … Ctrl-C stops waiting, not the window.",
                      "等待节点……按 Ctrl-C 停止等待（窗口仍开放）。")  # fmt: skip
        out.print(f"[dim]{words.pick(lang)}[/dim]")
    _order(data, BusCommandAsked(node=node, what="pair"), lang, as_json)


@app.command("close-pairing")
def close_pairing(
    node: NodeArgument,
    data: DataOption = Path("data"),
    lang: LangOption = Lang.EN,
    as_json: JsonOption = False,
) -> None:
    """Close a pairing window before its time."""
    _order(data, BusCommandAsked(node=node, what="close_pairing"), lang, as_json)


@app.command()
def rekey(
    node: NodeArgument,
    data: DataOption = Path("data"),
    lang: LangOption = Lang.EN,
    as_json: JsonOption = False,
) -> None:
    """Give a node its next key. A power cut in between locks neither side out."""
    _order(data, BusCommandAsked(node=node, what="rekey"), lang, as_json)


@app.command()
def report(
    node: NodeArgument,
    data: DataOption = Path("data"),
    lang: LangOption = Lang.EN,
    as_json: JsonOption = False,
) -> None:
    """Have a Tocsin node tell of itself: resets, supply, firmware."""
    _order(data, BusCommandAsked(node=node, what="report"), lang, as_json)


@app.command()
def update(
    node: NodeArgument,
    image: Annotated[Path, typer.Argument(help="Signed image (`tocsin-provision firmware-sign`).")],
    data: DataOption = Path("data"),
    lang: LangOption = Lang.EN,
    as_json: JsonOption = False,
) -> None:
    """Send a node new firmware over the bus while the others go on being polled.

    The node believes the image only when its signature fits, starts it on trial, and goes back to
    the last good one by itself if that does not come up.
    """
    _usable(node_problem(node) or image_problem(image), lang, as_json)
    request = BusCommandAsked(node=node, what="update", image=str(image.absolute()))
    if as_json or not sys.stdout.isatty():
        _order(data, request, lang, as_json)
        return
    _ask(data, BusAsked(), lang)
    replies: list[Reply] = []
    sending = threading.Thread(target=lambda: replies.append(_try(data, request)), daemon=True)
    sending.start()
    with Progress(console=out) as progress:
        bar = progress.add_task(node, total=None)
        while sending.is_alive():
            done, total = _progress(data, node)
            if total:
                progress.update(bar, completed=done, total=total)
            sending.join(POLL_S)
        if replies[0].ok:
            progress.update(bar, completed=1, total=1)
    _tell(replies[0], "update", lang, as_json)


def _try(data: Path, request: Request) -> Reply:
    try:
        return ask(data / "panel.sock", request, COMMAND_S)
    except (OSError, TimeoutError, msgspec.DecodeError):
        return Reply(ok=False, reason="no_end_seen")


def _progress(data: Path, node: str) -> tuple[int, int]:
    """Bytes there, and in all; 0, 0: not known."""
    try:
        buses = ask(data / "panel.sock", BusAsked()).buses or []
    except (OSError, TimeoutError, msgspec.DecodeError):
        return 0, 0
    for bus in buses:
        for each in bus.nodes:
            if str(each.node) == node and "/" in each.progress:
                done, _, total = each.progress.partition("/")
                return int(done), int(total)
    return 0, 0
