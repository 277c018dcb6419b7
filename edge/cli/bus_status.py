"""`tocsin-edge bus status` as a table that fits a terminal of 80 columns."""

from __future__ import annotations

from typing import Final

from rich.table import Table
from rich.text import Text

from edge.bus.bus_types import BusStatistics, NodeStatistics
from edge.cli.phone import Lang, Words

STATES: Final[dict[str, Words]] = {
    "secure": Words("secure", "加密"),
    "clear": Words("clear", "明文"),
    "lost": Words("lost", "失联"),
    "pairing": Words("pairing", "配对中"),
    "starting": Words("starting", "启动中"),
}
COLOURS: Final = {"secure": "green", "clear": "yellow", "lost": "red"}
HEADS: Final = (
    Words("node", "节点"),
    Words("state", "状态"),
    Words("seen", "最近\n应答"),
    Words("cycle\nms", "周期\n毫秒"),
    Words("answer\nms", "应答\n毫秒"),
    Words("polls", "轮询"),
    Words("re-\ntries", "重试"),
    Words("si-\nlences", "无\n应答"),
    Words("CRC\nerrors", "校验\n错误"),
    Words("hand-\nshakes", "握手"),
    Words("firm-\nware", "固件"),
)
FIRST_FIGURE: Final = 2
UNITS: Final = (
    (100, 1, Words("s", "秒")),
    (6_000, 60, Words("min", "分")),
    (172_800, 3_600, Words("h", "时")),
)
DAY: Final = Words("d", "天")


def status_table(bus: BusStatistics, lang: Lang) -> Table:
    """A row for each node."""
    table = Table(
        title=_title(bus, lang),
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for number, head in enumerate(HEADS):
        right = FIRST_FIGURE <= number < len(HEADS) - 1
        table.add_column(head.pick(lang), justify="right" if right else "left", overflow="fold")
    for node in bus.nodes:
        table.add_row(*_cells(node, lang))
    return table


def _title(bus: BusStatistics, lang: Lang) -> Text:
    if not bus.up:
        text = Words("port gone", "端口不可用").pick(lang)
        cause = f" ({bus.cause})" if bus.cause else ""
        return Text(f"{bus.bus}: {text}{cause}", style="red")
    round_ms, noise = f"{bus.cycle_ms:.0f}", compact(bus.noise_bytes)
    told = Words(
        f"port open, a round takes {round_ms} ms, {noise} bytes of noise",
        f"端口正常，轮询一周 {round_ms} 毫秒，干扰 {noise} 字节",
    )
    return Text(f"{bus.bus}: {told.pick(lang)}")


def _cells(node: NodeStatistics, lang: Lang) -> tuple[Text, ...]:
    word = STATES.get(node.state, Words(node.state, node.state)).pick(lang)
    state = Text(word, style=COLOURS.get(node.state, "yellow"))
    if node.progress:
        state.append(f"\n{node.progress}")
    if node.refused:  # a register map that does not fit looks like this
        told = Words(f"refused {compact(node.refused)}", f"拒绝 {compact(node.refused)}")
        state.append(f"\n{told.pick(lang)}")
    figures = (
        age(node.last_seen_s, lang),
        f"{node.cycle_ms:.0f}" if node.cycle_ms else "",
        f"{node.turnaround_ms:.1f}" if node.turnaround_ms else "",
        compact(node.polls),
        compact(node.retries),
        compact(node.timeouts),
        compact(node.crc_errors),
        compact(node.handshakes),
        node.firmware,
    )
    return (Text(str(node.node)), state, *(Text(figure) for figure in figures))


def compact(count: int) -> str:
    """At most five characters up to a billion: "9999", "12.3k", "1.2M", "123M"."""
    for size, sign in ((1_000_000, "M"), (1_000, "k")):
        if count >= 10_000 and count >= size:
            shown = count / size
            return f"{shown:.1f}{sign}" if shown < 100 else f"{shown:.0f}{sign}"
    return str(count)


def age(seconds: float | None, lang: Lang) -> str:
    """Since then: "0.1s", "43s", "72min", "20h", "3d"."""
    if seconds is None:
        return Words("never", "从未").pick(lang)
    for below, size, unit in UNITS:
        if seconds < below:
            shown = f"{seconds:.1f}" if seconds < 10 else f"{seconds / size:.0f}"
            return shown + unit.pick(lang)
    return f"{seconds / 86_400:.0f}{DAY.pick(lang)}"
