"""The simulated node and the real firmware in its own process behave alike on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from edge.adapters.osdp_bus import OsdpBus
from edge.adapters.osdp_keys import NodeKeys
from edge.bus.bus_types import (
    BusEvent,
    CommandDone,
    InputsReported,
    InputState,
    LocalReported,
    NodeLost,
    NodeUp,
    SetNodeOutput,
)
from edge.config_bus import BusConfig, OsdpNode
from hil.drivers.bus_node import SimNode
from hil.drivers.bus_wire import BusWire
from hil.drivers.node_process import NodeProcess
from protocols.instants import Instant
from protocols.osdp import codes
from protocols.osdp.frame import Frame, FrameReader, build
from tests.support.bus_terminal import Terminal

ADDRESS = 5
STATES = ("alarm", "short", "open", "tamper", "masked", "masked_alarm", "normal")
KINDS = ("simulated", "firmware")


class Node(Protocol):
    """What a test does to a node's world."""

    def set(self, number: int, state: str) -> None: ...
    def local(self, *, tamper: bool, power: bool) -> None: ...
    def outputs(self) -> list[int]: ...
    def power_cut(self) -> None: ...
    def power_on(self) -> None: ...
    def stop(self) -> None: ...


class Simulated:
    def __init__(self, wire: BusWire, key: bytes | None) -> None:
        self._node = SimNode(ADDRESS, key)
        wire.attach_station("node", self._node)

    def set(self, number: int, state: str) -> None:
        self._node.turn(number, InputState[state.upper()].value)

    def local(self, *, tamper: bool, power: bool) -> None:
        self._node.local(tamper, power)

    def outputs(self) -> list[int]:
        return self._node.board.outputs

    def power_cut(self) -> None:
        self._node.power_cut()

    def power_on(self) -> None:
        self._node.power_on()

    def stop(self) -> None:
        self._node.power_cut()


class Firmware:
    def __init__(self, wire: BusWire, key: bytes | None, directory: Path) -> None:
        self._process = NodeProcess(directory, wire.attach("node"))
        self._process.commission(ADDRESS, key, "--wiring", "triple")
        self._process.start()
        self._process.wait_up()

    def set(self, number: int, state: str) -> None:
        self._process.set(number, state)

    def local(self, *, tamper: bool, power: bool) -> None:
        self._process.tamper(tamper)
        self._process.supply(8000 if power else 12_000)

    def outputs(self) -> list[int]:
        return self._process.outputs()

    def power_cut(self) -> None:
        self._process.power_cut()

    def power_on(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._process.stop()


def node_of(kind: str, wire: BusWire, key: bytes | None, directory: Path) -> Node:
    return Simulated(wire, key) if kind == "simulated" else Firmware(wire, key, directory)


class Panel:
    """Our driver, with what it delivered."""

    def __init__(self, port: str, keys: NodeKeys) -> None:
        self.events: list[BusEvent] = []
        config = BusConfig(name="main", port=port, nodes=(OsdpNode(address=ADDRESS),))
        self.bus = OsdpBus(config, keys, asyncio.get_running_loop(), self._deliver)
        self.bus.start()

    def _deliver(self, event: BusEvent, now: Instant, token: int) -> None:
        self.events.append(event)
        if token:
            self.bus.committed(token)

    async def until(self, what: str, probe: Callable[[], bool], timeout_s: float = 15) -> None:
        for _ in range(int(timeout_s / 0.01)):
            if probe():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{what}: not within {timeout_s} s; told: {self.events[-8:]}")

    def inputs(self) -> tuple[InputState, ...]:
        told = [event for event in self.events if isinstance(event, InputsReported)]
        return told[-1].states if told else ()

    def local(self) -> tuple[bool, bool]:
        told = [event for event in self.events if isinstance(event, LocalReported)]
        return (told[-1].tamper, told[-1].power) if told else (False, False)

    def count(self, kind: type[BusEvent]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


@pytest.mark.system
@pytest.mark.parametrize("kind", KINDS)
def test_the_panel_sees_the_same_of_both(kind: str, tmp_path: Path) -> None:
    async def life(wire: BusWire) -> None:
        keys = NodeKeys(tmp_path, "P1")
        port = wire.attach("panel")
        node = node_of(kind, wire, keys.key("main", ADDRESS), tmp_path / "node")
        panel = Panel(port, keys)
        try:
            await panel.until("up", lambda: panel.count(NodeUp) == 1)
            await panel.until("normal", lambda: panel.inputs() == (InputState.NORMAL,) * 8)
            for number, state in enumerate(STATES, 1):
                node.set(number, state)
                wanted = InputState[state.upper()]
                await panel.until(
                    f"input {number} {state}",
                    lambda n=number, w=wanted: panel.inputs()[n - 1] is w,  # type: ignore[misc]
                )
            node.local(tamper=True, power=True)
            await panel.until("tamper and power", lambda: panel.local() == (True, True))
            assert panel.bus.command(ADDRESS, SetNodeOutput(1, True), token=7)
            await panel.until("done", lambda: panel.count(CommandDone) == 1)
            await panel.until("output on", lambda: node.outputs()[0] == 1)
            node.power_cut()
            assert node.outputs() == [0, 0]
            node.set(1, "open")
            await panel.until("lost", lambda: panel.count(NodeLost) == 1)
            node.power_on()
            await panel.until("up again", lambda: panel.count(NodeUp) == 2)
            await panel.until("opened meanwhile", lambda: panel.inputs()[0] is InputState.OPEN)
            assert panel.inputs()[1:7] == tuple(InputState[s.upper()] for s in STATES[1:])
            await panel.until("output on again", lambda: node.outputs() == [1, 0])
        finally:
            panel.bus.stop()
            node.stop()

    with BusWire(38_400, seed=1) as wire:
        asyncio.run(life(wire))


CLEAR = (
    (ADDRESS, 0, bytes((codes.ID, 0))),
    (ADDRESS, 0, bytes((codes.ID, 0))),
    (ADDRESS, 1, bytes((codes.CAP, 0))),
    (ADDRESS, 1, bytes((codes.CAP, 0))),
    (ADDRESS, 3, bytes((codes.CAP, 0))),
    (ADDRESS, 2, bytes((codes.POLL,))),
    (ADDRESS, 2, bytes((codes.OUT, 0, 2, 0, 0))),
    (ADDRESS, 2, bytes((codes.KEYSET, 1, 16)) + bytes(16)),
    (ADDRESS + 1, 0, bytes((codes.ID, 0))),
    (ADDRESS, 0, bytes((0xEE,))),
    (ADDRESS, 0, bytes((codes.ID,))),
    (ADDRESS, 0, bytes((codes.ID, 0))),
)
"""Address, sequence number, command: what anybody can say without the key."""


def told_by(kind: str, directory: Path) -> list[tuple[int, int, bytes] | None]:
    """Address, sequence number and data of its answers to CLEAR; None: silence."""
    answers: list[tuple[int, int, bytes] | None] = []
    with BusWire(38_400, seed=1) as wire, Terminal(wire, "panel") as panel:
        node = node_of(kind, wire, bytes(range(16)), directory)
        try:
            for address, sequence, data in CLEAR:
                panel.write(build(address, sequence, data, mark=True))
                frame = answer_of(panel)
                answers.append(frame and (frame.address, frame.sequence, frame.data))
        finally:
            node.stop()
    return answers


def answer_of(panel: Terminal) -> Frame | None:
    reader = FrameReader()
    while data := panel.hear(1, 0.25):
        for frame in reader.feed(data):
            if isinstance(frame, Frame) and frame.reply:
                return frame
    return None


@pytest.mark.system
def test_both_answer_the_same_to_whoever_has_no_key(tmp_path: Path) -> None:
    ours, real = (told_by(kind, tmp_path / kind) for kind in KINDS)
    for asked, one, other in zip(CLEAR, ours, real, strict=True):
        if one is not None and one[2][0] == codes.PDID:
            # Model, version, serial number and firmware are each one's own.
            assert other is not None
            one, other = (one[0], one[1], one[2][:4]), (other[0], other[1], other[2][:4])
        assert one == other, asked
    assert ours[0] == ours[1]
    assert ours[8] is None
    assert [answer is None for answer in ours].count(False) == len(CLEAR) - 1
