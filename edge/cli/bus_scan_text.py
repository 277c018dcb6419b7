"""What a scan found, as a table, as advice, and as lines for the panel file."""

from __future__ import annotations

import json
from typing import Final

from rich.table import Table

from edge.adapters.bus_scan_osdp import OURS
from edge.adapters.bus_scan_types import Doubt, Finding, Note, Result, Security, Setting
from edge.cli.phone import Lang, Words

HEADS: Final = {
    "osdp": (
        Words("addr", "地址"),
        Words("baud", "波特率"),
        Words("maker", "厂商"),
        Words("model", "型号"),
        Words("serial", "序列号"),
        Words("firmware", "固件"),
        Words("secure", "加密"),
        Words("inputs", "输入"),
        Words("note", "备注"),
    ),
    "modbus": (
        Words("id", "地址"),
        Words("setting", "设置"),
        Words("maker", "厂商"),
        Words("model", "型号"),
        Words("inputs", "输入"),
        Words("tables", "可读表"),
        Words("note", "备注"),
    ),
}
SECURITY: Final = {
    Security.UNKNOWN: Words("?", "？"),
    Security.NONE: Words("[red]no[/red]", "[red]不支持[/red]"),
    Security.FACTORY: Words("new", "待配对"),
    Security.KEYED: Words("own key", "已有密钥"),
    Security.CAPABLE: Words("yes", "支持"),
}
DOUBTS: Final = {
    Doubt.NO: Words("", ""),
    Doubt.DUPLICATE: Words("[red]duplicate[/red]", "[red]地址重复[/red]"),
    Doubt.DUPLICATE_LIKELY: Words("[red]duplicate?[/red]", "[red]疑似重复[/red]"),
    Doubt.GARBLED: Words("[red]garbled[/red]", "[red]应答损坏[/red]"),
}
NOTES: Final = {
    Note.SLOW: Words("slow", "应答慢"),
    Note.SOME_SILENT: Words("gaps", "有漏答"),
    Note.REFUSES: Words("refuses", "拒绝应答"),
    Note.UNREADABLE: Words("unreadable", "不可读"),
}
NOBODY: Final = {
    "osdp": Words(
        "Nobody answers. Look in this order: supply at the node, A and B not swapped, 120 ohm at"
        " both ends only, address below 127. A node in a session with another controller comes"
        " back after 8 s.",
        "无应答。请依次检查：节点供电、A/B 是否接反、仅两端接 120 欧终端电阻、地址是否小于 127。"
        "与其他控制器保持会话的节点 8 秒后恢复。",
    ),
    "modbus": Words(
        "Nobody answers. Look in this order: supply at the module, A and B not swapped, 120 ohm at"
        " both ends only, speed and parity on its switches (--baud), or --all for modules that"
        " have only coils or input registers.",
        "无应答。请依次检查：模块供电、A/B 是否接反、仅两端接 120 欧终端电阻、拨码上的波特率与"
        "校验（--baud）；仅有线圈或输入寄存器的模块请用 --all。",
    ),
}
ADVICE: Final = {
    Doubt.DUPLICATE: Words(
        "duplicate: two nodes have this address. Disconnect one, give the other its own address.",
        "地址重复：两个节点使用同一地址。请断开其一，为另一个设置新地址。",
    ),
    Doubt.DUPLICATE_LIKELY: Words(
        "duplicate?: garbled only here, the others are clean: most likely two nodes have this"
        " address. Disconnect one and scan again.",
        "疑似重复：仅此地址应答损坏，其余正常，很可能两个节点使用同一地址。请断开其一后重扫。",
    ),
    Doubt.GARBLED: Words(
        "garbled: two nodes at this address, the wrong speed, or a bad line (ends 120 ohm, A and"
        " B, shield). Disconnect nodes one by one and scan again.",
        "应答损坏：地址重复、波特率不符或线路不良（终端 120 欧、A/B、屏蔽）。"
        "请逐个断开节点后重扫。",
    ),
    Note.SLOW: Words(
        "slow: it answers later than the scan waits for. The panel waits `reply_timeout_ms`"
        " (100, at most 200): a slower node cannot be used.",
        "应答慢：超出扫描等待时间。主机等待 `reply_timeout_ms`（默认 100，最大 200 毫秒），"
        "更慢的节点无法使用。",
    ),
    Note.SOME_SILENT: Words(
        "gaps: it does not answer every question. Look at its cable and supply.",
        "有漏答：并非每次都应答。请检查线缆与供电。",
    ),
    Note.REFUSES: Words(
        "refuses: it is there, but does not tell who it is.",
        "拒绝应答：节点存在，但不提供身份信息。",
    ),
    Note.UNREADABLE: Words(
        "unreadable: it refuses to be read from item 0. Its manual tells the first item; write a"
        " [[modbus_maps]] for it.",
        "不可读：拒绝从 0 号读取。请按手册确定起始地址，并编写 [[modbus_maps]]。",
    ),
    Security.NONE: Words(
        "no encryption: who gets at the cable can speak for this node. Not for finance sites.",
        "不支持加密：接触线缆者可冒充该节点。不得用于金融场所。",
    ),
    Security.FACTORY: Words(
        "new: has OSDP's well-known key. Put it into the panel file, then `tocsin-edge bus pair`.",
        "待配对：使用公开的出厂密钥。写入主机配置后执行 `tocsin-edge bus pair`。",
    ),
    Security.KEYED: Words(
        "own key: has a key already. If it is not this panel's, reset it to factory and pair it.",
        "已有密钥：若非本主机的密钥，请恢复出厂后重新配对。",
    ),
    Security.CAPABLE: Words(
        "yes: it can encrypt. Reset it to factory, put it into the panel file, then `tocsin-edge"
        " bus pair`.",
        "支持加密：恢复出厂，写入主机配置后执行 `tocsin-edge bus pair`。",
    ),
    "echo": Words(
        "The adapter hears itself (echo). That does no harm.",
        "适配器有回声，不影响使用。",
    ),
    "unasked": Words(
        "bytes came before anybody was asked: noise, or a node that babbles.",
        "字节在询问之前出现：线路干扰，或有节点持续发送。",
    ),
    "unplaced": Words(
        "somebody answers a call to all there, but at none of the addresses asked.",
        "有节点应答广播，但不在所询问的地址中。",
    ),
    "unstable": Words(
        "This port's name may move when something is plugged in: take the one in"
        " /dev/serial/by-id.",
        "该端口名称可能随插拔变化，请使用 /dev/serial/by-id 下的名称。",
    ),
}


def scan_table(result: Result, protocol: str, lang: Lang) -> Table:
    """A row for each address; fits 80 columns."""
    table = Table(box=None, pad_edge=False)
    heads = HEADS[protocol]
    for head in heads:
        table.add_column(head.pick(lang), overflow="fold", no_wrap=head is heads[0])
    for finding in result.findings:
        table.add_row(*(_osdp if protocol == "osdp" else _modbus)(finding, lang))
    return table


def _osdp(finding: Finding, lang: Lang) -> tuple[str, ...]:
    return (
        str(finding.address),
        str(finding.setting.baud),
        finding.vendor,
        finding.model,
        "\n".join(finding.serials),
        finding.firmware,
        SECURITY[finding.security].pick(lang) if finding.clean else "",
        "" if finding.inputs is None else str(finding.inputs),
        _note(finding, lang),
    )


def _modbus(finding: Finding, lang: Lang) -> tuple[str, ...]:
    return (
        str(finding.address),
        str(finding.setting),
        finding.vendor.replace("[", r"\["),
        f"{finding.model} {finding.firmware}".strip().replace("[", r"\["),
        "" if finding.inputs is None else str(finding.inputs),
        "\n".join(finding.tables),
        _note(finding, lang),
    )


def _note(finding: Finding, lang: Lang) -> str:
    words = [DOUBTS[finding.doubt].pick(lang), *(NOTES[each].pick(lang) for each in finding.notes)]
    return ", ".join(word for word in words if word)


def advices(result: Result, echo: bool) -> list[Words]:
    """What to do about it, each once, the worst first."""
    keys: list[Doubt | Note | Security] = []
    for finding in result.findings:
        keys += [finding.doubt, *finding.notes]
        keys += [finding.security] if finding.clean else []
    told = [words for key, words in ADVICE.items() if key in keys]
    if result.unasked_bytes:
        count = result.unasked_bytes
        told.append(Words(*(f"{count} {text}" for text in ADVICE["unasked"])))
    told += [
        Words(*(f"{setting}: {text}" for text in ADVICE["unplaced"])) for setting in result.unplaced
    ]
    if echo:
        told.append(ADVICE["echo"])
    return told


def advice_grid(told: list[Words], lang: Lang) -> Table:
    """Points whose lines hang; Chinese has no spaces to break at."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column()
    grid.add_column(overflow="fold")
    for words in told:
        grid.add_row("[yellow]·[/yellow]", words.pick(lang))
    return grid


def toml_snippet(result: Result, port: str, protocol: str, lang: Lang) -> str:
    """Ready for the panel file; what cannot be used as it is stands in comments."""
    lines: list[str] = []
    settings = list(dict.fromkeys(finding.setting for finding in result.findings))
    for number, setting in enumerate(settings, 1):
        found = [finding for finding in result.findings if finding.setting == setting]
        lines += _bus(setting, found, port, protocol, "main" if number == 1 else f"bus{number}")
        if number > 1:
            note = Words(
                "# One bus has one speed: bring these nodes to the speed of the others.",
                "# 一条总线只有一个波特率：请将这些节点改为相同波特率。",
            )
            lines.insert(lines.index("[[buses]]", lines.index("[[buses]]") + 1), note.pick(lang))
        maps: dict[str, str] = {}
        for finding in found:
            lines += _member(finding, protocol, lang, maps)
        for name, table in maps.items():
            lines += _map(name, table, lang)
    return "\n".join(lines).rstrip() + "\n"


def _bus(setting: Setting, found: list[Finding], port: str, protocol: str, name: str) -> list[str]:
    lines = ["[[buses]]", f'name = "{name}"']
    if protocol != "osdp":
        lines.append(f'protocol = "{protocol}"')
    lines += [f"port = {json.dumps(port, ensure_ascii=False)}", f"baud = {setting.baud}"]
    if setting.parity != "N":
        lines.append(f'parity = "{setting.parity}"')
    return [*lines, ""]


def _member(finding: Finding, protocol: str, lang: Lang, maps: dict[str, str]) -> list[str]:
    lines = _node(finding, lang) if protocol == "osdp" else _device(finding, lang, maps)
    if finding.doubt is not Doubt.NO:
        why = Words("# Not before there is one node at this address:", "# 排除地址重复后方可启用：")
    elif Note.UNREADABLE in finding.notes:
        why = Words("# Not before it has a map:", "# 编写寄存器映射后方可启用：")
    else:
        return [*lines, ""]
    return [why.pick(lang), *(f"# {line}" for line in lines), ""]


def _node(finding: Finding, lang: Lang) -> list[str]:
    name = Words("Node", "节点").pick(lang)
    lines = ["[[buses.nodes]]", f"address = {finding.address}"]
    lines.append(f'name = "{name} {finding.address}"')
    if finding.readers:
        lines.append('kind = "keypad"')
    if finding.inputs is not None:
        lines.append(f"inputs = {min(finding.inputs, 32)}")
    if finding.vendor not in ("", OURS):
        lines.append("ask_state = true")
    if finding.security is Security.NONE:
        lines.append("clear_text = true")
    return lines


def _device(finding: Finding, lang: Lang, maps: dict[str, str]) -> list[str]:
    name = Words("Module", "模块").pick(lang)
    lines = ["[[buses.devices]]", f"address = {finding.address}"]
    lines.append(f'name = "{name} {finding.address}"')
    if finding.inputs in (8, 16):
        lines.append(f'map = "di{finding.inputs}"')
    elif finding.tables:
        table = finding.tables[0]
        chosen = f"{table.replace('_', '-')}-{finding.inputs or 8}"
        maps[chosen] = table
        lines.append(f'map = "{chosen}"')
    return lines


def _map(name: str, table: str, lang: Lang) -> list[str]:
    note = Words("# Look into the module's manual: first item, order, count.",
                 "# 请按模块手册核对：起始地址、顺序、数量。")  # fmt: skip
    inputs = name.rpartition("-")[2]
    lines = ["[[modbus_maps]]", note.pick(lang), f'name = "{name}"', f'table = "{table}"']
    return [*lines, f"inputs = {inputs}", ""]
