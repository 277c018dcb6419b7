"""`tocsin-edge bus scan` on a wire with nodes, at the speed of the real one."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.adapters.bus_scan import ScanRun
from edge.adapters.bus_scan_osdp import OsdpScan
from edge.adapters.bus_scan_types import Doubt
from edge.adapters.modbus_sim import Rack
from edge.adapters.serial_port import SerialPort
from edge.bus.bus_types import NodeUp
from edge.cli.bus import app
from hil.drivers.bus_node import SimNode
from hil.drivers.bus_wire import BusWire
from tests.support.osdp_bus_rig import BusRig, on_loop

pytestmark = pytest.mark.system
KEY = b"k" * 16


@pytest.fixture
def wire() -> Iterator[BusWire]:
    with BusWire(57_600, seed=3, honour_speed=True) as wire:
        yield wire


@pytest.fixture
def port(wire: BusWire) -> str:
    """Drop 0 of the wire: nodes come after it."""
    return wire.attach("controller")


def scanned(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["scan", *arguments])
    return done.exit_code, done.output


def found(text: str) -> dict[int, dict[str, object]]:
    return {each["address"]: each for each in json.loads(text)["result"]["findings"]}


def test_nodes_at_an_unknown_speed_and_a_duplicate_among_them(wire: BusWire, port: str) -> None:
    for address in (0, 3, 9):
        wire.attach_station(f"n{address}", SimNode(address, KEY if address else None))
    wire.attach_station("one of two", SimNode(6, KEY, serial=76), 2.0)
    wire.attach_station("the other", SimNode(6, KEY, serial=77), 20.0)
    wire.attach_station("both at once", SimNode(7, KEY, serial=78), 2.0)
    wire.attach_station("as the other", SimNode(7, KEY, serial=79), 2.0)
    code, text = scanned(port, "--addresses", "0-10", "--wait-ms", "40", "--json")
    nodes = found(text)
    assert code == 0
    assert {a: n["doubt"] for a, n in nodes.items()} == {
        0: "no",
        3: "no",
        6: "duplicate",
        7: "duplicate_likely",
        9: "no",
    }
    assert {n["setting"]["baud"] for n in nodes.values()} == {57_600}  # type: ignore[index]
    assert nodes[6]["serials"] == ["76", "77"]
    assert (nodes[0]["security"], nodes[3]["security"]) == ("factory", "keyed")


def test_echo_slow_nodes_and_reads_in_late_pieces_change_nothing(wire: BusWire, port: str) -> None:
    for address in (1, 2):
        wire.attach_station(f"n{address}", SimNode(address, KEY), 30.0)
    wire.drop("controller", echo=True, batch_ms=16, split=True)
    run = ScanRun(port)
    result = run.run(OsdpScan((57_600,), tuple(range(4)), 0.12).run())
    assert [(f.address, f.doubt, f.notes) for f in result.findings] == [
        (1, Doubt.NO, ()),
        (2, Doubt.NO, ()),
    ]
    assert run.echo


def test_a_spike_at_the_turn_of_the_line_does_not_hide_a_node_that_takes_its_time(
    wire: BusWire, port: str
) -> None:
    wire.attach_station("n1", SimNode(1, KEY), 70.0)
    for _ in range(10):
        wire.answer_for(1, b"\x00", instead=False, delay_ms=1.0)
    result = ScanRun(port).run(OsdpScan((57_600,), (0, 1, 2), 0.12).run())
    assert [(f.address, f.doubt, f.notes) for f in result.findings] == [(1, Doubt.NO, ())]
    assert len(wire.said("~intruder")) >= 7


def test_a_port_that_somebody_holds_is_left_alone(wire: BusWire, port: str) -> None:
    wire.attach_station("n1", SimNode(1, KEY))
    holder = SerialPort(port, 57_600)
    try:
        code, text = scanned(port)
        assert code == 2
        assert "tocsin-edge bus status" in text
        code, text = scanned(port, "--lang", "zh")
        assert code == 2
        assert "应为：未被其他程序占用的端口" in text
        assert not wire.said()
    finally:
        holder.close()


@on_loop
async def test_a_running_panel_on_another_port_of_the_bus_is_not_disturbed(
    tmp_path: Path,
) -> None:
    rig = BusRig(tmp_path, 38_400)
    rig.node(5)
    second = rig.wire.attach("second adapter")
    async with rig:
        await rig.until(lambda: rig.events(NodeUp, 5))
        code, text = await asyncio.to_thread(scanned, second)
        assert code == 2
        assert "another controller talks here" in text
        assert not rig.wire.said("second adapter")


def test_an_empty_bus_and_a_missing_port_say_what_to_look_at(port: str, tmp_path: Path) -> None:
    code, text = scanned(port, "--addresses", "0-1", "--wait-ms", "20")
    assert code == 1
    assert "A and B not swapped" in text
    code, text = scanned(str(tmp_path / "ttyUSB0"), "--json")
    assert code == 2
    (problem,) = json.loads(text)["problems"]
    assert problem["value"] == "No such file or directory"
    assert "/dev/serial/by-id" in problem["mend"]
    assert "/dev/serial/by-id" in problem["mend_zh"]


def test_an_adapter_pulled_in_the_middle_ends_it_with_a_reason(wire: BusWire, port: str) -> None:
    run = ScanRun(port)

    def pull(question: object) -> None:
        if len(asked) == 8:
            wire.unplug("controller")
        asked.append(question)

    asked: list[object] = []
    run.told = pull
    with pytest.raises(OSError, match=r"unplugged|error|Input/output"):
        run.run(OsdpScan((57_600,), tuple(range(20)), 0.02).run())
    assert not Path(port).exists()


def test_modbus_modules_of_a_rack(tmp_path: Path) -> None:
    with BusWire(9_600) as wire:
        path = wire.attach("controller")
        line = wire.attach("rack")
        with Rack(tmp_path / "rack", (2, 5), line=line, baud=9_600):
            code, text = scanned(
                *(path, "--protocol", "modbus", "--baud", "9600"),
                *("--addresses", "1-6", "--wait-ms", "60", "--json"),
            )
    modules = found(text)
    assert code == 0
    assert modules.keys() == {2, 5}
    assert {m["inputs"] for m in modules.values()} == {32}
    assert modules[2]["tables"] == [
        "discrete_inputs",
        "holding_registers",
        "coils",
        "input_registers",
    ]
    assert {m["doubt"] for m in modules.values()} == {"no"}


def test_a_terminal_of_80_columns_shows_progress_and_whole_lines(wire: BusWire, port: str) -> None:
    for address in (1, 2):
        wire.attach_station(f"n{address}", SimNode(address, KEY, serial=4_000_000_000 + address))
    wire.attach_station("one of two", SimNode(3, KEY, serial=4_000_000_076), 2.0)
    wire.attach_station("the other", SimNode(3, KEY, serial=4_000_000_077), 20.0)
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "edge", "bus", "scan", port]
    command += ["--addresses", "0-4", "--wait-ms", "40", "--baud", "57600"]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "TOCSIN_LANG": "en"}
    process = subprocess.Popen(command, stdout=follower, stderr=follower, env=env)
    os.close(follower)
    raw = b""
    try:
        while part := os.read(leader, 65_536):
            raw += part
    except OSError:
        pass  # the terminal's other side is closed
    finally:
        os.close(leader)
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", raw.decode())
    assert "5 addresses, 1 setting:" in text
    assert re.search(r"57600 8N1 +[0-4] ━", text)
    lines = [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n")]
    assert max(len(line) for line in lines) <= 80
    assert "…" not in "".join(lines)
    assert any("4000000076" in line and "duplicate" in line for line in lines)
    assert "address = 2" in lines
    assert "# address = 3" in lines
