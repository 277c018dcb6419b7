"""Several parts that vanish together are one tamper verdict (H3; nodes, buses, paths).

A part is "node:main.3", "bus:main" or "path:mqtt". What each says for itself (NODE_LOST,
BUS_FAULT, path fault, the zones) is told at once as ever; the verdict comes on top, after
`GATHER_S`, so that a cut cable is one event that lists all it took, and once more when further
parts follow.

* A part that was never there cannot vanish: nodes not yet paired, a path not yet proven.
* Nodes whose bus has lost its port count with it as one part: one plug pulled is one thing. While
  something is armed nobody has reason to pull it and all its zones are blind, so that the port
  alone is enough then, once nodes are really lost (a port back within their time is a hiccup).
* After a restart nothing is judged until drivers and paths had time to come up (after a power cut
  the power-up time); what is still gone then vanished together, and with what went just before.
"""

from __future__ import annotations

import itertools
from typing import Final

from edge.panel.premises import DETAIL_MAX, Premises
from edge.panel.table import WATCHING
from protocols.instants import NS_PER_S, later
from protocols.panel_event import Code, Qualifier

GATHER_S: Final = 2.0
"""A cut takes all behind it within one poll cycle, 1.3 s for 32 nodes at 9600 baud."""
START_S: Final = 15.0
_KINDS: Final = ("nodes", "buses", "paths")
_ONE_OF: Final = {"nodes": "node:", "buses": "bus:", "paths": "path:"}
_RUN: Final = 3
"""So many addresses in a row are written as a range."""


def there(p: Premises, part: str) -> None:
    """The part answers."""
    s = p.state.sabotage
    if part not in s.seen:
        s.seen.append(part)
    if s.gone.pop(part, None) is not None:
        s.gone_before = [one for one in s.gone_before if one != part]
        s.gone_lately = [one for one in s.gone_lately if one != part]
        _all_back(p)


def vanished(p: Premises, part: str) -> None:
    """The part is gone."""
    s = p.state.sabotage
    if part not in s.seen or part in s.gone:
        return
    s.gone[part] = p.now
    if s.held_until is None:
        _judge(p, [part])


def restarted(p: Premises) -> None:
    """Judge nothing before all had time to come up."""
    s, hold_until = p.state.sabotage, p.state.hold_until
    soon = later(p.now, START_S)
    s.gone_before = list(s.gone)
    s.gone_lately = _together(p)
    s.held_until = soon if hold_until is None else max(soon, hold_until)


def release(p: Premises) -> None:
    """The time to come up is over: what went since the restart and stayed away went together."""
    s = p.state.sabotage
    missing = [part for part in s.gone if part not in s.gone_before]
    for part in (*missing, *s.gone_lately) if missing else ():
        s.gone[part] = p.now
    s.held_until = None
    s.gone_before, s.gone_lately = [], []
    if missing:
        _judge(p, missing)


def tell(p: Premises) -> None:
    """The gathering is over."""
    s = p.state.sabotage
    s.gather_until = None
    s.told = [*s.told, *(part for part in s.gathered if part not in s.told)]
    s.gathered = []
    p.emit(Code.SABOTAGE, detail=listed(s.told))
    p.sound(None)
    p.latch_panel()
    _all_back(p)


def fit(p: Premises, parts: frozenset[str]) -> None:
    """Forget what is no longer configured; a verdict of nothing else is over."""
    s = p.state.sabotage
    s.seen = [part for part in s.seen if part in parts]
    s.gone = {part: at for part, at in s.gone.items() if part in parts}
    s.gone_lately = [part for part in s.gone_lately if part in s.gone]
    s.gathered = [part for part in s.gathered if part in parts]
    if not s.gathered:
        s.gather_until = None
    _all_back(p)


def listed(parts: list[str]) -> str:
    """As "nodes:main.3,main.7-9 paths:mqtt"; what does not fit an event's detail is counted."""
    words = {kind: _names(kind, parts) for kind in _KINDS}
    names = [(kind, name) for kind in _KINDS for name in words[kind]]
    for shown in range(len(names), -1, -1):
        text = " ".join(
            f"{kind}:{','.join(name for _, name in group)}"
            for kind, group in itertools.groupby(names[:shown], key=lambda item: item[0])
        )
        if shown < len(names):
            text = f"{text} more:{len(names) - shown}".lstrip()
        if len(text) <= DETAIL_MAX:
            return text
    return ""


def _names(kind: str, parts: list[str]) -> list[str]:
    start = _ONE_OF[kind]
    found = [part.removeprefix(start) for part in parts if part.startswith(start)]
    if kind != "nodes":
        return sorted(found)
    nodes = sorted((bus, int(address)) for bus, _, address in (n.partition(".") for n in found))
    names: list[str] = []
    for _, run in itertools.groupby(enumerate(nodes), key=lambda e: (e[1][0], e[1][1] - e[0])):
        row = [node for _, node in run]
        if len(row) >= _RUN:
            names.append(f"{row[0][0]}.{row[0][1]}-{row[-1][1]}")
        else:
            names += [f"{bus}.{address}" for bus, address in row]
    return names


def _judge(p: Premises, fresh: list[str]) -> None:
    s = p.state.sabotage
    if s.told or s.gather_until is not None:
        further = [part for part in fresh if part not in s.told and part not in s.gathered]
        if further:
            _gather(p, further)
        return
    together = _together(p)
    ports = {part.removeprefix("bus:") for part in s.gone if part.startswith("bus:")}
    counted = {_weighed(part, ports) for part in together}
    blind = bool(ports & {_bus_of(part) for part in together}) and any(
        area.mode in WATCHING for area in p.state.areas.values()
    )
    if len(counted) >= p.config.sabotage.parts or blind:
        _gather(p, together)


def _together(p: Premises) -> list[str]:
    """Parts that vanished inside the window that ends now."""
    window_ns = p.config.sabotage.window_s * NS_PER_S
    return [part for part, at in p.state.sabotage.gone.items() if p.now - at <= window_ns]


def _gather(p: Premises, parts: list[str]) -> None:
    s = p.state.sabotage
    s.gathered += parts
    if s.gather_until is None:
        s.gather_until = later(p.now, GATHER_S)


def _all_back(p: Premises) -> None:
    s = p.state.sabotage
    if s.told and not s.gathered and not any(part in s.gone for part in s.told):
        s.told = []
        p.emit(Code.SABOTAGE, Qualifier.RESTORE)


def _bus_of(part: str) -> str:
    return part.removeprefix("node:").partition(".")[0] if part.startswith("node:") else ""


def _weighed(part: str, ports: set[str]) -> str:
    """The part it counts as."""
    bus = _bus_of(part)
    return f"bus:{bus}" if bus in ports else part
