"""Random lives of buses and paths, through BusMachine and panel, against what was really said."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from edge.bus.bus_machine import BusMachine
from edge.bus.bus_types import (
    BusChanged,
    BusEvent,
    InputsReported,
    InputState,
    LocalReported,
    LossCause,
    NodeId,
    NodeLost,
    NodeTrouble,
    NodeUp,
    Trouble,
)
from edge.bus.node_fault import NodeFault
from edge.field.reading import Reading
from edge.panel import Panel
from edge.panel.effects import Effect, Emit
from edge.panel.inputs import PathChanged
from protocols.instants import NS_PER_S
from protocols.panel_event import Code, Qualifier
from tests.support.bus_site import FOUR, KEYPAD, MODULE, THREE, bus_config
from tests.support.panel_site import at

CONFIG = bus_config()
INPUTS = {"zone:1": (THREE, 0), "zone:2": (THREE, 1), "zone:4": (FOUR, 0), "zone:5": (MODULE, 0)}
LOCALS = {"zone:3": (THREE, "tamper"), "mains": (FOUR, "power")}
POINTS = {**INPUTS, **LOCALS}
SAYS = {
    InputState.NORMAL: ["normal"],
    InputState.ALARM: ["alarm"],
    InputState.SHORT: ["short"],
    InputState.OPEN: ["open"],
    InputState.TAMPER: ["tamper"],
    InputState.MASKED: ["masked"],
    InputState.MASKED_ALARM: ["masked", "alarm"],
    InputState.UNKNOWN: ["lost"],
}
NODES = (THREE, FOUR, KEYPAD, MODULE)
CODES = {
    Trouble.FORGED: Code.NODE_FORGED,
    Trouble.NOISE: Code.BUS_NOISE,
    Trouble.BABBLE: Code.BUS_NOISE,
}
PARTS = {
    "main.3": NodeFault(Code.NODE_LOST, THREE, detail="no_answer"),
    "main.4": NodeFault(Code.NODE_LOST, FOUR, detail="no_answer"),
    "main.9": NodeFault(Code.NODE_LOST, KEYPAD, detail="no_answer"),
    "io.101": NodeFault(Code.NODE_LOST, MODULE, detail="no_answer"),
    "mqtt": PathChanged("mqtt", up=False),
    "phone": PathChanged("phone", up=False),
}
WINDOW_S, GATHER_S, REPORT_S = 10.0, 2.0, 5.0


class Truth:
    """What was really said: the words each point must give, and what is wrong with each node."""

    def __init__(self) -> None:
        self.words: dict[str, list[str]] = {point: [] for point in POINTS}
        self.known: dict[str, object] = dict.fromkeys(POINTS)
        self.owed: dict[NodeId, float] = {}
        self.faults: dict[tuple[int, NodeId], bool] = {}
        self.troubles: dict[tuple[int, NodeId], set[Trouble]] = defaultdict(set)

    def say(self, point: str, state: object, words: list[str]) -> None:
        if state is not None and state == self.known[point]:
            return
        self.known[point] = state
        for word in words:
            if self.words[point][-1:] != [word]:
                self.words[point].append(word)

    def lose(self, node: NodeId) -> None:
        self.owed.pop(node, None)
        for point, (owner, _) in POINTS.items():
            if owner == node:
                self.say(point, None, ["lost"])

    def pass_time(self, seconds: float) -> None:
        for node, due in list(self.owed.items()):
            if due <= seconds:
                del self.owed[node]
                for point, (owner, _) in POINTS.items():
                    if owner == node and self.known[point] is None:
                        self.say(point, None, ["lost"])

    def take(self, event: BusEvent, seconds: float) -> None:
        self.pass_time(seconds)
        match event:
            case NodeUp(node=node) if node in NODES:
                self.owed[node] = seconds + REPORT_S
                self.faults[Code.NODE_LOST, node] = False
            case NodeLost(node=node) if node in NODES:
                self.lose(node)
                self.faults[Code.NODE_LOST, node] = True
            case InputsReported(node=node, states=states):
                for point, (owner, index) in INPUTS.items():
                    if owner == node:
                        state = states[index] if index < len(states) else InputState.UNKNOWN
                        self.say(point, state, SAYS[state])
            case LocalReported(node=node) if node in NODES:
                for which, code in (("tamper", Code.NODE_TAMPER), ("power", Code.NODE_POWER)):
                    wrong: bool = getattr(event, which)
                    own = [p for p, source in LOCALS.items() if source == (node, which)]
                    for point in own:
                        self.say(point, wrong, ["alarm" if wrong else "normal"])
                    if not own:
                        self.faults[code, node] = wrong
            case NodeTrouble(node=node, trouble=trouble, on=on) if trouble in CODES:
                if node in NODES:
                    standing = self.troubles[CODES[trouble], node]
                    (standing.add if on else standing.discard)(trouble)
                    self.faults[CODES[trouble], node] = bool(standing)
            case BusChanged(bus=bus, up=up) if bus in ("main", "io"):
                self.faults[Code.BUS_FAULT, NodeId(bus, -1)] = not up
            case _:
                pass


def random_event(rng: random.Random) -> BusEvent:
    node = rng.choice((*NODES, NodeId("main", 77)))
    match rng.randrange(8):
        case 0:
            return NodeUp(node, secure=True)
        case 1:
            return NodeLost(node, rng.choice(list(LossCause)))
        case 2 | 3 | 4:
            length = rng.choice((8, 8, 8, 1, 0))
            states = [rng.choice([*InputState, InputState.NORMAL]) for _ in range(length)]
            return InputsReported(node, tuple(states))
        case 5:
            return LocalReported(node, rng.random() < 0.5, rng.random() < 0.5)
        case 6:
            trouble = rng.choice((Trouble.FORGED, Trouble.NOISE, Trouble.BABBLE, Trouble.REFUSED))
            return NodeTrouble(node, trouble, rng.random() < 0.5)
        case _:
            return BusChanged(rng.choice(("main", "io", "no")), rng.random() < 0.5)


@pytest.mark.parametrize("seed", range(60))
def test_every_point_and_fault_is_what_the_drivers_said(seed: int) -> None:
    rng = random.Random(seed)
    machine, panel, truth = BusMachine(CONFIG), Panel(CONFIG), Truth()
    # Every bus was heard: nothing of an earlier run is left to take back.
    first = [NodeUp(node, secure=True) for node in NODES]
    heard: dict[str, list[str]] = {point: [] for point in POINTS}
    seconds = 0.0
    for step in range(200):
        event = first[step] if step < len(first) else random_event(rng)
        seconds += 0.0 if step < len(first) else rng.choice((0.0, 0.1, 1.0, 4.0))
        for one in machine.receive(event, at(seconds)):
            if isinstance(one, Reading):
                heard[one.point].append(one.state.value)
            panel.receive(one, at(seconds))
        truth.take(event, seconds)
    assert heard == truth.words
    shown = {
        token.split()[0] + " " + token.split()[1]
        for token in panel.faults()
        if token.startswith("fault:")
    }
    assert shown == {
        f"fault:{code.value} {node}" for (code, node), on in truth.faults.items() if on
    }


def _sabotage(effects: list[Effect]) -> list[tuple[Qualifier, set[str]]]:
    found = []
    for effect in effects:
        if isinstance(effect, Emit) and effect.event.code == Code.SABOTAGE:
            names = [group.partition(":")[2] for group in effect.event.detail.split()]
            found.append((effect.event.q, {name for group in names for name in group.split(",")}))
    return found


class Watch:
    """What an operator may conclude from the verdicts, given what vanished when."""

    def __init__(self) -> None:
        self.gone: dict[str, float] = {}
        self.history: list[tuple[float, str]] = []
        self.standing: set[str] = set()
        self.must: list[tuple[float, set[str]]] = []
        """Pairs that vanished together, and by when a verdict has to list both."""

    def vanish(self, name: str, seconds: float) -> None:
        self.must += [
            (seconds + GATHER_S, {name, other})
            for other, since in self.gone.items()
            if seconds - since <= WINDOW_S
        ]
        self.gone[name] = seconds
        self.history.append((seconds, name))

    def hear(self, effects: list[Effect], seconds: float) -> None:
        for q, parts in _sabotage(effects):
            if q is Qualifier.RESTORE:
                assert self.standing
                assert not self.standing & set(self.gone)
                self.standing = set()
                continue
            assert parts > self.standing  # never the same again; an extension lists all
            times = [(at_s, name) for at_s, name in self.history if name in parts]
            if self.standing:
                new = parts - self.standing
                assert {name for at_s, name in times if seconds - at_s <= GATHER_S} >= new
            else:
                assert any(
                    one != other and abs(first - second) <= WINDOW_S
                    for first, one in times
                    for second, other in times
                    if seconds - max(first, second) <= GATHER_S
                )
            self.standing = parts
            self.must = [(by, pair) for by, pair in self.must if not pair <= parts]
        self.must = [(by, pair) for by, pair in self.must if not pair <= self.standing]
        assert all(by >= seconds for by, _ in self.must)


@pytest.mark.parametrize("seed", range(60))
def test_parts_that_vanish_together_are_told_together_and_nothing_else_is(seed: int) -> None:
    """Through kills of the panel at any moment."""
    rng = random.Random(1000 + seed)
    panel, watch = Panel(CONFIG), Watch()
    for part in PARTS.values():
        panel.receive(_back(part), at(0))
    seconds, told = 0.0, 0
    for _ in range(150):
        target = seconds + rng.choice((0.0, 0.5, 1.0, 3.0, 6.0, 12.0, 30.0))
        while (due := panel.deadline()) is not None and due <= at(target):
            watch.hear(panel.tick(due), due / NS_PER_S)
        seconds = target
        if rng.random() < 0.2:
            panel, effects = Panel.restore(CONFIG, panel.snapshot(), at(seconds), same_boot=True)
            watch.hear(effects, seconds)
        name = rng.choice(list(PARTS))
        if name in watch.gone:
            del watch.gone[name]
            effects = panel.receive(_back(PARTS[name]), at(seconds))
        else:
            effects = panel.receive(PARTS[name], at(seconds))
            assert isinstance(effects[0], Emit)  # the part's own event stays, and comes first
            assert effects[0].event.code != Code.SABOTAGE
            watch.vanish(name, seconds)
        watch.hear(effects, seconds)
        told += bool(watch.standing)
    assert told
    for name in list(watch.gone):
        del watch.gone[name]
        watch.hear(panel.receive(_back(PARTS[name]), at(seconds)), seconds)
    while (due := panel.deadline()) is not None and due <= at(seconds + GATHER_S):
        watch.hear(panel.tick(due), due / NS_PER_S)
    assert not watch.standing
    assert panel.faults() == ()


def _back(part: NodeFault | PathChanged) -> NodeFault | PathChanged:
    if isinstance(part, PathChanged):
        return PathChanged(part.path, up=True)
    return NodeFault(part.code, part.node, on=False)
