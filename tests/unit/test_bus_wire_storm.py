"""Snapshots that tell their own number, the node in this process, and the wire's control lines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from hil.drivers.bus_node import SimNode
from hil.drivers.bus_wire import BusWire
from hil.drivers.bus_wire_main import WireControl
from hil.drivers.bus_wire_storm import number_of, snapshot
from hil.drivers.process import wait_for
from protocols.osdp import codes
from protocols.osdp.frame import Frame, FrameReader, build

ROOT = Path(__file__).parents[2]


def test_every_snapshot_tells_its_number_and_no_other() -> None:
    assert [number_of(snapshot(number)) for number in range(2000)] == list(range(2000))
    assert snapshot(0) == bytes(8)


def test_neighbours_differ_so_a_repeat_is_no_change() -> None:
    assert all(snapshot(number) != snapshot(number + 1) for number in range(2000))


def test_what_is_no_snapshot_has_no_number() -> None:
    assert number_of([codes.INPUT_UNKNOWN] + [0] * 7) == -1


def ask(node: SimNode, data: bytes, sequence: int = 0, now_ms: int = 0) -> Frame | None:
    (answer,) = FrameReader().feed(node.receive(build(5, sequence, data), now_ms)) or (None,)
    assert answer is None or isinstance(answer, Frame)
    return answer


def test_a_keyed_node_answers_to_its_name_and_not_to_another() -> None:
    node = SimNode(5, bytes(16))
    told = ask(node, bytes((codes.ID, 0)))
    assert told is not None
    assert told.data[0] == codes.PDID
    assert node.receive(build(6, 0, bytes((codes.ID, 0))), 1) == b""
    refused = ask(node, bytes((codes.POLL,)))
    assert refused is not None
    assert refused.data[0] == codes.NAK


def test_sifting_changes_nothing_but_the_work() -> None:
    """What a sifting node answers to any stream is what one answers that looks at every byte."""
    plain, sifting = SimNode(5, bytes(16), sift=False), SimNode(5, bytes(16), sift=True)
    ours = build(5, 0, bytes((codes.ID, 0)), mark=True)
    foreign = build(9, 1, bytes((codes.ID, 0)), mark=True)
    stream = [ours, foreign, ours[:5], foreign, ours, b"\x53\x05", ours, foreign[:-1], foreign]
    for now_ms, gap_ms in ((0, 13), (10_000, 500)):
        for at, data in enumerate(stream * 3):
            moment_ms = now_ms + at * gap_ms
            assert plain.receive(data, moment_ms) == sifting.receive(data, moment_ms)


def test_a_node_without_power_is_silent_and_starts_with_what_its_flash_kept() -> None:
    node = SimNode(5, bytes(16))
    node.move(snapshot(1))
    node.power_cut()
    assert ask(node, bytes((codes.ID, 0))) is None
    node.move(snapshot(2))
    node.board.store_communication(7, 9600)
    node.power_on()
    assert (node.peripheral.address, node.states, node.cuts) == (7, snapshot(2), [1])


def test_control_lines_set_faults_and_refuse_nonsense_without_harm() -> None:
    with BusWire(0) as wire:
        control = WireControl(wire)
        assert control.obey({"node": 5, "key": bytes(16).hex()}) == {"name": "node-5"}
        assert control.obey({"set": {"noise_per_s": 7, "cut_after": 3}}) == {}
        assert wire.line.faults.noise_per_s == 7
        for nonsense in ({"set": {"no_such": 1}}, {"drop": "nobody"}, {"inject": "xyz"}, {}):
            assert "error" in control.obey(nonsense)
        assert "error" in json.loads(control.obey_line("[1]"))
        moved = control.obey({"turn": 5, "input": 3, "state": codes.INPUT_ALARM})
        assert moved["at_ns"] > 0
        assert control.nodes["node-5"].states == bytes((0, 0, 1, 0, 0, 0, 0, 0))


def test_the_wire_as_a_process_obeys_its_control_lines(tmp_path: Path) -> None:
    link = tmp_path / "bus"
    command = [sys.executable, "-m", "hil.drivers.bus_wire", "--baud", "0", "--nodes", "1-2"]
    with subprocess.Popen(
        [*command, "--port", f"panel={link}"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ports"] == {"panel": str(link)}
        process.stdin.write('{"get": "state"}\n')
        process.stdin.flush()
        assert set(json.loads(process.stdout.readline())["nodes"]) == {"node-1", "node-2"}
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_storm_of_a_node_keeps_its_queue_short_and_stops_at_its_number() -> None:
    with BusWire(0) as wire:
        control = WireControl(wire)
        control.obey({"node": 5, "key": bytes(16).hex()})
        node = control.nodes["node-5"]
        control.obey({"storm": {"changes": 100, "ahead": 5}})
        wait_for("the storm to fill the queue", lambda: node.queued >= 5, 2, 0.005)
        assert node.moved < 10
