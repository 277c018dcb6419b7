"""Rules for `[[buses]]` and what is wired to them (R99, R100)."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from edge.adapters.config_problem import Phrase, Report
from edge.adapters.config_shape import Draft
from edge.adapters.config_site import is_strict, site_of
from edge.bus.bus_machine import source_of
from edge.bus.bus_types import NodeId
from edge.config import Loop
from edge.config_bus import BusConfig, ModbusMap

BUILT_IN_MAPS: Final = {"di8": ModbusMap(name="di8"), "di16": ModbusMap(name="di16", inputs=16)}
_OWN_PAIR: Final = Phrase(
    "use an OSDP node with its key, or wire the detector to the panel itself",
    "改用带密钥的 OSDP 节点，或将探测器直接接到主机",
)
_NODE_JUDGES: Final = ("wiring", "debounce_ms", "min_pulse_ms")


def several(draft: Draft, name: str) -> list[tuple[int, Draft]]:
    """The entries of a list of tables, with their places in the file."""
    found = draft.fields.get(name, [])
    return found if isinstance(found, list) else []


def bus_loops(draft: Draft) -> Iterator[tuple[str, Draft, Loop, Draft]]:
    """Key, draft and whole of every loop on a bus, and the zone or point it belongs to."""
    for name in ("zones", "points"):
        for index, item in several(draft, name):
            for field in ("loop", "pair"):
                loop = item.fields.get(field)
                if isinstance(loop, Draft) and loop.whole is not None:
                    whole: Loop = loop.whole
                    if whole.input.startswith("bus:"):
                        yield f"{name}[{index}].{field}", loop, whole, item


def refuse(draft: Draft, report: Report) -> None:
    """What must not run."""
    _own(draft, report)
    for index, bus in several(draft, "buses"):
        _kinds(f"buses[{index}]", bus, report)
    _maps(draft, report)
    _keypads(draft, report)
    _loops(draft, report)
    if is_strict(draft):
        _unsupervised(draft, report)


def keys(draft: Draft, directory: Path, warnings: Report) -> None:
    """The master key's file, made when the panel first runs with secure nodes."""
    secure = any(not node.fields.get("clear_text", True) for node in _nodes(draft, "nodes"))
    held = draft.fields.get("bus_keys")
    name = held.fields.get("master_file") if isinstance(held, Draft) else None
    if not secure or name is None:
        return
    data = directory / str(draft.fields.get("data_dir", "data"))
    try:
        mode = (data / name).stat().st_mode
    except (OSError, ValueError):
        if not (data / "bus.generations.json").exists():
            return
        warnings.add(
            "bus_keys.master_file",
            name,
            Phrase("the master key the nodes were paired with", "节点配对时所用的主密钥"),
            Phrase(
                "restore the file from its copy, or pair every node anew; no bus till then",
                "从备份恢复该文件，或重新配对所有节点；此前总线不可用",
            ),
            "R99",
        )
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        warnings.add(
            "bus_keys.master_file",
            f"{name}, mode {stat.S_IMODE(mode):04o}",
            Phrase("readable by its owner only; else it is not used", "仅属主可读，否则不予使用"),
            Phrase(f"chmod 600 {name}", f"chmod 600 {name}"),
            "R99",
        )


def _own(draft: Draft, report: Report) -> None:
    """Names, ports and addresses. The centre knows a node by its address alone."""
    seen: dict[object, str] = {}
    for index, bus in several(draft, "buses"):
        key = f"buses[{index}]"
        for field in ("name", "port"):
            value = bus.fields.get(field)
            _once(seen, (field, value), f"{key}.{field}", value, report)
        for field in ("nodes", "devices"):
            for place, node in several(bus, field):
                address = node.fields.get("address")
                where = f"{key}.{field}[{place}].address"
                _once(seen, ("address", address), where, address, report)
    for index, one in several(draft, "modbus_maps"):
        name = one.fields.get("name")
        if name in BUILT_IN_MAPS:
            seen.setdefault(("map", name), Phrase("the built-in map", "内置映射").en)
        _once(seen, ("map", name), f"modbus_maps[{index}].name", name, report)


def _once(
    seen: dict[object, str], what: tuple[str, object], key: str, value: object, report: Report
) -> None:
    if value is None:
        return
    first = seen.setdefault(what, key)
    if first == key:
        return
    address = what[0] == "address"
    report.add(
        key,
        value,
        Phrase(
            "an address no other node of this panel has, on any bus"
            if address
            else f"a {what[0]} of its own",
            "本主机所有总线上不重复的地址" if address else "不重复的值",
        ),
        Phrase(
            f"it is taken by {first}; change one"
            + ("; the centre tells nodes apart by address alone" if address else ""),
            f"已被 {first} 使用，请改其一" + ("；中心仅凭地址区分节点" if address else ""),
        ),
        "R99",
    )


def _kinds(key: str, bus: Draft, report: Report) -> None:
    protocol = bus.fields.get("protocol")
    wrong, right = ("devices", "nodes") if protocol == "osdp" else ("nodes", "devices")
    if protocol is not None and bus.fields.get(wrong):
        report.add(
            f"{key}.{wrong}",
            f"{len(bus.fields[wrong])} of them",
            Phrase(f"{right}, as this is a bus of {protocol}", f"{protocol} 总线应使用 {right}"),
            Phrase(
                f"write them as [[buses.{right}]], or correct `protocol`",
                f"改写为 [[buses.{right}]]，或改正 `protocol`",
            ),
            "R99",
        )


def maps_of(draft: Draft) -> dict[str, ModbusMap]:
    """Built-in and own register maps that could be read."""
    own = [item.whole for _, item in several(draft, "modbus_maps") if item.whole is not None]
    return {**BUILT_IN_MAPS, **{one.name: one for one in own}}


def _maps(draft: Draft, report: Report) -> None:
    known = set(BUILT_IN_MAPS)
    known |= {str(item.raw.get("name")) for _, item in several(draft, "modbus_maps")}
    for index, bus in several(draft, "buses"):
        for place, device in several(bus, "devices"):
            name = device.fields.get("map")
            if name is not None and name not in known:
                listed = ", ".join(sorted(known))
                report.add(
                    f"buses[{index}].devices[{place}].map",
                    name,
                    Phrase(f"one of: {listed}", f"下列之一：{listed}"),
                    Phrase(
                        "correct it, or describe the module under [[modbus_maps]]",
                        "改正，或在 [[modbus_maps]] 中描述该模块",
                    ),
                )


def _keypads(draft: Draft, report: Report) -> None:
    known = {area.raw.get("number") for _, area in several(draft, "areas")}
    listed = ", ".join(sorted(str(number) for number in known))
    for index, bus in several(draft, "buses"):
        for place, node in several(bus, "nodes"):
            for which, area in enumerate(node.fields.get("areas", ())):
                if area not in known:
                    report.add(
                        f"buses[{index}].nodes[{place}].areas[{which}]",
                        area,
                        Phrase(f"an area of this panel: {listed}", f"本主机的防区组：{listed}"),
                        Phrase("correct it, or add that area", "改正，或增加该防区组"),
                    )


def _nodes(draft: Draft, field: str) -> Iterator[Draft]:
    for _, bus in several(draft, "buses"):
        for _, node in several(bus, field):
            yield node


def _inputs(draft: Draft) -> dict[NodeId, set[str] | None]:
    """Every node that can be named, with what can be wired there; None: not known."""
    maps = maps_of(draft)
    found: dict[NodeId, set[str] | None] = {}
    for _, bus in several(draft, "buses"):
        name = bus.raw.get("name")
        for _, node in several(bus, "nodes"):
            count = node.fields.get("inputs")
            found[NodeId(str(name), _number(node))] = (
                None if count is None else {*_upto(count), "tamper", "power"}
            )
        for _, device in several(bus, "devices"):
            one = maps.get(str(device.fields.get("map")))
            tamper = {"tamper"} if one is not None and one.tamper is not None else set()
            found[NodeId(str(name), _number(device))] = (
                None if one is None else {*_upto(one.inputs), *tamper}
            )
    return found


def _number(node: Draft) -> int:
    address = node.fields.get("address")
    return address if isinstance(address, int) else -1


def _upto(count: int) -> set[str]:
    return {str(number) for number in range(1, count + 1)}


def _loops(draft: Draft, report: Report) -> None:
    inputs = _inputs(draft)
    for key, found, loop, _ in bus_loops(draft):
        source = source_of(loop.input)
        assert source is not None
        node, which = source
        written = loop.input.removeprefix("bus:")
        if written != f"{node}.{which}":
            report.add(
                f"{key}.input",
                loop.input,
                Phrase(f"bus:{node}.{which}", f"bus:{node}.{which}"),
                Phrase("write numbers without leading noughts", "数字前不要加零"),
            )
        elif node not in inputs:
            listed = ", ".join(str(known) for known in inputs) or "(none)"
            report.add(
                f"{key}.input",
                loop.input,
                Phrase(f"a node of [[buses]]: {listed}", f"[[buses]] 中的节点：{listed}"),
                Phrase("correct it, or add that bus and node", "改正，或增加该总线与节点"),
                "R99",
            )
        else:
            _input(key, loop, which, inputs[node], report)
        for field in _NODE_JUDGES:
            value = found.fields.get(field)
            if value is not None and value != _default(field):
                report.add(
                    f"{key}.{field}",
                    getattr(value, "value", value),
                    Phrase("nothing: the node itself does this", "空：由节点自行处理"),
                    Phrase(
                        f"remove {field}; a Modbus module's contact has devices.debounce_ms",
                        f"删除 {field}；Modbus 模块用 devices.debounce_ms",
                    ),
                )


def _default(field: str) -> Any:
    return getattr(Loop(input="gpio:0"), field)


def _input(key: str, loop: Loop, which: str, has: set[str] | None, report: Report) -> None:
    if has is None or which in has:
        return
    last = max((int(name) for name in has if name.isdecimal()), default=0)
    words = [f"1 to {last}"] if last else []
    words += sorted(name for name in has if not name.isdecimal())
    listed = ", ".join(words)
    report.add(
        f"{key}.input",
        loop.input,
        Phrase(f"an input this node has: {listed}", f"该节点具有的输入：{listed}"),
        Phrase(
            "correct it, or set the node's `inputs` or the module's `map`",
            "改正，或设置节点的 `inputs` 或模块的 `map`",
        ),
        "R99",
    )


def _unsupervised(draft: Draft, report: Report) -> None:
    """R100: at banks every detector is supervised, and told from a forged one."""
    site = site_of(draft)
    modbus = {
        str(bus.raw.get("name"))
        for _, bus in several(draft, "buses")
        if bus.fields.get("protocol") == "modbus"
    }
    for key, _, loop, _ in bus_loops(draft):
        source = source_of(loop.input)
        if source is not None and source[0].bus in modbus:
            report.add(
                f"{key}.input",
                loop.input,
                Phrase(
                    f"a supervised line: anyone may speak for a Modbus module ({site.en})",
                    f"受监测的线路：Modbus 模块可被任意冒充（{site.zh}）",
                ),
                _OWN_PAIR,
                "R100",
            )
    for index, bus in several(draft, "buses"):
        for place, node in several(bus, "nodes"):
            if node.fields.get("clear_text"):
                report.add(
                    f"buses[{index}].nodes[{place}].clear_text",
                    True,
                    Phrase(f"false: {site.en}'s bus is secure", "false：须使用安全通道"),
                    Phrase(
                        "remove clear_text, and pair the node; one that cannot must go",
                        "删除 clear_text 并配对节点；不支持者须更换",
                    ),
                    "R100",
                )


def inputs_of(bus: BusConfig) -> list[NodeId]:
    """Every node of a bus."""
    addresses = [node.address for node in bus.nodes] + [one.address for one in bus.devices]
    return [NodeId(bus.name, address) for address in addresses]
