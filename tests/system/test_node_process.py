"""The node firmware as a MicroPython process on a pty, with libosdp as its controller."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import osdp_sys
import pytest

from firmware.node.flash import Flash
from firmware.node.latch import unseal
from firmware.node.settings import SettingsStore
from hil.drivers.process import wait_for
from protocols.osdp import codes
from protocols.osdp.node_report import NodeState, decode
from tests.support.node_panel import NodePanel

pytestmark = pytest.mark.system

ADDRESS = 5
KEY = bytes(range(16))
QUIET = bytes(8)
STATES = ("normal", "alarm", "short", "open", "tamper", "masked", "masked_alarm", "unknown")
"""In the order of their input bytes."""
PERIOD = 1 << 30


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[NodePanel]:
    with NodePanel(tmp_path / "node", ADDRESS) as found:
        yield found


def started(panel: NodePanel, *words: str) -> NodePanel:
    panel.node.commission(ADDRESS, KEY, "--wiring", "triple", *words)
    panel.node.start().wait_up()
    panel.connect(KEY)
    panel.online()
    return panel


def shown(number: int, state: int) -> bytes:
    found = bytearray(QUIET)
    found[number] = state
    return bytes(found)


def last_report(panel: NodePanel, asked: bool = True) -> NodeState:
    if asked:
        panel.reports.clear()
        command = {"command": osdp_sys.CMD_MFG, "vendor_code": codes.VENDOR}
        panel.submit({**command, "data": bytes([codes.ASK_REPORT])})
    panel.until("the node's report", lambda: panel.reports)
    found = decode(panel.reports[-1])
    assert found is not None
    return found


@pytest.mark.parametrize("runtime", ["micropython", "cpython"])
def test_every_state_of_every_input_reaches_the_controller(tmp_path: Path, runtime: str) -> None:
    with NodePanel(tmp_path / "node", ADDRESS, runtime, ticks=PERIOD - 2500) as panel:
        started(panel)
        panel.settled(QUIET)
        for turn in range(len(STATES)):
            order = [(number + turn) % len(STATES) for number in range(8)]
            panel.node.set_all([STATES[place] for place in order])
            panel.settled(bytes(order))
        panel.node.set_all(["normal"] * 8)
        panel.settled(QUIET)


def test_tamper_power_outputs_and_lamp(panel: NodePanel) -> None:
    started(panel, "--silent-s", "1")
    panel.until("local state", lambda: panel.local)
    panel.node.tamper(True)
    panel.until("tamper", lambda: panel.local[-1] == b"\x01\x00")
    panel.node.supply(9_000)
    panel.until("low supply", lambda: panel.local[-1] == b"\x01\x01")
    assert last_report(panel).supply_mv == 9_000
    panel.node.tamper(False)
    panel.node.supply(12_000)
    panel.until("all well", lambda: panel.local[-1] == b"\x00\x00")
    output = {"command": osdp_sys.CMD_OUTPUT, "output_no": 1, "control_code": 2, "timer_count": 0}
    panel.submit(output)
    panel.until("output 2 on", lambda: panel.node.outputs() == [0, 1])
    panel.submit({**output, "output_no": 0, "control_code": 5, "timer_count": 3})
    panel.until("output 1 on for a time", lambda: panel.node.outputs() == [1, 1])
    panel.until("output 1 off again", lambda: panel.node.outputs() == [0, 1])
    # Nobody polls any more: all off.
    wait_for("the safe state", lambda: panel.node.outputs() == [0, 0], 5)


def test_pairing_gives_a_key_and_ends_the_default_one(panel: NodePanel) -> None:
    panel.node.commission(ADDRESS)
    panel.node.start().wait_up()
    panel.connect(KEY, pairing=True)
    panel.until("the default key's session", lambda: panel.default_key)
    panel.online()
    panel.settled(QUIET)
    kept = SettingsStore(Flash(str(panel.node.directory / "flash"))).load()
    assert kept is not None
    assert kept.key == KEY
    # A stranger, who knows the default key as everyone does.
    panel.connect(bytes(16), pairing=True)
    panel.run(1.5)
    assert not panel.secure
    assert not panel.default_key
    panel.node.power_cut()
    panel.node.start().wait_up()
    panel.connect(KEY)
    panel.online()


def test_killed_at_random_no_alarm_is_lost_or_invented(panel: NodePanel) -> None:
    dice = random.Random(4)
    started(panel)
    panel.settled(QUIET)
    scratch = panel.node.directory / "scratch"
    for turn in range(10):
        number = dice.randrange(8)
        alarm = shown(number, codes.INPUT_ALARM)
        # The last turn's changes are acknowledged, so the latch is empty.
        panel.until("an empty latch", lambda: unseal(_word(scratch)) == 0)
        begun = len(panel.inputs)
        panel.node.set(number + 1, "alarm")
        if turn % 2:
            # Told to nobody, over before the kill: the latch alone has it (K3).
            wait_for("the latch", lambda: unseal(_word(scratch)) > 0, 5, 0.005)
            panel.node.set(number + 1, "normal")
            # The moment of the kill is random; nothing is waited for.
            time.sleep(dice.uniform(0, 0.2))
            panel.node.kill()
        else:
            panel.run(dice.uniform(0, 0.6))
            panel.node.kill()
        panel.node.start().wait_up()
        panel.online_again()
        panel.until("the alarm", lambda begun=begun, alarm=alarm: alarm in panel.inputs[begun:])
        panel.node.set(number + 1, "normal")
        panel.settled(QUIET)
        # It may be told again, as itself; nothing else is.
        assert set(panel.inputs[begun:]) <= {alarm, QUIET}


def _word(scratch: Path) -> int:
    return int.from_bytes(scratch.read_bytes()[:4], "little")


def test_each_duty_hung_in_turn_resets_the_node_by_its_watchdog(tmp_path: Path) -> None:
    duties = ("sample", "bus", "check")
    panels = [NodePanel(tmp_path / duty, ADDRESS) for duty in duties]
    try:
        for panel in panels:
            started(panel)
            panel.settled(QUIET)
        for panel, duty in zip(panels, duties, strict=True):
            panel.node.hang(duty)
        for panel in panels:
            panel.node.wait_reset(0)
            panel.node.hang("")
        for panel in panels:
            panel.node.wait_up()
            panel.reports.clear()
            panel.online_again()
            report = last_report(panel, asked=False)
            assert report.cause == "watchdog"
            assert report.resets >= 1
            panel.node.set(1, "alarm")
            panel.settled(shown(0, codes.INPUT_ALARM))
    finally:
        for panel in panels:
            panel.__exit__()


def test_power_cut_while_the_key_changes_leaves_the_old_key_or_the_new(panel: NodePanel) -> None:
    dice = random.Random(9)
    started(panel)
    key = KEY
    for turn in range(10):
        new = bytes([turn]) * 16
        panel.submit({"command": osdp_sys.CMD_KEYSET, "type": 1, "data": new})
        panel.run(dice.uniform(0, 0.12))
        panel.node.power_cut()
        kept = SettingsStore(Flash(str(panel.node.directory / "flash"))).load()
        assert kept is not None
        assert kept.key in (key, new)
        key = kept.key
        panel.node.start().wait_up()
        panel.connect(key)
        panel.online()
    panel.settled(QUIET)


def test_garbage_on_the_bus_and_a_bus_unplugged_stop_nothing(panel: NodePanel) -> None:
    dice = random.Random(2)
    started(panel)
    panel.settled(QUIET)
    pid = panel.node.pid
    for _ in range(200):
        panel.write(dice.randbytes(dice.randrange(1, 120)))
        panel.run(0.002)
    panel.online_again()
    panel.node.set(4, "alarm")
    panel.settled(shown(3, codes.INPUT_ALARM))
    panel.unplug()
    panel.node.set(4, "normal")
    panel.plug()
    panel.online_again()
    panel.settled(QUIET)
    assert panel.node.pid == pid
    assert panel.node.resets == 0


def test_an_empty_node_stays_off_the_bus_until_it_is_commissioned(panel: NodePanel) -> None:
    panel.node.start()
    panel.connect(KEY)
    panel.run(1)
    assert not panel.secure
    panel.node.commission(ADDRESS, KEY)
    panel.online_again()
    panel.settled(QUIET)
