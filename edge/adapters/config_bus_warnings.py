"""What a bus may do but should not (R99, R100, R104, J3, GB 50394 response time)."""

from __future__ import annotations

import re
from typing import Final

from edge.adapters.config_bus_checks import inputs_of
from edge.adapters.config_problem import Phrase, Report
from edge.bus.bus_machine import bus_points
from edge.bus.bus_types import NodeId
from edge.config import PanelConfig
from edge.config_bus import BusConfig, NodeKind

RESPONSE_S: Final = 3.0
"""GB 50394: the first alarm on a bus within 3 s."""
_MOVES: Final = re.compile(r"/dev/tty(USB|ACM)\d+")
_OSDP_CHARACTERS: Final = 15 + 15 + 2 * 2
"""Secure POLL and ACK with the silence around them (protocols.md 6.4)."""
_OSDP_MS: Final = 4.0
_MODBUS_CHARACTERS: Final = 8 + 6 + 2 * 3.5
_MODBUS_MS: Final = 5.0


def warn(config: PanelConfig, report: Report) -> None:
    """On a configuration that is accepted."""
    used: dict[NodeId, set[str]] = {}
    for wired, which in bus_points(config).values():
        used.setdefault(wired, set()).add(which)
    for index, bus in enumerate(config.buses):
        key = f"buses[{index}]"
        _port(key, bus, report)
        _cycle(key, bus, report)
        _unsupervised(key, bus, used, report)
        _nothing_wired(key, bus, used, report)
        _enclosures(key, bus, used, report)
        for place, node in enumerate(bus.nodes):
            if node.address == 0:
                report.add(
                    f"{key}.nodes[{place}].address",
                    0,
                    Phrase("1 to 126", "1 至 126"),
                    Phrase(
                        "0 reads as no node in the centre's reports; give it another",
                        "中心报告中 0 表示无节点，请改用其他地址",
                    ),
                    "R99",
                )


def cycle_s(bus: BusConfig) -> float:
    """One round over all nodes of a quiet bus, by the wire's arithmetic (protocols.md 6.4)."""
    character_ms = (10 if bus.parity == "N" else 11) * 1000 / bus.baud
    nodes = len(bus.nodes) * (_OSDP_CHARACTERS * character_ms + _OSDP_MS)
    devices = len(bus.devices) * (_MODBUS_CHARACTERS * character_ms + _MODBUS_MS)
    timeouts = max([0, *(device.timeout_ms for device in bus.devices)])
    return (nodes + devices + (timeouts if bus.devices else 0)) / 1000


def _port(key: str, bus: BusConfig, report: Report) -> None:
    if _MOVES.fullmatch(bus.port):
        report.add(
            f"{key}.port",
            bus.port,
            Phrase(
                "a name that stays, like /dev/serial/by-id/usb-...",
                "不变的名称，如 /dev/serial/by-id/usb-...",
            ),
            Phrase(
                "`ls -l /dev/serial/by-id` shows it; a number may be another adapter's tomorrow",
                "用 `ls -l /dev/serial/by-id` 查看；编号重启后可能变为另一适配器",
            ),
            "J3",
        )


def _cycle(key: str, bus: BusConfig, report: Report) -> None:
    takes_s = cycle_s(bus)
    if takes_s > RESPONSE_S:
        report.add(
            f"{key}.baud",
            bus.baud,
            Phrase(
                f"a round of at most {RESPONSE_S:g} s; this one takes about {takes_s:.1f} s",
                f"轮询一周不超过 {RESPONSE_S:g} 秒；现约 {takes_s:.1f} 秒",
            ),
            Phrase("raise the baud rate, or split the bus", "提高波特率，或分为多条总线"),
            "GB 50394",
        )
    elif takes_s > bus.lost_after_s:
        report.add(
            f"{key}.lost_after_s",
            bus.lost_after_s,
            Phrase(
                f"more than one round, which takes about {takes_s:.1f} s",
                f"大于轮询一周的时间（约 {takes_s:.1f} 秒）",
            ),
            Phrase("raise the baud rate or lost_after_s", "提高波特率或 lost_after_s"),
            "R99",
        )


def _unsupervised(key: str, bus: BusConfig, used: dict[NodeId, set[str]], report: Report) -> None:
    open_nodes = [NodeId(bus.name, node.address) for node in bus.nodes if node.clear_text]
    if bus.protocol == "modbus":
        open_nodes = inputs_of(bus)
    wired = [str(node) for node in open_nodes if node in used]
    if wired:
        report.add(
            f"{key}.protocol" if bus.protocol == "modbus" else f"{key}.nodes",
            ", ".join(wired),
            Phrase(
                "supervised detectors: anyone on this wire may speak for these",
                "受监测的探测器：线路上任何人均可冒充这些设备",
            ),
            Phrase(
                "use OSDP nodes with keys, or only where nothing hangs on it; "
                "refused for finance sites",
                "改用带密钥的 OSDP 节点，或仅用于次要之处；金融类场所不予接受",
            ),
            "R100",
        )


def _nothing_wired(key: str, bus: BusConfig, used: dict[NodeId, set[str]], report: Report) -> None:
    keypads = {node.address for node in bus.nodes if node.kind is NodeKind.KEYPAD}
    idle = [
        str(node)
        for node in inputs_of(bus)
        if node.address not in keypads
        and not any(which.isdecimal() for which in used.get(node, ()))
    ]
    if idle or not inputs_of(bus):
        report.add(
            f"{key}.devices" if bus.protocol == "modbus" else f"{key}.nodes",
            ", ".join(idle) or "(none)",
            Phrase("a zone on every node", "每个节点至少有一个防区"),
            Phrase(
                'wire one with input = "bus:<bus>.<address>.<number>", or remove the node',
                '用 input = "bus:<总线>.<地址>.<编号>" 接入防区，或删除该节点',
            ),
            "R99",
        )


def _enclosures(key: str, bus: BusConfig, used: dict[NodeId, set[str]], report: Report) -> None:
    """Without a zone its tamper is still told as NODE_TAMPER, but belongs to no area."""
    bare = [
        str(NodeId(bus.name, node.address))
        for node in bus.nodes
        if "tamper" not in used.get(NodeId(bus.name, node.address), ())
    ]
    if bare:
        report.add(
            f"{key}.nodes",
            ", ".join(bare),
            Phrase("a tamper zone for each node's enclosure", "每个节点外壳设一个防拆防区"),
            Phrase(
                'add zones with type = "tamper" and input = "bus:<bus>.<address>.tamper"; '
                "without, it is reported by address alone",
                '增加 type = "tamper"、input = "bus:<总线>.<地址>.tamper" 的防区；否则仅按地址报告',
            ),
            "R104",
        )
