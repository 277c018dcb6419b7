"""What the panel may rely on with any bus driver (edge/adapters/bus_driver)."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from edge.bus.bus_types import (
    AskReport,
    Beep,
    BusChanged,
    CommandDone,
    InputsReported,
    InputState,
    NodeLost,
    NodeUp,
)
from tests.support.osdp_bus_rig import BusRig, on_loop

pytestmark = pytest.mark.system
QUIET, ALARM = bytes(8), bytes([1, *bytes(7)])


async def started(tmp_path: Path, nodes: int = 2) -> BusRig:
    rig = BusRig(tmp_path)
    for address in range(1, nodes + 1):
        rig.node(address)
    return rig


@on_loop
async def test_each_node_is_told_up_once_and_then_its_inputs(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    async with rig:
        await rig.until(lambda: len({e.node for e in rig.events(InputsReported)}) == 2)
        for address in (1, 2):
            kinds = [
                type(e)
                for _, e in rig.told
                if getattr(e, "node", None) is not None and e.node.address == address
            ]  # type: ignore[union-attr]
            assert kinds[0] is NodeUp
            assert kinds.count(NodeUp) == 1


@on_loop
async def test_events_come_in_order_in_the_event_loops_thread(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    threads: set[int] = set()
    deliver = rig._deliver
    rig._deliver = lambda *told: (threads.add(threading.get_ident()), deliver(*told))  # type: ignore[method-assign, assignment, func-returns-value]
    async with rig:
        await rig.until(lambda: len(rig.events(NodeUp)) == 2)
        for number in range(6):
            rig.nodes[1].move(ALARM if number % 2 == 0 else QUIET)
        await rig.until(
            lambda: sum(ALARM[0] == e.states[0].value for e in rig.events(InputsReported, 1)) == 3
        )
        assert threads == {threading.get_ident()}
        assert [at for at, _ in rig.told] == sorted(at for at, _ in rig.told)


@on_loop
async def test_a_change_is_held_until_it_is_committed(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    async with rig:
        await rig.until(
            lambda: (
                all(node.queued == 0 for node in rig.nodes.values())
                and len(rig.events(NodeUp)) == 2
            )
        )
        rig.commit = False
        rig.nodes[1].move(ALARM)
        rig.nodes[1].move(QUIET)
        await rig.until(lambda: rig.owed)
        polls = rig.bus.statistics().nodes[1].polls
        await rig.until(lambda: rig.bus.statistics().nodes[1].polls > polls + 3)
        assert rig.events(InputsReported, 1)[-1].states[0] is InputState.ALARM
        rig.bus.committed(rig.owed.pop())
        await rig.until(lambda: rig.events(InputsReported, 1)[-1].states[0] is InputState.NORMAL)


@on_loop
async def test_a_token_that_never_was_or_comes_twice_does_no_harm(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    async with rig:
        await rig.until(lambda: len(rig.events(NodeUp)) == 2)
        for token in (0, -1, 10**9, 1, 1, 1):
            rig.bus.committed(token)
        rig.nodes[2].move(ALARM)
        await rig.until(
            lambda: any(e.states[0] is InputState.ALARM for e in rig.events(InputsReported, 2))
        )


@on_loop
async def test_no_such_node_takes_no_command_and_a_queue_has_an_end(tmp_path: Path) -> None:
    rig = BusRig(tmp_path)
    rig.station(1, None)
    async with rig:
        assert not rig.bus.command(99, Beep(1), 1)
        taken = [rig.bus.command(1, AskReport(), 100 + n) for n in range(40)]
        assert taken[0]
        assert not all(taken)
        await rig.until(lambda: len(rig.events(CommandDone)) >= sum(taken))
        assert not any(e.ok for e in rig.events(CommandDone))


@on_loop
async def test_the_port_is_told_once_gone_and_once_back(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    rig.wire.unplug("panel")
    async with rig:
        await rig.until(lambda: len(rig.events(NodeLost)) == 2)
        began = time.monotonic()
        await rig.until(lambda: time.monotonic() - began > 1.2)
        assert [e.up for e in rig.events(BusChanged)] == [False]
        rig.wire.plug("panel")
        await rig.until(lambda: len(rig.events(NodeUp)) == 2)
        assert [e.up for e in rig.events(BusChanged)] == [False, True]
        assert len(rig.events(NodeLost)) == 2


@on_loop
async def test_the_port_is_held_alone(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    async with rig:
        await rig.until(lambda: len(rig.events(NodeUp)) == 2)
        first = rig.bus
        told = len(rig.told)
        rig.restart()
        second = rig.bus
        await rig.until(lambda: any(not e.up for e in rig.events(BusChanged)))
        assert "in use" in second.statistics().cause or "busy" in second.statistics().cause
        first.stop()
        await rig.until(lambda: len(rig.events(NodeUp)) == 4)
        assert len(rig.told) > told


@on_loop
async def test_after_stop_nothing_is_delivered(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    async with rig:
        await rig.until(lambda: len(rig.events(NodeUp)) == 2)
        rig.nodes[1].move(ALARM)
        rig.bus.stop()
        told = len(rig.told)
        began = time.monotonic()
        await rig.until(lambda: time.monotonic() - began > 0.2)
        assert len(rig.told) == told
        rig.bus.stop()
        rig.restart()


@on_loop
async def test_figures_are_there_from_the_start(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    async with rig:
        assert [n.node.address for n in rig.bus.statistics().nodes] == [1, 2]
        await rig.until(lambda: len(rig.events(NodeUp)) == 2)
        await rig.until(lambda: rig.bus.statistics().nodes[0].polls > 10)
        figures = rig.bus.statistics()
        assert (figures.bus, figures.up, figures.cause) == ("main", True, "")
        for node in figures.nodes:
            assert node.state == "secure"
            assert node.replies <= node.polls
            assert node.cycle_ms > 0
            assert node.last_seen_s is not None
            assert node.last_seen_s < 1
            assert node.firmware == "1.0.0"
