"""Why a node did not do what was asked, and how to mend it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from edge.adapters.config_problem import Phrase, Problem, show
from edge.cli.phone import Words

NODE_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,11}\.\d{1,3}")
LOOK: Final = Words(
    "look at `tocsin-edge bus status`: is it there, how clean is its line?",
    "请查看 `tocsin-edge bus status`：节点是否在线、线路是否正常？",
)
AGAIN: Final = Words(
    "wait until it is back (`tocsin-edge bus status`), then ask again",
    "待节点恢复（`tocsin-edge bus status`）后重试",
)
REASONS: Final[dict[str, tuple[Words, Words]]] = {
    "no_such_node_or_busy": (
        Words("no such node, or it is busy", "无此节点，或节点忙"),
        Words(
            "name a node of the panel file, as `tocsin-edge bus status` lists them; or wait for"
            " what it is doing",
            "请填写主机配置中的节点（见 `tocsin-edge bus status`），或等待其当前操作完成",
        ),
    ),
    "no_report": (
        Words("it told nothing of itself", "节点未自述"),
        Words(
            "only Tocsin nodes tell of themselves; is it there at all (`tocsin-edge bus status`)?",
            "仅 Tocsin 节点支持自述；请查看节点是否在线（`tocsin-edge bus status`）",
        ),
    ),
    "no_end_seen": (Words("no end of it was seen", "未见操作结束"), LOOK),
    "node lost": (Words("the node is lost", "节点失联"), AGAIN),
    "session lost": (Words("the session ended under it", "会话中断"), AGAIN),
    "window over": (
        Words("nobody came in the pairing window", "配对窗口内无节点接入"),
        Words(
            "is the node at this address, and in the factory state? `tocsin-edge bus scan` (panel"
            " stopped) shows it as new",
            "节点地址是否正确、是否为出厂状态？"
            "停止主机后用 `tocsin-edge bus scan` 查看，应为待配对",
        ),
    ),
    "closed": (
        Words("the pairing window was closed", "配对窗口已被关闭"),
        Words("open it again when the node is there", "节点就绪后重新打开"),
    ),
    "configured for clear text": (
        Words("the panel file has `clear_text = true` for it", "主机配置中该节点为明文"),
        Words("take that line away, restart the panel, pair", "删除该行，重启主机后配对"),
    ),
    "refused by the node": (
        Words("the node refused it", "节点拒绝"),
        Words(
            "an update: is the image for this kind of node, newer, signed with its maker's key?",
            "如为升级：固件是否适用于该型号、版本更新、由其厂商密钥签名？",
        ),
    ),
    "transfer given up": (Words("the transfer was given up", "传输中止"), LOOK),
    "not possible": (
        Words("this kind of node cannot do that", "该类节点不支持此操作"),
        Words(
            "Modbus modules have no keys and no firmware of ours", "Modbus 模块无密钥与本系统固件"
        ),
    ),
}


def reason_and_mend(reason: str) -> tuple[Words, Words | None]:
    """In words; what nobody foresaw as it is."""
    known = REASONS.get(reason)
    return known if known is not None else (Words(reason, reason), None)


def node_problem(node: str) -> Problem | None:
    """What is wrong with the name of a node."""
    if NODE_NAME.fullmatch(node):
        return None
    expected = Phrase(
        "a bus and an address of the panel file, such as main.5",
        "主机配置中的总线与地址，如 main.5",
    )
    mend = Phrase("`tocsin-edge bus status` lists them", "见 `tocsin-edge bus status`")
    return Problem("bus", "NODE", show(node), *_four(expected, mend))


def image_problem(image: Path) -> Problem | None:
    """What is wrong with an image, as far as it can be seen from here."""
    if image.is_file() and image.stat().st_size:
        return None
    value = "(empty)" if image.is_file() else "(absent)"
    expected = Phrase("a signed firmware image", "已签名的固件文件")
    mend = Phrase(
        "make one with `tocsin-provision firmware-sign`, or mend the path",
        "用 `tocsin-provision firmware-sign` 生成，或更正路径",
    )
    return Problem(str(image), "IMAGE", value, *_four(expected, mend))


def _four(expected: Phrase, mend: Phrase) -> tuple[str, str, str, str]:
    return expected.en, mend.en, expected.zh, mend.zh
