"""Outputs, lamp, enclosure and supply."""

from firmware.node.housing import Enclosure, Supply
from firmware.node.lamp import FAULT, SEARCHING, Lamp
from firmware.node.outputs import (
    OFF,
    OFF_AFTER,
    OFF_FOR,
    ON,
    ON_AFTER,
    ON_FOR,
    Outputs,
)
from firmware.node.ticks import PERIOD, ticks_add

SILENT_MS = 8000


def outputs(now=0):
    found = Outputs(2, SILENT_MS, now)
    found.heard(now)
    return found


def test_outputs_are_off_at_the_start_and_switch_on_command():
    found = outputs()
    assert found.states() == b"\x00\x00"
    assert found.set(1, ON, 0, 0)
    assert found.states() == b"\x00\x01"
    assert found.set(1, OFF, 0, 0)
    assert found.states() == b"\x00\x00"


def test_a_timed_output_goes_back_to_what_it_was():
    start = PERIOD - 1000
    found = outputs(start)
    assert found.set(0, ON_FOR, 25, start)
    assert found.set(1, ON, 0, start)
    assert found.set(1, OFF_FOR, 25, start)
    found.tick(ticks_add(start, 2499))
    assert found.states() == b"\x01\x00"
    found.tick(ticks_add(start, 2500))
    assert found.states() == b"\x00\x01"


def test_a_permanent_state_waits_for_the_timer_or_ends_it():
    found = outputs()
    found.set(0, ON_FOR, 10, 0)
    found.set(0, OFF_AFTER, 0, 0)
    assert found.states() == b"\x01\x00"
    found.set(1, OFF_FOR, 10, 0)
    found.set(1, ON_AFTER, 0, 0)
    assert found.states() == b"\x01\x00"
    found.tick(1000)
    assert found.states() == b"\x00\x01"
    found.set(0, ON_FOR, 10, 1000)
    found.set(0, OFF, 0, 1000)
    assert found.states() == b"\x00\x01"


def test_a_time_of_nothing_lasts_until_the_next_command():
    found = outputs()
    found.set(0, ON_FOR, 0, 0)
    found.tick(7000)
    assert found.states() == b"\x01\x00"


def test_all_outputs_go_off_when_the_controller_is_silent_and_stay_off():
    found = outputs()
    found.set(0, ON, 0, 0)
    found.set(1, ON_FOR, 600, 0)
    found.heard(100)
    found.tick(100 + SILENT_MS)
    assert found.states() == b"\x01\x01"
    assert not found.safe
    found.tick(101 + SILENT_MS)
    assert found.states() == b"\x00\x00"
    assert found.safe
    found.heard(9000)
    found.tick(9000)
    assert found.states() == b"\x00\x00"
    assert not found.safe


def test_a_fault_puts_outputs_off_and_refuses_commands():
    found = outputs()
    found.set(0, ON, 0, 0)
    found.fault(True)
    assert found.states() == b"\x00\x00"
    assert not found.set(0, ON, 0, 0)
    found.fault(False)
    assert found.states() == b"\x00\x00"
    assert found.set(0, ON, 0, 0)


def test_unknown_outputs_and_codes_are_refused():
    found = outputs()
    assert not found.set(2, ON, 0, 0)
    assert not found.set(-1, ON, 0, 0)
    assert not found.set(0, 7, 0, 0)
    assert found.states() == b"\x00\x00"


def pattern(lamp, start, count, step_ms=100):
    return "".join(["#" if lamp.lit(start + n * step_ms) else "." for n in range(count)])


def test_the_lamp_shows_the_nodes_own_signs():
    lamp = Lamp(0)
    assert pattern(lamp, 0, 20) == "#..#................"
    lamp.sign = SEARCHING
    assert pattern(lamp, 0, 20) == "#####.....#####....."
    lamp.sign = FAULT
    assert pattern(lamp, 0, 20) == "#..#..#............."


def test_the_controller_sets_the_lamp_for_a_time_and_for_good():
    lamp = Lamp(0)
    blink = bytes((0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 0))
    assert lamp.command(blink, 0)
    assert pattern(lamp, 0, 8) == "##..##.."
    steady = bytes((0, 0, 2, 1, 0, 1, 0, 5, 0, 0, 0, 0, 0, 0))
    assert lamp.command(steady, 0)
    assert pattern(lamp, 0, 8) == "######.."
    lamp.forget()
    assert pattern(lamp, 0, 4) == "#..#"


def test_a_lamp_that_is_not_there_is_refused():
    lamp = Lamp(0)
    assert not lamp.command(bytes((0, 1)) + bytes(12), 0)
    assert not lamp.command(bytes(13), 0)
    assert not lamp.command(bytes((0, 0, 3)) + bytes(11), 0)


def test_the_enclosure_is_told_open_after_a_moment_and_closed_after_a_second():
    enclosure = Enclosure()
    assert not enclosure.sample(False, 0)
    assert not enclosure.sample(True, 8)
    assert not enclosure.sample(False, 40)
    assert not enclosure.sample(True, 100)
    assert enclosure.sample(True, 150)
    assert enclosure.open
    assert not enclosure.sample(False, 160)
    assert not enclosure.sample(False, 1100)
    assert enclosure.open
    assert enclosure.sample(False, 1160)
    assert not enclosure.open


def test_an_enclosure_open_at_the_start_is_told_at_once():
    enclosure = Enclosure()
    assert enclosure.sample(True, 0)
    assert enclosure.open


def test_the_supply_is_low_and_good_again_at_two_different_voltages():
    supply = Supply(10500, 11000)
    assert not supply.sample(12000, 0)
    assert not supply.sample(10400, 10)
    assert not supply.sample(10400, 1000)
    assert supply.sample(10400, 1010)
    assert supply.low
    assert supply.millivolts == 10400
    assert not supply.sample(10900, 5000)
    assert not supply.sample(10900, 8000)
    assert not supply.sample(11000, 9000)
    assert supply.sample(11000, 10000)
    assert not supply.low


def test_a_dip_of_the_supply_is_not_told_and_an_unread_one_is_low():
    supply = Supply(10500, 11000)
    supply.sample(12000, 0)
    assert not supply.sample(9000, 100)
    assert not supply.sample(12000, 900)
    assert not supply.sample(12000, 1200)
    assert not supply.low
    assert Supply(10500, 11000).sample(-1, 0)
