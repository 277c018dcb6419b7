"""What a bus driver delivered, held against what the nodes' inputs really did."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from edge.bus.bus_types import BusEvent, ChangesLost, InputsReported, NodeLost, NodeTrouble, NodeUp
from hil.drivers.bus_wire_storm import number_of


@dataclass(slots=True)
class NodeLedger:
    """One node: the last change told, and what was wrong with the order of those told."""

    last: int = -1
    told: int = 0
    repeats: int = 0
    missing: list[tuple[int, int]] = field(default_factory=list)
    """(after, before): not told between these."""
    invented: list[int] = field(default_factory=list)
    """No change of this node, or one that was over."""

    def take(self, number: int) -> None:
        self.told += 1
        if number == self.last:
            self.repeats += 1
        elif number < self.last:
            self.invented.append(number)
        else:
            if number != self.last + 1:
                self.missing.append((self.last, number))
            self.last = number


class BusLedger:
    """Of one bus. Feed it every event; `judge` it with the nodes' own counts at the end."""

    def __init__(self) -> None:
        self.nodes: dict[int, NodeLedger] = {}
        self.events: list[tuple[float, BusEvent]] = []
        """All but InputsReported, with their times."""
        self.up: set[int] = set()
        self.strangers: dict[int, tuple[int, ...]] = {}
        """Address: states of a second node there, which are true as well."""
        self.foreign = Counter[int]()

    def take(self, event: BusEvent) -> None:
        if isinstance(event, InputsReported):
            address = event.node.address
            states = tuple(state.value for state in event.states)
            if states == self.strangers.get(address):
                self.foreign[address] += 1
            else:
                self.nodes.setdefault(address, NodeLedger()).take(number_of(states))
            return
        self.events.append((time.monotonic(), event))
        if isinstance(event, NodeUp):
            self.up.add(event.node.address)
        elif isinstance(event, NodeLost):
            self.up.discard(event.node.address)

    @property
    def told(self) -> int:
        return sum(node.told - node.repeats for node in self.nodes.values())

    def lost_since(self, since_s: float) -> dict[int, tuple[float, str]]:
        """Address: (seconds after `since_s`, cause) of nodes told lost since."""
        return {
            event.node.address: (at_s - since_s, event.cause.value)
            for at_s, event in self.events
            if at_s >= since_s and isinstance(event, NodeLost)
        }

    def troubles_since(self, since_s: float) -> dict[tuple[int, str], float]:
        """(address, trouble): seconds after `since_s` when it was first told on."""
        found: dict[tuple[int, str], float] = {}
        for at_s, event in self.events:
            if at_s >= since_s and isinstance(event, NodeTrouble) and event.on:
                found.setdefault((event.node.address, event.trouble.value), at_s - since_s)
        return found

    def judge(self, truth: dict[int, tuple[int, list[int]]]) -> dict[str, int]:
        """Changes lost and invented. `truth`: address to (changes made, change at each power cut).

        What waited in a node when its power was cut may be missing, up to the change it woke with.
        """
        lost = invented = excused = 0
        for address, (made, cuts) in truth.items():
            node = self.nodes.get(address, NodeLedger())
            for after, before in node.missing:
                waking = max((cut for cut in cuts if after < cut <= before), default=after + 1)
                excused += waking - after - 1
                lost += before - waking
            lost += max(0, made - node.last)
            invented += len(node.invented) + max(0, node.last - made)
        invented += sum(node.told for address, node in self.nodes.items() if address not in truth)
        overflowed = sum(e.count for _, e in self.events if isinstance(e, ChangesLost))
        return {
            "made": sum(made + 1 for made, _ in truth.values()),
            "told": self.told,
            "lost": lost,
            "invented": invented,
            "excused_by_power_cuts": excused,
            "overflowed": overflowed,
            "repeats": sum(node.repeats for node in self.nodes.values()),
        }
