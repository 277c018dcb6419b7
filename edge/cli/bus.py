"""`tocsin-edge bus …`: the detector buses, seen and served on the spot."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from edge.adapters.local_socket import BusAsked, BusCommandAsked, Reply, Request, ask
from edge.bus.bus_types import BusStatistics, NodeReport, NodeStatistics
from edge.cli.bus_master import new_master
from edge.cli.bus_scan import scan
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

STATES: Final[dict[str, Words]] = {
    "secure": Words("secure", "加密在线"),
    "clear": Words("in the clear", "明文在线"),
    "lost": Words("lost", "失联"),
    "pairing": Words("pairing", "配对中"),
    "starting": Words("starting", "启动中"),
}
HEADS: Final = (
    Words("node", "节点"),
    Words("state", "状态"),
    Words("seen", "最近应答"),
    Words("cycle", "轮询周期"),
    Words("answers in", "应答时间"),
    Words("polls", "轮询"),
    Words("retries", "重试"),
    Words("silences", "无应答"),
    Words("CRC errors", "校验错误"),
    Words("handshakes", "握手"),
    Words("firmware", "固件"),
)
DONE: Final[dict[str, Words]] = {
    "report": Words("the node tells:", "节点自述："),
    "pair": Words("paired: the node has its own key", "已配对：节点已换用专用密钥"),
    "close_pairing": Words("the pairing window is closed", "配对窗口已关闭"),
    "rekey": Words("the node has its next key", "节点已换新密钥"),
    "update": Words(
        "the image is taken; the node starts it on trial", "固件已接收，节点将试运行新固件"
    ),
}
MENDS: Final[dict[str, Words]] = {
    "no_such_node_or_busy": Words(
        "name a node of the panel file, as `tocsin-edge bus status` lists them; or wait for what it"
        " is doing",
        "请填写主机配置中的节点（见 `tocsin-edge bus status`），或等待其当前操作完成",
    ),
    "no_report": Words(
        "only Tocsin nodes tell of themselves; is it there at all (`tocsin-edge bus status`)?",
        "仅 Tocsin 节点支持自述；请查看节点是否在线（`tocsin-edge bus status`）",
    ),
    "no_end_seen": Words(
        "look at `tocsin-edge bus status`: does it answer?",
        "请查看 `tocsin-edge bus status`：节点是否应答？",
    ),
}


def _ask(data: Path, request: Request, timeout_s: float = 10) -> Reply:
    try:
        return ask(data / "panel.sock", request, timeout_s)
    except (OSError, TimeoutError) as error:
        err.print(f"[red]No panel answers in {data}[/red] ({error}).")
        err.print("Mend: start it with 'tocsin-edge run', or name its directory with --data.")
        raise typer.Exit(3) from None


@app.command()
def status(
    data: DataOption = Path("data"), lang: LangOption = Lang.EN, as_json: JsonOption = False
) -> None:
    """Every node of every bus: is it there, how fast, how clean is the line.

    A node that is lost, many retries or CRC errors: look at its cable, its ends (120 ohm) and the
    polarity of A and B before you change anything else.
    """
    buses = _ask(data, BusAsked()).buses or []
    if as_json:
        print(msgspec.json.encode(buses).decode())
        return
    if not buses:
        out.print(Words("This panel has no bus.", "本主机未配置总线。").pick(lang))
    for bus in buses:
        out.print(_table(bus, lang))


def _table(bus: BusStatistics, lang: Lang) -> Table:
    state = Words("port open", "端口正常") if bus.up else Words("port gone", "端口不可用")
    title = f"{bus.bus}: {state.pick(lang)} {bus.cause}".rstrip()
    title += f" · {bus.cycle_ms:.0f} ms · {bus.noise_bytes} "
    title += Words("bytes of noise", "字节干扰").pick(lang)
    table = Table(title=title, title_justify="left", box=None)
    for head in HEADS:
        table.add_column(head.pick(lang))  # heads wrap; cells are short
    for node in bus.nodes:
        table.add_row(*_cells(node, lang))
    return table


def _cells(node: NodeStatistics, lang: Lang) -> tuple[str, ...]:
    word = STATES.get(node.state, Words(node.state, node.state)).pick(lang)
    colour = {"secure": "green", "clear": "yellow", "lost": "red"}.get(node.state, "yellow")
    never = Words("never", "从未").pick(lang)
    seen = never if node.last_seen_s is None else f"{node.last_seen_s:.1f} s"
    return (
        str(node.node),
        f"[{colour}]{word}[/{colour}] {node.progress}".rstrip(),
        seen,
        f"{node.cycle_ms:.0f} ms",
        f"{node.turnaround_ms:.1f} ms",
        str(node.polls),
        str(node.retries),
        str(node.timeouts),
        str(node.crc_errors),
        str(node.handshakes),
        node.firmware,
    )


def _order(data: Path, request: BusCommandAsked, lang: Lang, as_json: bool) -> None:
    reply = _ask(data, request, COMMAND_S)
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
        err.print(f"[red]{Words('Refused', '未执行').pick(lang)}:[/red] {reply.reason}")
        mend = MENDS.get(reply.reason)
        if mend is not None:
            err.print(f"{Words('Mend', '处理').pick(lang)}: {mend.pick(lang)}")
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
    request = BusCommandAsked(node=node, what="update", image=str(image.absolute()))
    if as_json or not sys.stdout.isatty():
        _order(data, request, lang, as_json)
        return
    replies: list[Reply] = []
    sending = threading.Thread(target=lambda: replies.append(_ask(data, request, COMMAND_S)))
    sending.start()
    with Progress(console=out) as progress:
        bar = progress.add_task(node, total=None)
        while sending.is_alive():
            done, total = _progress(data, node)
            if total:
                progress.update(bar, completed=done, total=total)
            time.sleep(POLL_S)
    sending.join()
    _tell(replies[0] if replies else Reply(ok=False, reason="no_end_seen"), "update", lang, as_json)


def _progress(data: Path, node: str) -> tuple[int, int]:
    for bus in _ask(data, BusAsked()).buses or []:
        for each in bus.nodes:
            if str(each.node) == node and "/" in each.progress:
                done, _, total = each.progress.partition("/")
                return int(done), int(total)
    return 0, 0
